"""Small shards for the tests of loading: real pictures, exact homographies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import factory
import numpy as np

from mimic.storage import Storage
from mimic.types import Part
from pipelines.pack import pack
from train.data import DataConfig, DataSets, Wanted, open_sets
from train.data.config import CacheConfig


def make_shards(
    out: Path | str, names: str = "abcdef", rich: bool = False, origin_m: float = 0.0
) -> Storage:
    """Shards of 10 pairs; ``rich``: with label maps, depth and poses, so far from the origin."""
    storage = Storage(out)
    parts = [factory.make_part(name) for name in names]
    if rich:
        parts = [factory.with_depth(factory.with_labels(factory.with_poses(p))) for p in parts]
        parts = [_far(part, origin_m) for part in parts]
    pack([factory.report(p, storage) for p in parts], storage, storage, factory.config())
    return storage


def _far(part: Part, origin_m: float) -> Part:
    """The part with its cameras moved along x and y."""
    move = np.zeros((4, 4))
    move[:2, 3] = origin_m
    moved = [(np.reshape(row["cam_to_world"], (4, 4)) + move).ravel() for row in part.frames]
    frames = zip(part.frames, moved, strict=True)
    return replace(part, frames=tuple(row | {"cam_to_world": m.tolist()} for row, m in frames))


def config(*urls: Storage | Path | str, **values: object) -> DataConfig:
    sets = [{"url": u.url if isinstance(u, Storage) else str(u)} for u in urls]
    return DataConfig.model_validate({"sets": sets, **values})


def opened(url: Storage | Path, wanted: Wanted | None = None, **values: object) -> DataSets:
    return open_sets(config(url, **values), "train", wanted)


__all__ = ["CacheConfig", "config", "make_shards", "opened"]
