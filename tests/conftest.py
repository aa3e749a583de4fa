"""Shared fixtures: where the real data lies, if it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from s3_server import S3


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real videos, photos and ground truth; skips where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MIMIC_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set MIMIC_TEST_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """One S3-protocol server on loopback for the whole run."""
    from s3_server import S3

    server = S3()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """The server with an empty bucket and no faults; the environment points at its proxy."""
    from s3_server import BUCKET

    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    for key in s3_server.stored():
        s3_server.client.delete_object(Bucket=BUCKET, Key=key)
    yield s3_server
    s3_server.proxy.faults.clear()
    s3_server.proxy.only = lambda method, path: True


@pytest.fixture(scope="session")
def room_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's furnished room as a scene file; read only."""
    from mimic.demo import write_room

    return write_room(tmp_path_factory.mktemp("scenes") / "room.glb")


@pytest.fixture(scope="session")
def tiny_videos(tmp_path_factory: pytest.TempPathFactory, room_file: Path) -> Path:
    """A folder with one video of four seconds, in which the camera goes round a table."""
    from mimic.demo import frames_along, orbit
    from mimic.pyav import write_video

    folder = tmp_path_factory.mktemp("tiny") / "videos"
    folder.mkdir()
    frames = frames_along(room_file, orbit(80)[:40], size=(320, 240))
    write_video(folder / "round.mp4", frames, fps=10)
    return folder


@pytest.fixture(scope="session")
def tiny_shards(tiny_videos: Path) -> Path:
    """The pairs of ``tiny_videos``; read only."""
    from pipelines.cli import run

    shards = tiny_videos.parent / "shards"
    line = ["mine", "--source", str(tiny_videos), "--out", str(shards), "--executor", "serial"]
    assert run([*line, "--quiet"]) == 0
    return shards
