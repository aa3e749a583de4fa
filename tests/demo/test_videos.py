"""The demo's videos are real files that the miner's own decoder reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mimic.demo import frames_along, videos, walk
from mimic.pyav import open_video
from mimic.simulators.base import Camera
from mimic.simulators.raycast import Raycaster, load_scene


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    shortened = tuple((name, path, 4 / videos.FPS) for name, path, _ in videos.VIDEOS)
    monkeypatch.setattr(videos, "VIDEOS", shortened)


def test_three_videos_are_written_and_announced(
    room_file: Path, tmp_path: Path, brief: None
) -> None:
    announced: list[str] = []
    paths = videos.make_videos(room_file, tmp_path / "new", on_file=announced.append)
    assert announced == [path.name for path in paths] == ["walk.mp4", "orbit.mp4", "turn.mp4"]
    again = videos.make_videos(room_file, tmp_path / "again")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]


def test_the_file_holds_what_was_rendered(room_file: Path, tmp_path: Path, brief: None) -> None:
    first = videos.make_videos(room_file, tmp_path)[0]
    camera = Camera.pinhole(videos.SIZE, videos.FOV_DEG)
    expected = Raycaster(load_scene(room_file)).render(camera, walk(4)[0])
    with open_video(str(first), first.name) as video:
        frames = [frame.rgb() for frame in video.decode()]
    assert len(frames) == 4
    assert np.abs(frames[0].astype(int) - expected.rgb).mean() < 12


def test_a_pose_that_repeats_gives_the_same_frame(room_file: Path) -> None:
    one, other = walk(2)
    frames = list(frames_along(room_file, [one, one, other], size=(64, 48)))
    assert frames[0] is frames[1]
    assert (frames[1] != frames[2]).any()
