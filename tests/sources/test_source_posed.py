"""Pictures with poses and no depth: what they are told by, and what a frame knows."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from rgbd_rooms import POSES, SMALL, render, text_of, write_colour, write_depth

from mimic.config import Config, load_config
from mimic.errors import MimicError
from mimic.sources import discover, open_unit, recognise, split
from mimic.types import Frame, SourceItem

K = text_of(SMALL.continuous - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]))
DEFAULT = load_config()


def write_sequence(folder: Path, poses_name: str = "poses.txt", depth: bool = False) -> Path:
    for number, pose in enumerate(POSES):
        rgb, depth_m = render(SMALL, pose)
        write_colour(folder / "images" / f"{number:03}.png", rgb)
        if depth:
            write_depth(folder / "depth" / f"{number:03}.png", depth_m)
    (folder / poses_name).write_text("".join(text_of(pose.reshape(1, 16)) for pose in POSES))
    (folder / "K.txt").write_text(K)
    return folder


def the_item(folder: Path, config: Config = DEFAULT) -> SourceItem:
    (item,) = discover(str(folder), config)
    assert isinstance(item, SourceItem)
    return item


def frames_of(folder: Path, config: Config = DEFAULT) -> list[Frame]:
    found = []
    for unit in split(the_item(folder, config), config):
        with open_unit(unit, config, 0) as frames:
            found += list(frames)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("poses", "depth", "kind"),
    [
        ("poses.txt", False, "posed"),
        ("poses_unscaled.txt", False, "unscaled"),
        ("poses.txt", True, "rgbd"),
    ],
)
def test_the_names_tell_what_it_is(tmp_path: Path, poses: str, depth: bool, kind: str) -> None:
    write_sequence(tmp_path / "seq", poses, depth)
    assert the_item(tmp_path).kind == kind
    assert recognise(str(tmp_path), DEFAULT).counts == {kind: 1}


def test_without_intrinsics_they_are_pictures(tmp_path: Path) -> None:
    write_sequence(tmp_path / "seq")
    (tmp_path / "seq" / "K.txt").unlink()
    assert recognise(str(tmp_path), DEFAULT).counts == {"photos": 4}


def test_all_kinds_may_lie_side_by_side(tmp_path: Path) -> None:
    write_sequence(tmp_path / "a")
    write_sequence(tmp_path / "b", "poses_unscaled.txt")
    write_sequence(tmp_path / "c", depth=True)
    (tmp_path / "a" / "notes.jpg").write_bytes(b"whatever lies there is its")
    assert recognise(str(tmp_path), DEFAULT).counts == {"posed": 1, "unscaled": 1, "rgbd": 1}
    kinds = {item.kind: item.name for item in discover(str(tmp_path), DEFAULT)}  # type: ignore[union-attr]
    assert kinds == {"posed": "a", "unscaled": "b", "rgbd": "c"}


@pytest.mark.parametrize("poses", ["poses.txt", "poses_unscaled.txt"])
def test_a_frame_knows_its_camera_and_no_depth(tmp_path: Path, poses: str) -> None:
    frames = frames_of(write_sequence(tmp_path / "seq", poses))
    assert [frame.slot for frame in frames] == [0, 1, 2, 3]
    for frame, pose in zip(frames, POSES, strict=True):
        np.testing.assert_allclose(frame.cam_to_world, pose, atol=1e-7)
        np.testing.assert_allclose(frame.intrinsics, SMALL.continuous, atol=1e-7)
        np.testing.assert_array_equal(frame.rgb, render(SMALL, pose)[0])
        assert frame.depth_m is None


def test_a_frame_is_another_one_where_the_camera_stood_elsewhere(tmp_path: Path) -> None:
    before = frames_of(write_sequence(tmp_path / "seq"))
    moved = POSES[1].copy()
    moved[0, 3] += 0.01
    lines = (tmp_path / "seq" / "poses.txt").read_text().splitlines()
    lines[1] = text_of(moved.reshape(1, 16)).strip()
    (tmp_path / "seq" / "poses.txt").write_text("\n".join(lines) + "\n")
    after = frames_of(tmp_path / "seq")
    same = [a.frame_id == b.frame_id for a, b in zip(before, after, strict=True)]
    assert same == [True, False, True, True]


def test_units_own_their_slots_and_read_a_margin(tmp_path: Path) -> None:
    config = load_config(assignments=("source.rgbd.unit_frames=2",))
    units = split(the_item(write_sequence(tmp_path / "seq"), config), config)
    read = []
    for unit in units:
        with open_unit(unit, config, 1) as frames:
            read.append([frame.slot for frame in frames])
    assert read == [[0, 1, 2], [2, 3]]


def test_what_cannot_be_used_costs_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_sequence(tmp_path / "seq")
    lines = (folder / "poses.txt").read_text().splitlines()
    lines[2] = " ".join(["nan"] * 16)
    (folder / "poses.txt").write_text("\n".join(lines) + "\n")
    (folder / "images" / "001.png").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING, "mimic"):
        assert [frame.slot for frame in frames_of(folder)] == [0, 3]
    assert "1 of 4 frames left out (1 whose pose is not finite)" in caplog.text
    assert "001.png" in caplog.text


def test_forced_and_not_there(tmp_path: Path) -> None:
    write_sequence(tmp_path / "seq", depth=True)
    config = load_config(assignments=("source.kind=posed",))
    with pytest.raises(MimicError, match="no posed sequences"):
        recognise(str(tmp_path), config)
    shutil.rmtree(tmp_path / "seq" / "depth")
    assert recognise(str(tmp_path), config).counts == {"posed": 1}


def test_intrinsics_of_other_pictures_are_refused(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "seq")
    (folder / "K.txt").write_text("500 0 320\n0 500 240\n0 0 1\n")
    with pytest.raises(MimicError, match="the intrinsics do not fit pictures of 64 x 48"):
        list(discover(str(tmp_path), DEFAULT))
