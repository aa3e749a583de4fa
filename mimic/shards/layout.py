"""Which sample goes into which shard: a pure function of keys, scenes and the seed.

Order is the order of a hash of (seed, key): a global shuffle that needs no generator and no place
in memory. The split is drawn per scene, so that no scene is in two splits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.ids import ID_HEX_DIGITS, seed_of, stable_id
from schemas import ShardEntry

SPLITS = ("train", "val")

ID_TYPE = np.dtype(f"S{ID_HEX_DIGITS}")
"""An id (:func:`mimic.ids.stable_id`) in an array."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard to be: its name without suffix, and its ``samples`` as indices, in order (N,)."""

    split: str
    name: str
    samples: NDArray[np.int64]


def split_of(scene: str, seed: int, val_share: float) -> str:
    """The split of a scene."""
    return "val" if seed_of(scene, "split", seed) / 2**63 < val_share else "train"


def lay_out(
    keys: Iterable[str],
    scenes: Sequence[str],
    *,
    seed: int,
    val_share: float,
    samples_per_shard: int,
    first: Mapping[str, int],
) -> list[ShardPlan]:
    """Shards of exactly ``samples_per_shard`` samples (the last of a split may have fewer).

    ``keys`` may be an iterator: they are not held, only their hashes (20 bytes each). ``first``
    gives the number of a split's first new shard.
    """
    splits = {scene: split_of(scene, seed, val_share) for scene in dict.fromkeys(scenes)}
    is_val = np.fromiter((splits[scene] == "val" for scene in scenes), bool, len(scenes))
    ids = np.fromiter((stable_id(seed, "order", key) for key in keys), ID_TYPE, len(scenes))
    order = np.argsort(ids, kind="stable")
    plans = []
    for split, mask in zip(SPLITS, (~is_val, is_val), strict=True):
        chosen = order[mask[order]]
        for count, start in enumerate(range(0, len(chosen), samples_per_shard)):
            samples = chosen[start : start + samples_per_shard]
            plans.append(ShardPlan(split, shard_name(split, first.get(split, 0) + count), samples))
    return plans


def shard_name(split: str, number: int) -> str:
    """``train-000000``: the name of a shard without suffix."""
    return f"{split}-{number:06d}"


def next_numbers(shards: Sequence[ShardEntry]) -> dict[str, int]:
    """Per split, the number that follows the shards there are."""
    return {split: sum(shard.split == split for shard in shards) for split in SPLITS}
