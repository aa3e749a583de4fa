"""Pictures in order with their camera poses and no depth: ``mimic reconstruct`` writes such, too.

A folder of pictures (``images/``, ``color/``, ...), ``K.txt`` or ``intrinsics.txt``, and the poses,
all as in the plain layout of RGB-D sequences. Poses in metres are in ``poses.txt`` (kind
``posed``), those in a unit that is not known in ``poses_unscaled.txt`` (kind ``unscaled``). Pairs
are chosen by matching, as those of a video; poses and intrinsics are stored with every view.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mimic.config import Config
from mimic.errors import SourceError, StorageError
from mimic.sources.base import File, Order, unit_of
from mimic.sources.members import CPU_S_PER_IMAGE, PAIRS_PER_CANDIDATE
from mimic.sources.rgbd import plain
from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.index import told
from mimic.sources.rgbd.layouts import find_sequences
from mimic.sources.rgbd.listed import Found
from mimic.sources.rgbd.opened import opened
from mimic.sources.rgbd.source import asked_of, item_of, refused
from mimic.sources.rgbd.tree import Tree
from mimic.types import Frame, Skipped, SourceItem, Span, WorkUnit

POSED_KIND, UNSCALED_KIND = "posed", "unscaled"
POSED_KINDS = frozenset({POSED_KIND, UNSCALED_KIND})
_POSES = {POSED_KIND: plain.POSES, UNSCALED_KIND: plain.UNSCALED_POSES}

_log = logging.getLogger("mimic")


class PosedSource:
    """Sequences of one kind: with poses in metres, or in a unit that is not known."""

    order: Order = "sequence"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def discover(self, files: Sequence[File], config: Config) -> Iterator[SourceItem | Skipped]:
        """One item a sequence; of its pictures one is read, and of all files samples."""
        for found in find_posed(files)[self.kind]:
            bundle = Bundle.of_found(found, asked_of(config))
            try:
                yield item_of(plain.LAYOUT, bundle, config, kind=self.kind)
            except (SourceError, StorageError) as error:
                yield refused(bundle, error)

    def split(self, item: SourceItem, config: Config) -> list[WorkUnit]:
        """Units of ``source.rgbd.unit_frames`` slots; the last one is open-ended."""
        count, owned = int(dict(item.settings)["frames"]), config.source.rgbd.unit_frames
        return [
            unit_of(
                item,
                Span(first, first + owned if first + owned < count else None),
                config,
                footage_s=0.0,
                estimated_s=min(owned, count - first) * CPU_S_PER_IMAGE,
                estimated_pairs=min(owned, count - first) * PAIRS_PER_CANDIDATE,
            )
            for first in range(0, count, owned)
        ]

    @contextmanager
    def open(self, unit: WorkUnit, config: Config, margin_slots: int) -> Iterator[Iterator[Frame]]:
        """See :meth:`mimic.sources.base.Source.open`; what is left out is logged by the first unit.

        A picture that does not decode costs itself.
        """
        index = opened(unit.item).index
        if unit.span.first == 0 and index.left_out:
            total = len(index.left_out) + len(index)
            left_out = f"{len(index.left_out)} of {total} frames left out"
            _log.warning("%s: %s (%s)", unit.item.name, left_out, told(index.reasons))
        yield _frames(unit, margin_slots)


def find_posed(files: Sequence[File]) -> dict[str, list[Found]]:
    """The sequences of each kind among the files, by name; none that has depth."""
    tree = Tree(files)
    _, deep = find_sequences(files)
    found: dict[str, list[Found]] = {kind: [] for kind in _POSES}
    folders = {folder for name in plain.COLOUR for folder in tree.parents(name)}
    for folder in sorted(folders):
        pictures = tree.pictures(folder, plain.COLOUR)
        lens = tree.file(folder, "K.txt", "intrinsics.txt")
        for kind, name in _POSES.items():
            poses = tree.file(folder, name)
            if poses and lens and pictures and poses not in deep:
                own = (poses, lens, *pictures)
                settings = (("no_depth", "true"),)
                found[kind].append(Found("plain", folder, folder or ".", own, settings=settings))
                break
    return found


def files_of(found: Sequence[Found], files: Sequence[File]) -> set[File]:
    """All files in the folders of these sequences: nothing else is made of what lies there."""
    tree = Tree(files)
    return {file for sequence in found for file in tree.below(sequence.folder)}


def _frames(unit: WorkUnit, margin_slots: int) -> Iterator[Frame]:
    sequence, span = opened(unit.item), unit.span
    end = None if span.last is None else span.last + margin_slots
    for row, slot in enumerate(sequence.index.slots):
        if slot < span.first or (end is not None and slot >= end):
            continue
        try:
            yield sequence.look(row)
        except SourceError as error:
            if error.reason != "unreadable_frame":
                raise
            _log.warning("%s; left out", error)
