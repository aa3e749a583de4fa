"""Walks through a scene: where the cameras of a sample stand, and where they look.

A walk is a pure function of a generator and a :class:`Simulator`. Walk ``mimic``: MIMIC section
8.1. Walk ``croco``: the pairs of CroCo's Habitat generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimic.config import SceneConfig
from mimic.geometry.covisibility import PosedDepth, covisible
from mimic.geometry.poses import about, back_projected, heading, look, look_at
from mimic.ids import generator_of
from mimic.simulators.base import Camera, Point, Simulator
from mimic.types import Matrix

# Of each walk: the views of a sample, and how many of them, the first, are references.
VIEWS = {"mimic": (24, 8), "croco": (2, 1)}

_TURNS_DEG = (60.0, 120.0, 240.0, 300.0)
_LISTS, _VIEWS_A_LIST = 3, 8

_WALK_STEPS = 5
_WALK_STEP_M = 2.0  # the peer calls it a variance and uses it as a standard deviation
_NOISE_DEG = (3.0, 10.0, 5.0)  # pan, tilt, roll: uniform, either way
_REFERENCES = 20  # first views tried for a pair; the peer goes on for ever
_PROBE_PX = 64  # width at which candidates are looked at


@dataclass(frozen=True, slots=True)
class Pose:
    """One view of a walk: (4, 4) ``cam_to_world`` and its ``name``: list and number, "B3"."""

    cam_to_world: Matrix
    name: str


def sample_count(area_m2: float, config: SceneConfig) -> int:
    """How many walks a scene gets: with its floor, up to a limit; none without floor."""
    return min(config.max_samples, int(np.ceil(config.samples_per_m2 * area_m2)))


def walk(
    simulator: Simulator, item_fingerprint: str, seed: int, sample: int, config: SceneConfig
) -> tuple[Pose, ...]:
    """The views of one sample of a scene, or () where this draw came to nothing.

    The generator is the sample's own: it does not matter which unit asks for it.
    """
    rng = generator_of(item_fingerprint, "walk", config.walk, seed, sample)
    if config.walk == "mimic":
        return mimic_walk(simulator, rng, config)
    camera = Camera.pinhole(config.size, config.field_of_view_deg)
    return croco_pair(simulator, rng, camera, config)


def mimic_walk(
    simulator: Simulator, rng: np.random.Generator, config: SceneConfig
) -> tuple[Pose, ...]:
    """Three lists of eight level views at 45 degrees, the first of each straight ahead.

    Between lists: a turn by 60, 120, 240 or 300 degrees, and a step that slides along obstacles.
    The camera's height is drawn once a sample, as in the paper (the peer's code: once a scene).
    () where the start's island is smaller than ``min_island_m``.
    """
    place = simulator.random_point(rng)
    if simulator.island_radius_m(place) < config.min_island_m:
        return ()
    height_m = rng.uniform(*config.sensor_height_m)
    yaw_deg = rng.uniform(0.0, 360.0)
    poses = list(_around(place, height_m, yaw_deg, "A"))
    for name in "BC":
        yaw_deg += float(rng.choice(_TURNS_DEG))
        ahead = place + rng.uniform(*config.step_m) * heading(yaw_deg)
        place = simulator.step(place, ahead, slide=True)
        poses += _around(place, height_m, yaw_deg, name)
    return tuple(poses)


def _around(place: Point, height_m: float, yaw_deg: float, name: str) -> list[Pose]:
    eye = _moved(place, y=height_m)
    turn = 360.0 / _VIEWS_A_LIST
    return [Pose(look(eye, yaw_deg + turn * i), f"{name}{i}") for i in range(_VIEWS_A_LIST)]


def croco_pair(
    simulator: Simulator, rng: np.random.Generator, camera: Camera, config: SceneConfig
) -> tuple[Pose, ...]:
    """A view from a random place, and one a short random walk away that sees much of the same.

    The second looks at the mean of what the first one sees. Both have noise in their orientation,
    and a depth at ``min_valid_share`` of their pixels or more. Where the first has too many holes,
    stands on too small an island, or none of ``attempts`` second views reaches ``min_covis`` (the
    smaller direction; by depth and occlusion, where the peer matches points within 5 cm), another
    first view is drawn; () where that comes to nothing, too.
    """
    probe = camera.scaled(min(1.0, _PROBE_PX / camera.size[0]))
    for _ in range(_REFERENCES):
        place = simulator.random_point(rng)
        first = look(_eye(place, rng, config), rng.uniform(0.0, 360.0)) @ _noise(rng)
        if simulator.island_radius_m(place) < config.min_island_m:
            continue
        reference = _seen(simulator, probe, first, config.min_valid_share)
        if reference is None:
            continue
        second = _partner(simulator, rng, probe, place, reference, config)
        if second is not None:
            return Pose(first, "A0"), Pose(second, "B0")
    return ()


def _partner(
    simulator: Simulator,
    rng: np.random.Generator,
    probe: Camera,
    place: Point,
    reference: PosedDepth,
    config: SceneConfig,
) -> Matrix | None:
    """A pose a stroll away that sees enough of the same; None where no attempt finds one."""
    cloud = back_projected(reference.depth_m, probe.intrinsics, reference.cam_to_world)
    target = cloud.mean(axis=0)
    for _ in range(config.attempts):
        eye = _eye(_strolled(simulator, rng, place), rng, config)
        second = look_at(eye, target) @ _noise(rng)
        other = _seen(simulator, probe, second, config.min_valid_share)
        if other is not None and covisible(reference, other).smaller >= config.min_covis:
            return second
    return None


def _eye(place: Point, rng: np.random.Generator, config: SceneConfig) -> Point:
    return _moved(place, y=rng.uniform(*config.sensor_height_m))


def _moved(place: Point, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Point:
    return np.asarray(place + np.array([x, y, z]))


def _strolled(simulator: Simulator, rng: np.random.Generator, place: Point) -> Point:
    """Where a few normal steps over the ground lead, each ended on the nearest floor."""
    for _ in range(_WALK_STEPS):
        x, z = rng.normal(0.0, _WALK_STEP_M, size=2)
        snapped = simulator.snap(_moved(place, x=x, z=z))
        if snapped is not None:
            place = snapped
    return place


def _noise(rng: np.random.Generator) -> Matrix:
    """A small turn (4, 4) of the camera about its own axes: pan, then tilt, then roll."""
    pan, tilt, roll = (rng.uniform(-limit, limit) for limit in _NOISE_DEG)
    turn = np.eye(4)
    turn[:3, :3] = about(1, pan) @ about(0, tilt) @ about(2, roll)
    return turn


def _seen(
    simulator: Simulator, camera: Camera, cam_to_world: Matrix, min_valid_share: float
) -> PosedDepth | None:
    """The depth there, None where too little of it is known."""
    depth = simulator.depth(camera, cam_to_world)
    if np.count_nonzero(depth > 0) < min_valid_share * depth.size:
        return None
    return PosedDepth(depth, camera.intrinsics, cam_to_world)
