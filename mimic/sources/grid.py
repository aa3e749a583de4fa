"""The regular grid of slots over a stream's time: which frame stands for which slot.

Slot k is the time k * interval, counted from the stream's first frame. A frame belongs to the slot
it is nearest to (half-way: the earlier slot); the frame of a slot is the nearest of those that
belong to it (a tie: the earlier frame). Both are local, so they do not depend on where reading
began, and no frame serves two slots. All arithmetic is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, TypeVar

HALF = Fraction(1, 2)


class _Timed(Protocol):
    @property
    def time_s(self) -> Fraction: ...


_T = TypeVar("_T", bound=_Timed)


@dataclass(frozen=True, slots=True)
class Grid:
    """Slots ``interval`` seconds apart."""

    interval: Fraction

    @classmethod
    def every(cls, interval_s: float) -> Grid:
        """The grid of a config's interval; 0.3333333333333333 means one third."""
        return cls(Fraction(interval_s).limit_denominator(1_000_000))

    def slot_of(self, time_s: Fraction) -> int:
        """The slot nearest to a time."""
        return math.ceil(time_s / self.interval - HALF)

    def opens_at(self, slot: int) -> Fraction:
        """Frames strictly after this time, and not after ``opens_at(slot + 1)``, are the slot's."""
        return (slot - HALF) * self.interval

    def distance(self, time_s: Fraction, slot: int) -> Fraction:
        """How far a time is from a slot."""
        return abs(time_s - slot * self.interval)

    def pick(self, frames: Iterable[_T], first: int, last: int | None) -> Iterator[tuple[int, _T]]:
        """(slot, frame) for the slots ``first <= slot < last`` that have one, in order.

        Reads no further than the first frame past the last slot.
        """
        best: tuple[int, _T] | None = None
        for frame in frames:
            slot = self.slot_of(frame.time_s)
            if slot < first:
                continue
            if best is not None and slot > best[0]:
                yield best
                best = None
            if last is not None and slot >= last:
                break
            if best is None or self._nearer(frame, best[1], slot):
                best = (slot, frame)
        if best is not None:
            yield best

    def _nearer(self, frame: _T, than: _T, slot: int) -> bool:
        return self.distance(frame.time_s, slot) < self.distance(than.time_s, slot)
