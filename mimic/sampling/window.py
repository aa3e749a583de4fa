"""A sliding window of views over a stream of frames: what a sampler looks at."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from mimic.errors import SourceError
from mimic.geometry.covisibility import PosedDepth
from mimic.sampling.unseen import Unseen
from mimic.types import Frame, Span, View

UNREADABLE_FRAME = "unreadable_frame"
"""The reason of a :class:`SourceError` that costs a frame, not its item."""

_log = logging.getLogger("mimic")


class Window:
    """Views by slot, read from the stream only as far as asked, let go once the anchor has passed.

    Each frame becomes a view once (``prepare``), one that is :class:`Unseen` when it is asked for,
    and its features are detected once and only when asked for (``detect``). Slots without a frame
    (gaps, past the end) are None. ``on_leave`` sees every view exactly once, when it leaves the
    window: in slot order, but for those that are released by name.
    """

    def __init__(
        self,
        frames: Iterator[Frame | Unseen],
        prepare: Callable[[Frame], View],
        detect: Callable[[View], View],
        on_leave: Callable[[View], None],
    ) -> None:
        self._frames = frames
        self._prepare = prepare
        self._detect = detect
        self._on_leave = on_leave
        self._views: dict[int, View] = {}
        self._unseen: dict[int, Unseen] = {}
        self._read_to = -1
        self._ended = False

    def anchors(self, span: Span) -> Iterator[View]:
        """Each owned view in slot order; views before it are let go."""
        for slot in self._owned(span):
            view = self._seen(slot)
            self._drop_before(slot)
            if view is not None:
                yield view
        self._drop_before(None)

    def groups(self, span: Span, size: int) -> Iterator[list[int]]:
        """The slots of each group of ``size`` that has a frame; looks at none of them.

        Groups start at multiples of ``size`` and are owned as a whole; those before are let go.
        """
        slot = span.first
        while (found := self._next_slot(slot)) is not None and span.owns(found):
            first = found // size * size
            self._read_through(first + size - 1)
            self._drop_before(first)
            yield sorted(s for s in {*self._views, *self._unseen} if first <= s < first + size)
            slot = first + size
        self._drop_before(None)

    def slots(self) -> list[int]:
        """All slots that have a frame, from the first to the end; looks at none of them."""
        while self._read_next():
            pass
        return sorted({*self._views, *self._unseen})

    def release(self, slot: int) -> None:
        """Let a view go that nobody will ask for again."""
        self._unseen.pop(slot, None)
        if slot in self._views:
            self._on_leave(self._views.pop(slot))

    def get(self, slot: int) -> View | None:
        """The view at a slot, or None where the stream has no frame there."""
        self._read_through(slot)
        return self._seen(slot)

    def probe(self, slot: int) -> PosedDepth | None:
        """The coarse geometry at a slot that was not looked at yet; None where there is none."""
        unseen = self._unseen.get(slot)
        return None if unseen is None or unseen.probe is None else unseen.probe()

    def with_features(self, view: View) -> View:
        """The view with its features detected (kept for later askers)."""
        held = self._views[view.info.slot]
        if held.features is None:
            held = self._detect(held)
            self._views[view.info.slot] = held
        return held

    def _owned(self, span: Span) -> Iterator[int]:
        slot = self._next_slot(span.first)
        while slot is not None and span.owns(slot):
            yield slot
            slot = self._next_slot(slot + 1)

    def _next_slot(self, slot: int) -> int | None:
        """The first slot from here that has a frame."""
        while True:
            found = min((s for s in (*self._views, *self._unseen) if s >= slot), default=None)
            if found is not None or not self._read_next():
                return found

    def _seen(self, slot: int) -> View | None:
        unseen = self._unseen.pop(slot, None)
        if unseen is not None:
            try:
                self._views[slot] = self._prepare(unseen.look())
            except SourceError as error:
                if error.reason != UNREADABLE_FRAME:
                    raise
                _log.warning("left out: %s", error)  # one picture, not its sequence
        return self._views.get(slot)

    def _read_through(self, slot: int) -> None:
        while self._read_to < slot and self._read_next():
            pass

    def _read_next(self) -> bool:
        frame = next(self._frames, None) if not self._ended else None
        if frame is None:
            self._ended = True
            return False
        if frame.slot <= self._read_to:
            raise AssertionError(f"slot {frame.slot} came after slot {self._read_to}")
        if isinstance(frame, Unseen):
            self._unseen[frame.slot] = frame
        else:
            self._views[frame.slot] = self._prepare(frame)
        self._read_to = frame.slot
        return True

    def _drop_before(self, slot: int | None) -> None:
        for passed in sorted(s for s in self._views if slot is None or s < slot):
            self._on_leave(self._views.pop(passed))
        for passed in [s for s in self._unseen if slot is None or s < slot]:
            del self._unseen[passed]
