"""The embedded simulator: a mesh, rays to see it, and a floor map of it to walk on."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimic.errors import SourceError
from mimic.simulators.base import Camera, DepthImage, Point, Rendering
from mimic.simulators.raycast.render import Raycaster
from mimic.simulators.raycast.scene_mesh import SceneMesh, Up, load_scene
from mimic.types import Matrix

if TYPE_CHECKING:
    from mimic.simulators.raycast.floor import FloorMap


class RaycastSimulator:
    """One scene on the protocol :class:`mimic.simulators.base.Simulator`, by casting rays."""

    def __init__(
        self, path: Path, name: str, up: Up, *, agent_radius_m: float, agent_height_m: float
    ) -> None:
        """Load a scene; the floor is mapped when it is first asked for.

        Raises:
            SourceError: as :func:`load_scene`, and ``untextured`` where nothing on its surfaces
                could be recognised in a picture.
        """
        self._mesh: SceneMesh = load_scene(path, up)
        if not self._mesh.textured:
            raise SourceError(
                "untextured",
                f"{name}: the scene has neither textures nor vertex colours; export it with them",
            )
        self._agent = agent_radius_m, agent_height_m
        self._raycaster = Raycaster(self._mesh)

    @cached_property
    def _floor(self) -> FloorMap:
        from mimic.simulators.raycast.floor import FloorMap

        return FloorMap.of(self._mesh.triangles, *self._agent)

    @property
    def navigable_area_m2(self) -> float:
        """Floor that can be stood on."""
        return self._floor.area_m2

    def random_point(self, rng: np.random.Generator) -> Point:
        """A navigable point, uniform over the floor."""
        return self._floor.random_point(rng)

    def island_radius_m(self, point: Point) -> float:
        """How far the connected floor around a point reaches."""
        return self._floor.island_radius_m(point)

    def snap(self, point: Point) -> Point | None:
        """The nearest navigable point within reach."""
        return self._floor.snap(point)

    def step(self, start: Point, end: Point, *, slide: bool) -> Point:
        """Where one gets from ``start`` towards ``end``."""
        return self._floor.step(start, end, slide=slide)

    def render(self, camera: Camera, cam_to_world: Matrix, *, normals: bool = False) -> Rendering:
        """A picture with depth."""
        return self._raycaster.render(camera, cam_to_world, normals=normals)

    def depth(self, camera: Camera, cam_to_world: Matrix) -> DepthImage:
        """The depth alone."""
        return self._raycaster.depth(camera, cam_to_world)

    def close(self) -> None:
        """Nothing is held that outlives the object."""
