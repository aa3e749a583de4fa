"""Extracted video frames: numbered pictures of one folder are a sequence, ordered by number.

A slot is a place in that order; numbers that are left out are not gaps.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

from mimic.config import Config
from mimic.sources.base import File, Order
from mimic.sources.members import item_of, read_members, split_members
from mimic.types import Frame, Skipped, SourceItem, WorkUnit

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")


class FrameSource:
    """Folders of frames; times are known where ``source.photos.interval_s`` is given."""

    kind = "frames"
    order: Order = "sequence"

    def discover(self, files: Sequence[File], config: Config) -> Iterator[SourceItem | Skipped]:
        """One item a sequence: a folder, or each of the name prefixes in it."""
        for name, members in sorted(sequences(files).items()):
            item, skipped = item_of(self.kind, name, members, config)
            yield from skipped
            if item is not None:
                yield item

    def split(self, item: SourceItem, config: Config) -> list[WorkUnit]:
        """Units of ``unit_images`` frames and a margin."""
        return split_members(item, config.source.photos.unit_images, self.order, config)

    @contextmanager
    def open(self, unit: WorkUnit, config: Config, margin_slots: int) -> Iterator[Iterator[Frame]]:
        """See :meth:`mimic.sources.base.Source.open`."""
        interval_s = config.source.photos.interval_s
        yield (
            Frame(
                frame_id=frame_id,
                slot=slot,
                label=path,
                pts_s=None if interval_s is None else slot * interval_s,
                shot=0,
                rgb=picture,
            )
            for slot, path, frame_id, picture in read_members(unit, margin_slots)
        )


def prefix_of(name: str) -> str:
    """What stands before the last number of a file's name."""
    return _parsed(PurePosixPath(name).stem)[0]


def number_of(name: str) -> int:
    """The last number of a file's name; 0 where it has none."""
    return _parsed(PurePosixPath(name).stem)[1]


def sequences(files: Sequence[File]) -> dict[str, list[File]]:
    """Numbered pictures by sequence (folder, and prefix where a folder holds several), in order."""
    found: dict[tuple[str, str], list[File]] = {}
    for file in files:
        folder = str(PurePosixPath(file.name).parent)
        found.setdefault((folder, prefix_of(file.name)), []).append(file)
    prefixes = Counter(folder for folder, _ in found)
    return {
        folder if prefixes[folder] == 1 else f"{folder}/{prefix}": sorted(
            members, key=lambda file: (number_of(file.name), file.name)
        )
        for (folder, prefix), members in found.items()
    }


def _parsed(stem: str) -> tuple[str, int]:
    match = _NUMBERED.fullmatch(stem)
    return (match.group(1), int(match.group(2))) if match else (stem, 0)
