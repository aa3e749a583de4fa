"""Per sequence, the curve of overlap against frame interval: overlap curricula start from it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mimic.shards.part import UnitSource
from mimic.shards.tables import table_of
from schemas import CURVES

SEQUENCES = frozenset({"video", "frames", "posed", "unscaled"})
"""Kinds of source whose slots are a time axis."""


class Curves:
    """Gathers edges unit by unit; :meth:`table` gives quartiles per item and interval in slots.

    Only edges whose overlap was measured count (an edge rejected before geometry has none).
    """

    def __init__(self, measure: str) -> None:
        self._measure = measure
        self._items: dict[tuple[str, str], int] = {}
        self._rows: list[NDArray[np.float64]] = []

    def add(self, source: UnitSource, edges: pa.Table) -> None:
        """Take in the edges (``schemas.EDGES``) of one unit."""
        if source.kind not in SEQUENCES or not len(edges):
            return
        item = self._items.setdefault((source.item, source.scene), len(self._items))
        slots = _floats(edges, "slot_2") - _floats(edges, "slot_1")
        overlap, interval_s = _floats(edges, self._measure), _floats(edges, "interval_s")
        rows = np.column_stack([np.full(len(edges), item), slots, overlap, interval_s])
        self._rows.append(rows[~np.isnan(overlap)])

    def table(self) -> pa.Table:
        """Rows of ``schemas.CURVES``, by item and interval."""
        rows = np.concatenate(self._rows) if self._rows else np.zeros((0, 4))
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
        changes = np.flatnonzero(np.any(np.diff(rows[:, :2], axis=0) != 0, axis=1)) + 1
        names = list(self._items)
        found = [
            (*names[int(group[0, 0])], group) for group in np.split(rows, changes) if len(group)
        ]
        found.sort(key=lambda entry: (entry[0], entry[1], entry[2][0, 1]))
        return table_of([_curve_row(*entry) for entry in found], CURVES)


def _curve_row(item: str, scene: str, group: NDArray[np.float64]) -> dict[str, object]:
    q25, median, q75 = (float(q) for q in np.quantile(group[:, 2], (0.25, 0.5, 0.75)))
    intervals = group[~np.isnan(group[:, 3]), 3]
    return {
        "item": item,
        "scene": scene,
        "interval_s": float(np.median(intervals)) if len(intervals) else None,
        "slots": int(group[0, 1]),
        "edges": len(group),
        "overlap_q25": q25,
        "overlap_median": median,
        "overlap_q75": q75,
    }


def _floats(edges: pa.Table, column: str) -> NDArray[np.float64]:
    values = edges[column].cast(pa.float64()).combine_chunks()
    array: NDArray[np.float64] = values.to_numpy(zero_copy_only=False)
    return array.astype(np.float64)
