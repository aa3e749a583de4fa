"""The graph of labelled shards: that of the old ones, with what labels tell of their samples.

So that packing the labelled shards again finds in the graph what the samples say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mimic.errors import DamagedError
from mimic.shards.covis import SHARE_COLUMNS
from mimic.shards.graph import rewritten
from mimic.shards.layout import ID_TYPE
from mimic.shards.reader import Shards
from mimic.shards.sample import pair_key
from mimic.shards.tables import from_parquet
from mimic.shards.verify import check_file
from mimic.storage import Storage
from mimic.types import KEPT
from schemas import EDGES, FileEntry, ShardEntry

COLUMNS = (
    "overlap_covis_12",
    "overlap_covis_21",
    "overlap_covis",
    "scale_ratio",
    "viewpoint_angle_deg",
)
"""Numbers of an edge that labelling fills in."""


def label_graph(
    source: Shards, out: Storage, shards: Sequence[ShardEntry]
) -> tuple[FileEntry, ...]:
    """Write the graph of ``source`` to ``out``, where the labelled ``shards`` are."""
    known = _Known.of(out, shards)
    return tuple(_written(source.storage, entry, out, known) for entry in source.manifest.graph)


def _written(source: Storage, entry: FileEntry, out: Storage, known: _Known) -> FileEntry:
    """Edges with what is known, any other table as it is."""
    damage = check_file(source, entry)
    if damage is not None:
        raise DamagedError(f"{source.join(entry.name)}: {damage.problem}; mine again")
    if Path(entry.name).name.startswith("edges-"):
        return rewritten(source, entry.name, out, EDGES, known.filled)
    out.write(entry.name, source.read(entry.name))
    return entry


@dataclass(frozen=True, slots=True)
class _Known:
    """What the labelled samples say: ``keys`` (N,) sorted, ``values`` (N, 5 + 2 x 4), NaN: null."""

    keys: NDArray[np.bytes_]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, out: Storage, shards: Iterable[ShardEntry]) -> _Known:
        keys, values = [np.zeros(0, ID_TYPE)], [np.zeros((0, len(COLUMNS) + 8))]
        for shard in shards:
            name = shard.index.name
            columns = ["key", *COLUMNS, *SHARE_COLUMNS]
            table = from_parquet(out.read(name), out.join(name), columns)
            table = table.filter(table[SHARE_COLUMNS[0]].is_valid())
            numbers = [table[column].to_numpy() for column in COLUMNS]
            shares = [np.array(table[c].to_pylist(), float).reshape(-1, 4) for c in SHARE_COLUMNS]
            keys.append(np.array(table["key"].to_pylist(), ID_TYPE))
            values.append(np.column_stack([*numbers, *shares]))
        found = np.concatenate(keys)
        order = np.argsort(found, kind="stable")
        return cls(found[order], np.concatenate(values)[order])

    def filled(self, edges: pa.Table) -> pa.Table:
        """Edges (``schemas.EDGES``) with the numbers of those that are labelled samples."""
        rows, at = self._found(edges)
        if not len(rows):
            return edges
        for number, name in enumerate(COLUMNS):
            values = edges[name].to_numpy().copy()
            values[rows] = self.values[at, number]
            edges = _with(edges, name, pa.array(values, from_pandas=True))  # NaN becomes null
        for number, name in enumerate(SHARE_COLUMNS):
            lists: list[Any] = edges[name].to_pylist()
            start = len(COLUMNS) + 4 * number
            for row, shares in zip(rows, self.values[at, start : start + 4].tolist(), strict=True):
                lists[row] = shares
            edges = _with(edges, name, pa.array(lists, EDGES.field(name).type))
        return edges

    def _found(self, edges: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of labelled samples, and where these are in ``keys``."""
        kept = np.flatnonzero(np.array(edges["verdict"].to_pylist(), object) == KEPT)
        if not len(kept) or not len(self.keys):
            return kept[:0], kept[:0]
        frames = (edges[name].take(kept).to_pylist() for name in ("frame_1", "frame_2"))
        keys = np.array([pair_key(*pair) for pair in zip(*frames, strict=True)], ID_TYPE)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        is_there = self.keys[at] == keys
        return kept[is_there], at[is_there]


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), EDGES.field(name), column)
