"""Each command does its work, says so, and speaks JSON to machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mimic.shards.layout import split_of
from mimic.shards.reader import Shards
from pipelines.cli import run


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):
    """Run a command; its exit code and what it printed to stdout."""

    def of(*args: object) -> tuple[int, str]:
        capsys.readouterr()
        code = run([str(arg) for arg in args])
        return code, capsys.readouterr().out

    return of


@pytest.fixture
def document(said):
    """Run a command with ``--json``; stdout must be one JSON document."""

    def of(*args: object) -> dict[str, Any]:
        code, printed = said(*args, "--json")
        assert code == 0
        parsed = json.loads(printed)
        assert isinstance(parsed, dict)
        return parsed

    return of


def test_plan(document, said, tiny_videos: Path, tmp_path: Path) -> None:
    (tiny_videos / "notes.pdf").write_bytes(b"?")
    try:
        found = document("plan", "--source", tiny_videos)
        code, printed = said("plan", "--source", tiny_videos)
    finally:
        (tiny_videos / "notes.pdf").unlink()
    assert found["kinds"] == {"video": 1}
    assert (found["units"], found["items"], len(found["skipped"])) == (1, 1, 1)
    assert found["source_bytes"] == (tiny_videos / "round.mp4").stat().st_size
    assert min(found["estimated_cpu_s"], found["estimated_pairs"], found["estimated_bytes"]) > 0
    assert code == 0
    for word in ("1 video", "CPU time", "pairs", "notes.pdf"):
        assert word in printed


def test_mine_says_what_it_did_and_repeats_nothing(document, tiny_videos: Path, tmp_path) -> None:
    line = ["mine", "--source", tiny_videos, "--out", tmp_path / "o", "--executor", "serial"]
    first = document(*line)
    assert first["counts"]["samples"] > 0
    assert (first["done"], first["failed"], first["shards"]) == (1, [], 1)
    assert first["splits"] == {"train": first["counts"]["samples"], "val": 0}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "o").glob("*.tar")}
    again = document(*line)
    assert again["counts"] == first["counts"]
    assert "nothing to do" in again["message"]
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "o").glob("*.tar")}


def test_slices_are_mined_apart_and_packed_together(document, tiny_videos, tmp_path) -> None:
    line = ["mine", "--source", tiny_videos, "--out", tmp_path / "o", "--executor", "serial"]
    units = ["--set", "source.video.unit_s=1.5", "--set", "source.video.probe_above_mb=0"]
    for part in ("0/2", "1/2"):
        assert document(*line, *units, "--slice", part)["shards"] == 0
    whole = document(*line, *units)
    assert (whole["done"], whole["shards"]) == (3, 1)


def test_pack_selects_again_and_keeps_the_rest_of_the_config(
    document, tiny_shards: Path, tmp_path: Path
) -> None:
    there = Shards(tiny_shards)
    column = f"overlap_{there.manifest.config['overlap']['measure']}"
    overlaps = sorted(there.index(columns=[column])[column].to_pylist())
    middle = overlaps[len(overlaps) // 2]
    low = there.manifest.config["overlap"]["low"]
    packed = document("pack", tiny_shards, "--out", tmp_path / "o", "--overlap", low, middle)
    assert packed["counts"]["samples"] == sum(overlap < middle for overlap in overlaps) > 0
    config = Shards(tmp_path / "o").manifest.config
    assert config["overlap"]["high"] == middle
    assert config["image"] == there.manifest.config["image"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_pack_says_what_is_held_out(
    document, tiny_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    """All pairs of the one scene fall to one split; the seed decides which."""
    pairs = len(Shards(tiny_shards))
    (scene,) = set(Shards(tiny_shards).index(columns=["scene"])["scene"].to_pylist())
    seed = next(seed for seed in range(99) if split_of(scene, seed, 0.4) == split)
    out, options = tmp_path / "o", ["--seed", str(seed), "--val-share", "0.4"]
    assert run(["pack", str(tiny_shards), "--out", str(out), *options]) == 0
    said = capsys.readouterr()
    counts = {"train": 0, "val": 0} | {split: pairs}
    assert f": {counts['train']} to train on, {counts['val']} held out\n" in said.out
    wanted = "note: nothing is held out, for of 1 scene none fell to val: `mimic pack"
    assert (wanted in said.err) == (split == "train")
    assert ("nothing is left to train on" in said.err) == (split == "val")
    assert document("pack", tiny_shards, "--out", out, *options)["splits"] == counts


def test_kept_parts_can_be_loosened(document, tiny_videos: Path, tmp_path: Path) -> None:
    line = ["mine", "--source", tiny_videos, "--out", tmp_path / "o", "--executor", "serial"]
    narrow = document(*line, "--overlap", 0.55, 0.65, "--keep-parts", "--keep-edges", 0.1)
    wide = document("pack", tmp_path / "o", "--out", tmp_path / "w", "--overlap", 0.5, 0.75)
    assert wide["counts"]["samples"] > narrow["counts"]["samples"]


def test_stats_in_the_terminal_and_as_a_page(said, document, tiny_shards, tmp_path) -> None:
    code, printed = said("stats", tiny_shards)
    assert code == 0
    assert "round.mp4" in printed
    found = document("stats", tiny_shards, "--html", tmp_path / "r.html")
    assert found["totals"]["samples"] == len(Shards(tiny_shards))
    assert "round.mp4" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("name", ["sheet.html", "sheet.png"])
def test_inspect(document, tiny_shards: Path, tmp_path: Path, name: str) -> None:
    found = document("inspect", tiny_shards, "--out", tmp_path / name, "--count", 3)
    assert found["pairs"] == 3
    assert (tmp_path / name).stat().st_size > 1000


def test_verify_finds_damage(said, tiny_shards: Path, tmp_path: Path) -> None:
    assert said("verify", tiny_shards, "--deep")[0] == 0
    for path in tiny_shards.rglob("*"):
        if path.is_file():
            target = tmp_path / "copy" / path.relative_to(tiny_shards)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (tar,) = (tmp_path / "copy").glob("*.tar")
    tar.write_bytes(tar.read_bytes()[:-512])
    code, printed = said("verify", tmp_path / "copy")
    assert code == 5
    assert tar.name in printed
    code, printed = said("verify", tmp_path / "copy", "--json")
    assert code == 5
    assert {finding["file"] for finding in json.loads(printed)["damaged"]} == {tar.name}


def test_export_and_import_bring_the_pairs_back(document, tiny_videos: Path, tmp_path) -> None:
    line = ["mine", "--source", tiny_videos, "--out", tmp_path / "o", "--executor", "serial"]
    mined = document(*line, "--preset", "mimic", "--overlap", 0.2, 0.9)
    exported = document("export", tmp_path / "o", "--out", tmp_path / "e")
    assert exported["pairs"] == mined["counts"]["samples"] > 0
    imported = document("import", "--source", tmp_path / "e", "--out", tmp_path / "i")
    assert imported["splits"] == {"train": exported["pairs"], "val": 0}
    assert imported["counts"]["samples"] == exported["pairs"]
    listed = document("export", tmp_path / "i", "--out", tmp_path / "c", "--layout", "croco")
    assert len((tmp_path / "c" / "pairs.txt").read_text().splitlines()) == listed["pairs"]


def test_quiet_prints_the_result_alone(tiny_videos: Path, tmp_path: Path, capsys) -> None:
    line = ["mine", "--source", tiny_videos, "--out", tmp_path / "o", "--executor", "serial"]
    assert run([*map(str, line), "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.count("\n") == 1
