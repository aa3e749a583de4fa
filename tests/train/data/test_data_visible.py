"""Labels after cuts, against what the definition gives for the cut views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.data.sample import Geometry, Sample
from train.data.window import Window
from train.data.windows import Plan, apply
from train.errors import TrainError

SIZES = ((48, 40), (56, 44))
OUT = (24, 20)
PLANE_M = 5.0


def cameras() -> Geometry:
    """Two cameras before the plane z = 5 m; neither sees all that the other does."""
    intrinsics = np.array(
        [[[60.0, 0, 23], [0, 62, 21], [0, 0, 1]], [[70, 0, 29], [0, 66, 20], [0, 0, 1]]]
    )
    turn = 0.25
    second = np.eye(4)
    second[:3, :3] = [
        [np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]
    ]  # fmt: skip
    second[:3, 3] = (-1.0, 0.1, -0.2)
    nothing = np.full((3, 3), np.nan)
    return Geometry(intrinsics, np.stack([np.eye(4), second]), nothing, np.stack([np.eye(3)] * 2))


def on_plane(geometry: Geometry, view: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """World points (H, W, 3) of all pixel centres, and their depth (H, W)."""
    k, pose = geometry.intrinsics[view], geometry.cam_to_world[view]
    u, v = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(k).T
    turned = rays @ pose[:3, :3].T
    depth = (PLANE_M - pose[2, 3]) / turned[..., 2]
    return pose[:3, 3] + turned * depth[..., None], depth


def pixels_in(geometry: Geometry, view: int, points: np.ndarray) -> np.ndarray:
    pose = geometry.cam_to_world[view]
    camera = (points - pose[:3, 3]) @ pose[:3, :3] @ geometry.intrinsics[view].T
    return camera[..., :2] / camera[..., 2:]


def defined(geometry: Geometry, size: tuple[int, int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Labels of both views by the definition, and where a hair would change them."""
    labels, close = [], []
    for view in range(2):
        points, _ = on_plane(geometry, view, size)
        at = pixels_in(geometry, 1 - view, points)
        inside = ((at >= 0) & (at < size)).all(-1)
        labels.append(np.where(inside, 0, 2))
        close.append((np.minimum(np.abs(at), np.abs(at - size)) < 2e-2).any(-1))
    return labels, close


def stored(occluded: bool = False) -> Sample:
    geometry = cameras()
    covis, depth = [], []
    for view, size in enumerate(SIZES):
        points, z = on_plane(geometry, view, size)
        at = pixels_in(geometry, 1 - view, points)
        inside = ((at >= 0) & (at < SIZES[1 - view])).all(-1)
        covis.append(torch.from_numpy(np.where(inside, int(occluded), 2).astype(np.uint8)))
        depth.append(torch.from_numpy(z.astype(np.float32)))
    images = tuple(torch.zeros((3, h, w), dtype=torch.uint8) for w, h in SIZES)
    return Sample("k", images, tuple(covis), geometry, depth=tuple(depth))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Windows of the size that comes out, so that labels stay the stored ones."""
    windows = tuple(
        Window(draw(st.integers(0, w - OUT[0])), draw(st.integers(0, h - OUT[1])), *OUT)
        for w, h in SIZES
    )
    return Plan(windows, OUT, draw(st.booleans()), draw(st.booleans()))


@settings(deadline=None)
@given(plan=plans(), occluded=st.booleans())
def test_labels_of_cut_views_are_those_that_the_definition_gives_the_cut_views(
    plan: Plan, occluded: bool
) -> None:
    moved = apply(plan, stored(occluded))
    assert moved.covis is not None
    assert moved.geometry is not None
    geometry = moved.geometry
    expected, close = defined(geometry, OUT)
    for found, wanted, unsure in zip(moved.covis, expected, close, strict=True):
        wanted = np.where(wanted == 0, int(occluded), wanted)
        assert np.array_equal(found.numpy()[~unsure], wanted[~unsure])


def test_a_cut_takes_pixels_from_the_others_sight() -> None:
    whole = apply(Plan((Window(0, 0, 48, 40), Window(0, 0, 56, 44)), OUT), stored())
    cut = apply(Plan((Window(0, 0, 48, 40), Window(0, 0, 12, 10)), OUT), stored())
    assert whole.covis is not None
    assert cut.covis is not None
    assert (cut.covis[0] == 0).sum() < 0.3 * (whole.covis[0] == 0).sum()
    assert (cut.covis[1] == 0).any()


def test_what_is_unknown_or_outside_stays_so_and_what_has_no_depth_becomes_unknown() -> None:
    sample = stored()
    assert sample.covis is not None
    assert sample.depth is not None
    labels, depth = sample.covis[0].clone(), sample.depth[0].clone()
    labels[:10], labels[10:20], depth[:] = 255, 2, 0.0
    changed = replace(sample, covis=(labels, sample.covis[1]), depth=(depth, sample.depth[1]))
    plan = Plan((Window(0, 0, 48, 40), Window(1, 0, 54, 44)), (48, 40))
    moved = apply(plan, changed)
    assert moved.covis is not None
    assert (moved.covis[0][:10] == 255).all()
    assert (moved.covis[0][10:20] == 2).all()
    rest = labels[20:]
    assert (moved.covis[0][20:][rest == 0] == 255).all()
    assert (moved.covis[0][20:][rest == 2] == 2).all()


def test_labels_are_not_touched_where_the_other_view_is_whole() -> None:
    sample = replace(stored(), depth=None)
    plan = Plan((Window(4, 4, 24, 20), Window(0, 0, 56, 44)), (24, 20))
    with pytest.raises(TrainError, match=r"sample k: .*set data.views.crop to squash, or mine"):
        apply(plan, sample)  # view 2's labels: view 1 is cut
    with_depth = apply(plan, stored())
    assert with_depth.covis is not None
    assert sample.covis is not None
    assert torch.equal(with_depth.covis[0], sample.covis[0][4:24, 4:28])


def test_cameras_that_are_not_known_are_refused() -> None:
    sample = stored()
    assert sample.geometry is not None
    unposed = replace(sample, geometry=Geometry.unknown(2))
    plan = Plan((Window(1, 0, 24, 20), Window(0, 0, 24, 20)), OUT)
    with pytest.raises(TrainError, match=r"no stored depth or cameras"):
        apply(plan, unposed)
