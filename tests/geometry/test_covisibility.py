"""Co-visibility against scenes whose truth is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimic.geometry.covisibility import (
    COVISIBLE,
    OCCLUDED,
    OUTSIDE,
    UNKNOWN,
    PosedDepth,
    Tolerance,
    correspondences,
    covisible,
    covisible_share,
    labels,
    landing,
    project,
    scale_and_angle,
    seen_both,
    seen_from,
)

SIZE = 96
FOCAL = 80.0
K = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1.0]])


def pose(x=0.0, y=0.0, z=0.0, yaw_deg=0.0):
    """Camera-to-world: OpenCV axes, turned about its y axis, at (x, y, z)."""
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    matrix = np.eye(4)
    matrix[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    matrix[:3, 3] = x, y, z
    return matrix


def rays(cam_to_world):
    """World directions of all pixel centres, with unit depth along the optical axis."""
    at = np.arange(SIZE) + 0.5
    x, y = np.meshgrid(at, at)
    local = np.stack([(x - SIZE / 2) / FOCAL, (y - SIZE / 2) / FOCAL, np.ones_like(x)])
    return np.einsum("ij,jhw->ihw", cam_to_world[:3, :3], local)


def plane_depth(cam_to_world, normal, offset):
    """Depth of the plane ``normal . p = offset`` (inf where it is not in front)."""
    normal = np.asarray(normal, float)
    along = np.einsum("i,ihw->hw", normal, rays(cam_to_world))
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = (offset - normal @ cam_to_world[:3, 3]) / along
    return np.where(depth > 0, depth, np.inf)


def view(cam_to_world, *surfaces):
    """The nearest of some depth images."""
    depth = np.minimum.reduce([surface(cam_to_world) for surface in surfaces])
    return PosedDepth(np.where(np.isfinite(depth), depth, 0).astype(np.float32), K, cam_to_world)


def wall(z):
    return lambda camera: plane_depth(camera, (0, 0, 1), z)


def screen(z, low, high):
    """A wall at z, only between two values of x."""

    def depth(camera):
        plane = plane_depth(camera, (0, 0, 1), z)
        with np.errstate(invalid="ignore"):
            x = camera[0, 3] + plane * rays(camera)[0]
            return np.where((x > low) & (x < high), plane, np.inf)

    return depth


@pytest.mark.parametrize("tilt", [0.0, 0.4, 0.8, 1.2])
def test_a_plane_at_any_slant_is_seen_by_both_wherever_it_lands_inside(tilt):
    def slanted(camera):
        return plane_depth(camera, (tilt, 0, 1), 4.0)

    view_1, view_2 = view(pose(), slanted), view(pose(x=0.3, yaw_deg=-6), slanted)
    found = labels(view_1, view_2)
    there = project(view_1, view_2)
    assert (view_1.depth_m > 0).all()
    assert (view_2.depth_m > 0).all(), "the plane fills both views"
    inside = (there.x >= 0) & (there.x < SIZE) & (there.y >= 0) & (there.y < SIZE)
    assert inside.any()
    assert (~inside).any()
    assert (found[inside] == COVISIBLE).all()
    assert (found[~inside] == OUTSIDE).all()


def test_what_a_screen_hides_is_occluded_and_nothing_else():
    """A wall at 4 m, a screen at 2 m between x = -0.2 and 0.2; the other camera 0.6 m aside."""
    surfaces = wall(4.0), screen(2.0, -0.2, 0.2)
    camera_1, camera_2 = pose(), pose(x=0.6)
    view_1, view_2 = view(camera_1, *surfaces), view(camera_2, *surfaces)
    found = labels(view_1, view_2)

    x = (np.arange(SIZE) + 0.5 - SIZE / 2) / FOCAL  # per metre of depth
    world_x = np.where(np.abs(x * 2) < 0.2, x * 2, x * 4)
    on_screen = np.abs(x * 2) < 0.2
    depth = np.where(on_screen, 2.0, 4.0)
    at_screen = 0.6 + (world_x - 0.6) * 2 / depth  # where the ray from camera 2 crosses z = 2
    hidden = ~on_screen & (np.abs(at_screen) < 0.2)
    column_2 = (world_x - 0.6) / depth * FOCAL + SIZE / 2
    outside = (column_2 < 0) | (column_2 >= SIZE)
    truth = np.where(outside, OUTSIDE, np.where(hidden, OCCLUDED, COVISIBLE))
    assert {COVISIBLE, OCCLUDED, OUTSIDE} == set(truth)

    rows = found[SIZE // 2 - 20 : SIZE // 2 + 20]
    edge = np.abs(np.abs(at_screen) - 0.2) < 2 * 2 / FOCAL  # two pixels of camera 2, at z = 2
    edge |= np.abs(np.abs(x * 2) - 0.2) < 2 * 2 / FOCAL
    assert (rows[:, ~edge] == truth[~edge]).all()
    assert edge.mean() < 0.2


def test_a_surface_in_front_of_what_the_other_view_sees_is_unknown():
    """Depth that contradicts the other view: an error, or something that moved."""
    view_1, view_2 = view(pose(), wall(2.0)), view(pose(), wall(4.0))
    assert (labels(view_1, view_2) == UNKNOWN).all()
    assert (labels(view_2, view_1) == OCCLUDED).all()


def test_holes_are_unknown_here_and_there():
    whole = view(pose(), wall(3.0))
    holes = PosedDepth(whole.depth_m.copy(), K, whole.cam_to_world)
    holes.depth_m[:, :10] = 0
    assert (labels(holes, whole)[:, :10] == UNKNOWN).all()
    assert (labels(whole, holes)[:, :10] == UNKNOWN).all()
    assert (labels(whole, holes)[:, 11:] == COVISIBLE).all()
    assert covisible(holes, whole).smaller == 1.0, "what is unknown does not count"


def test_behind_the_other_camera_is_outside():
    view_1, view_2 = view(pose(), wall(2.0)), view(pose(z=3.0), wall(9.0))
    assert (labels(view_1, view_2) == OUTSIDE).all()


def test_nothing_known_is_no_overlap():
    empty = PosedDepth(np.zeros((SIZE, SIZE), np.float32), K, pose())
    assert covisible(empty, view(pose(), wall(2.0))).smaller == 0.0


@given(shift=st.floats(-3, 3), yaw_deg=st.floats(-40, 40))
def test_a_coarse_grid_tells_the_share_to_a_few_hundredths(shift, yaw_deg):
    view_1, view_2 = view(pose(), wall(4.0)), view(pose(x=shift, yaw_deg=yaw_deg), wall(4.0))
    fine, coarse = covisible(view_1, view_2), covisible(view_1, view_2, step=4)
    assert abs(fine.forward - coarse.forward) < 0.06
    assert abs(fine.backward - coarse.backward) < 0.06


def test_the_patches_of_a_fronto_parallel_shift_move_by_whole_patches():
    """A wall at 4 m and a sideways step of 16 px: the landing is that of a translation."""
    step_m = 16 * 4.0 / FOCAL
    view_1, view_2 = view(pose(), wall(4.0)), view(pose(x=step_m), wall(4.0))
    found = landing(seen_from(view_1, view_2), (SIZE, SIZE))
    columns = np.arange(SIZE)
    assert (found.inside == (columns >= 16)).all()
    assert (found.column[:, 16:] == columns[16:] - 16).all()


def test_scale_and_angle_of_known_cameras():
    """One camera twice as far from a wall as the other; then two at a right angle."""
    view_1, view_2 = view(pose(), wall(4.0)), view(pose(z=2.0), wall(4.0))
    ratio, angle_deg = scale_and_angle(view_1, view_2, seen_from(view_1, view_2))
    near, far = 2 * rays(pose()), 2 * rays(pose())  # what camera 2 sees, from both cameras
    far[2] += 2
    lengths = np.linalg.norm(near, axis=0), np.linalg.norm(far, axis=0)
    cosine = (near * far).sum(axis=0) / lengths[0] / lengths[1]
    assert ratio == pytest.approx(np.median(lengths[1] / lengths[0]), abs=0.02)
    assert angle_deg == pytest.approx(np.degrees(np.median(np.arccos(cosine))), abs=0.5)

    corner = pose(x=-4.0, z=4.0, yaw_deg=90)  # looks along +x at the point (0, 0, 4)
    small = PosedDepth(np.full((SIZE, SIZE), 4.0, np.float32), K, pose())
    other = PosedDepth(np.full((SIZE, SIZE), 4.0, np.float32), K, corner)
    seen = seen_from(small, other)
    middle = seen.labels[SIZE // 2 - 1 : SIZE // 2 + 1, SIZE // 2 - 1 : SIZE // 2 + 1]
    assert (middle == COVISIBLE).all()
    ratio, angle_deg = scale_and_angle(small, other, seen)
    assert ratio < 1.1
    assert angle_deg == pytest.approx(90, abs=10)


def test_dense_correspondences_are_where_the_point_is_seen():
    """A wall at 4 m and a sideways step of 10.25 px."""
    step_m = 10.25 * 4.0 / FOCAL
    seen = seen_from(view(pose(), wall(4.0)), view(pose(x=step_m), wall(4.0)))
    found = correspondences(seen)
    assert found.shape == (SIZE, SIZE, 2)
    assert found.dtype == np.float32
    columns, rows = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    inside = columns >= 10.25
    assert (np.isnan(found).all(axis=2) == ~inside).all()
    assert np.abs(found[inside][:, 0] - (columns - 10.25)[inside]).max() < 1e-3
    assert np.abs(found[inside][:, 1] - rows[inside]).max() < 1e-3


def test_both_ways_is_each_way():
    surfaces = wall(4.0), screen(2.0, -0.2, 0.2)
    one, two = view(pose(), *surfaces), view(pose(x=0.6, yaw_deg=-5), *surfaces)
    for found, expected in zip(
        seen_both(one, two), (seen_from(one, two), seen_from(two, one)), strict=True
    ):
        assert (found.labels == expected.labels).all()
        assert (correspondences(found) == correspondences(expected))[
            found.labels == COVISIBLE
        ].all()
    shares = covisible(one, two)
    assert shares.forward == covisible_share(labels(one, two))
    assert shares.backward == covisible_share(labels(two, one))


@pytest.mark.parametrize(
    ("tolerance", "expected"),
    [
        (Tolerance(relative=0.02, absolute_m=0.0), COVISIBLE),
        (Tolerance(relative=0.0, absolute_m=0.05), COVISIBLE),
        (Tolerance(relative=0.005, absolute_m=0.01), OCCLUDED),
        (Tolerance(relative=0.0, absolute_m=0.0), OCCLUDED),
    ],
)
def test_the_tolerance_is_a_share_of_the_depth_and_metres(tolerance, expected):
    """A wall that one view sees at 2 m and the other at 2.04 m."""
    near, far = view(pose(), wall(2.0)), view(pose(), wall(2.04))
    assert (labels(far, near, tolerance) == expected).all()
    in_front = COVISIBLE if expected == COVISIBLE else UNKNOWN
    assert (labels(near, far, tolerance) == in_front).all()
    shifted = view(pose(x=9.0), wall(2.0))
    assert (labels(near, shifted, tolerance) == OUTSIDE).all()


@pytest.mark.parametrize(("low", "high", "shift_px"), [(-0.2, 0.19, 0.3), (-0.19, 0.2, -0.3)])
def test_a_point_that_lands_in_a_neighbours_pixel_is_still_seen(low, high, shift_px):
    """The rim of a screen lands in a pixel whose middle sees the wall behind it."""
    surfaces = wall(4.0), screen(2.0, low, high)
    camera = pose(x=shift_px * 2 / FOCAL)  # so many pixels at the screen
    one, two = view(pose(), *surfaces), view(camera, *surfaces)
    on_screen = one.depth_m < 3
    assert (on_screen.sum(axis=1) > (two.depth_m < 3).sum(axis=1))[SIZE // 2], "a column less"
    assert (labels(one, two)[on_screen] == COVISIBLE).all()


@given(
    shift=st.tuples(*[st.floats(-1.5, 1.5)] * 3),
    yaw_deg=st.floats(-40, 40),
    tilt=st.floats(-0.5, 0.5),
)
def test_what_is_seen_is_seen_back(shift, yaw_deg, tilt):
    """Away from edges: a co-visible pixel lands on one that is co-visible the other way."""

    def slanted(camera):
        return plane_depth(camera, (tilt, 0, 1), 4.0)

    one, two = view(pose(), slanted), view(pose(*shift, yaw_deg=yaw_deg), slanted)
    forward, backward = seen_both(one, two)
    there = correspondences(forward)[forward.labels == COVISIBLE].astype(int)
    back = backward.labels[there[:, 1], there[:, 0]]
    rim = ((there == 0) | (there == SIZE - 1)).any(axis=1)
    x, y = backward.projected.x, backward.projected.y
    rim |= (np.minimum(np.abs(x), np.abs(x - SIZE)) < 2)[there[:, 1], there[:, 0]]
    rim |= (np.minimum(np.abs(y), np.abs(y - SIZE)) < 2)[there[:, 1], there[:, 0]]
    assert (back[~rim] == COVISIBLE).all()
