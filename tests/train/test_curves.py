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
from train.curves import curves, names_of, read_metrics
from train.drawing import Line, chart, spread, ticks

finite = st.floats(-1e6, 1e6, allow_nan=False)


def texts(tree: ET.Element) -> list[str]:
    return ["".join(found.itertext()) for found in tree.iter() if found.tag.endswith("}text")]


def dots(tree: ET.Element) -> list[ET.Element]:
    return [found for found in tree.iter() if found.tag.endswith("}circle")]


def legend(tree: ET.Element) -> list[tuple[str, float, float]]:
    """Text and place of the names beside the frame."""
    found = [one for one in tree.iter() if one.get("text-anchor") == "start"]
    return [(one.text or "", float(one.get("x", "")), float(one.get("y", ""))) for one in found]


def written(folder: Path, lines: list[dict[str, float | None]]) -> Path:
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
    assert "a < b" in texts(tree)
    assert {"loss 0.250", "val_loss 0.500"} <= set(texts(tree))
    lines = [found.get("points", "").split() for found in tree.iter() if "polyline" in found.tag]
    assert [len(points) for points in lines] == [3]
    assert len(dots(tree)) == 1
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
        (["--run", "RUN", "--series", "null"], "no value of null is finite, so there is nothing"),
        (["--run", "s3://bucket/run"], "--run"),
    ],
)
def test_what_is_not_there_is_said(
    args: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path / "one", [{"step": 1, "loss": 1.0, "null": None}])
    given_args = [str(folder) if arg == "RUN" else arg for arg in args]
    assert run(*given_args, "--out", str(tmp_path / "no.svg")) == 2
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
    assert all(at >= want - 1e-6 for at, want in zip(placed, wanted, strict=True))


def test_what_is_not_finite_is_left_out() -> None:
    drawn = chart([Line("a", ((1, float("nan")), (2, 1.0))), Line("b", ((1, float("inf")),))])
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert "b" not in texts(ET.fromstring(drawn))
    assert dots(ET.fromstring(drawn))


def test_a_single_point_is_a_dot_within_the_frame() -> None:
    """Also where it lies in the first steps, to which the frame is not fitted otherwise."""
    many = Line("a", tuple((k, 1 / k) for k in range(100, 1000, 100)))
    tree = ET.fromstring(chart([many, Line("b", ((0, 5.0),))]))
    (dot,) = dots(tree)
    assert 34 <= float(dot.get("cy", "")) <= 330 - 36


@pytest.mark.parametrize("count", [1, 6, 17, 40])
@pytest.mark.parametrize("name", ["a", "a long name of a run, told apart by its folders/val_loss"])
def test_the_picture_is_as_large_as_its_legend(count: int, name: str) -> None:
    lines = [Line(name, ((1, 1.0), (2, k / 1000))) for k in range(count)]
    tree = ET.fromstring(chart(lines))
    width, height = map(float, tree.get("viewBox", "").split()[2:])
    heights = sorted(y for _, _, y in legend(tree))
    assert len(heights) == count
    assert all(b - a >= 16 - 0.2 for a, b in itertools.pairwise(heights))
    assert heights[0] > 18 + 12  # below the title
    assert heights[-1] < height - 12  # above the name of the axis
    assert all(x + 7 * len(text) <= width for text, x, _ in legend(tree))


def test_more_lines_than_colours_are_told_apart() -> None:
    tree = ET.fromstring(chart([Line("a", ((1, 1.0), (2, 2.0)))] * 18))
    looks = [found.get("class") for found in tree.iter() if "polyline" in found.tag]
    assert len(looks) == len(set(looks)) == 18


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        (["x/a", "x/b"], ["a", "b"]),
        (["x/a/run", "x/b/run", "other"], ["a/run", "b/run", "other"]),
        (["a/x/run", "b/x/run", "b/y/run"], ["a/x/run", "b/x/run", "y/run"]),
        (["/run", "/x/run"], ["/run", "x/run"]),
    ],
)
def test_runs_are_named_by_what_tells_them_apart(runs: list[str], names: list[str]) -> None:
    assert names_of([Path(run) for run in runs]) == names


def test_a_run_given_twice_is_drawn_once(tmp_path: Path) -> None:
    folder = written(tmp_path / "a", [{"step": 1, "loss": 1.0}])
    out = tmp_path / "x.svg"
    assert run("--run", str(folder), "--run", f"{folder}/../a", "--out", str(out)) == 0
    assert [text for text, *_ in legend(ET.fromstring(out.read_text()))] == ["loss 1.000"]


def test_what_is_nowhere_finite_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path / "a", [{"step": 1, "loss": 1.0, "val_loss": None}])
    assert run("--run", str(folder), "--out", str(tmp_path / "x.svg")) == 0
    assert "no value is finite: val_loss\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["x.png", "x", "s3://bucket/x.svg"])
def test_only_svg_is_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a", [{"step": 1, "loss": 1.0}])
    assert run("--run", "a", "--out", name) == 2
    said = capsys.readouterr().err
    assert name in said
    assert "://" in name or ".svg" in said
    assert {path.name for path in tmp_path.iterdir()} == {"a"}
