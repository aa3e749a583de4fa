"""Curves of metrics: what is drawn is what was measured."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from train.cli import run_command
from train.curves import curves, read_metrics
from train.drawing import Line, chart, spread, ticks

finite = st.floats(-1e6, 1e6, allow_nan=False)


def written(folder: Path, lines: list[dict[str, float]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text + '{"step": 9, "lo')  # a kill in the middle
    return folder


def run(*args: str) -> int:
    return run_command(curves, "curves", list(args))


def test_curves_of_a_run_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(
        tmp_path / "one",
        [{"step": k, "loss": 1 / k, "lr": 0.1} for k in (1, 2, 4)] + [{"step": 4, "val_loss": 0.5}],
    )
    assert read_metrics(folder).values["loss"] == ((1, 1.0), (2, 0.5), (4, 0.25))
    out = tmp_path / "sub" / "curves.svg"
    assert run("--run", str(folder), "--out", str(out), "--title", "a < b") == 0
    tree = ET.fromstring(out.read_text())
    texts = ["".join(found.itertext()) for found in tree.iter() if found.tag.endswith("}text")]
    assert "a < b" in texts
    assert {"loss 0.250", "val_loss 0.500"} <= set(texts)
    lines = [found.get("points", "").split() for found in tree.iter() if "polyline" in found.tag]
    assert [len(points) for points in lines] == [3, 1]
    heights = [float(point.split(",")[1]) for point in lines[0]]
    assert heights == sorted(heights)  # a loss that falls goes down the page
    assert str(out) in capsys.readouterr().out


def test_the_first_steps_do_not_stretch_the_axis() -> None:
    falling = Line("a", ((1, 900.0), *((k, 1 / k) for k in range(100, 1000, 100))))
    labels = re.findall(r'text-anchor="end">([^<]+)<', chart([falling]))
    assert max(map(float, labels)) < 1
    assert "clip-path" in chart([falling])


def test_several_runs_are_told_apart(tmp_path: Path) -> None:
    folders = [written(tmp_path / name, [{"step": 1, "loss": 1.0}]) for name in ("a", "b")]
    out = tmp_path / "two.svg"
    args = [arg for folder in folders for arg in ("--run", str(folder))]
    assert run(*args, "--series", "loss", "--out", str(out)) == 0
    assert {"a loss 1.000", "b loss 1.000"} <= set(re.findall(r">([^<]+)</text>", out.read_text()))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--run", "nowhere"], "--run nowhere: no metrics there"),
        (["--run", "RUN", "--series", "los"], "--series los: not measured; there are loss"),
    ],
)
def test_what_is_not_there_is_said(
    args: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path / "one", [{"step": 1, "loss": 1.0}])
    given_args = [str(folder) if arg == "RUN" else arg for arg in args]
    assert run(*given_args, "--out", str(tmp_path / "no.svg")) != 0
    assert said in capsys.readouterr().err
    assert not (tmp_path / "no.svg").exists()


@given(low=finite, high=finite)
def test_ticks_enclose_the_range_and_are_few(low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    found = ticks(low, high)
    slack = 1e-9 * max(1.0, abs(low), abs(high))
    assert found[0] <= low + slack
    assert found[-1] >= high - slack
    assert 2 <= len(found) <= 8


@given(wanted=st.lists(finite, max_size=8))
def test_labels_do_not_overlap_and_keep_their_order(wanted: list[float]) -> None:
    placed = spread(wanted, 16)
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    heights = [placed[k] for k in order]
    assert all(b - a >= 16 - 1e-6 for a, b in itertools.pairwise(heights))
    assert all(at >= want for at, want in zip(placed, wanted, strict=True))


def test_what_is_not_finite_is_left_out() -> None:
    drawn = chart([Line("a", ((1, float("nan")), (2, 1.0))), Line("b", ((1, float("inf")),))])
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert drawn.count("<polyline") == 1
