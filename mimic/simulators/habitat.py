"""Scenes rendered by habitat-sim 0.3, where that is installed (docs/scenes.md says how).

``habitat_sim`` is imported inside functions only: everything else here works without it. The calls
keep to habitat-sim's public Python interface as of 0.3.2 to 0.3.4.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import weakref
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from mimic.errors import MimicError, SourceError
from mimic.simulators.base import Camera, DepthImage, Point, Rendering
from mimic.simulators.opengl import agent_pose
from mimic.types import Matrix

CAMERAS = 4
"""Different cameras that one scene can be seen with: each keeps its own buffers on the GPU."""

_ORIENTATIONS = {"y": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)), "z": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0))}
"""Up and front of a file's axes. habitat turns up to +y and front to -z of the world: a Z-up file's
(x, y, z) becomes (x, z, -y), as in every simulator here."""

_Number = TypeVar("_Number", np.uint8, np.float32)
_current: weakref.ref[HabitatSimulator] | None = None


def installed() -> str | None:
    """The version of habitat-sim, None where it cannot be imported."""
    try:
        return str(importlib.import_module("habitat_sim").__version__)
    except ImportError:
        return None


def hfov_deg_of(camera: Camera) -> float:
    """The horizontal field of view of a camera that habitat can render.

    Raises:
        MimicError: pixels that are not square, skew, or a principal point off the centre.
    """
    width, height = camera.size
    focal = float(camera.intrinsics[0, 0])
    hfov_deg = float(np.degrees(2 * np.arctan2(width / 2, focal)))
    plain = Camera.pinhole(camera.size, hfov_deg).intrinsics
    if not np.allclose(camera.intrinsics, plain, rtol=0, atol=1e-6 * max(focal, width, height)):
        raise MimicError(
            f"a {width}x{height} camera with intrinsics {camera.intrinsics.tolist()} cannot be "
            "rendered by habitat: it needs square pixels and the principal point in the middle"
        )
    return hfov_deg


class HabitatSimulator:
    """A scene in habitat-sim; see :class:`mimic.simulators.base.Simulator`.

    There is one at a time in a process, as a process has one graphics context: opening another
    closes the one before. Where no graphics context can be made, habitat-sim ends the process.

    Args:
        path: the scene: a mesh (GLB, PLY, ...), or, with ``scene_dataset``, a scene instance.
        name: what messages call it.
        up: upward axis of the file, whatever a stage config says; with ``scene_dataset`` that
            decides instead.
        agent_radius_m: clearance, where the floor is computed.
        agent_height_m: head-room, where the floor is computed.
        scene_dataset: a ``*.scene_dataset_config.json``.
        gpu_device_id: CUDA device; -1 for whatever EGL finds first, software included.

    Raises:
        MimicError: habitat-sim is not installed.
        SourceError: the scene or its navmesh cannot be loaded.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        up: Literal["y", "z"],
        *,
        agent_radius_m: float = 0.1,
        agent_height_m: float = 1.5,
        scene_dataset: Path | None = None,
        gpu_device_id: int = 0,
    ) -> None:
        global _current  # the process has one graphics context
        self._sim: Any = None
        self._agents: dict[tuple[tuple[int, int], float, str], int] = {}
        self._path, self._name = path, name
        self._habitat = _module()
        for file in filter(None, (path, scene_dataset)):
            if not file.is_file():
                raise SourceError("missing_scene", f"{file}: there is no such file")
        before = _current() if _current is not None else None
        if before is not None:
            before.close()
        try:
            self._sim = self._opened(up, scene_dataset, gpu_device_id)
            _current = weakref.ref(self)
            self._lay_floor(agent_radius_m, agent_height_m, scene_dataset is not None)
        except BaseException as error:
            self.close()
            if isinstance(error, MimicError) or not isinstance(error, Exception):
                raise
            raise SourceError(
                "broken_scene", f"{name}: habitat-sim cannot load the scene ({_line(error)})"
            ) from error

    @property
    def navigable_area_m2(self) -> float:
        """See :class:`mimic.simulators.base.Simulator`."""
        floor = self._floor
        return float(floor.navigable_area) if floor.is_loaded else 0.0

    def random_point(self, rng: np.random.Generator) -> Point:
        """A navigable point; habitat's own generator (C's ``rand``) is seeded by one draw."""
        if not self.navigable_area_m2 > 0:
            raise SourceError("no_floor", f"{self._name}: has no floor to stand on")
        self._floor.seed(int(rng.integers(2**32)))
        point = _point_of(self._floor.get_random_navigable_point())
        if not np.isfinite(point).all():
            raise SourceError("no_floor", f"{self._name}: no navigable point is found")
        return point

    def island_radius_m(self, point: Point) -> float:
        """See :class:`mimic.simulators.base.Simulator`."""
        return float(self._floor.island_radius(_vector(point)))

    def snap(self, point: Point) -> Point | None:
        """The nearest navigable point; habitat looks 2 m around and 4 m up and down."""
        snapped = _point_of(self._floor.snap_point(_vector(point)))
        return snapped if np.isfinite(snapped).all() else None

    def step(self, start: Point, end: Point, *, slide: bool) -> Point:
        """See :class:`mimic.simulators.base.Simulator`."""
        floor = self._floor
        move = floor.try_step if slide else floor.try_step_no_sliding
        return _point_of(move(_vector(start), _vector(end)))

    def render(self, camera: Camera, cam_to_world: Matrix, *, normals: bool = False) -> Rendering:
        """A picture and its depth. Habitat has no normals: they are None even where asked for."""
        images = self._seen(camera, cam_to_world, ("color", "depth"))
        return Rendering(rgb=_copied(images["color"][..., :3]), depth_m=_copied(images["depth"]))

    def depth(self, camera: Camera, cam_to_world: Matrix) -> DepthImage:
        """See :class:`mimic.simulators.base.Simulator`."""
        return _copied(self._seen(camera, cam_to_world, ("depth",))["depth"])

    def close(self) -> None:
        """Let go of the graphics context. A closed simulator cannot be used again."""
        sim, self._sim = self._sim, None
        if sim is not None:
            sim.close()

    @property
    def _floor(self) -> Any:
        return self._opened_sim.pathfinder

    @property
    def _opened_sim(self) -> Any:
        if self._sim is None:
            raise RuntimeError(f"{self._name}: closed, perhaps as another scene was opened")
        return self._sim

    def _opened(self, up: Literal["y", "z"], scene_dataset: Path | None, gpu: int) -> Any:
        habitat = self._habitat
        settings = habitat.SimulatorConfiguration()
        settings.scene_id = str(self._path)
        settings.gpu_device_id = gpu
        settings.enable_physics = False
        settings.load_semantic_mesh = False
        settings.override_scene_light_defaults = True
        settings.scene_light_setup = habitat.gfx.NO_LIGHT_KEY
        mediator = None
        if scene_dataset is not None:
            settings.scene_dataset_config_file = str(scene_dataset)
        else:
            mediator = self._mediator(settings, up)
        # Sensors can be added to an agent later, agents to a simulator cannot. The first agent's
        # sensor is never drawn: it makes habitat load textures.
        agents = [habitat.AgentConfiguration() for _ in range(1 + 2 * CAMERAS)]
        agents[0].sensor_specifications = [self._sensor("textures", "color", (16, 16), 90.0)]
        return habitat.Simulator(habitat.Configuration(settings, agents, mediator))

    def _mediator(self, settings: Any, up: Literal["y", "z"]) -> Any:
        """What habitat knows of the scene, with our axes: it takes any bare .glb for Z-up."""
        mediator = self._habitat.metadata.MetadataMediator(settings)
        stages = mediator.stage_template_manager
        stage = stages.create_template(str(self._path), False)
        stage.orient_up, stage.orient_front = map(_vector, _ORIENTATIONS[up])
        stages.register_template(stage, str(self._path))
        return mediator

    def _lay_floor(self, radius_m: float, height_m: float, furnished: bool) -> None:
        """The navmesh beside the scene, else the one that habitat found, else a computed one."""
        floor = self._floor
        file = navmesh_beside(self._path)
        if file is not None:
            if not floor.load_nav_mesh(str(file)):
                raise SourceError(
                    "broken_navmesh",
                    f"{file}: is no navmesh that habitat-sim reads; remove it to have it computed",
                )
            return
        if floor.is_loaded:  # a stage config or a data set named one
            return
        settings = self._habitat.NavMeshSettings()
        settings.set_defaults()
        settings.agent_radius = radius_m
        settings.agent_height = height_m
        settings.include_static_objects = furnished
        self._opened_sim.recompute_navmesh(floor, settings)  # False where there is no floor

    def _sensor(self, uuid: str, kind: str, size: tuple[int, int], hfov_deg: float) -> Any:
        habitat = self._habitat
        spec = habitat.CameraSensorSpec()
        spec.uuid = uuid
        spec.sensor_type = getattr(habitat.SensorType, kind.upper())
        spec.resolution = importlib.import_module("magnum").Vector2i(size[1], size[0])
        spec.position = _vector((0.0, 0.0, 0.0))
        spec.hfov = hfov_deg
        return spec

    def _agent_with(self, camera: Camera, kind: str) -> int:
        """The agent whose only sensor this is: habitat draws all sensors of an agent at once."""
        size, hfov_deg = camera.size, hfov_deg_of(camera)
        agent = self._agents.get((size, hfov_deg, kind))
        if agent is None:
            agent = 1 + len(self._agents)
            if agent > 2 * CAMERAS:
                raise MimicError(
                    f"{self._name}: more than {CAMERAS} different cameras in one scene; use "
                    "fewer sizes and fields of view"
                )
            sensor = self._sensor(f"{kind}_{agent}", kind, size, hfov_deg)
            self._opened_sim.add_sensor(sensor, agent)
            self._agents[size, hfov_deg, kind] = agent
        return agent

    def _seen(self, camera: Camera, cam_to_world: Matrix, kinds: tuple[str, ...]) -> dict[str, Any]:
        position, (w, x, y, z) = agent_pose(cam_to_world)
        agents = {kind: self._agent_with(camera, kind) for kind in kinds}
        for agent in agents.values():
            state = self._habitat.AgentState(position=position, rotation=[x, y, z, w])
            self._opened_sim.get_agent(agent).set_state(state)
        seen = self._opened_sim.get_sensor_observations(agent_ids=list(agents.values()))
        return {kind: seen[agent][f"{kind}_{agent}"] for kind, agent in agents.items()}


def navmesh_beside(path: Path) -> Path | None:
    """The first of :func:`navmesh_names` that is there."""
    files = (path.parent / name for name in navmesh_names(path.name))
    return next((file for file in files if file.is_file()), None)


def navmesh_names(scene: str) -> tuple[str, ...]:
    """Where the data sets keep the navmesh of a scene file, relative to its folder.

    ``room.navmesh`` for ``room.glb``; ``room.basis.navmesh`` in HM3D; the one of Replica's
    ``mesh.ply`` lies elsewhere.
    """
    stem = scene.rpartition(".")[0]
    names = (f"{stem}.navmesh", f"{stem}.basis.navmesh")
    return (*names, "habitat/mesh_semantic.navmesh") if scene == "mesh.ply" else names


def _module() -> Any:
    # Set before the import, and only where the user has not: habitat-sim prints pages otherwise.
    for name in ("HABITAT_SIM_LOG", "MAGNUM_LOG"):
        os.environ.setdefault(name, "quiet")
    with contextlib.suppress(ModuleNotFoundError):
        # numpy-quaternion first: habitat-sim's own tests say that the other order may crash.
        importlib.import_module("quaternion")
    try:
        return importlib.import_module("habitat_sim")
    except ModuleNotFoundError as error:
        if error.name != "habitat_sim":
            raise MimicError(
                f"habitat-sim cannot be imported ({error}): install it anew"
            ) from error
        raise MimicError(
            "habitat-sim is not installed: docs/scenes.md says how to install it, or use "
            "--kind raycast, which needs nothing more"
        ) from error
    except ImportError as error:
        raise MimicError(
            f"habitat-sim cannot be imported ({_line(error)}): install it as docs/scenes.md says, "
            "or use --kind raycast, which needs nothing more"
        ) from error


def _vector(point: Point | tuple[float, float, float]) -> Any:
    """Habitat's functions on points take magnum's vectors, nothing else for certain."""
    x, y, z = (float(value) for value in point)
    return importlib.import_module("magnum").Vector3(x, y, z)


def _point_of(vector: Any) -> Point:
    return np.array([float(vector[axis]) for axis in range(3)])


def _copied(image: NDArray[_Number]) -> NDArray[_Number]:
    """Habitat hands out views of buffers that the next picture overwrites."""
    return np.array(image, order="C")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
