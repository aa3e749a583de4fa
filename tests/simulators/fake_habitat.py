"""A stand-in for ``habitat_sim`` and ``magnum``: signatures as in 0.3.3, and it notes the calls.

Its world is a floor of 4 x 4 m at y = 0 with a wall at x = 2. It is strict where habitat is: points
must be magnum vectors, attributes must exist, sensors need a renderer with textures, and pictures
are views of buffers that are drawn over.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest


class Vector3:
    def __init__(self, x: float, y: float, z: float) -> None:
        self.values = tuple(np.float32([x, y, z]))

    def __getitem__(self, axis: int) -> float:
        return float(self.values[axis])


class Vector2i(Vector3):
    def __init__(self, x: int, y: int) -> None:
        self.values = (x, y)


class Strict:
    """Like a pybind class: an attribute that it does not have cannot be set by mistake."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        object.__setattr__(self, name, value)


class SimulatorConfiguration(Strict):
    scene_id = ""
    scene_dataset_config_file = "default"
    gpu_device_id = 0
    random_seed = 0
    allow_sliding = True
    enable_physics = False
    load_semantic_mesh = True
    override_scene_light_defaults = False
    scene_light_setup = "no_lights"


class CameraSensorSpec(Strict):
    uuid = "rgba_camera"
    sensor_type = None
    resolution = Vector2i(128, 128)
    position = Vector3(0, 1.5, 0)
    channels = 4
    hfov = 90.0


class AgentConfiguration(Strict):
    sensor_specifications: Any = None

    def __init__(self) -> None:
        self.sensor_specifications = []


class NavMeshSettings(Strict):
    agent_radius = -1.0
    agent_height = -1.0
    include_static_objects = False

    def set_defaults(self) -> None:
        self.agent_radius, self.agent_height = 0.1, 1.5


@dataclass
class AgentState:
    position: Any
    rotation: Any

    def __post_init__(self) -> None:
        assert np.isfinite(self.position).all()
        assert np.asarray(self.rotation).shape == (4,)
        assert np.isclose(np.linalg.norm(self.rotation), 1.0)


@dataclass
class Configuration:
    sim_cfg: Any
    agents: Any
    metadata_mediator: Any = None


@dataclass
class Agent:
    sensors: list[Any]
    state: Any = None

    def set_state(self, state: AgentState) -> None:
        self.state = state


class PathFinder:
    def __init__(self) -> None:
        self.is_loaded = False
        self.loaded_from: str | None = None
        self.rng = np.random.default_rng(0)

    @property
    def navigable_area(self) -> float:
        assert self.is_loaded, "habitat-sim would crash"
        return 16.0

    def load_nav_mesh(self, path: str) -> bool:
        self.loaded_from = path
        self.is_loaded = Path(path).read_bytes() == b"navmesh"
        return self.is_loaded

    def seed(self, value: int) -> None:
        assert 0 <= value < 2**32
        self.rng = np.random.default_rng(value)

    def get_random_navigable_point(self) -> Vector3:
        x, z = self.rng.uniform(-2, 2, 2)
        return Vector3(x, 0, z)

    def island_radius(self, pt: Vector3) -> float:
        assert isinstance(pt, Vector3)
        return 2.5

    def snap_point(self, point: Vector3) -> Vector3:
        assert isinstance(point, Vector3)
        if abs(point[1]) > 4:
            return Vector3(np.nan, np.nan, np.nan)
        return Vector3(*np.clip([point[0], 0, point[2]], [-2, 0, -2], [2, 0, 2]))

    def try_step(self, start: Vector3, end: Vector3) -> Vector3:
        assert isinstance(start, Vector3)
        return self.snap_point(end)

    def try_step_no_sliding(self, start: Vector3, end: Vector3) -> Vector3:
        assert isinstance(start, Vector3)
        a, b = (np.array([p[i] for i in range(3)]) for p in (start, end))
        share = min(1.0, (2 - a[0]) / (b[0] - a[0])) if b[0] > a[0] else 1.0
        return Vector3(*(a + share * (b - a)))


class Stages:
    def __init__(self) -> None:
        self.registered: dict[str, Any] = {}

    def create_template(self, handle: str, register_template: bool = True) -> Any:
        assert not register_template
        stage = SimpleNamespace(handle=handle)
        stage.orient_up, stage.orient_front = Vector3(0, 0, 1), Vector3(0, 1, 0)
        return stage

    def register_template(self, template: Any, specified_handle: str = "") -> int:
        self.registered[specified_handle] = template
        return len(self.registered)


@dataclass
class MetadataMediator:
    settings: Any
    stage_template_manager: Stages = field(default_factory=Stages)


class Simulator:
    """``open_now`` counts those that are not closed: a process must never have two."""

    made: list[Simulator] = []  # noqa: RUF012  # tests look at it

    def __init__(self, config: Configuration) -> None:
        if Path(config.sim_cfg.scene_id).read_bytes() == b"broken":
            raise AssertionError("ESP_CHECK failed: Cannot load stage\nand more")
        assert not [sim for sim in Simulator.made if not sim.closed], "two graphics contexts"
        self.config = config
        self.closed = False
        self.pathfinder = PathFinder()
        self.recomputed: Any = None
        self.drawn: list[str] = []
        self._agents = [Agent(list(agent.sensor_specifications)) for agent in config.agents]
        specs = [spec for agent in self._agents for spec in agent.sensors]
        self.textured = any(spec.sensor_type == "COLOR" for spec in specs)
        self._buffers: dict[str, Any] = {}
        Simulator.made.append(self)

    def recompute_navmesh(self, pathfinder: PathFinder, navmesh_settings: Any) -> bool:
        self.recomputed = navmesh_settings
        if Path(self.config.sim_cfg.scene_id).read_bytes() == b"no vertices":
            raise AssertionError("ESP_CHECK failed: the joined collision mesh has no vertices")
        pathfinder.is_loaded = Path(self.config.sim_cfg.scene_id).read_bytes() != b"no floor"
        return pathfinder.is_loaded

    def add_sensor(self, sensor_spec: Any, agent_id: int | None = None) -> None:
        assert self.textured, "no renderer, no textures"
        uuids = [spec.uuid for agent in self._agents for spec in agent.sensors]
        assert sensor_spec.uuid not in uuids
        self._agents[agent_id or 0].sensors.append(sensor_spec)

    def get_agent(self, agent_id: int) -> Agent:
        return self._agents[agent_id]

    def get_sensor_observations(self, agent_ids: Any = 0) -> Any:
        return {
            agent: {spec.uuid: self._drawn(agent, spec) for spec in self._agents[agent].sensors}
            for agent in agent_ids
        }

    def _drawn(self, agent_id: int, spec: Any) -> Any:
        """Top row 1, the rest 2 (metres or grey), plus the agent's x."""
        self.drawn.append(spec.uuid)
        height, width = spec.resolution.values
        colour = spec.sensor_type == "COLOR"
        if spec.uuid not in self._buffers:
            shape = (height, width, spec.channels) if colour else (height, width)
            self._buffers[spec.uuid] = np.empty(shape, np.uint8 if colour else np.float32)
        buffer = self._buffers[spec.uuid]
        buffer[:] = 2 + self._agents[agent_id].state.position[0]
        buffer[-1] -= 1
        if colour:
            buffer[..., 3] = 255
        return np.flip(buffer, axis=0)

    def close(self, destroy: bool = True) -> None:
        self.closed = True


def install(monkeypatch: pytest.MonkeyPatch) -> type[Simulator]:
    """Put the stand-ins where ``import`` finds them, for one test."""
    Simulator.made.clear()
    habitat = ModuleType("habitat_sim")
    parts = {
        "__version__": "0.3.3",
        "gfx": SimpleNamespace(NO_LIGHT_KEY="no_lights"),
        "metadata": SimpleNamespace(MetadataMediator=MetadataMediator),
        "SensorType": SimpleNamespace(COLOR="COLOR", DEPTH="DEPTH"),
    }
    classes = (
        SimulatorConfiguration, CameraSensorSpec, AgentConfiguration, NavMeshSettings, AgentState,
        Configuration, Simulator,
    )  # fmt: skip
    for name, part in (*parts.items(), *((cls.__name__, cls) for cls in classes)):
        setattr(habitat, name, part)
    magnum = ModuleType("magnum")
    magnum.Vector3, magnum.Vector2i = Vector3, Vector2i  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "habitat_sim", habitat)
    monkeypatch.setitem(sys.modules, "magnum", magnum)
    return Simulator
