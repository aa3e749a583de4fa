"""A CroCo-style listing: pictures, and a text file with the two paths of a pair on each line."""

from __future__ import annotations

from mimic.shards.reader import Shards
from mimic.storage import Storage

PAIRS_TXT = "pairs.txt"


def export_croco(shards: Shards, folder: Storage, *, split: str | None = None) -> int:
    """Write each frame once below ``images/`` and the pairs into ``pairs.txt`` (last).

    Args:
        shards: finished shards.
        folder: where they go; paths in the list are relative to it, separated by one space.
        split: only this split.

    Returns:
        How many pairs were written.
    """
    written: set[str] = set()
    lines: list[str] = []
    for sample in shards.samples(split):
        paths = []
        for number, view in enumerate(sample.meta["views"], start=1):
            frame = view["frame_id"]
            path = f"images/{frame[:2]}/{frame}.jpg"  # 256 folders: no folder of a million files
            if frame not in written:
                folder.write(path, sample.view_bytes(number))
                written.add(frame)
            paths.append(path)
        lines.append(" ".join(paths) + "\n")
    folder.write(PAIRS_TXT, "".join(lines).encode())
    return len(lines)
