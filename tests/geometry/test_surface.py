"""Each pixel of depth as a plane."""

from __future__ import annotations

import numpy as np
import pytest
from covisibility_scenes import SIZE, K, Scene, box, pixel_rays, plane, sphere
from hypothesis import given, settings
from hypothesis import strategies as st

from mimic.geometry.surface import inner, normals_from_depth, surface_of

ORIGIN = np.eye(4)


@settings(deadline=None, max_examples=60)
@given(
    normal=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    at=st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98)),
)
def test_depth_between_pixels_of_a_plane_is_exact(normal, at):
    view = Scene((plane((*normal, 1.0), 3.0),)).view(ORIGIN)
    x, y = np.float32(at[0] * SIZE), np.float32(at[1] * SIZE)
    if view.depth_m[int(y), int(x)] == 0:
        return
    surface = surface_of(view.depth_m)
    cell = np.array([(int(y) + 1) * (SIZE + 2) + int(x) + 1])
    found = surface.inverse_depth(cell, np.float32([x + 1]), np.float32([y + 1]))[0]
    ray = np.linalg.inv(K) @ [x, y, 1.0]
    expected = np.array([*normal, 1.0]) @ ray / 3.0
    assert found == pytest.approx(expected, rel=2e-3, abs=2e-4)


def test_an_edge_bends_no_surface():
    """Beside a jump the slope is that of the pixel's own side, or none."""
    scene = Scene((plane((0.5, 0, 1), 5.0), box((-0.5, -9, 2), (0.5, 9, 2))))
    view = scene.view(ORIGIN)
    slopes = inner(surface_of(view.depth_m).slope_x, (SIZE, SIZE))
    behind, screen = 0.5 / 5.0 / K[0, 0], view.depth_m == 2
    assert screen.any()
    assert not slopes[screen].any()
    own = np.abs(slopes - behind) < 1e-6
    assert (own | (slopes == 0))[~screen].all()
    assert own[~screen].mean() > 0.95


@pytest.mark.parametrize("depth", [0.0, -1.0, np.inf, np.nan])
def test_what_is_no_depth_is_no_surface_and_gives_no_slope(depth):
    image = np.full((8, 9), 2.0, np.float32)
    image[3, 4] = depth
    surface = surface_of(image)
    known = np.ones((8, 9), bool)
    known[3, 4] = False
    assert (surface.known == known).all()
    assert not inner(surface.slope_x, (9, 8))[known].any()
    assert not inner(surface.slope_y, (9, 8))[known].any()


def test_steep_planes_are_not_mixtures_and_mixtures_are():
    floor = Scene((plane((0, 1, 0), 0.3),)).view(ORIGIN).depth_m
    assert (surface_of(floor, 0.02).known == (floor > 0)).all()
    for between in (2.5, 3.0, 3.6):
        step = np.full((9, 9), 4.0, np.float32)
        step[:, :4], step[:, 4] = 2.0, between
        assert (surface_of(step, 0.05).known == (np.arange(9) != 4)).all()
        assert ((np.arange(9) != 4) == surface_of(step.T.copy(), 0.05).known.T).all()
        assert surface_of(step, 0.9).known.all()
    assert surface_of(np.full((1, 1), 2.0, np.float32), 0.1).known.all(), "one pixel is a picture"


@pytest.mark.parametrize("normal", [(0, 0, -1), (0.6, 0, -0.8), (-0.3, 0.5, -0.6), (0, -1, 0.1)])
def test_normals_of_planes_are_exact_and_face_the_camera(normal):
    unit = np.array(normal, float) / np.linalg.norm(normal)
    depth = Scene((plane(unit, -2.0),)).view(ORIGIN).depth_m
    found, known = normals_from_depth(depth, K), depth > 0
    assert found.dtype == np.float32
    assert known.any()
    assert np.abs(found[known] - unit).max() < 2e-3
    assert not found[~known].any()


def test_normals_of_a_sphere_point_outwards():
    view = Scene((sphere((0, 0, 3), 1.0),)).view(ORIGIN)
    points = (pixel_rays() * view.depth_m.ravel()).T.reshape(SIZE, SIZE, 3)
    found = normals_from_depth(view.depth_m, K)
    inside = np.hypot(points[..., 0], points[..., 1]) < 0.7
    inside &= view.depth_m > 0
    assert inside.sum() > 1000
    cosine = (found * (points - [0, 0, 3])).sum(axis=2)[inside]
    assert cosine.min() > 0.995
