"""Shares from a few points, against those of all pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from covisibility_scenes import SIZE, K, Scene
from test_covisibility_exact import CAMERAS, SCENES, pose

from mimic import opencv
from mimic.geometry.coarse import CoarseView, coarse_share
from mimic.geometry.covisibility import PosedDepth, Tolerance, covisible_share, labels
from mimic.geometry.poses import back_projected

ALONE = Tolerance(normals=False)


@pytest.mark.parametrize("table", [1 << 14, 1 << 12])
def test_shares_are_those_of_all_pixels(table):
    errors = []
    for scene in SCENES.values():
        one = scene.view(pose((0, 0, 0), (0, 0, 0)))
        for camera in CAMERAS.values():
            two = scene.view(pose(*camera))
            coarse = [CoarseView.of(view, ALONE, points=2048, table=table) for view in (one, two)]
            for (view, other), (few, seen) in (
                ((one, two), coarse),
                ((two, one), coarse[::-1]),
            ):
                full = covisible_share(labels(view, other, ALONE))
                errors.append(coarse_share(few, seen) - full)
    assert np.abs(errors).mean() < 0.01
    assert np.abs(errors).max() < 0.06


def test_what_is_unknown_does_not_count():
    view = SCENES["occluder"].view(pose((0, 0, 0), (0, 0, 0)))
    holes = PosedDepth(view.depth_m.copy(), K, view.cam_to_world)
    holes.depth_m[:, : SIZE // 2] = 0
    whole, half = CoarseView.of(view), CoarseView.of(holes)
    assert len(half.offsets_m) == pytest.approx(len(whole.offsets_m) / 2, rel=0.1)
    assert coarse_share(whole, half) > 0.99
    assert coarse_share(half, whole) > 0.99
    nothing = CoarseView.of(PosedDepth(np.zeros_like(view.depth_m), K, view.cam_to_world))
    assert coarse_share(nothing, whole) == coarse_share(whole, nothing) == 0.0


def test_behind_the_camera_is_outside():
    wall = Scene((SCENES["room"].surfaces[1],))
    ahead = CoarseView.of(wall.view(pose((0, 0, 0), (0, 0, 0))))
    beyond = CoarseView.of(Scene(SCENES["room"].surfaces).view(pose((0, 0, 5), (0, 180, 0))))
    assert coarse_share(ahead, beyond) == 0.0


def test_points_are_in_the_world_wherever_it_lies():
    far = pose((5e5, -2e5, 30.0), (10, 120, 0))
    view = PosedDepth(np.full((SIZE, SIZE), 3.0, np.float32), K, far)
    prepared = CoarseView.of(view, points=SIZE * SIZE)
    assert prepared.points_world.shape == (SIZE * SIZE, 3)
    expected = back_projected(view.depth_m, K, far)
    assert np.abs(prepared.points_world - expected).max() < 1e-4
    assert coarse_share(prepared, prepared) == 1.0


@pytest.mark.data
def test_real_walk(real_data: Path):
    """The mean error over pairs of all kinds, and over those that overlap."""
    folder = real_data / "rgbd" / "hololens_000"
    poses = np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)
    intrinsics = np.diag([256 / 540, 256 / 360, 1.0]) @ np.loadtxt(folder / "K.txt")
    views = []
    for file, cam_to_world in list(zip(sorted((folder / "depth").iterdir()), poses, strict=True))[
        ::5
    ]:
        depth_m = (opencv.decode_png(file.read_bytes()) / 1000).astype(np.float32)
        views.append(PosedDepth(opencv.resize_depth(depth_m, (256, 256)), intrinsics, cam_to_world))
    coarse = [CoarseView.of(view) for view in views]
    pairs = [(i, j) for i in range(len(views)) for j in range(len(views)) if i != j]
    full = np.array([covisible_share(labels(views[i], views[j])) for i, j in pairs])
    error = np.abs([coarse_share(coarse[i], coarse[j]) for i, j in pairs] - full)
    assert error.mean() < 0.01
    assert (full > 0.02).sum() > 20
    assert error[full > 0.02].mean() < 0.015
