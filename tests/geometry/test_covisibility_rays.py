"""Labels of a furnished room against visibility rays, and of recorded depth against themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from mimic import opencv
from mimic.geometry.covisibility import (
    COVISIBLE,
    OCCLUDED,
    OUTSIDE,
    UNKNOWN,
    PosedDepth,
    Tolerance,
    correspondences,
    seen_both,
)
from mimic.geometry.poses import back_projected, look
from mimic.simulators.base import Camera
from mimic.simulators.raycast import Raycaster, load_scene

CAMERA = Camera.pinhole((160, 120), 80.0)
ALONE = Tolerance(normals=False)


def test_labels_agree_with_visibility_rays(room_file: Path):
    mesh = load_scene(room_file)
    raycaster, scene = Raycaster(mesh), EmbreeScene()
    TriangleMesh(scene, mesh.triangles)
    middle = mesh.triangles.reshape(-1, 3).mean(axis=0)
    rng, views = np.random.default_rng(1), []
    for yaw_deg in (0, 25, 60, 120, 200, 300):
        eye = middle + rng.uniform(-0.8, 0.8, 3) * [1, 0.3, 1]
        cam_to_world = look(eye, yaw_deg, -15)
        depth_m = raycaster.depth(CAMERA, cam_to_world)
        views.append(PosedDepth(depth_m, CAMERA.intrinsics, cam_to_world))
    agree, counts = [], np.zeros(256, int)
    for i, one in enumerate(views):
        for two in views[i + 1 :]:
            both = seen_both(one, two, ALONE)
            for view, other, seen in zip((one, two), (two, one), both, strict=True):
                truth = labels_by_rays(scene, view, other)
                agree.append((seen.labels == truth).ravel())
                counts += np.bincount(truth.ravel(), minlength=256)
    assert (counts[[COVISIBLE, OCCLUDED, OUTSIDE]] > 2000).all()
    assert np.concatenate(agree).mean() > 0.995


def labels_by_rays(scene, view, other):
    """From the other camera to each point: is something hit nearer by more than the tolerance?"""
    width, height = CAMERA.size
    points = back_projected(view.depth_m, view.intrinsics, view.cam_to_world)
    away = points - other.cam_to_world[:3, 3]
    x, y, z = other.intrinsics @ other.cam_to_world[:3, :3].T @ away.T
    inside = (z > 0) & (x >= 0) & (x < width * z) & (y >= 0) & (y < height * z)
    towards = (away / z[:, None]).astype(np.float32)
    origins = np.broadcast_to(other.cam_to_world[:3, 3], towards.shape).astype(np.float32)
    hit = scene.run(np.ascontiguousarray(origins), towards, output=True)
    nearest = np.where(hit["primID"] >= 0, hit["tfar"], np.inf)
    hidden = z > nearest * (1 + ALONE.relative) + ALONE.absolute_m
    labels = np.full(view.depth_m.shape, UNKNOWN, np.uint8)
    labels[view.depth_m > 0] = np.where(inside, np.where(hidden, OCCLUDED, COVISIBLE), OUTSIDE)
    return labels


@pytest.mark.data
@pytest.mark.parametrize("interval", [1, 2, 5])
def test_recorded_depth_is_mutual_and_its_colours_agree(real_data: Path, interval: int):
    folder = real_data / "rgbd" / "icl_livingroom1"
    poses = np.loadtxt(folder / "poses.txt")[:, 1:].reshape(-1, 4, 4)
    intrinsics = np.array([[525.0, 0, 320], [0, 525, 240], [0, 0, 1]])
    names = sorted(path.stem for path in (folder / "depth").iterdir())
    mutual, errors = [], {COVISIBLE: [], OCCLUDED: []}
    for first in range(0, len(names) - interval, 8):
        views, greys = [], []
        for slot in (first, first + interval):
            depth = opencv.decode_png((folder / "depth" / f"{names[slot]}.png").read_bytes())
            rgb = opencv.decode_image((folder / "color" / f"{names[slot]}.jpg").read_bytes())
            views.append(PosedDepth((depth / 1000).astype(np.float32), intrinsics, poses[slot]))
            greys.append(opencv.to_gray(rgb).astype(float))
        forward, backward = seen_both(*views)
        column, row = correspondences(forward)[forward.labels == COVISIBLE].astype(int).T
        back = backward.labels[row, column]
        mutual.append(back[back != UNKNOWN] == COVISIBLE)
        for label, found in errors.items():
            which = forward.labels == label
            x, y = forward.projected.x[which].astype(int), forward.projected.y[which].astype(int)
            found.append(np.abs(greys[0][which] - greys[1][y, x]))
    assert np.concatenate(mutual).mean() > 0.97
    seen, hidden = (np.median(np.concatenate(errors[label])) for label in (COVISIBLE, OCCLUDED))
    assert hidden > 2 * seen
