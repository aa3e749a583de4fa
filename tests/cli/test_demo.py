"""The demo goes from nothing to a report, and a second run has nothing left to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mimic.demo import videos
from pipelines.cli import demo, run


def _start_of(path):
    """The first frames of a path at its usual speed."""
    return lambda frames: path(4 * frames)[:frames]


def test_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    brief = tuple((name, _start_of(path), 2.0) for name, path, _ in videos.VIDEOS)
    monkeypatch.setattr(videos, "VIDEOS", brief)
    monkeypatch.setattr(videos, "SIZE", (256, 192))
    line = ["demo", "--out", str(tmp_path / "demo"), "--executor", "serial"]
    assert run(line) == 0
    printed = capsys.readouterr()
    assert str(tmp_path / "demo" / "report.html") in printed.out.replace("\n", "")
    assert "mimic mine --source videos/ --out shards/" in printed.out
    assert "Traceback" not in printed.err
    assert (tmp_path / "demo" / "report.html").read_text().startswith("<!doctype html>")
    before = {p: p.read_bytes() for p in (tmp_path / "demo" / "shards").glob("*.tar")}
    assert run([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["samples"] > 0
    assert before == {p: p.read_bytes() for p in (tmp_path / "demo" / "shards").glob("*.tar")}


def test_demo_of_the_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "SCENE_SAMPLES", 1)
    out = tmp_path / "demo"
    line = ["demo", "--scene", "--out", str(out), "--executor", "serial"]
    assert run(line) == 0
    printed = capsys.readouterr()
    assert str(out / "scene-report.html") in printed.out.replace("\n", "")
    assert "mimic mine --source scenes/ --out shards/" in printed.out
    assert "Traceback" not in printed.err
    assert {path.name for path in out.iterdir()} == {"scenes", "scene-shards", "scene-report.html"}
    before = {p: p.read_bytes() for p in (out / "scene-shards").glob("*.tar")}
    assert run([*line, "--json"]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats["totals"]["samples"] > 0
    assert before == {p: p.read_bytes() for p in (out / "scene-shards").glob("*.tar")}
    sheet, shards = tmp_path / "sheet.html", str(out / "scene-shards")
    assert run(["inspect", shards, "--what", "overlap_low", "--out", str(sheet), "--quiet"]) == 0
    assert "not stored" not in sheet.read_text()
