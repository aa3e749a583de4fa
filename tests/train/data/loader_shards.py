"""Small shards for the tests of loading: real pictures, exact homographies."""

from __future__ import annotations

from pathlib import Path

import factory

from mimic.storage import Storage
from pipelines.pack import pack
from train.data import DataConfig, DataSets, Wanted, open_sets
from train.data.config import CacheConfig


def make_shards(out: Path | str, names: str = "abcdef", rich: bool = False) -> Storage:
    """Shards of 10 pairs; ``rich``: with label maps, depth and poses."""
    storage = Storage(out)
    parts = [factory.make_part(name) for name in names]
    if rich:
        parts = [factory.with_depth(factory.with_labels(factory.with_poses(p))) for p in parts]
    pack([factory.report(p, storage) for p in parts], storage, storage, factory.config())
    return storage


def config(*urls: Storage | Path | str, **values: object) -> DataConfig:
    sets = [{"url": u.url if isinstance(u, Storage) else str(u)} for u in urls]
    return DataConfig.model_validate({"sets": sets, **values})


def opened(url: Storage | Path, wanted: Wanted | None = None, **values: object) -> DataSets:
    return open_sets(config(url, **values), "train", wanted)


__all__ = ["CacheConfig", "config", "make_shards", "opened"]
