"""Videos: a file is an item, a minute of footage a unit, a grid time a slot."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any, BinaryIO

from mimic.config import Config
from mimic.errors import SourceError, StorageError
from mimic.ids import stable_id
from mimic.sources.base import File, Order, placed, unit_of
from mimic.sources.cuts import HISTORY, Thumb, shots
from mimic.sources.fingerprint import check_unchanged, fingerprint_of
from mimic.sources.grid import Grid
from mimic.sources.parallel import in_order
from mimic.types import Frame, Skipped, SourceItem, Span, WorkUnit

PREROLLS_S = (2, 8, 32)
"""How far before its first slot a unit seeks; the next is tried where the keyframe found lies too
late to have seen enough frames, and in the end the file is read from its start."""

# Estimates, for `mimic plan` alone: means over 19 real videos of 240p to 720p, hand-held walks,
# orbits, cuts and a static camera among them (benchmarks/plan_estimates.py). Single videos differ
# from them by a factor of two in time, and from none to three times as many in pairs.
BITS_PER_S = 4_000_000
"""Bit rate assumed for files that are not opened."""
CPU_S_PER_FOOTAGE_S = 0.03
"""Decoding, one core; it grows with the pixels a second: some 0.07 at 720p30."""
CPU_S_PER_SLOT = {"search": 0.075, "retry": 0.016}
"""Detection, and matching at the strides that ``sampling.sequence`` tries."""
PAIRS_PER_SLOT = {"search": 0.34, "retry": 0.23}
"""Kept pairs a slot: 60 and 14 a minute with the slots of the presets ``default``, ``mimic``."""

_log = logging.getLogger("mimic")


class VideoSource:
    """Every container and codec that PyAV reads."""

    kind = "video"
    order: Order = "sequence"

    def discover(self, files: Sequence[File], config: Config) -> Iterator[SourceItem | Skipped]:
        """One item a file; files above ``probe_above_mb`` are opened for their duration."""
        yield from in_order(lambda file: _item_of(file, config), files)

    def split(self, item: SourceItem, config: Config) -> list[WorkUnit]:
        """Units of ``unit_s``; the last one goes to the real end, whatever the header says."""
        video = config.source.video
        footage_s = item.footage_s or item.size_bytes * 8 / BITS_PER_S
        slots_per_unit = max(1, round(video.unit_s / video.interval_s))
        slots = max(1, round(footage_s / video.interval_s))
        if item.footage_s is None:
            slots_per_unit = slots
        firsts = range(0, slots, slots_per_unit)
        return [
            _unit(item, Span(first, first + slots_per_unit), slots, config) for first in firsts[:-1]
        ] + [_unit(item, Span(firsts[-1], None), slots, config)]

    @contextmanager
    def open(self, unit: WorkUnit, config: Config, margin_slots: int) -> Iterator[Iterator[Frame]]:
        """See :meth:`mimic.sources.base.Source.open`."""
        item = unit.item
        file = File(item.name, item.uri, item.size_bytes)
        check_unchanged(file, item.fingerprint)
        with _opened(file, config) as video:
            yield _frames(video, unit, config, margin_slots)
            if video.note.text:
                _log.warning("%s: %s; what decodes around it is used", item.name, video.note.text)


def _item_of(file: File, config: Config) -> SourceItem | Skipped:
    try:
        if file.size == 0:
            raise SourceError("empty", f"{file.name}: is empty (0 bytes)")
        item = SourceItem(
            kind=VideoSource.kind,
            uri=file.uri,
            name=file.name,
            fingerprint=fingerprint_of(file),
            size_bytes=file.size,
            scene=file.name,
            footage_s=_probed_s(file, config),
        )
    except SourceError as error:
        return Skipped(file.name, error.reason, str(error))
    except StorageError as error:
        return Skipped(file.name, "unreadable", f"{file.name}: {error}")
    return placed(item, config)


def _probed_s(file: File, config: Config) -> float | None:
    if file.size <= config.source.video.probe_above_mb * 1e6:
        return None
    with _opened(file, config) as video:
        duration_s: float | None = video.info.duration_s
        return duration_s


def duration_s(item: SourceItem, config: Config) -> float | None:
    """What the video's header says; 0 where it cannot be opened, None where it says nothing."""
    try:
        with _opened(File(item.name, item.uri, item.size_bytes), config) as video:
            found: float | None = video.info.duration_s
            return found
    except (SourceError, StorageError):
        return 0.0


def estimated(unit: WorkUnit, footage_s: float, config: Config) -> WorkUnit:
    """The same unit, estimated to hold so much footage."""
    slots = footage_s / config.source.video.interval_s
    how = config.sampling.sequence
    return replace(
        unit,
        footage_s=footage_s,
        estimated_s=footage_s * CPU_S_PER_FOOTAGE_S + slots * CPU_S_PER_SLOT[how],
        estimated_pairs=slots * PAIRS_PER_SLOT[how],
    )


def _unit(item: SourceItem, span: Span, slots: int, config: Config) -> WorkUnit:
    owned = (slots if span.last is None else span.last) - span.first
    unit = unit_of(item, span, config, footage_s=0, estimated_s=0, estimated_pairs=0)
    return estimated(unit, owned * config.source.video.interval_s, config)


@contextmanager
def _opened(file: File, config: Config) -> Iterator[Any]:
    from mimic.pyav import open_video

    path = file.storage.local_path(file.basename)
    handle: BinaryIO | None = None if path else file.storage.open(file.basename)
    try:
        with open_video(handle or str(path), file.name, config.source.video.stream) as video:
            yield video
    finally:
        if handle is not None:
            handle.close()


def _frames(video: Any, unit: WorkUnit, config: Config, margin_slots: int) -> Iterator[Frame]:
    grid = Grid.every(config.source.video.interval_s)
    span = unit.span
    last = None if span.last is None else span.last + margin_slots
    history, decoded = _with_history(video, grid.opens_at(span.first))
    with_shots = shots(
        ((frame, video.thumb(frame)) for frame in decoded),
        history,
        config.source.video.cut_threshold,
    )
    for slot, picked in grid.pick((_Shown(*pair) for pair in with_shots), span.first, last):
        frame = picked.frame
        yield Frame(
            frame_id=stable_id(unit.item.fingerprint, "video", video.info.stream, frame.ticks),
            slot=slot,
            label=f"{float(frame.pts_s):.6f}",
            pts_s=float(frame.pts_s),
            shot=picked.shot,
            rgb=frame.rgb(),
        )


class _Shown:
    """A decoded frame with its shot, as the grid sees it."""

    __slots__ = ("frame", "shot")

    def __init__(self, frame: Any, shot: int) -> None:
        self.frame = frame
        self.shot = shot

    @property
    def time_s(self) -> Fraction:
        time_s: Fraction = self.frame.time_s
        return time_s


def _with_history(video: Any, start_s: Fraction) -> tuple[list[Thumb], Iterator[Any]]:
    """Thumbnails of the frames just before ``start_s``, and the frames after it.

    The history makes cut decisions independent of where reading began; having it also proves that
    the seek landed early enough.
    """
    afters = [start_s - preroll for preroll in PREROLLS_S if start_s > preroll]
    for after_s in (*afters, None):
        decoded = video.decode(after_s)
        history: deque[Thumb] = deque(maxlen=HISTORY)
        for frame in decoded:
            if frame.time_s <= start_s:
                history.append(video.thumb(frame))
            elif len(history) == HISTORY or after_s is None:
                return list(history), _chained(frame, decoded)
            else:
                break
        else:
            if history or after_s is None:  # the file ends before this unit begins
                return [], iter(())
    raise AssertionError("reading from the start always returns")


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
