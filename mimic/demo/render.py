"""Ray casting of a scene in NumPy: exact depth, textures filtered by their footprint.

Pinhole camera, OpenCV axes (x right, y down, z forward), camera-to-world poses, metres; pixels are
continuous with centres at +0.5. Depth is along the optical axis, of the ray through the pixel's
centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.demo.scene import FACE_AXES, LEVELS, TEXELS_PER_M, Atlas, Scene
from mimic.types import Matrix, UInt8Image

_NEAR_M = 0.05
_SUBPIXELS = np.array([[-0.25, 0.25, -0.25, 0.25], [-0.25, -0.25, 0.25, 0.25]])
_CORNERS = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)], bool)
_EDGES = np.array([[i, i | bit] for bit in (1, 2, 4) for i in range(8) if not i & bit])
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rendering:
    """One frame and its camera.

    ``rgb`` (H, W, 3) uint8, ``depth_m`` (H, W) float64, ``face`` (H, W) the index of the visible
    face (:class:`mimic.demo.scene.Scene`), ``intrinsics`` (3, 3), ``cam_to_world`` (4, 4).
    """

    rgb: UInt8Image
    depth_m: Floats
    face: Ints
    intrinsics: Matrix
    cam_to_world: Matrix


@dataclass(frozen=True, slots=True)
class _Hits:
    """What rays meet: depth (N,), face (N,), directions (3, N) with unit camera z."""

    depth_m: Floats
    face: Ints
    direction: Floats


def pinhole(size: tuple[int, int], fov_deg: float) -> Matrix:
    """Intrinsics (3, 3) of a camera with square pixels and a horizontal field of view."""
    width, height = size
    focal = width / 2 / np.tan(np.radians(fov_deg) / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def render(
    scene: Scene, intrinsics: Matrix, cam_to_world: Matrix, size: tuple[int, int]
) -> Rendering:
    """See ``scene`` from a camera inside the room and outside the furniture.

    Args:
        scene: what is seen.
        intrinsics: (3, 3), in pixels of ``size``.
        cam_to_world: (4, 4), metres, OpenCV axes.
        size: (width, height) of the frame.
    """
    width, height = size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([x.ravel(), y.ravel()])
    hits = _cast(scene, intrinsics, cam_to_world, pixels)
    colour = _shade(scene, intrinsics, cam_to_world, hits)
    face = hits.face.reshape(height, width)
    edge = np.flatnonzero(_at_edges(face))
    if len(edge):  # where faces meet one ray a pixel would be jagged: average four
        fine = (pixels[:, edge, None] + _SUBPIXELS[:, None, :]).reshape(2, -1)
        fine_hits = _cast(scene, intrinsics, cam_to_world, fine)
        fine_colour = _shade(scene, intrinsics, cam_to_world, fine_hits)
        colour[edge] = fine_colour.reshape(len(edge), -1, 3).mean(axis=1)
    rgb = np.rint(colour).astype(np.uint8).reshape(height, width, 3)
    depth_m = hits.depth_m.reshape(height, width)
    return Rendering(rgb, depth_m, face, intrinsics, cam_to_world)


def _at_edges(face: Ints) -> NDArray[np.bool_]:
    """Pixels with another face to their right, left, top or bottom; flattened."""
    edges = np.zeros(face.shape, bool)
    across, down = face[:, 1:] != face[:, :-1], face[1:] != face[:-1]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges.ravel()


def _cast(scene: Scene, intrinsics: Matrix, cam_to_world: Matrix, pixels: Floats) -> _Hits:
    """Nearest face along the rays through ``pixels`` (2, N)."""
    rotation, origin = cam_to_world[:3, :3], cam_to_world[:3, 3]
    to_world = rotation @ np.linalg.inv(intrinsics)
    direction = to_world[:, :2] @ pixels + to_world[:, 2:]
    direction[direction == 0] = 1e-12
    per_unit = 1.0 / direction
    depth, face = _leave_room(scene, origin, direction, per_unit)
    for box in range(1, len(scene.boxes)):
        rays = _rays_towards(scene, box, intrinsics, cam_to_world, pixels)
        if len(rays):
            _enter_box(scene, box, origin, per_unit, rays, depth, face)
    return _Hits(depth, face, direction)


def _leave_room(
    scene: Scene, origin: Floats, direction: Floats, per_unit: Floats
) -> tuple[Floats, Ints]:
    """Where rays from inside the room leave it."""
    positive = direction > 0
    wall = np.where(positive, scene.high[0][:, None], scene.low[0][:, None])
    exits = (wall - origin[:, None]) * per_unit
    depth = np.minimum(np.minimum(exits[0], exits[1]), exits[2])
    axis = np.where(exits[0] == depth, 0, np.where(exits[1] == depth, 1, 2))
    return depth, 2 * axis + np.choose(axis, positive)


def _enter_box(
    scene: Scene, box: int, origin: Floats, per_unit: Floats, rays: Ints, depth: Floats, face: Ints
) -> None:
    """Slab test of some rays against one box; nearer hits replace ``depth`` and ``face``."""
    slopes = per_unit[:, rays]
    to_low = (scene.low[box] - origin)[:, None] * slopes
    to_high = (scene.high[box] - origin)[:, None] * slopes
    near, far = np.minimum(to_low, to_high), np.maximum(to_low, to_high)
    entry = np.maximum(np.maximum(near[0], near[1]), near[2])
    leave = np.minimum(np.minimum(far[0], far[1]), far[2])
    hit = np.flatnonzero((entry < leave) & (entry > 0) & (entry < depth[rays]))
    axis = np.argmax(near[:, hit], axis=0)
    depth[rays[hit]] = entry[hit]
    face[rays[hit]] = 6 * box + 2 * axis + (slopes[axis, hit] < 0)


def _rays_towards(
    scene: Scene, box: int, intrinsics: Matrix, cam_to_world: Matrix, pixels: Floats
) -> Ints:
    """Columns of the pixels inside the bounding rectangle of a box's projection."""
    corners = np.where(_CORNERS, scene.high[box], scene.low[box])
    camera = _before_camera((corners - cam_to_world[:3, 3]) @ cam_to_world[:3, :3])
    if not len(camera):
        return np.empty(0, np.int64)
    projected = camera @ intrinsics.T
    xy = projected[:, :2] / projected[:, 2:]
    (left, top), (right, bottom) = xy.min(axis=0), xy.max(axis=0)
    x, y = pixels
    return np.flatnonzero((x > left) & (x < right) & (y > top) & (y < bottom))


def _before_camera(corners: Floats) -> Floats:
    """Corners (8, 3) in camera axes of a box, cut off at the near plane: points (M, 3)."""
    z = corners[:, 2]
    ahead = z >= _NEAR_M
    if ahead.all():
        return corners
    start, end = _EDGES[ahead[_EDGES[:, 0]] != ahead[_EDGES[:, 1]]].T
    share = ((_NEAR_M - z[start]) / (z[end] - z[start]))[:, None]
    return np.vstack([corners[ahead], corners[start] + share * (corners[end] - corners[start])])


def _shade(scene: Scene, intrinsics: Matrix, cam_to_world: Matrix, hits: _Hits) -> Floats:
    """Colours (N, 3) of the hits, 0..255, from the mip levels that fit a pixel's footprint."""
    box, axis = hits.face // 6, hits.face % 6 // 2
    point = cam_to_world[:3, 3:] + hits.direction * hits.depth_m
    columns, rows = np.array(FACE_AXES).T[:, axis]
    u = (np.choose(columns, point) - scene.low[box, columns]) * TEXELS_PER_M
    v = (scene.high[box, rows] - np.choose(rows, point)) * TEXELS_PER_M
    level = np.clip(np.log2(_footprint_texels(intrinsics, cam_to_world, hits, axis)), 0, LEVELS - 2)
    lower = level.astype(np.int64)
    blend = (level - lower)[:, None].astype(np.float32)
    coarse = _sample(scene.atlas, hits.face, lower + 1, u, v)
    fine = _sample(scene.atlas, hits.face, lower, u, v)
    return (fine + (coarse - fine) * blend).astype(np.float64)


def _footprint_texels(intrinsics: Matrix, cam_to_world: Matrix, hits: _Hits, axis: Ints) -> Floats:
    """The side in texels of the square over which a pixel is averaged.

    Between the short and the long side of its true footprint, nearer the long one, which shimmers
    least.
    """
    towards = np.choose(axis, hits.direction)
    sides = []
    for column, focal in ((0, intrinsics[0, 0]), (1, intrinsics[1, 1])):
        step = cam_to_world[:3, column] / focal
        move = step[:, None] - hits.direction * (step[axis] / towards)
        sides.append(np.einsum("an,an->n", move, move))
    longer, shorter = np.maximum(*sides), np.minimum(*sides)
    return np.asarray(longer**0.35 * shorter**0.15 * hits.depth_m * TEXELS_PER_M)


def _sample(atlas: Atlas, face: Ints, level: Ints, u: Floats, v: Floats) -> NDArray[np.float32]:
    """Bilinear colours (N, 3) of one mip level each; ``u``, ``v`` in texels of level 0."""
    entry = face * LEVELS + level
    width, height, offset = (
        table.ravel()[entry] for table in (atlas.width, atlas.height, atlas.offset)
    )
    shrink = np.ldexp(np.float32(1), -level)
    x = np.clip(u * shrink - 0.5, 0, width - 1)
    y = np.clip(v * shrink - 0.5, 0, height - 1)
    x0, y0 = x.astype(np.int32), y.astype(np.int32)
    fx, fy = ((x - x0)[:, None]).astype(np.float32), ((y - y0)[:, None]).astype(np.float32)
    right, below = (x0 + 1 < width).astype(np.int32), np.where(y0 + 1 < height, width, 0)
    corner = offset + y0 * width + x0

    def texel(at: NDArray[np.int32]) -> NDArray[np.float32]:
        return atlas.texels[at].view(np.uint8).reshape(-1, 4).astype(np.float32)

    top = texel(corner)
    top += (texel(corner + right) - top) * fx
    bottom = texel(corner + below)
    bottom += (texel(corner + below + right) - bottom) * fx
    return (top + (bottom - top) * fy)[:, :3]
