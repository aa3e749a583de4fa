"""Which sample goes into which shard: a pure function of keys, scenes and the seed.

Order is the order of a hash of (seed, key): a global shuffle that needs no generator and no place
in memory. The split is drawn per scene, so that no scene is in two splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mimic.ids import seed_of, stable_id
from schemas import ShardEntry

SPLITS = ("train", "val")


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard to be: its name without suffix, and its samples as indices, in order."""

    split: str
    name: str
    samples: tuple[int, ...]


def split_of(scene: str, seed: int, val_share: float) -> str:
    """The split of a scene."""
    return "val" if seed_of(scene, "split", seed) / 2**63 < val_share else "train"


def lay_out(
    keys: Sequence[str],
    scenes: Sequence[str],
    *,
    seed: int,
    val_share: float,
    samples_per_shard: int,
    first: Mapping[str, int],
) -> list[ShardPlan]:
    """Shards of exactly ``samples_per_shard`` samples (the last of a split may have fewer).

    ``first`` gives the number of a split's first new shard.
    """
    splits = {scene: split_of(scene, seed, val_share) for scene in dict.fromkeys(scenes)}
    order = sorted(range(len(keys)), key=lambda i: stable_id(seed, "order", keys[i]))
    plans = []
    for split in SPLITS:
        chosen = [i for i in order if splits[scenes[i]] == split]
        for count, start in enumerate(range(0, len(chosen), samples_per_shard)):
            samples = tuple(chosen[start : start + samples_per_shard])
            plans.append(ShardPlan(split, shard_name(split, first.get(split, 0) + count), samples))
    return plans


def shard_name(split: str, number: int) -> str:
    """``train-000000``: the name of a shard without suffix."""
    return f"{split}-{number:06d}"


def next_numbers(shards: Sequence[ShardEntry]) -> dict[str, int]:
    """Per split, the number that follows the shards there are."""
    return {split: sum(shard.split == split for shard in shards) for split in SPLITS}
