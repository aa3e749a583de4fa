"""Checkpoints are whole or absent, and the older ones stay until they are not needed."""

from __future__ import annotations

import os
import resource
import signal
import stat
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from train.config import CheckpointConfig
from train.engine import checkpoint
from train.errors import TrainError


def content(value=1.0):
    return {"model": {"w": torch.full((4, 4), value)}, "step": 3}


def test_what_is_saved_is_loaded(tmp_path):
    path = checkpoint.path_of(tmp_path / "new", 3)
    checkpoint.save(path, content())
    found = checkpoint.load(path)
    assert torch.equal(found["model"]["w"], torch.ones(4, 4))
    assert [entry.name for entry in path.parent.iterdir()] == ["step-00000003.pt"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    path = checkpoint.path_of(tmp_path / "file" / "checkpoints", 3)
    with pytest.raises(TrainError, match=r"step-00000003.pt: could not be written .*make room"):
        checkpoint.save(path, content())


def test_its_bytes_are_on_the_disk_before_its_name_and_that_before_others_go(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "bytes")
        fsync(descriptor)

    def renamed(path, target):
        done.append("name")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    checkpoint.save(checkpoint.path_of(tmp_path, 3), content())
    assert done == ["bytes", "name", "folder"]


def test_what_a_kill_left_half_written_goes_with_the_next_purge(tmp_path):
    (tmp_path / "step-00000009.partial").write_bytes(b"cut short")
    checkpoint.save(checkpoint.path_of(tmp_path, 10), content())
    checkpoint.purge(tmp_path, CheckpointConfig())
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-00000010.pt"]


def test_the_latest_is_the_one_of_most_steps(tmp_path):
    assert checkpoint.latest(tmp_path / "none") is None
    for step in (9, 10, 2):
        checkpoint.save(checkpoint.path_of(tmp_path, step), content())
    (tmp_path / "step-00000099.partial").write_bytes(b"cut short")
    assert checkpoint.latest(tmp_path) == checkpoint.path_of(tmp_path, 10)


def test_the_newest_and_the_marked_stay(tmp_path):
    for step in range(1, 9):
        checkpoint.save(checkpoint.path_of(tmp_path, step), content())
    checkpoint.purge(tmp_path, CheckpointConfig(every=1, keep=2, keep_every=3))
    assert checkpoint.steps_in(tmp_path) == [3, 6, 7, 8]


def test_a_full_disk_leaves_the_older_one_and_no_half(tmp_path):
    checkpoint.save(checkpoint.path_of(tmp_path, 1), content())
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(TrainError, match=r"could not be written.*make room"):
            checkpoint.save(checkpoint.path_of(tmp_path, 2), {"big": torch.zeros(1 << 18)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-00000001.pt"]
    assert checkpoint.load(checkpoint.path_of(tmp_path, 1))["step"] == 3


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_truncated_one_is_named_with_what_to_do(tmp_path, keep):
    path = checkpoint.path_of(tmp_path, 1)
    checkpoint.save(path, content())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TrainError, match=r"step-00000001.pt.*remove it"):
        checkpoint.load(path)


def test_another_program_s_file_is_refused(tmp_path):
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(TrainError, match=r"other.pt.*not one of"):
        checkpoint.load(tmp_path / "other.pt")
