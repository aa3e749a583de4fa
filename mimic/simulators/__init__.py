"""Simulators: where walks through 3D scenes stand and see.

A process holds one scene at a time, because the units of a scene come one after another.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mimic.simulators.base import Camera, DepthImage, Point, Rendering, Simulator

Kind = Literal["raycast", "habitat"]


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """What is loaded, and for whom: equal settings share one simulator.

    ``fingerprint`` tells the content; ``up`` is the file's upward axis. ``scene_dataset`` and
    ``gpu_device_id`` (-1: in software) are habitat's.
    """

    kind: Kind
    name: str
    fingerprint: str
    up: Literal["y", "z"]
    agent_radius_m: float
    agent_height_m: float
    scene_dataset: str | None = None
    gpu_device_id: int = -1


_held: tuple[SceneSettings, Simulator] | None = None


def opened(
    settings: SceneSettings, located: Callable[[], AbstractContextManager[Path]]
) -> Simulator:
    """The scene's simulator: the one this process holds, or a new one, for which it lets that go.

    ``located`` makes the scene's file present on this machine while it is loaded.

    Raises:
        SourceError: the scene cannot be loaded.
    """
    global _held  # one graphics context a process
    if _held is not None and _held[0] == settings:
        return _held[1]
    close()
    with located() as path:
        simulator = _load(settings, path)
    _held = settings, simulator
    return simulator


def close() -> None:
    """Let go of the scene that this process holds."""
    global _held
    if _held is not None:
        held, _held = _held[1], None
        held.close()


def _load(settings: SceneSettings, path: Path) -> Simulator:
    size = {
        "agent_radius_m": settings.agent_radius_m,
        "agent_height_m": settings.agent_height_m,
    }
    if settings.kind == "raycast":
        from mimic.simulators.raycast import RaycastSimulator

        return RaycastSimulator(path, settings.name, settings.up, **size)
    from mimic.simulators.habitat import HabitatSimulator

    dataset = None if settings.scene_dataset is None else Path(settings.scene_dataset)
    return HabitatSimulator(
        path,
        settings.name,
        settings.up,
        **size,
        scene_dataset=dataset,
        gpu_device_id=settings.gpu_device_id,
    )


__all__ = [
    "Camera",
    "DepthImage",
    "Kind",
    "Point",
    "Rendering",
    "SceneSettings",
    "Simulator",
    "close",
    "opened",
]
