"""One pass over each table of a data set: what is counted while its batches stream by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mimic.report.measures import CRITERIA, FRAMES, PAIRS
from mimic.report.model import CurvePoint, LabelClass, LabelStats, Mixing
from mimic.report.streams import (
    Bins,
    Distinct,
    Ids,
    Quartiles,
    SceneMixing,
    Values,
    id_numbers,
    near_duplicate_share,
)
from mimic.report.tables import Tables
from mimic.shards.covis import CLASSES, SHARE_COLUMNS

SHUFFLE_WINDOW = 256
"""Samples of one batch, for the same-scene rate."""


@dataclass(slots=True)
class UnitNames:
    """Unit id -> item and source. Both graph and samples tell; either may be all there is."""

    _item: dict[str, str] = field(default_factory=dict)
    _source: dict[str, str] = field(default_factory=dict)

    def read(self, tables: Tables) -> None:
        """Take in the graph's units, and what samples tell of others."""
        for batch in tables.batches("units", ("unit_id", "item", "kind", "dataset")):
            self.add_units(batch)
        for batch in tables.batches("samples", ("unit", "item", "kind", "dataset")):
            self.add_samples(batch)

    def add_units(self, batch: pa.RecordBatch) -> None:
        """Take in rows of the graph's units; those without a part have no item."""
        for row in batch.to_pylist():
            if row["item"] is not None:
                self.add(row["unit_id"], row["item"], row["dataset"] or row["kind"])

    def add_samples(self, batch: pa.RecordBatch) -> None:
        """Take in rows of a shard's index."""
        rows = [row for row, _ in _first_rows(encoded(batch, "unit"))]
        for row in batch.select(["unit", "item", "kind", "dataset"]).take(rows).to_pylist():
            self.add(row["unit"], row["item"], row["dataset"] or row["kind"])

    def add(self, unit: str, item: str, source: str | None) -> None:
        """Take in one unit; the first to name it is believed."""
        self._item.setdefault(unit, item)
        if source is not None:
            self._source.setdefault(unit, source)

    def item_of(self, unit: str) -> str:
        """The item of a unit."""
        return self._item.get(unit, f"unit {unit}")

    def source_of(self, unit: str) -> str:
        """The data set of a unit, or else its kind of source."""
        return self._source.get(unit, "unknown")

    def units(self) -> Iterable[str]:
        """All units met."""
        return self._item

    def items(self) -> set[str]:
        """All items met."""
        return set(self._item.values())


class SamplePass:
    """One pass over the indexes of the shards."""

    COLUMNS = (
        "split",
        "kind",
        "dataset",
        "item",
        "scene",
        "unit",
        "views",
        *(measure.column for measure in PAIRS),
        *SHARE_COLUMNS,
    )

    def __init__(self, names: UnitNames) -> None:
        self._names = names
        self.count = 0
        self.per_unit: Counter[str] = Counter()
        self.bins = {measure.column: Bins(measure) for measure in PAIRS}
        self.criteria = {measure.column: Bins(measure) for measure in CRITERIA}
        self.labels = LabelPass()
        self._scenes: dict[str, int] = {}
        self._mixing = SceneMixing(SHUFFLE_WINDOW)
        self._frame_ids = Distinct()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""
        self.count += batch.num_rows
        self.per_unit.update(_counted(encoded(batch, "unit")))
        self._names.add_samples(batch)
        scenes = encoded(batch, "scene")
        known = np.array(
            [self._scenes.setdefault(scene, len(self._scenes)) for scene in scenes.names], np.int64
        )
        self._mixing.add(known[scenes.codes])
        views = batch.column(batch.schema.get_field_index("views")).flatten()
        self._frame_ids.add(_ids(views.field("frame_id")))
        _add_columns(self.bins, batch)
        _add_columns(self.criteria, batch)
        self.labels.add(batch)

    @property
    def scene_count(self) -> int:
        """Distinct scenes."""
        return len(self._scenes)

    def frame_ids(self) -> Distinct:
        """The frames that samples use."""
        return self._frame_ids

    def mixing(self) -> Mixing:
        """How well scenes are mixed."""
        return Mixing(SHUFFLE_WINDOW, self._mixing.rate(), self._mixing.expected())


class LabelPass:
    """The shares of the classes over all label maps."""

    def __init__(self) -> None:
        self._samples = 0
        self._sums = np.zeros(len(CLASSES))
        self._values = [Values() for _ in CLASSES]

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""
        for number, column in enumerate(SHARE_COLUMNS):
            index = batch.schema.get_field_index(column)
            if index < 0:
                continue
            flat = batch.column(index).flatten().to_numpy(zero_copy_only=False)
            shares = flat.reshape(-1, len(CLASSES))
            self._samples += len(shares) if number == 0 else 0
            self._sums += shares.sum(axis=0)
            for values, of_class in zip(self._values, shares.T, strict=True):
                values.add(of_class)

    def result(self) -> LabelStats | None:
        """What the maps say; None where there was none."""
        classes = []
        for name, total, values in zip(CLASSES, self._sums, self._values, strict=True):
            quartiles = values.quartiles()
            if quartiles is None:
                return None
            classes.append(LabelClass(name, float(total) / values.count, quartiles))
        return LabelStats(self._samples, tuple(classes))


class EdgePass:
    """One pass over all measured pairs of the graph."""

    COLUMNS = (
        "unit_id",
        "slot_1",
        "slot_2",
        "interval_s",
        "verdict",
        "value",
        *(measure.column for measure in PAIRS if measure.column != "interval_s"),
    )

    def __init__(self, measure: str) -> None:
        self._column = f"overlap_{measure}"
        self.count = 0
        self.per_unit: dict[str, Counter[str]] = {}
        self.values: dict[str, Values] = {}
        self.bins = {measure.column: Bins(measure) for measure in PAIRS}
        self._strides: dict[int, tuple[Values, Values, int]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""
        self.count += batch.num_rows
        verdicts, units = encoded(batch, "verdict"), encoded(batch, "unit_id")
        self._add_counts(verdicts, units)
        values = _floats(batch, "value")
        for code, verdict in enumerate(verdicts.names):
            self.values.setdefault(verdict, Values()).add(values[verdicts.codes == code])
        _add_columns(self.bins, batch)
        self._add_strides(batch)

    def _add_counts(self, verdicts: Codes, units: Codes) -> None:
        cells = units.codes * len(verdicts.names) + verdicts.codes
        for cell, count in zip(*np.unique(cells, return_counts=True), strict=True):
            unit, verdict = divmod(int(cell), len(verdicts.names))
            self.per_unit.setdefault(units.names[unit], Counter())[verdicts.names[verdict]] += int(
                count
            )

    def _add_strides(self, batch: pa.RecordBatch) -> None:
        interval = _floats(batch, "interval_s")
        stride = _floats(batch, "slot_2") - _floats(batch, "slot_1")
        overlap = _floats(batch, self._column)
        for slots in np.unique(stride[~np.isnan(interval)]):
            here = (stride == slots) & ~np.isnan(interval)
            intervals, overlaps, edges = self._strides.get(int(slots), (Values(), Values(), 0))
            intervals.add(interval[here])
            overlaps.add(overlap[here])
            self._strides[int(slots)] = intervals, overlaps, edges + int(here.sum())

    def verdict_counts(self) -> dict[str, int]:
        """Pairs by verdict."""
        total: Counter[str] = Counter()
        for counts in self.per_unit.values():
            total.update(counts)
        return dict(total)

    def curve(self) -> tuple[CurvePoint, ...]:
        """Overlap by stride."""
        points = []
        for slots, (intervals, overlaps, edges) in sorted(self._strides.items()):
            interval = cast("Quartiles", intervals.quartiles())  # a stride has an edge
            points.append(
                CurvePoint(slots, interval.median, edges, overlaps.count, overlaps.quartiles())
            )
        return tuple(points)


class FramePass:
    """One pass over the frames of the graph; ``stored`` are the ids that samples use."""

    COLUMNS = ("frame_id", "phash", *(measure.column for measure in FRAMES))

    def __init__(self, stored: Distinct) -> None:
        self._stored = stored
        self._seen = Distinct()
        self.bins = {measure.column: Bins(measure) for measure in FRAMES}
        self._ids: list[Ids] = []
        self._hashes: list[NDArray[np.uint64]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""
        ids = _ids(batch.column(batch.schema.get_field_index("frame_id")))
        self._seen.add(ids)
        _add_columns(self.bins, batch)
        stored = self._stored.holds(ids)
        hashes = _strings(batch.filter(pa.array(stored)), "phash")
        there = np.array([bool(text) for text in hashes], bool)
        self._ids.append(ids[stored][there])
        self._hashes.append(np.array([int(text, 16) for text in hashes if text], np.uint64))

    @property
    def count(self) -> int:
        """Distinct frames: one in the margin of two units has a row in both."""
        return len(self._seen.sorted())

    def near_duplicates(self) -> float | None:
        """Share of the stored frames that look like another one."""
        if not self._ids:
            return None
        once = np.unique(np.concatenate(self._ids), return_index=True)[1]
        return near_duplicate_share(np.concatenate(self._hashes)[once])


@dataclass(frozen=True, slots=True)
class Codes:
    """A text column as numbers: ``names[codes[row]]``; null is the empty text."""

    codes: NDArray[np.int64]
    names: list[str]


def encoded(batch: pa.RecordBatch, column: str) -> Codes:
    """A text column as numbers."""
    text = batch.column(batch.schema.get_field_index(column)).fill_null("")
    coded = text.dictionary_encode()
    return Codes(
        coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary.to_pylist()
    )


def _counted(codes: Codes) -> dict[str, int]:
    counts = np.bincount(codes.codes, minlength=len(codes.names))
    return {name: int(count) for name, count in zip(codes.names, counts, strict=True)}


def _first_rows(codes: Codes) -> Iterator[tuple[int, str]]:
    for code, row in zip(*np.unique(codes.codes, return_index=True), strict=True):
        yield int(row), codes.names[int(code)]


def _floats(batch: pa.RecordBatch, column: str) -> NDArray[np.float64]:
    index = batch.schema.get_field_index(column)
    if index < 0:
        return np.full(batch.num_rows, np.nan)
    values = batch.column(index).to_numpy(zero_copy_only=False)
    return cast("NDArray[np.float64]", values.astype(np.float64))


def _strings(batch: pa.RecordBatch, column: str) -> list[str | Any]:
    return cast("list[str | Any]", batch.column(batch.schema.get_field_index(column)).to_pylist())


def _ids(column: pa.Array) -> Ids:
    return id_numbers(column.to_numpy(zero_copy_only=False).astype(np.bytes_))


def _add_columns(bins: dict[str, Bins], batch: pa.RecordBatch) -> None:
    for column, held in bins.items():
        held.add(_floats(batch, column))
