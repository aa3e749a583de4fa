"""Pairs of a posed sequence, chosen by its geometry before any picture is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mimic.config import Config
from mimic.geometry.coarse import CoarseView
from mimic.sampling.by_geometry import WISHES, partners_of
from mimic.sampling.window import Window
from mimic.types import Edge, Span, View

POINTS, TABLE_PIXELS = 1024, 1 << 12
"""Of a coarse depth image, so many points tell how much of it another view sees."""


def posed(
    window: Window, measure: Callable[[View, View], Edge], span: Span, config: Config
) -> Iterator[Edge]:
    """The pairs whose earlier frame is owned, by the wish of ``sampling.posed``.

    All frames of the sequence are held against each other by their coarse depth, so that partners
    are found after a loop, too; only those in a pair are looked at.
    """
    slots = window.slots()
    views = [_coarse(window, slot) for slot in slots]
    owned = [row for row, slot in enumerate(slots) if span.owns(slot)]
    pairs = partners_of(owned, views, WISHES[config.sampling.posed], config.seed)
    last_use = {row: number for number, pair in enumerate(pairs) for row in pair}
    for number, (row_1, row_2) in enumerate(pairs):
        view_1, view_2 = window.get(slots[row_1]), window.get(slots[row_2])
        if view_1 is not None and view_2 is not None:
            yield measure(view_1, view_2)
        for row in (row_1, row_2):
            if last_use[row] == number:
                window.release(slots[row])


def _coarse(window: Window, slot: int) -> CoarseView | None:
    """None where a frame has no depth, or its pose is not known."""
    probe = window.probe(slot)
    if probe is None or not (probe.depth_m > 0).any():
        return None
    return CoarseView.of(probe, points=POINTS, table=TABLE_PIXELS)
