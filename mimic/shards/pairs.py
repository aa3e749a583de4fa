"""The pairs of one shard as columns, and the shard's index made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mimic.shards.part import UnitSource
from mimic.shards.sample import FLAT_FIELDS, VIEW_FIELDS
from mimic.shards.tables import Row
from mimic.shards.tar import Member
from schemas import EDGES, FRAMES, SAMPLES

PAIR_EDGES = pa.schema(
    [f for f in EDGES if f.name not in {"unit_id", "frame_1", "frame_2", "value"}]
)
"""What a sample repeats of its edge."""
PAIR_FRAMES = pa.schema([FRAMES.field(name) for name in VIEW_FIELDS])
"""What a sample repeats of a frame."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Bytes inside a stored file; ``crc32`` where it is known."""

    name: str
    offset: int
    size: int
    crc32: int | None = None


@dataclass(frozen=True, slots=True)
class Pairs:
    """n pairs to write, in order: their rows of the graph, and where their pieces lie.

    ``edges`` has n rows (``PAIR_EDGES``), ``frames`` 2n (``PAIR_FRAMES``; view 1 and view 2 of the
    first pair, then of the second, ...), ``pictures`` a place for each of these, and ``depths`` one
    where it has a depth. ``corrs`` holds the ``.npy`` bytes of a correspondence, or where they are
    stored, or None where it is to be computed from the homography. ``covis`` has 2n places of label
    maps (1 -> 2 and 2 -> 1 of the first pair, then of the second, ...), None where there are none.
    """

    keys: tuple[str, ...]
    sources: tuple[UnitSource, ...]
    edges: pa.Table
    frames: pa.Table
    pictures: tuple[Place, ...]
    depths: tuple[Place | None, ...]
    corrs: tuple[Place | bytes | None, ...]
    covis: tuple[Place | None, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self) -> Iterator[tuple[Row, tuple[Row, Row]]]:
        """The edge and the two frames of each pair."""
        frames = self.frames.to_pylist()
        yield from zip(
            self.edges.to_pylist(), zip(frames[::2], frames[1::2], strict=True), strict=True
        )

    def places(self) -> Iterator[Place]:
        """All places to read."""
        yield from self.pictures
        yield from (place for place in (*self.depths, *self.covis) if place is not None)
        for corr in self.corrs:
            if isinstance(corr, Place):
                yield corr


def index_table(
    pairs: Pairs,
    split: str,
    patch_size: int,
    corr_counts: Sequence[int],
    members: Sequence[Sequence[Member]],
) -> pa.Table:
    """The rows of ``schemas.SAMPLES`` of a shard; ``members`` of each pair as in its tar."""
    count, keys = len(pairs), pa.array(pairs.keys, pa.string())
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "sample_id": keys,
        "key": keys,
        "split": pa.repeat(pa.scalar(split), count),
        "patch_size": pa.repeat(pa.scalar(patch_size, pa.int32()), count),
        "corr_count": pa.array(corr_counts, pa.int32()),
        "views": _lists("views", pairs.frames, [2] * count),
        "edges": _lists("edges", _with_views(pairs.edges), [1] * count),
        "members": _lists("members", _member_table(members), [len(m) for m in members]),
        **{name: pairs.edges[name] for name in FLAT_FIELDS},
    }
    for name in ("kind", "dataset", "item", "scene", "unit"):
        columns[name] = pa.array([getattr(source, name) for source in pairs.sources], pa.string())
    return pa.table([columns[name] for name in SAMPLES.names], schema=SAMPLES)


def _lists(column: str, table: pa.Table, counts: Sequence[int]) -> pa.Array:
    return lists_of(SAMPLES.field(column).type, table, counts)


def lists_of(kind: pa.ListType, table: pa.Table, counts: Sequence[int]) -> pa.Array:
    """The rows of a table as lists of structs of this type, so many for each sample."""
    fields = list(kind.value_type)
    arrays = [table[field.name].combine_chunks() for field in fields]
    structs = pa.StructArray.from_arrays(arrays, fields=fields)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, structs, type=kind)


def _with_views(edges: pa.Table) -> pa.Table:
    """Edges that say which views they join: a pair's only edge joins 1 and 2."""
    numbers = np.tile(np.array([1, 2], np.int32), len(edges))
    offsets = pa.array(np.arange(len(edges) + 1, dtype=np.int32) * 2)
    return edges.append_column("views", pa.ListArray.from_arrays(offsets, pa.array(numbers)))


def _member_table(members: Sequence[Sequence[Member]]) -> pa.Table:
    flat = [member for of_pair in members for member in of_pair]
    return pa.table(
        {
            "name": pa.array([m.name for m in flat], pa.string()),
            "offset": pa.array([m.offset for m in flat], pa.int64()),
            "size": pa.array([m.size for m in flat], pa.int64()),
        }
    )
