"""RGB-D sequences, whole: pairs chosen by geometry, labelled, the same bytes however it is run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_work import files_of

import mimic
from mimic import opencv
from mimic.demo import orbit
from mimic.shards.reader import Shards
from mimic.simulators.base import Camera
from mimic.simulators.raycast import Raycaster, load_scene
from pipelines.cli import run

SIZE = (128, 96)
SETTINGS = (
    "overlap.measure=covis",
    "overlap.low=0.05",
    "overlap.high=1.0",
    "sampling.posed=cub3-all",
    "labels.covis=true",
    "image.depth=true",
    "pack.samples_per_shard=20",
)


def words(source: object, out: object, *more: object, executor: str = "serial") -> list[str]:
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    line = ["mine", "--source", source, "--out", out, "--executor", executor, *sets, *more]
    return [str(word) for word in line] + ["--quiet"]


@pytest.fixture(scope="module")
def sequence(room_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen frames of a camera that goes round the table, in the plain layout."""
    folder = tmp_path_factory.mktemp("rgbd") / "table"
    for name in ("images", "depth"):
        (folder / name).mkdir(parents=True)
    camera, poses = Camera.pinhole(SIZE, 68.0), orbit(80)[:48:3]
    raycaster = Raycaster(load_scene(room_file, "y"))
    for number, pose in enumerate(poses):
        seen = raycaster.render(camera, pose)
        depth_mm = np.rint(seen.depth_m * 1000).astype(np.uint16)
        (folder / "images" / f"{number:05}.jpg").write_bytes(opencv.encode_jpeg(seen.rgb, 95))
        (folder / "depth" / f"{number:05}.png").write_bytes(opencv.encode_png(depth_mm))
    np.savetxt(folder / "poses.txt", np.reshape(poses, (-1, 16)))
    lens = camera.intrinsics - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    np.savetxt(folder / "K.txt", lens)
    return folder.parent


@pytest.fixture(scope="module")
def undisturbed(sequence: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert run(words(sequence, out)) == 0
    assert json.loads((out / "manifest.json").read_text())["counts"]["samples"] >= 20
    return out


def test_ray_gives_the_same_bytes(sequence: Path, undisturbed: Path, tmp_path: Path):
    more = ("--cpus", 2, "--set", "run.lease=1")
    assert run(words(sequence, tmp_path / "out", *more, executor="ray")) == 0
    assert files_of(tmp_path / "out") == files_of(undisturbed)


def test_units_may_be_cut_anywhere(sequence: Path, undisturbed: Path, tmp_path: Path):
    """A frame's partners are those it has in the whole sequence, also beyond the unit's end."""
    assert run(words(sequence, tmp_path / "out", "--set", "source.rgbd.unit_frames=3")) == 0
    ours, theirs = (
        {s.key: s.corr(1, 2).tobytes() + s.view_bytes(2) for s in Shards(str(out)).samples()}
        for out in (tmp_path / "out", undisturbed)
    )
    assert ours == theirs


def test_the_labels_are_those_of_the_depth_and_poses(undisturbed: Path):
    """What is co-visible by its label lands, by depth and pose, at its own depth in the other."""
    for sample in Shards(str(undisturbed)).samples():
        edge, views = sample.meta["edges"][0], sample.meta["views"]
        labels = sample.covis(1, 2)
        assert labels is not None
        known = labels != 255
        assert edge["verifier"] == "depth"
        assert edge["overlap"]["covis_12"] == pytest.approx((labels[known] == 0).mean(), abs=1e-9)
        row, column = (axis[::7] for axis in np.nonzero(labels == 0))
        lens, pose = (
            [np.array(view[name]) for view in views] for name in ("intrinsics", "cam_to_world")
        )
        depths = sample.depth(1), sample.depth(2)
        pixels = np.stack([column + 0.5, row + 0.5, np.ones(len(row))])
        local = np.linalg.inv(lens[0]) @ pixels * depths[0][row, column]
        world = pose[0][:3, :3] @ local + pose[0][:3, 3:]
        there = pose[1][:3, :3].T @ (world - pose[1][:3, 3:])
        x, y = (lens[1] @ there)[:2] / there[2]
        seen = depths[1][y.astype(int), x.astype(int)]
        off = np.abs(seen - there[2]) > 0.1 * there[2]
        assert off.mean() < 0.05  # pixels on edges


def test_the_python_api_hands_over_depth_and_labels(undisturbed: Path):
    pair = next(iter(mimic.pairs(str(undisturbed))))
    assert pair.depth_1 is not None
    assert pair.depth_2 is not None
    assert pair.covis_12 is not None
    assert pair.covis_21 is not None
    assert pair.depth_1.shape == pair.covis_12.shape == pair.rgb_1.shape[:2]
    assert (pair.covis_12[pair.depth_1 == 0] == 255).all()
    assert (pair.covis_21[pair.depth_2 == 0] == 255).all()
    assert not np.array_equal(pair.covis_12, pair.covis_21)


def test_an_unusable_frame_costs_itself(sequence: Path, undisturbed: Path, tmp_path: Path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(sequence, copy)
    poses = (copy / "table" / "poses.txt").read_text().splitlines()
    poses[5] = " ".join(["inf"] * 16)
    (copy / "table" / "poses.txt").write_text("\n".join(poses) + "\n")
    (copy / "table" / "images" / "00009.jpg").write_bytes(b"no picture" * 99)
    assert run(words(copy, tmp_path / "out")) == 0
    names = {v["frame"] for s in Shards(str(tmp_path / "out")).samples() for v in s.meta["views"]}
    assert not any("00005" in name or "00009" in name for name in names)
    assert len(names) >= 10
