"""The pairs that packing has chosen: what of the whole graph the driver holds.

In memory stay some 40 bytes a pair (its key, and which rows it is made of); the rows themselves go
to temporary files on local disk (``TMPDIR``), nameless ones that vanish with the process, and come
back, mapped, shard by shard.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from array import array
from collections import Counter
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mimic.shards.covis import DIRECTIONS
from mimic.shards.graph import PLACE, UnitGraph
from mimic.shards.layout import ID_TYPE, ShardPlan
from mimic.shards.pairs import PAIR_EDGES, PAIR_FRAMES, Pairs, Place
from mimic.shards.part import UnitSource
from mimic.shards.sample import pair_key
from mimic.types import KEPT

ROWS_AT_ONCE = 32_768
"""Rows held before they go to disk."""


def _place_of(what: str) -> pa.Schema:
    return pa.schema([field.with_name(f"{what}_{field.name}") for field in PLACE])


_DEPTH = _place_of("depth")
_COVIS = tuple(_place_of(f"covis_{direction}") for direction in DIRECTIONS)
_EDGES = pa.schema([*PAIR_EDGES, *PLACE, *(field for places in _COVIS for field in places)])
_FRAMES = pa.schema([*PAIR_FRAMES, *PLACE, *_DEPTH])


class Chosen(contextlib.AbstractContextManager["Chosen"]):
    """Take in units with :meth:`add`, then :meth:`settle`, then ask for :meth:`pairs`.

    Args:
        known: (N,) sorted keys of earlier shards. Pairs whose key is known, or was met before, are
            counted and left out.
        only_stored: leave out pairs whose pictures, or whose correspondence, cannot be had.
    """

    def __init__(self, known: NDArray[np.bytes_], *, only_stored: bool = True) -> None:
        self.counts: Counter[str] = Counter()
        self._known = known
        self._only_stored = only_stored
        self._units: list[UnitSource] = []
        self._keys = bytearray()
        self._views = array("q")
        self._unit_of = array("i")
        self._edges = _Rows(_EDGES)
        self._frames = _Rows(_FRAMES)
        self._rows: NDArray[np.int64] = np.zeros(0, np.int64)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._edges.close()
        self._frames.close()

    def add(self, unit: UnitGraph) -> None:
        """Count a unit's edges and take in those that are kept, if they can be cut."""
        verdicts = unit.edges["verdict"].to_pylist()
        self.counts.update(verdicts)
        stored = unit.places["place_name"].is_valid().to_pylist()
        self.counts.update(candidates=len(verdicts), frames=len(stored), stored=sum(stored))
        kept = [row for row, verdict in enumerate(verdicts) if verdict == KEPT]
        if not kept:
            return
        row_of = {name: row for row, name in enumerate(unit.frames["frame_id"].to_pylist())}
        firsts, seconds = (unit.edges[c].take(kept).to_pylist() for c in ("frame_1", "frame_2"))
        has_corr = _has_corr(unit).take(kept).to_pylist()
        picked = []
        for row, corr, *frames in zip(kept, has_corr, firsts, seconds, strict=True):
            views = (row_of[frames[0]], row_of[frames[1]])
            if not self._only_stored or (corr and stored[views[0]] and stored[views[1]]):
                picked.append((row, pair_key(*frames), *views))
        if len(picked) < len(kept):
            self.counts["not_stored"] += len(kept) - len(picked)
        if picked:
            self._store(unit, picked)

    def _store(self, unit: UnitGraph, picked: list[tuple[int, str, int, int]]) -> None:
        used = sorted({view for _, _, *views in picked for view in views})
        edge_rows = [row for row, *_ in picked]
        maps = [
            table.rename_columns(places.names)
            for table, places in zip(unit.covis, _COVIS, strict=True)
        ]
        self._edges.append(_joined([unit.edges, unit.corrs, *maps], _EDGES, edge_rows))
        depths = unit.depths.rename_columns(_DEPTH.names)
        first = self._frames.append(_joined([unit.frames, unit.places, depths], _FRAMES, used))
        place = {view: first + n for n, view in enumerate(used)}
        self._keys += "".join(key for _, key, _, _ in picked).encode()
        self._views.extend(place[view] for _, _, *views in picked for view in views)
        self._unit_of.extend([len(self._units)] * len(picked))
        self._units.append(unit.source)

    def settle(self) -> None:
        """End of the units: leave out the pairs that were met before."""
        self._edges.seal()
        self._frames.seal()
        keys = np.frombuffer(self._keys, ID_TYPE)
        order = np.argsort(keys, kind="stable")
        again = np.zeros(len(keys), bool)
        again[order[1:]] = keys[order[1:]] == keys[order[:-1]]
        if len(self._known):
            at = np.minimum(np.searchsorted(self._known, keys), len(self._known) - 1)
            again |= self._known[at] == keys
        self._rows = np.flatnonzero(~again)
        found = {"samples": len(self._rows), "duplicates": int(again.sum())}
        self.counts.update({name: count for name, count in found.items() if count})

    @property
    def keys(self) -> NDArray[np.bytes_]:
        """(N,) keys of the pairs, in the order of units and edges."""
        return np.frombuffer(self._keys, ID_TYPE)[self._rows]

    @property
    def scenes(self) -> list[str]:
        """The scene of each pair."""
        return [source.scene for source in self.sources]

    @property
    def sources(self) -> list[UnitSource]:
        """What the unit of each pair was mined from."""
        units = np.frombuffer(self._unit_of, np.int32)[self._rows]
        return [self._units[unit] for unit in units.tolist()]

    def pairs(self, plan: ShardPlan) -> Pairs:
        """The pairs of one shard, in order."""
        edges, frames = self.tables(plan.samples)
        rows = self._rows[plan.samples]
        units = np.frombuffer(self._unit_of, np.int32)[rows].tolist()
        return Pairs(
            keys=tuple(key.decode() for key in np.frombuffer(self._keys, ID_TYPE)[rows].tolist()),
            sources=tuple(self._units[unit] for unit in units),
            edges=edges.select(PAIR_EDGES.names),
            frames=frames.select(PAIR_FRAMES.names),
            pictures=tuple(Place(*place) for place in _places(frames, PLACE)),
            depths=tuple(_place_or_none(place) for place in _places(frames, _DEPTH)),
            corrs=tuple(_place_or_none(place) for place in _places(edges, PLACE)),
            covis=tuple(
                _place_or_none(place)
                for maps in zip(*(_places(edges, places) for places in _COVIS), strict=True)
                for place in maps
            ),
        )

    def tables(self, samples: NDArray[np.int64]) -> tuple[pa.Table, pa.Table]:
        """The rows of some pairs (PAIR_EDGES) and of their frames (PAIR_FRAMES, two a pair)."""
        rows = self._rows[samples]
        views = np.frombuffer(self._views, np.int64).reshape(-1, 2)[rows].ravel()
        return self._edges.take(rows), self._frames.take(views)


def _has_corr(unit: UnitGraph) -> pa.ChunkedArray:
    """Whether the correspondence of an edge is stored, or follows from its homography."""
    stored = unit.corrs["place_name"].is_valid()
    return pc.or_(stored, unit.edges["homography"].is_valid())


def _joined(tables: list[pa.Table], schema: pa.Schema, rows: list[int]) -> pa.Table:
    """Some rows of tables that lie beside each other."""
    numbers = pa.array(rows, pa.int64())
    columns = {name: table[name] for table in tables for name in table.column_names}
    return pa.table([columns[name].take(numbers) for name in schema.names], schema=schema)


def _places(table: pa.Table, fields: pa.Schema) -> zip[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in fields.names), strict=True)


def _place_or_none(place: tuple[Any, ...]) -> Place | None:
    return None if place[0] is None else Place(*place)


class _Rows:
    """A table that grows on disk, and is mapped into memory once it is sealed."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._file = tempfile.TemporaryFile(prefix="mimic-pack-")  # noqa: SIM115  # see close()
        self._writer: Any = pa.ipc.new_stream(self._file, schema)
        self._held: list[pa.Table] = []
        self._held_rows = 0
        self._length = 0
        self._batches: list[pa.RecordBatch] = []
        self._starts: NDArray[np.int64] = np.zeros(1, np.int64)

    def append(self, table: pa.Table) -> int:
        """Add rows; the number of the first of them is returned."""
        first = self._length
        self._held.append(table)
        self._held_rows += len(table)
        self._length += len(table)
        if self._held_rows >= ROWS_AT_ONCE:
            self._flush()
        return first

    def seal(self) -> None:
        """No more rows will come; now :meth:`take` may be called."""
        self._flush()
        self._writer.close()
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._batches = list(pa.ipc.open_stream(pa.py_buffer(mapped)))
        self._starts = np.cumsum([0, *(len(batch) for batch in self._batches)])

    def take(self, numbers: NDArray[np.int64]) -> pa.Table:
        """Rows by number, in the order asked for; only what they need is read."""
        order = np.argsort(numbers, kind="stable")
        rising = numbers[order]
        cuts = np.searchsorted(rising, self._starts)
        pieces = [
            batch.take(pa.array(rising[first:last] - start))
            for batch, start, first, last in zip(
                self._batches, self._starts, cuts, cuts[1:], strict=False
            )
            if first < last
        ]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        table = pa.Table.from_batches(pieces, self._schema).combine_chunks()
        return table.take(pa.array(back)).combine_chunks()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Let go of the file."""
        self._batches = []
        self._file.close()

    def _flush(self) -> None:
        if self._held_rows:
            self._writer.write_table(pa.concat_tables(self._held).combine_chunks())
        self._held, self._held_rows = [], 0
