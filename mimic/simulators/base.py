"""What a walk asks of a simulator: somewhere to stand, a step, a picture.

World: metres, +y up, right-handed, whatever axes the scene's file has. Cameras: OpenCV axes (x
right, y down, z forward), poses camera-to-world; pixels are continuous, centres at +0.5. A *point*
is a (3,) float64 position on the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mimic.types import Matrix, UInt8Image

Point = NDArray[np.float64]
DepthImage = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera: ``size`` (width, height) in pixels and its (3, 3) ``intrinsics``."""

    size: tuple[int, int]
    intrinsics: Matrix

    @classmethod
    def pinhole(cls, size: tuple[int, int], hfov_deg: float) -> Camera:
        """Square pixels, the principal point in the middle, a horizontal field of view."""
        width, height = size
        focal = width / 2 / np.tan(np.radians(hfov_deg) / 2)
        return cls(size, np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]]))

    def scaled(self, factor: float) -> Camera:
        """The same view in other pixels, which stay square: each side rounded, at least one."""
        width, height = (max(1, round(side * factor)) for side in self.size)
        zoom = np.diag([width / self.size[0], width / self.size[0], 1.0])
        intrinsics = zoom @ self.intrinsics
        intrinsics[1, 2] += (height - self.size[1] * zoom[0, 0]) / 2  # rounding crops both edges
        return Camera((width, height), intrinsics)


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a camera sees.

    ``rgb`` (h, w, 3) uint8. ``depth_m`` (h, w) float32: distance along the optical axis, 0 where
    nothing is seen (a hole in the scan). ``normals`` (h, w, 3) float32: unit surface normals in the
    world, turned towards the camera, 0 where nothing is seen; None where they were not asked for.
    """

    rgb: UInt8Image
    depth_m: DepthImage
    normals: NDArray[np.float32] | None = None


class Simulator(Protocol):
    """One scene, loaded. All methods are functions of their arguments (law 1).

    Implementations raise :class:`mimic.errors.SourceError`, in one sentence that names the scene,
    where it cannot be loaded or has no floor to stand on.
    """

    @property
    def navigable_area_m2(self) -> float:
        """Floor that can be stood on; 0 where there is none."""
        ...

    def random_point(self, rng: np.random.Generator) -> Point:
        """A navigable point, uniform over the floor."""
        ...

    def island_radius_m(self, point: Point) -> float:
        """How far the connected floor around a navigable point reaches."""
        ...

    def snap(self, point: Point) -> Point | None:
        """The nearest navigable point; None where there is none within reach."""
        ...

    def step(self, start: Point, end: Point, *, slide: bool) -> Point:
        """Where one gets from a navigable point towards ``end``.

        Obstacles stop the step, or, with ``slide``, turn it along them.
        """
        ...

    def render(self, camera: Camera, cam_to_world: Matrix, *, normals: bool = False) -> Rendering:
        """A picture with depth, without lighting; (4, 4) ``cam_to_world``."""
        ...

    def depth(self, camera: Camera, cam_to_world: Matrix) -> DepthImage:
        """The depth of :meth:`render` alone, where that is cheaper."""
        ...

    def close(self) -> None:
        """Let go of what the scene holds (a graphics context, say)."""
        ...
