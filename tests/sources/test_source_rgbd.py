"""Every layout is read in the right conventions: what two frames see agrees in the world."""

from __future__ import annotations

from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
import rgbd_layouts as layouts
from rgbd_rooms import HALF_M, POSES, colour_of
from s3_server import BUCKET, S3
from source_helpers import config_with

from mimic.geometry.poses import back_projected
from mimic.sources.places import find
from mimic.sources.rgbd import RgbdSource, find_sequences, opened, posed_frames
from mimic.types import Frame, SourceItem

TWO = layouts.TWO

# Layout, how a sequence in it is written, its poses, whether its pictures are JPEG.
CASES = {
    "plain": (layouts.plain, POSES, False),
    "tum": (layouts.tum, TWO, False),
    "scannet": (layouts.scannet, POSES, True),
    "sens": (layouts.sens, POSES, True),
    "7-scenes": (layouts.seven_scenes, TWO, False),
    "arkitscenes": (layouts.arkit, TWO, False),
    "redwood": (layouts.redwood, TWO, True),
    "icl-nuim": (layouts.icl_nuim, TWO, False),
    "colmap": (layouts.colmap, POSES, False),
}


def items(where: Path, *options: str) -> list[SourceItem]:
    found = RgbdSource().discover(find(str(where)).files, config_with(*options))
    return [item for item in found if isinstance(item, SourceItem)]


def frames_of(item: SourceItem) -> list[Frame]:
    sequence = opened(item)
    return [sequence.look(row) for row in range(len(sequence.index))]


def check_world(frames: list[Frame], colour_tolerance: float) -> None:
    """Points of every frame lie on the walls, and have the walls' colour there."""
    for frame in frames:
        assert frame.depth_m is not None
        assert frame.depth_m.shape == frame.rgb.shape[:2]
        points = back_projected(frame.depth_m, frame.intrinsics, frame.cam_to_world)
        assert len(points) > 0.5 * frame.depth_m.size
        assert frame.depth_m.max() < 9
        off = np.abs(np.abs(points / HALF_M).max(axis=1) - 1)
        # Depth of another size is the nearest pixel's, which may lie behind a corner of the room.
        assert np.median(off) < 0.008
        assert np.quantile(off, 0.95) < 0.02
        seen = frame.rgb[frame.depth_m > 0].astype(float)
        assert np.median(np.abs(seen - colour_of(points))) < colour_tolerance


def check_views_agree(frames: list[Frame]) -> None:
    """Depth of one frame, moved to another, is that frame's own depth there."""
    for one, other in permutations(frames, 2):
        points = back_projected(one.depth_m, one.intrinsics, one.cam_to_world)
        there = np.linalg.inv(other.cam_to_world) @ np.c_[points, np.ones(len(points))].T
        x, y, z = other.intrinsics @ there[:3]
        column, row = np.floor(x / z).astype(int), np.floor(y / z).astype(int)
        width, height = other.size
        inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        depth = other.depth_m[row[inside], column[inside]]
        assert inside.mean() > 0.2
        assert np.median(np.abs(depth - z[inside])[depth > 0]) < 0.03


@pytest.mark.parametrize("name", CASES)
def test_frames_agree_in_the_world(name: str, tmp_path: Path) -> None:
    write, poses, jpeg = CASES[name]
    root = tmp_path / "freiburg3_room"
    root.mkdir()
    camera = write(root)

    (item,) = items(tmp_path)
    index = posed_frames(item)
    frames = frames_of(item)

    assert dict(item.settings)["layout"] == name
    assert index.left_out == ()
    assert len(frames) == len(poses)
    assert np.allclose(index.cam_to_world, poses, atol=1e-5)
    assert np.allclose(index.intrinsics, camera.continuous, atol=1e-4)
    assert (index.sizes == camera.size).all()
    check_world(frames, colour_tolerance=4.0 if jpeg else 2.5)
    check_views_agree(frames)


@pytest.mark.parametrize("name", CASES)
def test_a_probe_is_the_frame_coarser(name: str, tmp_path: Path) -> None:
    write, _, _ = CASES[name]
    root = tmp_path / "freiburg3_room"
    root.mkdir()
    write(root)

    sequence = opened(items(tmp_path)[0])
    probe, frame = sequence.probe(1), sequence.look(1)
    assert max(probe.depth_m.shape) <= 64
    points = back_projected(probe.depth_m, probe.intrinsics, probe.cam_to_world)
    assert np.median(np.abs(np.abs(points / HALF_M).max(axis=1) - 1)) < 0.004
    assert set(probe.depth_m.ravel()) <= set(frame.depth_m.ravel())


@pytest.mark.parametrize("model", ["PINHOLE", "SIMPLE_RADIAL"])
@pytest.mark.parametrize("binary", [True, False])
def test_colmap_in_both_forms(binary: bool, model: str, tmp_path: Path) -> None:
    camera = layouts.colmap(tmp_path, binary, model)
    index = posed_frames(items(tmp_path)[0])
    assert np.allclose(index.cam_to_world, POSES, atol=1e-6)
    assert np.allclose(index.intrinsics, camera.continuous, atol=1e-6)


def test_distortion_of_tum_is_taken_out(tmp_path: Path) -> None:
    root = tmp_path / "rgbd_dataset_freiburg1_room"
    root.mkdir()
    distortion = (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)
    layouts.tum(root, k=(517.3, 516.5, 318.6, 255.3), distortion=distortion)
    (item,) = items(tmp_path)
    frames = frames_of(item)
    assert frames[0].size < (640, 480)
    assert min(frames[0].size) > 400
    check_world(frames, colour_tolerance=2.5)
    check_views_agree(frames)


def test_a_driving_log_has_an_item_a_scene(tmp_path: Path) -> None:
    layouts.driving(tmp_path)
    found = items(tmp_path)
    assert [item.name for item in found] == ["a", "b"]
    assert found[0].fingerprint != found[1].fingerprint
    index = posed_frames(found[0])
    assert np.allclose(index.cam_to_world, POSES[:3])
    assert [frame.stamp_s for frame in index.frames] == [10, 11, 12]
    frames = frames_of(found[0]) + frames_of(found[1])
    check_world(frames, colour_tolerance=2.5)
    check_views_agree(frames)


def test_what_lies_in_a_sequence_is_its_own(tmp_path: Path) -> None:
    layouts.arkit(tmp_path / "scan")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/photo.jpg").write_bytes(b"")
    found, theirs = find_sequences(find(str(tmp_path)).files)
    assert [sequence.name for sequence in found] == ["scan"]
    names = {file.name for file in theirs}
    assert "scan/confidence/41069021_305.377.png" in names
    assert "other/photo.jpg" not in names


def test_units_own_every_slot_once(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    config = config_with("source.rgbd.unit_frames=3")
    source, (item,) = RgbdSource(), items(tmp_path)
    units = source.split(item, config)
    assert [(unit.span.first, unit.span.last) for unit in units] == [(0, 3), (3, None)]
    assert len({unit.unit_id for unit in units}) == 2
    with source.open(units[1], config, 0) as unseen:
        slots = [one.slot for one in unseen]
    assert slots == [0, 1, 2, 3]  # any two frames may see the same


def test_the_same_bytes_elsewhere_are_the_same_item(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        layouts.plain(tmp_path / folder / "room")
    (one,), (two,) = items(tmp_path / "one"), items(tmp_path / "two")
    assert one.fingerprint == two.fingerprint
    assert opened(one).look(0).frame_id == opened(two).look(0).frame_id
    assert opened(one).look(0).frame_id != opened(one).look(1).frame_id


def test_another_pose_is_another_frame(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    before = opened(items(tmp_path)[0]).look(0)
    lines = (tmp_path / "poses.txt").read_text().splitlines()
    (tmp_path / "poses.txt").write_text("\n".join([lines[1], *lines[1:]]))
    after = opened(items(tmp_path)[0]).look(0)
    assert (before.rgb == after.rgb).all()
    assert before.frame_id != after.frame_id


@pytest.mark.parametrize("path", ["poses.txt", "K.txt", "images/00002.png", "depth/00001.png"])
def test_another_content_is_another_item(path: str, tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    (before,) = items(tmp_path)
    data = (tmp_path / path).read_bytes()
    (tmp_path / path).write_bytes(data + b"\n")
    (after,) = items(tmp_path)
    assert before.fingerprint != after.fingerprint


def test_a_source_of_many_frames_is_planned_by_samples(tmp_path: Path, monkeypatch) -> None:
    """Of thousands of files only a few are read for the plan."""
    layouts.plain(tmp_path, names=True)
    (picture, depth) = (tmp_path / "images/00000.png"), (tmp_path / "depth/00000.png")
    for i in range(4, 500):
        (tmp_path / f"images/{i:05d}.png").hardlink_to(picture)
        (tmp_path / f"depth/{i:05d}.png").hardlink_to(depth)
    read = []
    from mimic.storage import Storage

    for method in ("read", "read_range"):
        original = getattr(Storage, method)
        monkeypatch.setattr(
            Storage,
            method,
            lambda self, name, *rest, original=original: (
                read.append(name),
                original(self, name, *rest),
            )[1],
        )
    (item,) = items(tmp_path)
    assert dict(item.settings)["frames"] == "500"
    assert len(read) < 60


@pytest.mark.parametrize("name", ["plain", "sens"])
def test_the_same_from_a_bucket(name: str, s3: S3, tmp_path: Path) -> None:
    write, _, _ = CASES[name]
    write(tmp_path / "room")
    for path in tmp_path.rglob("*.*"):
        s3.client.upload_file(str(path), BUCKET, f"in/{path.relative_to(tmp_path)}")
    config = config_with()
    (there,) = RgbdSource().discover(find(f"s3://{BUCKET}/in").files, config)
    (here,) = items(tmp_path)
    assert isinstance(there, SourceItem)
    assert there.fingerprint == here.fingerprint
    assert opened(there).look(1).frame_id == opened(here).look(1).frame_id


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("hololens_000", [], 75),
        ("icl_livingroom1", ["source.rgbd.intrinsics=[525,525,319.5,239.5]"], 34),
        ("open3d_samples", [], 5),
    ],
)
def test_real_sequences(name: str, options: list[str], count: int, real_data: Path) -> None:
    (item,) = items(real_data / "rgbd" / name, *options)
    sequence = opened(item)
    assert len(sequence.index) == count
    assert sequence.index.left_out == ()
    frames = [sequence.look(row) for row in range(count)]
    errors = []
    for one, other in pairwise(frames):
        points = back_projected(one.depth_m, one.intrinsics, one.cam_to_world)
        there = np.linalg.inv(other.cam_to_world) @ np.c_[points, np.ones(len(points))].T
        x, y, z = other.intrinsics @ there[:3]
        column, row = np.floor(x / z).astype(int), np.floor(y / z).astype(int)
        width, height = other.size
        inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        depth = other.depth_m[row[inside], column[inside]]
        errors.append(np.median(np.abs(depth - z[inside])[depth > 0]))
    assert np.median(errors) < 0.01
    assert np.max(errors) < 0.03
