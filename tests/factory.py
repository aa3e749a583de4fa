"""Parts as a miner would make them, without mining: real pictures, exact homographies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from mimic import opencv
from mimic.config import Config, load_config
from mimic.geometry import patches
from mimic.ids import seed_of, stable_id
from mimic.shards.part import write_part
from mimic.storage import Storage
from mimic.types import Correspondences, Part, SourceItem, Span, WorkUnit
from schemas import EDGES, FRAMES, UnitReport

SIZE = (96, 64)


def unit(name: str, kind: str = "video") -> WorkUnit:
    item = SourceItem(
        kind=kind, uri=f"/somewhere/{name}", name=name, fingerprint=name, size_bytes=1, scene=name
    )
    return WorkUnit(
        unit_id=stable_id("unit", name),
        item=item,
        span=Span(0, None),
        seed=1,
        footage_s=1.0,
        estimated_s=1.0,
        estimated_pairs=1.0,
    )


@lru_cache(maxsize=256)
def jpeg(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return opencv.encode_jpeg(np.ascontiguousarray(coarse.repeat(8, 0).repeat(8, 1)), 90)


def frame_id(name: str, slot: int) -> str:
    return stable_id("frame", name, slot)


def frame_row(work: WorkUnit, slot: int) -> dict[str, Any]:
    blank = dict.fromkeys(FRAMES.names)
    return blank | {
        "unit_id": work.unit_id,
        "frame_id": frame_id(work.item.name, slot),
        "slot": slot,
        "frame": f"{slot / 3:.6f}",
        "pts_s": slot / 3,
        "width": SIZE[0],
        "height": SIZE[1],
        "original_width": 2 * SIZE[0],
        "original_height": 2 * SIZE[1],
        "original_to_stored": [0.5, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0],
        "shot": 0,
        "keypoints": 100,
        "luminance_mean": 100.0,
        "luminance_p95": 160.0,
        "sharpness": 500.0,
    }


def edge_row(work: WorkUnit, slot_1: int, slot_2: int, **changes: Any) -> dict[str, Any]:
    """A pair moved sideways: its overlap is 1 - shift / width."""
    shift = 12.0 * (slot_2 - slot_1)
    overlap = 1 - shift / SIZE[0]
    low, high = 0.5, 0.76
    verdict = (
        "kept" if low < overlap < high else "overlap_low" if overlap <= low else "overlap_high"
    )
    blank = dict.fromkeys(EDGES.names)
    measured = {
        f"overlap_{name}{suffix}": overlap
        for name in ("area", "coverage")
        for suffix in ("", "_12", "_21")
    }
    homography = [1.0, 0.0, -shift, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    measured |= _patch_overlap(tuple(homography))
    row = blank | {
        "unit_id": work.unit_id,
        "frame_1": frame_id(work.item.name, slot_1),
        "frame_2": frame_id(work.item.name, slot_2),
        "slot_1": slot_1,
        "slot_2": slot_2,
        "interval_s": (slot_2 - slot_1) / 3,
        "verdict": verdict,
        "value": overlap,
        "verifier": "homography",
        "homography": homography,
        "keypoints_1": 100,
        "keypoints_2": 90,
        "matches": 60,
        "inliers": 50,
        "epipolar_inliers": 55,
        **measured,
        "scale_ratio": 1.0,
        "rotation_deg": 0.0,
        "parallax_px": 0.5,
        "motion_px": shift,
        "thumb_difference": 20.0,
        "static_share": 0.1,
        "dynamic_share": 0.05,
    }
    return row | changes


@lru_cache
def _patch_overlap(homography: tuple[float, ...]) -> dict[str, float]:
    """The true patch overlap, from which the stored map's direction follows."""
    both = patches.landings(np.array(homography).reshape(3, 3), SIZE, SIZE)
    assert both is not None
    found = patches.patch_map(*both, 16, False).overlap
    return {
        "overlap_patch_12": found.forward,
        "overlap_patch_21": found.backward,
        "overlap_patch": found.smaller,
    }


@lru_cache(maxsize=256)
def depth_png(seed: int) -> bytes:
    """Millimetres up to 65 m, and holes."""
    rng = np.random.default_rng(seed)
    depth = rng.integers(0, 2**16, SIZE[::-1], dtype=np.uint16)
    depth[:8] = 0
    return opencv.encode_png(depth)


def with_depth(part: Part, of: Callable[[int], bool] = lambda slot: True) -> Part:
    """The part with depth for those of its stored frames whose slot is chosen."""
    depths = {
        row["frame_id"]: depth_png(row["slot"] % 16)
        for row in part.frames
        if row["frame_id"] in part.jpegs and of(row["slot"])
    }
    return replace(part, depths=depths)


@lru_cache(maxsize=256)
def label_png(seed: int) -> bytes:
    """A label map with all four values."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([0, 1, 2, 255], np.uint8), SIZE[::-1], p=[0.6, 0.1, 0.25, 0.05])
    return opencv.encode_png(labels)


def with_labels(part: Part, of: Callable[[int], bool] = lambda slot: True) -> Part:
    """The part with label maps for those of its kept edges whose first slot is chosen."""
    covis = {
        (edge["frame_1"], edge["frame_2"]): (
            label_png(seed_of(edge["frame_1"]) % 16),
            label_png(seed_of(edge["frame_2"]) % 16 + 16),
        )
        for edge in part.edges
        if edge["verdict"] == "kept" and of(edge["slot_1"])
    }
    return replace(part, covis=covis)


def with_poses(part: Part) -> Part:
    """The part as a walk through a scene gives it: each frame with its own camera."""
    frames = tuple(row | camera(row["slot"]) for row in part.frames)
    return replace(part, frames=frames)


def camera(slot: int) -> dict[str, list[float]]:
    pose = np.eye(4)
    pose[:3, 3] = (slot / 3, 1.5, -slot / 7)
    return {
        "intrinsics": [80.0, 0.0, SIZE[0] / 2, 0.0, 80.0, SIZE[1] / 2, 0.0, 0.0, 1.0],
        "cam_to_world": pose.ravel().tolist(),
    }


def make_part(name: str, slots: int = 8, kind: str = "video", keep_all: bool = False) -> Part:
    """Strides 1 to 5 from every slot; 2, 3 are in range: overlap 0.75, 0.625."""
    work = unit(name, kind)
    edges = tuple(
        edge_row(work, a, a + stride)
        for a in range(slots)
        for stride in range(1, 6)
        if a + stride < slots
    )
    used = {
        frame
        for e in edges
        if keep_all or e["verdict"] == "kept"
        for frame in (e["frame_1"], e["frame_2"])
    }
    jpegs = {
        frame_id(name, slot): jpeg(seed_of(frame_id(name, slot)) % 64)
        for slot in range(slots)
        if frame_id(name, slot) in used
    }
    frames = tuple(frame_row(work, slot) for slot in range(slots))
    return Part(unit=work, frames=frames, edges=edges, jpegs=jpegs, corrs=_corrs(edges))


def _corrs(edges: tuple[dict[str, Any], ...], patch_size: int = 16) -> Correspondences:
    """Those of the kept edges, as mining keeps them."""
    pairs = {
        (edge["frame_1"], edge["frame_2"]): _corr(tuple(edge["homography"]), patch_size)
        for edge in edges
        if edge["verdict"] == "kept"
    }
    return Correspondences(patch_size, False, pairs)


@lru_cache
def _corr(homography: tuple[float, ...], patch_size: int) -> patches.Pairs:
    return patches.corr(np.array(homography).reshape(3, 3), SIZE, SIZE, patch_size, False)


def config(**overrides: Any) -> Config:
    """The thresholds that these verdicts come from; ``overrides`` like ``overlap={"low": 0.6}``."""
    base: dict[str, Any] = {
        "overlap": {"measure": "area", "low": 0.5, "high": 0.76},
        "filters": {"max_area": None},
        "pack": {"samples_per_shard": 10, "val_share": 0.3},
    }
    for key, value in overrides.items():
        base[key] = base.get(key, {}) | value if isinstance(value, dict) else value
    return load_config(overrides=base)


def report(part: Part, storage: Storage, prefix: str = ".mimic/parts") -> UnitReport:
    written = write_part(part, storage, prefix)
    kept = sum(edge["verdict"] == "kept" for edge in part.edges)
    counts = {"candidates": len(part.edges), "kept": kept, "frames": len(part.frames)}
    return UnitReport(part.unit.unit_id, part.unit.item.name, "done", counts, written)


def reports(storage: Storage, *names: str, **options: Any) -> list[UnitReport]:
    return [report(make_part(name, **options), storage) for name in names]
