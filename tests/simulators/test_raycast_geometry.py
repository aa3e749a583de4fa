from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from raycast_scenes import QUAD, QUAD_FACES, looking, mesh_of, noise, quad_mesh, rays

from mimic.simulators.base import Camera
from mimic.simulators.raycast import Raycaster

RELATIVE = 1e-4
ODD = Camera((97, 61), np.array([[70.0, 0, 40.3], [0, 83.0, 33.9], [0, 0, 1]]))


def room(size: tuple[float, float, float]) -> NDArray[np.float64]:
    """The inside of a box that stands on y = 0 with its middle over the origin."""
    box = trimesh.creation.box(extents=size)
    return np.asarray(box.triangles) + np.array([0, size[1] / 2, 0])


def depth_inside(size: NDArray[np.float64], eye: NDArray[np.float64], way: NDArray[np.float64]):
    """Exact depth and normals of the walls of :func:`room`, by slabs."""
    low, high = (
        np.array([-size[0] / 2, 0, -size[2] / 2]),
        np.array([size[0] / 2, size[1], size[2] / 2]),
    )
    exits = np.where(way > 0, high - eye, low - eye) / way
    axis = exits.argmin(axis=-1)
    normal = -np.sign(way) * (axis[..., None] == np.arange(3))
    return exits.min(axis=-1), normal


def brute_force(triangles: NDArray[np.float64], eye: NDArray[np.float64], way: NDArray[np.float64]):
    """Depth (N,) of the nearest triangle along each ray (N, 3), 0 where none: Moeller-Trumbore."""
    corner, one, two = (
        triangles[:, 0],
        triangles[:, 1] - triangles[:, 0],
        triangles[:, 2] - triangles[:, 0],
    )
    across = np.cross(way[:, None], two[None])
    determinant = (one * across).sum(-1)
    to_eye = eye - corner
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (to_eye * across).sum(-1) / determinant
        sideways = np.cross(to_eye, one)
        v = way @ sideways.T / determinant
        depth = (two * sideways).sum(-1) / determinant
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (depth > 0)
    nearest = np.where(hit, depth, np.inf).min(axis=1)
    return np.where(np.isfinite(nearest), nearest, 0)


@pytest.mark.parametrize("seed", range(4))
def test_depth_and_normals_of_a_room_are_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.uniform(3, 40, 3)
    eye = rng.uniform(-0.4, 0.4, 3) * size + [0, size[1] / 2, 0]
    pose = looking(eye, eye + rng.normal(size=3), up=rng.normal(size=3))
    seen = Raycaster(mesh_of(room(tuple(size)))).render(ODD, pose, normals=True)
    depth, normals = depth_inside(size, eye, rays(ODD, pose))
    np.testing.assert_allclose(seen.depth_m, depth, rtol=RELATIVE)
    assert seen.normals is not None
    wall = np.abs(seen.normals - normals).max(axis=-1) < RELATIVE
    assert wall.mean() > 0.995  # a ray into a corner may meet either wall


def test_depth_stays_exact_along_a_grazing_floor() -> None:
    floor = np.array([[-500, 0, -500], [500, 0, -500], [500, 0, 500], [-500, 0, 500]])[QUAD_FACES]
    pose = looking((0.3, 1.5, 480), (0.2, 1.49, 0))
    seen = Raycaster(mesh_of(floor)).depth(ODD, pose)
    way = rays(ODD, pose)
    with np.errstate(divide="ignore"):
        depth = -1.5 / way[..., 1]
    shown = (way[..., 1] < 0) & (depth < 900)
    assert depth[shown].max() > 150
    np.testing.assert_allclose(seen[shown], depth[shown], rtol=RELATIVE)
    assert (seen[way[..., 1] > 0] == 0).all()


def test_depth_of_a_sphere_is_that_of_its_triangles() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=1.3)
    eye = np.array([2.0, 1.1, 2.4])
    pose = looking(eye, (0.1, 0, 0.05))
    seen = Raycaster(mesh_of(ball.triangles)).render(ODD, pose, normals=True)
    way = rays(ODD, pose).reshape(-1, 3)
    triangles = np.asarray(ball.triangles, np.float32).astype(np.float64)
    depth = brute_force(triangles, eye, way).reshape(seen.depth_m.shape)
    both = (depth > 0) & (seen.depth_m > 0)
    assert ((depth > 0) != (seen.depth_m > 0)).sum() <= 2  # rays along the rim
    assert both.mean() > 0.2
    np.testing.assert_allclose(seen.depth_m[both], depth[both], rtol=RELATIVE)
    point = eye + way.reshape(*depth.shape, 3) * seen.depth_m[..., None]
    sagitta = 1.3 * (1 - np.cos(0.5 * np.max(ball.face_adjacency_angles) * 1.2))
    radius = np.linalg.norm(point[both], axis=-1)
    assert ((radius < 1.3 + 1e-4) & (radius > 1.3 - 4 * sagitta)).all()
    assert seen.normals is not None
    np.testing.assert_allclose(np.linalg.norm(seen.normals[both], axis=-1), 1, atol=1e-5)
    assert ((seen.normals[both] * way.reshape(*depth.shape, 3)[both]).sum(-1) < 0).all()


def test_what_a_pixel_sees_projects_back_onto_it() -> None:
    pose = looking((1.0, 1.2, 3.0), (0.2, 1.0, -0.5))
    seen = Raycaster(mesh_of(room((6, 3, 8)))).render(ODD, pose)
    point = pose[:3, 3] + rays(ODD, pose) * seen.depth_m[..., None]
    on_wall = np.abs(
        np.stack(
            [
                np.abs(point[..., 0]) - 3,
                np.abs(point[..., 1] - 1.5) - 1.5,
                np.abs(point[..., 2]) - 4,
            ]
        )
    ).min(axis=0)
    assert on_wall.max() < 1e-4
    camera_point = (point - pose[:3, 3]) @ pose[:3, :3]
    projected = camera_point @ ODD.intrinsics.T
    x, y = np.meshgrid(np.arange(97) + 0.5, np.arange(61) + 0.5)
    np.testing.assert_allclose(projected[..., 0] / projected[..., 2], x, atol=1e-4)
    np.testing.assert_allclose(projected[..., 1] / projected[..., 2], y, atol=1e-4)


def test_a_quad_covers_the_pixels_whose_centres_its_outline_holds() -> None:
    pose = looking((0.4, 0.3, 2.0), (0.05, -0.1, 0))
    seen = Raycaster(quad_mesh(noise((8, 8)))).depth(ODD, pose)
    outline = (QUAD - pose[:3, 3]) @ pose[:3, :3] @ ODD.intrinsics.T
    corners = outline[:, :2] / outline[:, 2:]
    x, y = np.meshgrid(np.arange(97) + 0.5, np.arange(61) + 0.5)
    sides = []
    for one, two in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = two - one
        sides.append(along[0] * (y - one[1]) - along[1] * (x - one[0]))
    inside = (np.stack(sides) < 0).all(axis=0)
    assert 0.1 < inside.mean() < 0.9
    assert ((seen > 0) == inside).all()


def test_surfaces_are_seen_from_both_sides_and_holes_are_black() -> None:
    caster = Raycaster(quad_mesh(np.full((4, 4, 3), 200, np.uint8)))
    camera = Camera.pinhole((64, 64), 90)
    for side in (3.0, -3.0):
        seen = caster.render(camera, looking((0, 0, side), (0, 0, 0)), normals=True)
        middle = seen.depth_m[32, 32]
        assert middle == pytest.approx(3, rel=1e-6)
        assert seen.normals is not None
        np.testing.assert_allclose(seen.normals[32, 32], (0, 0, np.sign(side)), atol=1e-6)
        assert (seen.rgb[32, 32] == 200).all()
        assert (seen.depth_m[0] == 0).all()
        assert (seen.rgb[0] == 0).all()
        assert (seen.normals[0] == 0).all()
    away = caster.render(camera, looking((0, 0, 3), (0, 0, 6)))
    assert not away.depth_m.any()
    assert not away.rgb.any()


def test_depth_alone_is_the_rendering_s() -> None:
    caster = Raycaster(mesh_of(room((5, 3, 4))))
    pose = looking((0.5, 1.1, 0.2), (2, 1, -2))
    seen = caster.render(ODD, pose)
    assert seen.normals is None
    assert (caster.depth(ODD, pose) == seen.depth_m).all()
    assert seen.depth_m.dtype == np.float32
    assert seen.depth_m.shape == seen.rgb.shape[:2] == (61, 97)


def test_the_same_arguments_give_the_same_bytes() -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    uv = np.random.default_rng(0).uniform(size=(len(ball.faces), 3, 2))
    mesh = mesh_of(ball.triangles, uv, noise((64, 64)))
    pose = looking((1.5, 1, 2), (0, 0, 0))
    first = Raycaster(mesh)
    pictures = [
        caster.render(ODD, pose, normals=True) for caster in (first, Raycaster(mesh), first)
    ]
    for other in pictures[1:]:
        assert (other.rgb == pictures[0].rgb).all()
        assert (other.depth_m == pictures[0].depth_m).all()
        assert other.normals is not None
        assert (other.normals == pictures[0].normals).all()
