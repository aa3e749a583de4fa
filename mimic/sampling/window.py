"""A sliding window of views over a stream of frames: what a sampler looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mimic.types import Frame, Span, View


class Window:
    """Views by slot, read from the stream only as far as asked, let go once the anchor has passed.

    Each frame becomes a view once (``prepare``), and its features are detected once and only when
    asked for (``detect``). Slots without a frame (gaps, past the end) are None.
    ``on_leave`` sees every view exactly once, in slot order, when it leaves the window.
    """

    def __init__(
        self,
        frames: Iterator[Frame],
        prepare: Callable[[Frame], View],
        detect: Callable[[View], View],
        on_leave: Callable[[View], None],
    ) -> None:
        self._frames = frames
        self._prepare = prepare
        self._detect = detect
        self._on_leave = on_leave
        self._views: dict[int, View] = {}
        self._read_to = -1
        self._ended = False

    def anchors(self, span: Span) -> Iterator[View]:
        """Each owned view in slot order; views before it are let go."""
        slot = span.first
        while (view := self._first_from(slot)) is not None and span.owns(view.info.slot):
            self._drop_before(view.info.slot)
            yield view
            slot = view.info.slot + 1
        self._drop_before(None)

    def get(self, slot: int) -> View | None:
        """The view at a slot, or None where the stream has no frame there."""
        while self._read_to < slot and self._read_next():
            pass
        return self._views.get(slot)

    def with_features(self, view: View) -> View:
        """The view with its features detected (kept for later askers)."""
        held = self._views[view.info.slot]
        if held.features is None:
            held = self._detect(held)
            self._views[view.info.slot] = held
        return held

    def _first_from(self, slot: int) -> View | None:
        while True:
            found = min((s for s in self._views if s >= slot), default=None)
            if found is not None:
                return self._views[found]
            if not self._read_next():
                return None

    def _read_next(self) -> bool:
        frame = next(self._frames, None) if not self._ended else None
        if frame is None:
            self._ended = True
            return False
        if frame.slot <= self._read_to:
            raise AssertionError(f"slot {frame.slot} came after slot {self._read_to}")
        self._views[frame.slot] = self._prepare(frame)
        self._read_to = frame.slot
        return True

    def _drop_before(self, slot: int | None) -> None:
        for passed in sorted(s for s in self._views if slot is None or s < slot):
            view = self._views.pop(passed)
            self._on_leave(view)
