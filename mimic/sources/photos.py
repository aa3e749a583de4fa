"""Photo collections: a group of photos (of one place) is an item, a photo a slot, in any order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

from mimic.config import Config
from mimic.sources.base import File, Order
from mimic.sources.members import item_of, read_members, split_members
from mimic.types import Frame, Skipped, SourceItem, WorkUnit


class PhotoSource:
    """Folders of images, or images whose names share what ``group_regex`` captures."""

    kind = "photos"
    order: Order = "group"

    def discover(self, files: Sequence[File], config: Config) -> Iterator[SourceItem | Skipped]:
        """One item a group of two photos or more, in the order of the groups' names."""
        groups, unmatched = _grouped(files, config.source.photos.group_regex)
        for name, members in sorted(groups.items()):
            if len(members) < 2:
                yield Skipped(
                    name, "single", f"{members[0].name}: the only picture of its group, no pair"
                )
                continue
            item, skipped = item_of(self.kind, name, members, config)
            yield from skipped
            if item is not None:
                yield item
        if unmatched:
            yield Skipped(
                unmatched[0].name,
                "unmatched",
                f"{len(unmatched)} picture(s) do not match source.photos.group_regex, first "
                f"{unmatched[0].name}",
            )

    def split(self, item: SourceItem, config: Config) -> list[WorkUnit]:
        """Units of ``unit_images`` photos and a margin."""
        return split_members(item, config.source.photos.unit_images, self.order, config)

    @contextmanager
    def open(self, unit: WorkUnit, config: Config, margin_slots: int) -> Iterator[Iterator[Frame]]:
        """See :meth:`mimic.sources.base.Source.open`."""
        yield (
            Frame(frame_id=frame_id, slot=slot, label=path, pts_s=None, shot=0, rgb=picture)
            for slot, path, frame_id, picture in read_members(unit, margin_slots)
        )


def _grouped(
    files: Sequence[File], pattern: str | None
) -> tuple[dict[str, list[File]], list[File]]:
    groups: dict[str, list[File]] = {}
    unmatched = []
    for file in files:
        if pattern is None:
            name: str | None = str(PurePosixPath(file.name).parent)
        else:
            match = re.search(pattern, file.name)
            name = match.group(1) if match else None
        if name:
            groups.setdefault(name, []).append(file)
        else:
            unmatched.append(file)
    return groups, unmatched
