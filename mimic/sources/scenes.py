"""3D scenes: an item is a scene, its frames are what a walk through it sees.

Sample i of a scene owns the slots V i to V (i + 1) - 1, where V is the number of views of the
walk. Each sample is a pure function of the scene, the seed and its number, whichever unit owns it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import numpy as np

from mimic.config import Config
from mimic.errors import SourceError, StorageError
from mimic.geometry.covisibility import PosedDepth
from mimic.ids import stable_id
from mimic.sampling import walks
from mimic.sampling.unseen import Unseen
from mimic.simulators import Camera, Kind, SceneSettings, Simulator, opened
from mimic.sources import scene_files
from mimic.sources.base import File, Order, placed, unit_of
from mimic.sources.replay import PlacedView, recorded_poses
from mimic.sources.scene_files import SceneHeader
from mimic.types import Frame, Matrix, Skipped, SourceItem, Span, WorkUnit

CPU_S_PER_SAMPLE = {"mimic": 1.0, "croco": 0.1}
"""Rendering, detecting and matching one walk at 256 x 256."""
PROBE_PX = 64
"""Long side of the depth images by which the pairs of a walk are chosen."""
PAIRS_PER_SAMPLE = {"mimic": 0.7, "croco": 0.4}
"""Kept pairs a walk, in scanned rooms."""


class SceneSource:
    """Scene files and data sets of scenes, seen by one kind of renderer."""

    order: Order = "walk"

    def __init__(self, kind: Kind) -> None:
        self.kind: str = kind
        self._renderer: Kind = kind

    def discover(self, files: Sequence[File], config: Config) -> Iterator[SourceItem | Skipped]:
        """One item a scene; reads headers only."""
        for file in files:
            yield self._item_of(file, config)

    def split(self, item: SourceItem, config: Config) -> list[WorkUnit]:
        """Units of ``unit_samples`` walks, as many as the largest scene has.

        How many a scene has follows its floor, which is known once it is loaded: units beyond
        that hold nothing.
        """
        scene = config.source.scene
        views, _ = walks.VIEWS[scene.walk]
        firsts = [*range(0, scene.max_samples, scene.unit_samples), scene.max_samples]
        return [
            unit_of(
                item,
                Span(first * views, last * views),
                config,
                footage_s=0.0,
                estimated_s=(last - first) * CPU_S_PER_SAMPLE[scene.walk],
                estimated_pairs=(last - first) * PAIRS_PER_SAMPLE[scene.walk],
                resources="gpu" if self.kind == "habitat" and config.run.gpu_share else "cpu",
            )
            for first, last in pairwise(firsts)
        ]

    @contextmanager
    def open(self, unit: WorkUnit, config: Config, margin_slots: int) -> Iterator[Iterator[Unseen]]:
        """See :meth:`mimic.sources.base.Source.open`; walks have no margin."""
        item = unit.item
        poses = dict(item.settings).get("poses")
        recorded = None if poses is None else recorded_poses(poses, unit.unit_id)
        if recorded == ():
            yield iter(())
            return
        file = File(item.name, item.uri, item.size_bytes)
        scene_files.check_scene_unchanged(file, dict(item.settings)["content"])
        settings = _settings_of(item, self._renderer, config)
        simulator = opened(settings, lambda: scene_files.located(file))
        places = _walked(simulator, unit, config) if recorded is None else recorded
        probed = config.source.scene.walk == "mimic" and recorded is None
        yield _unseen(simulator, item, camera_of(config), places, probed)

    def _item_of(self, file: File, config: Config) -> SourceItem | Skipped:
        try:
            header = scene_files.inspect_scene(file)
            if isinstance(header, SceneHeader) and self._renderer == "raycast":
                header = scene_files.raycast_refusal(file, header) or header
            if isinstance(header, Skipped):
                return header
            content = scene_files.scene_fingerprint(file, header)
        except StorageError as error:
            return Skipped(file.name, "unreadable", f"{file.name}: {error}")
        known = dict(file.settings)
        asked = config.source.scene.up
        up = (known.get("up") or header.up or "y") if asked == "auto" else asked
        item = SourceItem(
            kind=self.kind,
            uri=file.uri,
            name=file.name,
            fingerprint=scene_files.item_fingerprint(content, up),
            size_bytes=file.size,
            scene=file.name,
            dataset=known.get("dataset"),
            settings=tuple(sorted((known | {"up": up, "content": content}).items())),
        )
        return placed(item, config)


def _settings_of(item: SourceItem, renderer: Kind, config: Config) -> SceneSettings:
    scene, known = config.source.scene, dict(item.settings)
    return SceneSettings(
        kind=renderer,
        name=item.name,
        fingerprint=item.fingerprint,
        up="z" if known["up"] == "z" else "y",
        agent_radius_m=scene.agent_radius_m,
        # The camera needs head-room, too.
        agent_height_m=max(scene.agent_height_m, scene.sensor_height_m[1]),
        scene_dataset=known.get("scene_dataset"),
        gpu_device_id=0 if config.run.gpu_share else -1,
    )


def camera_of(config: Config) -> Camera:
    """The camera that renders a scene's views."""
    scene = config.source.scene
    return Camera.pinhole(scene.size, scene.field_of_view_deg)


def _walked(simulator: Simulator, unit: WorkUnit, config: Config) -> Iterator[PlacedView]:
    """The views of a unit's walks, as far as the scene has floor for them."""
    scene = config.source.scene
    views, _ = walks.VIEWS[scene.walk]
    item, span = unit.item, unit.span
    samples = walks.sample_count(simulator.navigable_area_m2, scene)
    if samples == 0:
        raise SourceError(
            "no_floor",
            f"{item.name}: has no floor to stand on; if its upward axis is not {_up(item)}, say so "
            "with --set source.scene.up=...",
        )
    last = samples if span.last is None else min(samples, span.last // views)
    for sample in range(span.first // views, last):
        poses = walks.walk(simulator, item.fingerprint, config.seed, sample, scene)
        for place, pose in enumerate(poses):
            yield sample * views + place, f"{sample:06d}/{pose.name}", pose.cam_to_world


def _unseen(
    simulator: Simulator,
    item: SourceItem,
    camera: Camera,
    places: Iterable[PlacedView],
    probed: bool,
) -> Iterator[Unseen]:
    """The views, rendered when they are looked at."""
    coarse = camera.scaled(PROBE_PX / max(camera.size))

    def probe(cam_to_world: Matrix) -> PosedDepth:
        depth_m = simulator.depth(coarse, cam_to_world)
        return PosedDepth(depth_m, coarse.intrinsics, cam_to_world)

    for slot, label, cam_to_world in places:
        yield Unseen(
            slot,
            partial(_frame, simulator, item, camera, slot, label, cam_to_world),
            partial(probe, cam_to_world) if probed else None,
        )


def _frame(
    simulator: Simulator,
    item: SourceItem,
    camera: Camera,
    slot: int,
    label: str,
    cam_to_world: Matrix,
) -> Frame:
    seen = simulator.render(camera, cam_to_world)
    # What is seen follows from the scene, the pose and the camera: so does the name of the frame.
    place = np.ascontiguousarray(cam_to_world, dtype="<f8").tobytes().hex()
    lens = np.ascontiguousarray(camera.intrinsics, dtype="<f8").tobytes().hex()
    return Frame(
        frame_id=stable_id(item.fingerprint, item.kind, place, lens, *camera.size),
        slot=slot,
        label=label,
        pts_s=None,
        shot=0,
        rgb=seen.rgb,
        depth_m=seen.depth_m,
        intrinsics=camera.intrinsics,
        cam_to_world=cam_to_world,
    )


def _up(item: SourceItem) -> str:
    return dict(item.settings)["up"]
