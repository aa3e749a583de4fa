"""RGB-D sequences: an item is a sequence (of a driving log, a scene), a slot a picture of it.

Slots are places in the sequence's list of pictures, in natural order of their names (of a driving
log: by time); a picture that cannot be used leaves its slot empty, for a reason that is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from mimic.config import Config
from mimic.errors import SourceError, StorageError
from mimic.sampling.unseen import Unseen
from mimic.sources.base import File, Order, placed, unit_of
from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.index import picture_size, told
from mimic.sources.rgbd.layouts import LAYOUTS, find_sequences
from mimic.sources.rgbd.lens import fits
from mimic.sources.rgbd.listed import Layout
from mimic.sources.rgbd.opened import opened
from mimic.types import Skipped, SourceItem, Span, WorkUnit

CPU_S_PER_FRAME = 0.06
"""Reading and decoding colour and depth of 640 x 480, twice the depth."""
PAIRS_PER_FRAME = 1.0
"""Kept pairs a frame, in rooms that are walked through."""

_log = logging.getLogger("mimic")


class RgbdSource:
    """Posed colour and depth in the layouts people have (see :data:`.layouts.LAYOUTS`)."""

    kind = "rgbd"
    order: Order = "posed"

    def discover(self, files: Sequence[File], config: Config) -> Iterator[SourceItem | Skipped]:
        """One item a sequence; of its pictures one is read, and of all files samples."""
        for found in find_sequences(files)[0]:
            layout = LAYOUTS[found.layout]
            bundle = Bundle.of_found(found, asked_of(config))
            try:
                names = [""] if layout.parts is None else layout.parts(bundle)
            except (SourceError, StorageError) as error:
                yield refused(bundle, error)
                continue
            for name in names:
                part = bundle if layout.parts is None else bundle.part(name)
                try:
                    yield item_of(layout, part, config)
                except (SourceError, StorageError) as error:
                    yield refused(part, error)

    def split(self, item: SourceItem, config: Config) -> list[WorkUnit]:
        """Units of ``unit_frames`` slots; the last one is open-ended."""
        count, owned = int(dict(item.settings)["frames"]), config.source.rgbd.unit_frames
        units = []
        for first in range(0, count, owned):
            frames = min(owned, count - first)
            units.append(
                unit_of(
                    item,
                    Span(first, first + owned if first + owned < count else None),
                    config,
                    footage_s=0.0,
                    estimated_s=frames * CPU_S_PER_FRAME,
                    estimated_pairs=frames * PAIRS_PER_FRAME,
                )
            )
        return units

    @contextmanager
    def open(self, unit: WorkUnit, config: Config, margin_slots: int) -> Iterator[Iterator[Unseen]]:
        """All frames of the sequence, whatever the unit owns, because any two may see the same.

        None is decoded before it is looked at; a probe reads its depth. Slots whose frame cannot be
        used are left out; the first unit of a sequence logs how many, and why.
        """
        sequence = opened(unit.item)
        if unit.span.first == 0 and sequence.index.left_out:
            _log.warning(
                "%s: %d of %d frames left out (%s)",
                unit.item.name,
                len(sequence.index.left_out),
                len(sequence.index.left_out) + len(sequence.index),
                told(sequence.index.reasons),
            )
        yield (
            Unseen(int(slot), partial(sequence.look, row), partial(sequence.probe, row))
            for row, slot in enumerate(sequence.index.slots)
        )


def asked_of(config: Config) -> dict[str, str]:
    """What the user says of all sequences."""
    asked = config.source.rgbd
    known = {}
    if asked.intrinsics is not None:
        known["intrinsics"] = ",".join(repr(value) for value in asked.intrinsics)
    if asked.depth_scale is not None:
        known["depth_scale"] = repr(asked.depth_scale)
    return known


def item_of(
    layout: Layout, bundle: Bundle, config: Config, kind: str = RgbdSource.kind
) -> SourceItem:
    """The item of a sequence.

    Raises:
        SourceError: it holds nothing, or its index files or its first camera cannot be used.
        StorageError: its files cannot be read.
    """
    count = layout.count(bundle)
    if count == 0:
        raise SourceError("empty", f"{bundle.name}: holds no frames")
    _check_camera(layout, bundle)
    settings = bundle.settings | {"layout": layout.name, "frames": str(count)}
    item = SourceItem(
        kind=kind,
        uri=bundle.uri,
        name=bundle.name,
        fingerprint=bundle.fingerprint(layout.name),
        size_bytes=sum(bundle.sizes.values()),
        scene=bundle.name,
        members=(bundle.packed(),),
        settings=tuple(sorted(settings.items())),
    )
    return placed(item, config)


def _check_camera(layout: Layout, bundle: Bundle) -> None:
    """Of the first frame, so that a wrong K is known before anything is mined.

    Raises:
        SourceError: ``bad_intrinsics``.
    """
    first = layout.frames(bundle, [0])[0]
    if first.lens is None or first.problem == "truncated":
        return
    actual = picture_size(bundle, [first.colour])
    if actual is None:
        return
    if (first.lens.size or actual) != actual or not fits(replace(first.lens, size=actual)):
        raise SourceError(
            "bad_intrinsics",
            f"{bundle.name}: the intrinsics do not fit pictures of {actual[0]} x {actual[1]}; give "
            "those of the pictures as they are, in K.txt or with --set source.rgbd.intrinsics",
        )


def refused(bundle: Bundle, error: SourceError | StorageError) -> Skipped:
    """A sequence that cannot be mined, and why."""
    if isinstance(error, SourceError):
        return Skipped(bundle.name, error.reason, str(error))
    return Skipped(bundle.name, "unreadable", f"{bundle.name}: {error}")
