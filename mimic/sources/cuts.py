"""Cuts between shots, from small grey thumbnails of successive frames.

A cut is a change of the picture that stands out from the changes around it: a fast pan changes as
much, but so do its neighbours; after a flash the picture comes back. A dissolve is a change that
goes one way only: what moves goes forth and back. Every decision reads a fixed number of frames
before and after, so it does not depend on where reading began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

HISTORY = 25
"""Frames before a frame that its decision reads."""
AHEAD = 3
"""Frames after it."""

_BLOCK = 4
"""Thumbnail pixels averaged each way: tolerant of noise and small motion."""
_PAST = 8
"""Changes before the frame that a cut must stand out from."""
_STANDS_OUT = 2.0
"""How many times larger than its neighbours the change of a cut is. Cuts of real footage reach 3
before and 7 after, the fastest head turns 1.9 and 1.7."""
_QUIET = 3.0
"""Grey levels: smaller changes are as good as none."""
_DISSOLVES = (12, 24)
"""Lengths in frames of the dissolves that are looked for."""
_ONE_WAY = 0.92
"""Share of all change that remains over a dissolve's length. A real dissolve has 0.99, slow motion
of large things up to 0.81."""
_MIXED = 0.1
"""How far the middle of a dissolve may be from a mixture of its ends, relative to their change."""

Thumb = NDArray[np.uint8]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Look:
    """A frame as its block means, the same without their mean, and its standard deviation.

    ``moved`` is the mean absolute change from the frame before; None where that is unknown.
    """

    blocks: NDArray[np.float64]
    centred: NDArray[np.float64]
    deviation: float
    moved: float | None


def shots(
    frames: Iterable[tuple[_T, Thumb]], history: Iterable[Thumb], threshold: float
) -> Iterator[tuple[_T, int]]:
    """Each frame with the number of cuts at or before it, counted from the first one.

    ``history`` are the thumbnails of the frames just before, HISTORY of them or all there are.
    ``threshold`` is the least loss of correlation between the two sides of a cut. Holds back at
    most AHEAD frames.
    """
    window: list[_Look] = []
    for thumb in history:
        window.append(_look(thumb, window))
    pending: deque[_T] = deque()
    shot = 0
    for frame, thumb in frames:
        window.append(_look(thumb, window))
        pending.append(frame)
        if len(pending) > AHEAD:
            shot += _is_cut(window, len(window) - len(pending), threshold)
            yield pending.popleft(), shot
            del window[: max(0, len(window) - len(pending) - HISTORY)]
    while pending:
        shot += _is_cut(window, len(window) - len(pending), threshold)
        yield pending.popleft(), shot


def _look(thumb: Thumb, window: list[_Look]) -> _Look:
    height, width = thumb.shape
    blocks = (
        thumb.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).mean((1, 3)).reshape(-1)
    )
    centred = blocks - blocks.mean()
    return _Look(
        blocks=blocks,
        centred=centred,
        deviation=float(np.sqrt(np.mean(centred**2))),
        moved=_moved(window[-1].blocks, blocks) if window else None,
    )


def _is_cut(window: list[_Look], at: int, threshold: float) -> bool:
    return at > 0 and (_is_hard(window, at, threshold) or _begins_dissolve(window, at, threshold))


def _is_hard(window: list[_Look], at: int, threshold: float) -> bool:
    now = window[at].moved
    if now is None or _change(window[at - 1], window[at]) <= threshold:
        return False
    past = sorted(look.moved for look in window[max(0, at - _PAST) : at] if look.moved is not None)
    after = [look.moved for look in window[at + 1 : at + 1 + AHEAD] if look.moved is not None]
    # The largest change before may be another cut; the second largest is the motion.
    before = past[-2] if len(past) > 1 else 0.0
    if now < _STANDS_OUT * max(before, *after, _QUIET):
        return False
    return not _comes_back(window, at, threshold)


def _comes_back(window: list[_Look], at: int, threshold: float) -> bool:
    """Whether a picture from before is seen again: then it was a flash, or something passing."""
    return any(
        _change(window[i], window[j]) <= threshold
        for i in range(max(0, at - 1 - AHEAD), at)
        for j in range(at, min(len(window), i + 2 + AHEAD))
    )


def _begins_dissolve(window: list[_Look], at: int, threshold: float) -> bool:
    """Whether this is the first frame across a dissolve."""
    return _across_dissolve(window, at, threshold) and not _across_dissolve(
        window, at - 1, threshold
    )


def _across_dissolve(window: list[_Look], at: int, threshold: float) -> bool:
    return any(_dissolved(window, at, length, threshold) for length in _DISSOLVES)


def _dissolved(window: list[_Look], at: int, length: int, threshold: float) -> bool:
    start = at - length
    if start < 0 or _change(window[start], window[at]) <= threshold:
        return False
    moves = [look.moved or 0.0 for look in window[start + 1 : at + 1]]
    path = sum(moves)
    if max(moves) > path / 4:  # not spread over many frames
        return False
    first, middle, last = (window[i].blocks for i in (start, at - length // 2, at))
    one_way = _moved(first, last) >= _ONE_WAY * max(path, _QUIET)
    return one_way and _is_mixture(first, middle, last)


def _is_mixture(
    first: NDArray[np.float64], middle: NDArray[np.float64], last: NDArray[np.float64]
) -> bool:
    """Whether all of the picture has gone the same share of its way (edges that move have not)."""
    way = last - first
    share = float(np.sum((middle - first) * way) / np.sum(way * way))
    return _moved(first + share * way, middle) <= _MIXED * _moved(first, last)


def _moved(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Mean absolute change in grey levels."""
    return float(np.abs(b - a).mean())


def _change(a: _Look, b: _Look) -> float:
    """Loss of correlation, 0 (same picture, whatever its brightness) to 2."""
    spread = max(a.deviation * b.deviation, 1.0)
    return 1.0 - float(np.mean(a.centred * b.centred)) / spread
