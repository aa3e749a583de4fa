"""Every kind of bad input that the product promises to explain: one sentence and an exit code."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from pipelines.cli import run


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]):
    """Run a command that fails; its exit code and the sentence after ``error:``."""

    def of(*args: object) -> tuple[int, str]:
        capsys.readouterr()
        code = run([str(arg) for arg in args])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, printed.err
        assert "bug" not in errors[0]
        return code, errors[0]

    return of


def _mine(source: Path | str, out: Path | str) -> list[object]:
    return ["mine", "--source", source, "--out", out, "--executor", "serial"]


def test_an_empty_folder(told, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in (["plan", "--source", tmp_path / "empty"], _mine(tmp_path / "empty", "o")):
        code, sentence = told(*command)
        assert code == 2
        assert str(tmp_path / "empty") in sentence
        assert "empty" in sentence


def test_a_missing_source(told, tmp_path: Path) -> None:
    code, sentence = told("plan", "--source", tmp_path / "absent")
    assert code == 2
    assert str(tmp_path / "absent") in sentence


def test_a_folder_without_a_readable_video(told, tmp_path: Path) -> None:
    (tmp_path / "notes.txt.bak").write_text("nothing to see")
    code, sentence = told("plan", "--source", tmp_path)
    assert code == 2
    assert str(tmp_path) in sentence
    code, sentence = told(*_mine(tmp_path, tmp_path / "out"))
    assert code == 2
    assert not (tmp_path / "out").exists()


def test_videos_that_cannot_be_read_are_in_quarantine(
    tiny_videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "broken.mp4").write_bytes(b"this is no video at all" * 100)
    shutil.copy(tiny_videos / "round.mp4", tmp_path / "v")
    code = run([str(arg) for arg in (*_mine(tmp_path / "v", tmp_path / "out"), "--json")])
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert code == document["exit_code"] == 3
    assert [failure["name"] for failure in document["failed"]] == ["broken.mp4"]
    assert document["counts"]["samples"] > 0
    assert run(["retry", str(tmp_path / "out"), "--executor", "serial"]) == 3
    assert "broken.mp4" in capsys.readouterr().err


def test_out_holds_something_else(told, tiny_videos: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    code, sentence = told(*_mine(tiny_videos, tmp_path))
    assert code == 2
    assert "thesis.tex" in sentence
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex"]


def test_out_holds_shards_of_another_config(told, tiny_videos: Path, tiny_shards: Path) -> None:
    before = {path: path.read_bytes() for path in tiny_shards.rglob("*") if path.is_file()}
    code, sentence = told(*_mine(tiny_videos, tiny_shards), "--size", 128)
    assert code == 2
    assert "image.size (256 there, 128 here)" in sentence
    assert before == {path: path.read_bytes() for path in tiny_shards.rglob("*") if path.is_file()}


def test_out_cannot_be_written(told, tiny_videos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, sentence = told(*_mine(tiny_videos, tmp_path / "file" / "out"))
    assert code == 4
    assert str(tmp_path / "file") in sentence


def test_no_space_left(
    told, tiny_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    code, sentence = told(*_mine(tiny_videos, tmp_path / "out"))
    assert code == 4
    assert "space" in sentence
    assert str(tmp_path / "out") in sentence


def test_a_pair_list_that_names_missing_files(told, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("a.jpg,b.jpg\n")
    code, sentence = told("plan", "--source", tmp_path / "pairs.csv")
    assert code == 2
    assert "a.jpg" in sentence


def test_an_unreachable_bucket(told, tiny_videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("mimic.storage._store.ATTEMPTS", 2)  # more is tested there
    code, sentence = told(*_mine(tiny_videos, "s3://nowhere/shards"))
    assert code == 4
    assert "s3://nowhere/shards" in sentence


def test_an_unreachable_cluster(told, tiny_videos: Path, tmp_path: Path) -> None:
    line = ["mine", "--source", tiny_videos, "--out", tmp_path / "out"]
    code, sentence = told(*line, "--address", "127.0.0.1:9")
    assert code == 4
    assert "127.0.0.1:9" in sentence


@pytest.mark.parametrize("command", ["stats", "inspect", "verify", "retry"])
def test_no_shards_there(told, command: str, tmp_path: Path) -> None:
    code, sentence = told(command, tmp_path)
    assert code in {2, 4}
    assert str(tmp_path) in sentence
    assert "mimic mine" in sentence


@pytest.mark.parametrize("command", ["pack", "export"])
def test_no_shards_to_take_from(told, command: str, tmp_path: Path) -> None:
    code, sentence = told(command, tmp_path, "--out", tmp_path / "out")
    assert code in {2, 4}
    assert str(tmp_path) in sentence


def test_a_retry_cannot_change_what_is_mined(told, tiny_shards: Path) -> None:
    code, sentence = told("retry", tiny_shards, "--set", "overlap.low=0.1")
    assert code == 2
    assert "run.timeout_s" in sentence


def test_nothing_to_import(told, tmp_path: Path) -> None:
    code, sentence = told("import", "--source", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert "corresponding.npy" in sentence
