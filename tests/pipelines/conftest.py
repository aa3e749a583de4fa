"""One local Ray of two CPUs for the tests of executors; starting it takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def importable_here() -> Iterator[None]:
    """Ray's workers and driver processes find ``fake_work``."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), before]))
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def two_cpus(importable_here: None) -> Iterator[None]:
    """A local Ray of two CPUs, as the executor starts it."""
    from mimic.config import RunConfig
    from pipelines.executors.ray import RayExecutor

    assert str(HERE) in sys.path
    with RayExecutor(RunConfig(cpus=2)):
        yield


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photo groups: six units."""
    from fake_work import make_photos

    return make_photos(tmp_path / "photos", 6)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte; ``mount -o remount,size=...`` changes that."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"a small disk needs the right to mount: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
