"""Rays through pixels: exact depth and normals, textures filtered by their footprint.

Embree finds which triangle a ray meets, and where. Rays have one unit along the optical axis, so
what it calls distance is depth; it is float32, within 1e-5 of the triangle's plane (measured on
scans and on a floor seen at a grazing angle). Colour is one filtered texture look-up a pixel,
without lighting, and the mean of several rays where surfaces meet that differ in colour.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimic.simulators.base import Camera, DepthImage, Rendering
from mimic.simulators.raycast.faces import FaceTable
from mimic.simulators.raycast.scene_mesh import SceneMesh
from mimic.types import Matrix, UInt8Image

Floats = NDArray[np.float64]

# Where surfaces meet a pixel is the mean of its centre's ray and of these around it.
_AROUND = 0.4 * np.array(
    [[np.cos(angle), np.sin(angle)] for angle in np.radians([75.0, 195.0, 315.0])]
)
_EDGE_CONTRAST = 24  # of 255, in any channel: less is not seen as a jagged edge
_LEAST_SLOPE = np.float32(1e-6)
_MAX_CUT_LAYERS = 8
_CHUNK = 16384  # rays shaded at once: what they need fits a core's cache


@dataclass(frozen=True, slots=True, eq=False)
class _Hits:
    """What N rays meet: ``ray`` (N,) their numbers, ``face`` (N,), barycentric ``first`` and
    ``second`` (N,) of the face's second and third corner, ``depth_m`` (N,), and ``slope``
    (N,): unit normal . direction, positive where the face is seen from behind.
    """  # noqa: D205

    ray: NDArray[np.intp]
    face: NDArray[np.int32]
    first: NDArray[np.float32]
    second: NDArray[np.float32]
    depth_m: NDArray[np.float32]
    slope: NDArray[np.float32]

    def taken(self, which: NDArray[np.bool_]) -> _Hits:
        """Some of the hits."""
        return _Hits(*(getattr(self, field.name)[which] for field in fields(self)))

    @classmethod
    def joined(cls, parts: list[_Hits]) -> _Hits:
        """All hits of parts that share no ray."""
        if len(parts) == 1:
            return parts[0]
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Raycaster:
    """Renders one mesh. All methods are functions of their arguments."""

    def __init__(self, mesh: SceneMesh) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._faces = FaceTable.of(mesh)
        self._scene: Any = EmbreeScene()
        self._geometry: Any = TriangleMesh(self._scene, mesh.triangles)

    def render(self, camera: Camera, cam_to_world: Matrix, *, normals: bool = False) -> Rendering:
        """A picture with depth, and normals where asked for; rims of holes are mixed with black.

        Args:
            camera: size and intrinsics.
            cam_to_world: (4, 4), metres, OpenCV axes.
            normals: whether to return them.
        """
        width, height = camera.size
        directions = _directions(camera, cam_to_world, _pixel_centres(camera.size))
        origin = cam_to_world[:3, 3]
        hits = self._cast(origin, directions)
        focal = float(np.sqrt(abs(camera.intrinsics[0, 0] * camera.intrinsics[1, 1])))
        colour = np.zeros((height * width, 3), np.uint8)
        colour[hits.ray] = self._shade(hits, focal, whole_levels=False)
        face = np.full(height * width, -1, np.int32)
        face[hits.ray] = hits.face
        self._smooth_edges(camera, cam_to_world, face, colour, focal)
        return Rendering(
            colour.reshape(height, width, 3),
            _depth_image(camera, hits),
            self._normals(camera, hits) if normals else None,
        )

    def depth(self, camera: Camera, cam_to_world: Matrix) -> DepthImage:
        """The depth of :meth:`render`, at a third of its cost."""
        directions = _directions(camera, cam_to_world, _pixel_centres(camera.size))
        hits = self._cast(cam_to_world[:3, 3], directions)
        return _depth_image(camera, hits)

    def _cast(self, origin: Floats, directions: Floats) -> _Hits:
        """What rays (3, N), with unit camera z, meet first, cut-outs left out."""
        rays = np.arange(directions.shape[1])
        hits = self._nearest(origin, directions, rays, None)
        solid: list[_Hits] = []
        for _ in range(_MAX_CUT_LAYERS if self._faces.cut_outs else 0):
            through = self._faces.is_cut_out(hits.face, hits.first, hits.second)
            if not through.any():
                break
            solid.append(hits.taken(~through))
            passed = hits.taken(through)
            hits = self._nearest(origin, directions, passed.ray, passed.depth_m)
        return _Hits.joined([*solid, hits])

    def _nearest(
        self,
        origin: Floats,
        directions: Floats,
        rays: NDArray[np.intp],
        beyond_m: NDArray[np.float32] | None,
    ) -> _Hits:
        """The first hits of some rays, behind a depth of each where given."""
        directions = directions if beyond_m is None else directions.take(rays, axis=1)
        towards = np.ascontiguousarray(directions.T, np.float32)
        start = np.empty_like(towards)
        start[:] = origin
        skipped = np.zeros(len(rays), np.float32)
        if beyond_m is not None:
            skipped = beyond_m * np.float32(1.0001) + np.float32(1e-5)
            start += towards * skipped[:, None]
        met = self._scene.run(start, towards, output=True)
        hit = np.flatnonzero(met["primID"] >= 0)
        face = met["primID"].take(hit)
        normal = self._faces.normals.take(face, axis=0)
        slope = np.einsum("na,na->n", normal, towards.take(hit, axis=0))
        depth = met["tfar"].take(hit) + skipped.take(hit)
        return _Hits(rays.take(hit), face, met["u"].take(hit), met["v"].take(hit), depth, slope)

    def _shade(self, hits: _Hits, focal_px: float, *, whole_levels: bool) -> UInt8Image:
        """Colours (N, 3) of hits."""
        colour = np.empty((len(hits.face), 3), np.uint8)
        for start in range(0, len(colour), _CHUNK):
            part = slice(start, start + _CHUNK)
            planes = self._faces.colours(
                hits.face[part],
                hits.first[part],
                hits.second[part],
                hits.depth_m[part] / np.float32(focal_px),
                np.maximum(np.abs(hits.slope[part]), _LEAST_SLOPE),
                whole_levels=whole_levels,
            )
            planes += np.float32(0.5)
            for channel, plane in enumerate(planes):
                colour[part, channel] = plane
        return colour

    def _smooth_edges(
        self,
        camera: Camera,
        cam_to_world: Matrix,
        face: NDArray[np.int32],
        colour: UInt8Image,
        focal_px: float,
    ) -> None:
        """Average several rays where neighbours differ in face and in colour; in place."""
        width, height = camera.size
        edge = np.flatnonzero(_edges(face.reshape(height, width), colour.reshape(height, width, 3)))
        if not len(edge):
            return
        pixels = np.stack([edge % width, edge // width]) + 0.5
        total = colour[edge].astype(np.uint16)
        fine_focal = focal_px * np.sqrt(len(_AROUND) + 1)
        for shift in _AROUND:
            directions = _directions(camera, cam_to_world, pixels + shift[:, None])
            hits = self._cast(cam_to_world[:3, 3], directions)
            total[hits.ray] += self._shade(hits, fine_focal, whole_levels=True)
        colour[edge] = (total + (len(_AROUND) + 1) // 2) // (len(_AROUND) + 1)

    def _normals(self, camera: Camera, hits: _Hits) -> NDArray[np.float32]:
        width, height = camera.size
        normals = np.zeros((height * width, 3), np.float32)
        facing = np.where(hits.slope > 0, np.float32(-1), np.float32(1))[:, None]
        normals[hits.ray] = self._faces.normals[hits.face] * facing
        return normals.reshape(height, width, 3)


def _pixel_centres(size: tuple[int, int]) -> Floats:
    """Continuous pixels (2, w * h), row by row."""
    width, height = size
    grid = np.empty((2, height, width))
    grid[0] = np.arange(width) + 0.5
    grid[1] = (np.arange(height) + 0.5)[:, None]
    return grid.reshape(2, -1)


def _directions(camera: Camera, cam_to_world: Matrix, pixels: Floats) -> Floats:
    """World directions (3, N) through pixels (2, N), one unit along the optical axis."""
    to_world = cam_to_world[:3, :3] @ np.linalg.inv(camera.intrinsics)
    return np.asarray(to_world[:, :2] @ pixels + to_world[:, 2:])


def _depth_image(camera: Camera, hits: _Hits) -> DepthImage:
    """Depth of the hits at their pixels (h, w), 0 elsewhere."""
    width, height = camera.size
    image = np.zeros(height * width, np.float32)
    image[hits.ray] = hits.depth_m
    return image.reshape(height, width)


def _edges(face: NDArray[np.int32], rgb: UInt8Image) -> NDArray[np.bool_]:
    """Pixels (h, w) that differ from a neighbour in face and visibly in colour."""
    values = rgb.astype(np.int16)
    edges = np.zeros(face.shape, bool)
    across = (face[:, 1:] != face[:, :-1]) & _differ(values[:, 1:], values[:, :-1])
    down = (face[1:] != face[:-1]) & _differ(values[1:], values[:-1])
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges


def _differ(one: NDArray[np.int16], other: NDArray[np.int16]) -> NDArray[np.bool_]:
    difference = np.abs(one - other) > _EDGE_CONTRAST
    return np.asarray(difference[..., 0] | difference[..., 1] | difference[..., 2])
