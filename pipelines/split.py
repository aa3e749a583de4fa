"""What is said of the split: how many pairs are to train on, and how many are held out."""

from __future__ import annotations

from mimic.shards.layout import SPLITS
from mimic.shards.reader import Shards
from mimic.storage import Storage
from pipelines.events import counted
from schemas import Manifest


def split_counts(manifest: Manifest) -> dict[str, int]:
    """The pairs of each split."""
    return {
        split: sum(shard.samples for shard in manifest.shards if shard.split == split)
        for split in SPLITS
    }


def split_words(manifest: Manifest) -> str:
    """``: 51 to train on, 25 held out``, to end a line with; empty where no share was asked for."""
    if not _is_split(manifest):
        return ""
    count = split_counts(manifest)
    return f": {count['train']:,} to train on, {count['val']:,} held out"


def one_sided_note(shards: Storage, manifest: Manifest, source: str) -> str | None:
    """What to tell people where a share was asked for and all scenes fell to one split.

    Args:
        shards: where the manifest is.
        manifest: what was packed.
        source: what `mimic pack` may split anew.
    """
    count = split_counts(manifest)
    if not _is_split(manifest) or all(count.values()) or not any(count.values()):
        return None
    index = Shards(shards).index(columns=["scene"])
    scenes = counted(len(index["scene"].unique()), "scene")
    anew = f"`mimic pack {source} --out ANOTHER` with another --seed or a"
    if count["train"]:
        what, size = f"nothing is held out, for of {scenes} none fell to val", "larger"
    else:
        what, size = f"nothing is left to train on, for of {scenes} all fell to val", "smaller"
    return f"{what}: {anew} {size} --val-share decides otherwise"


def _is_split(manifest: Manifest) -> bool:
    return bool(manifest.config["pack"]["val_share"] > 0)
