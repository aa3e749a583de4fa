"""What is wrong with a sequence is met with a reason, never with a wrong label."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import rgbd_layouts as layouts
from rgbd_rooms import POSES, SMALL, Camera, text_of, write_depth
from source_helpers import config_with

from mimic.errors import SourceError
from mimic.sources.places import find
from mimic.sources.rgbd import RgbdSource, find_sequences, opened, posed_frames
from mimic.types import Skipped, SourceItem


@pytest.fixture(autouse=True)
def _fresh():
    """Tests change files under an item, which is opened once a process."""
    opened.cache_clear()


def discovered(where: Path, *options: str) -> SourceItem | Skipped:
    (one,) = RgbdSource().discover(find(str(where)).files, config_with(*options))
    return one


def item_at(where: Path, *options: str) -> SourceItem:
    found = discovered(where, *options)
    assert isinstance(found, SourceItem), found
    return found


def refused(where: Path, *options: str) -> Skipped:
    found = discovered(where, *options)
    assert isinstance(found, Skipped)
    return found


def broken_pose(i: int, change) -> list[np.ndarray]:
    poses = [pose.copy() for pose in POSES]
    poses[i] = change(poses[i])
    return poses


def with_value(place: tuple[int, int], value: float):
    def change(pose):
        pose[place] = value
        return pose

    return change


BAD_POSES = {
    "infinite": (with_value((0, 3), -np.inf), "lost_pose"),
    "not a number": (with_value((1, 1), np.nan), "lost_pose"),
    "scaled": (lambda pose: pose @ np.diag([1.01, 1.01, 1.01, 1]), "not_rigid"),
    "mirrored": (lambda pose: pose @ np.diag([1.0, -1, 1, 1]), "not_rigid"),
    "sheared": (with_value((0, 1), 0.7), "not_rigid"),
    "zeros": (lambda pose: pose * 0, "not_rigid"),
    "transposed": (lambda pose: pose.T, "not_rigid"),
}


@pytest.mark.parametrize("name", BAD_POSES)
def test_bad_poses_are_left_out(name: str, tmp_path: Path) -> None:
    change, reason = BAD_POSES[name]
    layouts.plain(tmp_path, poses=POSES)
    lines = [" ".join(map(str, pose.ravel())) for pose in broken_pose(2, change)]
    (tmp_path / "poses.txt").write_text("\n".join(lines))
    index = posed_frames(item_at(tmp_path))
    assert index.left_out == ((2, reason),)
    assert index.slots.tolist() == [0, 1, 3]
    assert index.reasons == {reason: 1}


def test_lost_tracking_in_scannet(tmp_path: Path) -> None:
    layouts.scannet(tmp_path)
    (tmp_path / "pose/10.txt").write_text(text_of(np.full((4, 4), -np.inf)))
    (tmp_path / "pose/11.txt").unlink()
    (tmp_path / "pose/12.txt").write_text("1 0 0 0\n")
    index = posed_frames(item_at(tmp_path))
    assert index.left_out == ((1, "lost_pose"), (2, "no_pose"), (3, "no_pose"))


def test_missing_depth_and_named_poses(tmp_path: Path) -> None:
    layouts.plain(tmp_path, names=True)
    (tmp_path / "depth/00001.png").unlink()
    (tmp_path / "depth/00002.png").write_bytes(b"")
    lines = (tmp_path / "poses.txt").read_text().splitlines()
    (tmp_path / "poses.txt").write_text("\n".join(lines[:3]))
    index = posed_frames(item_at(tmp_path))
    assert index.left_out == ((1, "no_depth"), (2, "empty"), (3, "no_pose"))


def test_left_out_frames_are_logged_once(tmp_path: Path, caplog) -> None:
    layouts.plain(tmp_path)
    (tmp_path / "depth/00001.png").unlink()
    config = config_with("source.rgbd.unit_frames=2")
    source = RgbdSource()
    for unit in source.split(item_at(tmp_path), config):
        with source.open(unit, config, 0) as unseen:
            assert [one.slot for one in unseen] == [0, 2, 3]
    assert [r.message for r in caplog.records] == [".: 1 of 4 frames left out (1 without depth)"]


def test_unsynchronised_tum(tmp_path: Path) -> None:
    root = tmp_path / "freiburg3"
    root.mkdir()
    layouts.tum(root)
    text = (root / "depth.txt").read_text()
    (root / "depth.txt").write_text(text.replace("1305031102.286304 ", "1305031102.296404 "))
    index = posed_frames(item_at(tmp_path))
    assert index.left_out == ((1, "unsynchronised"),)
    (root / "groundtruth.txt").write_text("1305031109.0 0 0 0 0 0 0 1\n")
    assert posed_frames(item_at(tmp_path)).reasons == {"unsynchronised": 2}


def test_unsynchronised_redwood(tmp_path: Path) -> None:
    layouts.redwood(tmp_path)
    (depth,) = (tmp_path / "depth").glob("000002-*")
    depth.rename(depth.with_name("000002-000000054000.png"))
    assert posed_frames(item_at(tmp_path)).left_out == ((1, "unsynchronised"),)


def test_unsynchronised_arkit(tmp_path: Path) -> None:
    layouts.arkit(tmp_path)
    text = (tmp_path / "lowres_wide.traj").read_text()
    (tmp_path / "lowres_wide.traj").write_text(text.replace("305.4774", "305.4834"))
    assert posed_frames(item_at(tmp_path)).left_out == ((1, "no_pose"),)


def test_driving_faults(tmp_path: Path) -> None:
    layouts.driving(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "rgbd.jsonl").read_text().splitlines()]
    lines = sorted((line | {"scene": "a"} for line in lines), key=lambda line: line["timestamp"])
    lines[0]["pose_timestamp"] = 10.03
    lines[1]["depth"] = "depth/none.png"
    del lines[2]["ego_to_world"]
    lines[3]["image"] = "samples/none.jpg"
    (tmp_path / "rgbd.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert posed_frames(item_at(tmp_path)).left_out == (
        (0, "unsynchronised"),
        (1, "no_depth"),
        (2, "no_pose"),
        (3, "no_picture"),
    )
    (tmp_path / "rgbd.jsonl").write_text('{"image": 3}\n')
    assert refused(tmp_path).reason == "malformed"


def test_a_truncated_sens_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    layouts.sens(tmp_path)
    file = tmp_path / "scene0000_00.sens"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 5 // 8])
    item = item_at(tmp_path)
    index = posed_frames(item)
    assert index.slots.tolist() == [0, 1]
    assert index.left_out == ((2, "truncated"), (3, "truncated"))
    assert np.allclose(index.cam_to_world, POSES[:2], atol=1e-6)
    opened(item).look(1)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:100], "ends within its header"),
        (lambda data: b"\x03" + data[1:], "version 4"),
        (
            lambda data: (
                data[:27] + data[27:].replace(struct.pack("<ii", 2, 1), struct.pack("<ii", 2, 2), 1)
            ),
            "compressed",
        ),
        (
            lambda data: data[: 27 + 64 + 12] + struct.pack("<f", 0.05) + data[27 + 64 + 16 :],
            "apart",
        ),
    ],
)
def test_a_sens_file_that_is_not_read(change, why: str, tmp_path: Path) -> None:
    layouts.sens(tmp_path)
    file = tmp_path / "scene0000_00.sens"
    file.write_bytes(change(file.read_bytes()))
    found = refused(tmp_path)
    assert found.reason == "malformed"
    assert why in found.message


def test_swapped_sizes_have_no_depth(tmp_path: Path, caplog) -> None:
    layouts.scannet(tmp_path)
    write_depth(tmp_path / "depth/9.png", np.full((64, 48), 2.0))
    sequence = opened(item_at(tmp_path))
    assert not sequence.probe(0).depth_m.any()
    assert not sequence.look(0).depth_m.any()
    assert "does not fit" in caplog.text
    assert sequence.probe(1).depth_m.any()


def test_swapped_sizes_without_own_intrinsics(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    write_depth(tmp_path / "depth/00000.png", np.full((64, 48), 2.0))
    assert not opened(item_at(tmp_path)).look(0).depth_m.any()


def test_depth_of_half_the_size(tmp_path: Path) -> None:
    """Without intrinsics of its own it has the colour's field of view."""
    layouts.plain(tmp_path)
    half = np.arange(32 * 24).reshape(24, 32) / 1000 + 1
    write_depth(tmp_path / "depth/00000.png", half)
    depth = opened(item_at(tmp_path)).look(0).depth_m
    assert np.allclose(depth, half.repeat(2, axis=0).repeat(2, axis=1))


def test_floats_are_metres(tmp_path: Path) -> None:
    layouts.plain(tmp_path, depth_suffix=".npy")
    array = np.load(tmp_path / "depth/00001.npy")
    array[0, :3] = [np.nan, np.inf, -1.0]
    np.save(tmp_path / "depth/00001.npy", array)
    depth = opened(item_at(tmp_path)).look(1).depth_m
    assert not depth[0, :3].any()
    assert (depth[1:] == array[1:]).all()


def test_integers_have_the_scale_that_is_asked_for(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    usual = opened(item_at(tmp_path))
    asked = opened(item_at(tmp_path, "source.rgbd.depth_scale=5000"))
    assert usual.bundle.settings != asked.bundle.settings
    assert np.allclose(usual.look(0).depth_m, 5 * asked.look(0).depth_m)


@pytest.mark.parametrize("name", ["EXR", "8 bits", "no picture", "colour"])
def test_unreadable_depth_is_none(name: str, tmp_path: Path, caplog) -> None:
    from mimic.opencv import encode_png

    layouts.plain(tmp_path)
    path = tmp_path / "depth/00000.png"
    content = {
        "EXR": b"\x76\x2f\x31\x01",
        "8 bits": encode_png(np.full((48, 64), 9, np.uint8)),
        "no picture": b"no picture",
        "colour": encode_png(np.full((48, 64, 3), 900, np.uint16)),
    }
    path.unlink()
    (path.with_suffix(".exr") if name == "EXR" else path).write_bytes(content[name])
    frame = opened(item_at(tmp_path)).look(0)
    assert not frame.depth_m.any()
    assert "no depth" in caplog.text


def test_intrinsics_a_frame(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    (tmp_path / "K.txt").unlink()
    rows = ["0 52 50 30.5 24", "1 53 0 30.5 0 51 24 0 0 1", "3 54 52 30.5 24"]
    (tmp_path / "intrinsics.txt").write_text("\n".join(rows))
    index = posed_frames(item_at(tmp_path))
    assert index.left_out == ((2, "no_intrinsics"),)
    assert index.intrinsics[:, 0, 0].tolist() == [52, 53, 54]
    assert (index.intrinsics[:, :2, 2] == [31, 24.5]).all()


def test_intrinsics_are_asked_for(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    (tmp_path / "K.txt").unlink()
    assert refused(tmp_path).reason == "no_intrinsics"
    item = item_at(tmp_path, "source.rgbd.intrinsics=[52,50,30.5,24]")
    assert np.allclose(posed_frames(item).intrinsics, SMALL.continuous)


def test_a_tum_sequence_of_an_unknown_camera(tmp_path: Path) -> None:
    layouts.tum(tmp_path)
    assert refused(tmp_path).reason == "no_intrinsics"
    (tmp_path / "K.txt").write_text("535.4 0 320.1 0 539.2 247.6 0 0 1")
    assert len(posed_frames(item_at(tmp_path))) == 2


def test_intrinsics_of_pictures_of_another_size(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    (tmp_path / "K.txt").write_text("104 0 61 0 100 48 0 0 1")
    assert refused(tmp_path).reason == "bad_intrinsics"


def test_default_intrinsics_are_of_their_size_only(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    for name in ("poses.txt", "K.txt"):
        (tmp_path / name).unlink()
    log = "".join(f"{i} {i} {i + 1}\n{text_of(pose)}" for i, pose in enumerate(POSES))
    (tmp_path / "trajectory.log").write_text(log)
    assert refused(tmp_path).reason == "bad_intrinsics"
    columns = SMALL.continuous.T.copy()
    columns[2, :2] -= 0.5
    camera = {"width": 64, "height": 48, "intrinsic_matrix": columns.ravel().tolist()}
    (tmp_path / "camera_intrinsic.json").write_text(json.dumps(camera))
    assert np.allclose(posed_frames(item_at(tmp_path)).intrinsics, SMALL.continuous)


def test_colmap_cameras_with_distortion(tmp_path: Path) -> None:
    layouts.colmap(tmp_path / "much", model="SIMPLE_RADIAL", extra=0.1)
    found = refused(tmp_path / "much")
    assert found.reason == "distorted"
    assert "image_undistorter" in found.message
    layouts.colmap(tmp_path / "hardly", model="SIMPLE_RADIAL", extra=1e-4)
    assert len(posed_frames(item_at(tmp_path / "hardly"))) == 4


def test_colmap_pictures_without_pose_or_map(tmp_path: Path) -> None:
    layouts.colmap(tmp_path, binary=False)
    lines = (tmp_path / "sparse/images.txt").read_text().splitlines()
    (tmp_path / "sparse/images.txt").write_text("\n".join([*lines[:3], *lines[5:]]) + "\n")
    (tmp_path / "stereo/depth_maps/cam/2.png.geometric.bin").unlink()
    index = posed_frames(item_at(tmp_path))
    assert index.left_out == ((1, "no_pose"), (2, "no_depth"))
    assert np.allclose(index.cam_to_world, [POSES[0], POSES[3]])


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
def test_a_colmap_model_that_ends_early(name: str, tmp_path: Path) -> None:
    layouts.colmap(tmp_path)
    path = tmp_path / "sparse" / name
    path.write_bytes(path.read_bytes()[:-9])
    found = refused(tmp_path)
    assert found.reason == "malformed"
    assert name in found.message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 0 0 0 0 1 0 0 0 0 1 0\n", "1 lines for 4 pictures"),
        ("1 0 0\n", "a line of 3 words"),
        ("1 0 0 0 0 1 0 0 0 0 1 no\n" * 4, "not numbers"),
        ("1 0 0 0 0 1 0 0 0 0 1 0\n7 1 0 0 0 0 1 0 0 0 0 1 0\n", "names some"),
    ],
)
def test_malformed_poses(text: str, why: str, tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    (tmp_path / "poses.txt").write_text(text)
    found = refused(tmp_path)
    assert found.reason == "malformed"
    assert why in found.message


def test_an_order_that_is_not_clear(tmp_path: Path) -> None:
    """Names without leading zeros: poses in the order 1, 2, 10 or 1, 10, 2?"""
    layouts.plain(tmp_path)
    for folder in ("images", "depth"):
        (tmp_path / folder / "00000.png").rename(tmp_path / folder / "10.png")
        for i in (1, 2, 3):
            (tmp_path / folder / f"0000{i}.png").rename(tmp_path / folder / f"{i}.png")
    assert "order is not clear" in refused(tmp_path).message


def test_a_file_that_changes_after_the_plan(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    item = item_at(tmp_path)
    sequence = opened(item)
    for name in ("images/00001.png", "depth/00001.png"):
        shutil.copy(tmp_path / name, tmp_path / "kept")
        with (tmp_path / name).open("ab") as file:
            file.write(b"more")
        with pytest.raises(SourceError, match="has changed since the plan"):
            sequence.look(1)
        (tmp_path / name).unlink()
        with pytest.raises(SourceError, match="has vanished since the plan"):
            sequence.look(1)
        shutil.copy(tmp_path / "kept", tmp_path / name)
    sequence.look(1)


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    data = (tmp_path / "images/00001.png").read_bytes()
    (tmp_path / "images/00001.png").write_bytes(b"no picture")
    (tmp_path / "images/00002.png").write_bytes(data)
    from mimic.opencv import encode_png

    (tmp_path / "images/00003.png").write_bytes(encode_png(np.zeros((24, 32, 3), np.uint8)))
    sequence = opened(item_at(tmp_path))
    for row, why in ((1, "is not a picture"), (3, "has 32 x 24 pixels")):
        with pytest.raises(SourceError, match=why) as raised:
            sequence.look(row)
        assert raised.value.reason == "unreadable_frame"
    sequence.look(2)


def test_pictures_are_not_turned_by_exif(tmp_path: Path) -> None:
    """K is of the pixels as they were recorded."""
    from mimic.opencv import encode_jpeg

    layouts.plain(tmp_path)
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:24] = 255
    jpeg = encode_jpeg(rgb, 95)
    upside_down = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0"
    exif = b"\xff\xe1" + struct.pack(">H", len(upside_down) + 2) + upside_down
    for i in range(4):
        (tmp_path / f"images/{i:05d}.png").unlink()
        (tmp_path / f"images/{i:05d}.jpg").write_bytes(jpeg[:2] + exif + jpeg[2:])
    seen = opened(item_at(tmp_path)).look(0).rgb
    assert seen[:20].min() > 200
    assert seen[28:].max() < 50


def test_extracted_frames_come_before_the_file_they_are_from(tmp_path: Path) -> None:
    layouts.scannet(tmp_path / "scene0000_00")
    layouts.sens(tmp_path / "scene0000_00")
    found, _ = find_sequences(find(str(tmp_path)).files)
    assert [sequence.layout for sequence in found] == ["scannet"]


def test_folders_of_pictures_alone_are_no_sequences(tmp_path: Path) -> None:
    layouts.plain(tmp_path)
    (tmp_path / "poses.txt").unlink()
    (tmp_path / "K.txt").unlink()
    assert find_sequences(find(str(tmp_path)).files) == ([], set())


def test_cameras_are_told_by_the_folder_name(tmp_path: Path) -> None:
    """The address of a sequence names its camera, wherever the source's root is."""
    root = tmp_path / "rgbd_dataset_freiburg3_x"
    root.mkdir()
    camera = layouts.tum(root)
    assert isinstance(camera, Camera)
    for where in (root, tmp_path):
        assert np.allclose(posed_frames(item_at(where)).intrinsics, camera.continuous)
