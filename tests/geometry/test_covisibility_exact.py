"""Labels of analytic scenes: no wrong pixel but next to an edge."""

from __future__ import annotations

import numpy as np
import pytest
from covisibility_scenes import (
    SIZE,
    Scene,
    at_a_boundary,
    beside_an_edge,
    box,
    plane,
    sphere,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mimic.geometry.covisibility import (
    COVISIBLE,
    OCCLUDED,
    OUTSIDE,
    UNKNOWN,
    PosedDepth,
    Tolerance,
    labels,
)
from mimic.geometry.poses import about

ROOM = (
    plane((0, 1, 0), 1.2),  # the floor; y points down
    plane((0, 0, 1), 6.0),
    plane((1, 0, 0), 3.0),
    plane((1, 0, 0), -3.0),
    plane((0, 1, 0), -1.6),
)
SCENES = {
    "occluder": Scene((plane((0, 0, 1), 5.0), box((-0.5, -0.6, 2.5), (0.4, 0.5, 2.5)))),
    "slanted occluder": Scene((plane((0.4, 0.1, 1), 5.0), box((-0.3, -2, 2.2), (0.3, 2, 2.2)))),
    "room": Scene(ROOM),
    "boxes": Scene(
        (*ROOM, box((-1, 0.3, 3), (-0.2, 1.2, 3.8)), box((0.4, -0.2, 4), (1, 1.2, 4.5)))
    ),
    "sphere": Scene((*ROOM, sphere((0.2, 0.1, 3.2), 0.7))),
    "far floor": Scene((plane((0, 1, 0), 1.2),)),
}
CAMERAS = {
    "aside": ((0.5, 0.0, 0.0), (0, -8, 0)),
    "nearer": ((0.1, -0.1, 1.0), (0, 5, 0)),
    "turned": ((-0.8, 0.2, 0.3), (6, 15, 4)),
    "above": ((0.2, -0.9, 0.5), (-15, 0, 0)),
    "opposite": ((0.0, 0.0, 5.5), (0, 180, 0)),
}


def pose(place, turns_deg):
    matrix = np.eye(4)
    x, y, z = turns_deg
    matrix[:3, :3] = about(1, y) @ about(0, x) @ about(2, z)
    matrix[:3, 3] = place
    return matrix


EXACT = Tolerance(normals=False, smooth=np.inf)
"""Rendered depth mixes no surfaces."""


def wrong_pixels(scene, camera, other):
    """Found labels, true ones, and where they differ away from edges of either kind."""
    found = labels(scene.view(camera), scene.view(other), EXACT)
    truth, x, y = scene.truth(camera, other, EXACT)
    near = at_a_boundary(truth)
    near |= beside_an_edge(scene.view(other), x, y) & np.isin(truth, (COVISIBLE, OCCLUDED))
    return found, truth, (found != truth) & ~near, near


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("camera", CAMERAS)
def test_no_pixel_is_wrong_away_from_edges(scene, camera):
    one, two = pose((0, 0, 0), (0, 0, 0)), pose(*CAMERAS[camera])
    for first, second in ((one, two), (two, one)):
        _, truth, wrong, near = wrong_pixels(SCENES[scene], first, second)
        assert not wrong.any(), f"{wrong.sum()} pixels, first at {np.argwhere(wrong)[0]}"
        assert near[truth != UNKNOWN].mean() < 0.25, "the exception stays one"


def test_the_scenes_show_every_label():
    """The test above would mean little on pictures of one label."""
    seen = set()
    for scene in SCENES.values():
        for camera in CAMERAS.values():
            truth, _, _ = scene.truth(pose((0, 0, 0), (0, 0, 0)), pose(*camera))
            values, counts = np.unique(truth, return_counts=True)
            seen |= set(values[counts > 300])
    assert seen == {COVISIBLE, OCCLUDED, OUTSIDE, UNKNOWN}


@settings(deadline=None, max_examples=60)
@given(
    place=st.tuples(*[st.floats(-0.8, 0.8)] * 3),
    turns_deg=st.tuples(*[st.floats(-25, 25)] * 3),
    slant=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
)
def test_a_plane_is_exact_at_any_slant(place, turns_deg, slant):
    """Even where depth changes by a tenth and more from pixel to pixel."""
    scene = Scene((plane((*slant, 1.0), 4.0),))
    camera, other = pose((0, 0, 0), (0, 0, 0)), pose(place, turns_deg)
    _, _, wrong, near = wrong_pixels(scene, camera, other)
    if np.array([*slant, 1.0]) @ place < 4.0 - 0.1:  # the other camera is in front of it too
        assert not wrong.any()
        assert near.mean() < 0.1


def test_distances_do_not_matter_far_from_the_origin():
    """Poses in a map's coordinates, hundreds of kilometres from its origin."""
    scene, far = SCENES["boxes"], np.eye(4)
    far[:3, 3] = 5e5, -2e5, 3e3
    one, two = pose((0, 0, 0), (0, 0, 0)), pose(*CAMERAS["turned"])
    view, other = scene.view(one), scene.view(two)
    moved = [PosedDepth(v.depth_m, v.intrinsics, far @ v.cam_to_world) for v in (view, other)]
    assert (labels(*moved) != labels(view, other)).mean() < 1e-3


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("scene", SCENES)
def test_looking_for_mixed_depth_touches_edges_only(scene, camera):
    """A face one pixel wide between two others looks like a mixture: unknown, never another."""
    one = SCENES[scene].view(pose((0, 0, 0), (0, 0, 0)))
    two = SCENES[scene].view(pose(*CAMERAS[camera]))
    trusting, wary = labels(one, two, EXACT), labels(one, two, Tolerance(normals=False))
    assert set(wary[trusting != wary]) <= {UNKNOWN}
    assert (trusting != wary).mean() < 0.005


def test_a_depth_between_two_surfaces_is_unknown_here_and_there():
    """The column between a screen and the wall behind it holds the mean of both."""
    depth = np.full((64, 64), 4.0, np.float32)
    depth[:, :30] = 2.0
    sharp = PosedDepth(depth, np.array([[60.0, 0, 32], [0, 60, 32], [0, 0, 1]]), np.eye(4))
    mixed = PosedDepth(depth.copy(), sharp.intrinsics, np.eye(4))
    mixed.depth_m[:, 30] = 3.0
    assert (labels(mixed, sharp)[:, 30] == UNKNOWN).all()
    assert (labels(sharp, mixed)[:, 30] == UNKNOWN).all()
    others = np.delete(np.arange(64), 30)
    assert (labels(mixed, sharp)[:, others] == COVISIBLE).all()
    assert (labels(sharp, mixed)[:, others] == COVISIBLE).all()
    between = PosedDepth(np.full_like(depth, 3.0), sharp.intrinsics, np.eye(4))
    assert (labels(mixed, between)[:, 30] == UNKNOWN).all(), "even where something is there"
    trusted = labels(sharp, mixed, Tolerance(smooth=np.inf))[:, 30]
    assert (trusted == OCCLUDED).all(), "which it would be if that column were a thing"


THIN = Scene((plane((0, 0, 1), 6.0), plane((0, 0, 1), -6.0), box((-1, -1, 3), (1, 1, 3.005))))


def test_a_thin_wall_is_not_seen_from_behind():
    """Five millimetres: within the tolerance, so that depth alone takes its back for its front."""
    front, back = pose((0, 0, 0), (0, 0, 0)), pose((0.2, 0, 6), (0, 180, 0))
    view, other = THIN.view(front), THIN.view(back)
    wall = view.depth_m < 3.5
    assert wall.mean() > 0.2
    inner = wall & ~at_a_boundary(wall.astype(np.uint8))
    inner &= np.roll(inner, (2, 2), (0, 1)) & np.roll(inner, (-2, -2), (0, 1))
    assert (labels(view, other, Tolerance(normals=False))[inner] == COVISIBLE).all()
    assert (labels(view, other)[inner] == OCCLUDED).all()


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("scene", ["occluder", "slanted occluder", "room", "boxes", "far floor"])
def test_normals_take_nothing_away_that_is_seen_from_the_front(scene, camera):
    one, two = pose((0, 0, 0), (0, 0, 0)), pose(*CAMERAS[camera])
    view, other = SCENES[scene].view(one), SCENES[scene].view(two)
    alone, both = labels(view, other, Tolerance(normals=False)), labels(view, other)
    if camera != "opposite":  # from there, all but the walls and the floor is seen from behind
        assert ((alone != both) & ~at_a_boundary(alone)).mean() < 0.002
    assert set(both[alone != both]) <= {OCCLUDED}


def test_depth_in_steps_is_not_seen_from_behind():
    """Enlarged depth repeats its rows: such a floor faces the camera, pixel by pixel."""
    floor = SCENES["far floor"]
    camera, opposite = pose((0, 0, 0), (-20, 0, 0)), pose((0, 0, 4), (0, 180, 0))
    view = floor.view(camera)
    steps = PosedDepth(np.repeat(view.depth_m[::3], 3, axis=0)[:SIZE], view.intrinsics, camera)
    loose = Tolerance(relative=0.1, absolute_m=0.1, smooth=np.inf)
    found = labels(steps, floor.view(opposite), loose)
    assert (found == COVISIBLE).sum() > 500
    assert (found == OCCLUDED).mean() < 0.01
