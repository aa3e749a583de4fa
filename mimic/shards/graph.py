"""The measured graph as files: read unit by unit from parts or from finished shards, and written.

``graph/`` holds one numbered set of tables per packing run (generation): units, frames, edges and
curves. A later run adds a set and leaves the earlier ones alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mimic.errors import DamagedError
from mimic.shards.covis import COVIS_SUFFIXES
from mimic.shards.curves import Curves
from mimic.shards.layout import ID_TYPE
from mimic.shards.part import UnitSource, corr_options, read_part_tables, source_of_part
from mimic.shards.reader import Shards
from mimic.shards.sample import pair_key
from mimic.shards.tables import Row, completed, from_parquet, parquet_writer, table_of
from mimic.storage import Storage
from mimic.types import KEPT
from schemas import CURVES, EDGES, FRAMES, UNITS, FileEntry, UnitReport

ROWS_AT_ONCE = 65_536
"""Rows of a row group, and of what is held before it is written."""

PLACE = pa.schema(
    [
        ("place_name", pa.string()),
        ("place_offset", pa.int64()),
        ("place_size", pa.int64()),
        ("place_crc32", pa.int64()),
    ]
)
"""Where a picture, a depth, a correspondence or a label map lies; null where it was not stored."""


@dataclass(frozen=True, slots=True)
class UnitGraph:
    """What one unit measured: ``frames``, its ``edges``, and where what is stored of them lies.

    ``places`` has a row of PLACE per frame (its picture), ``depths`` another one (its depth; null
    where it has none), ``corrs`` one per edge (its correspondence; null where it is to be computed
    from the homography), and so has each of the two of ``covis`` (its label maps 1 -> 2 and 2 -> 1;
    null where there are none).
    """

    source: UnitSource
    frames: pa.Table
    edges: pa.Table
    places: pa.Table
    depths: pa.Table
    corrs: pa.Table
    covis: tuple[pa.Table, pa.Table]


def units_of_parts(
    reports: Iterable[UnitReport], parts: Storage, options: tuple[int, bool]
) -> Iterator[UnitGraph | Row]:
    """The units of committed parts, by unit id; of a unit without part, its row of UNITS.

    Args:
        reports: markers of the units.
        parts: where their parts lie.
        options: patch_size and outside_votes. Correspondences of parts that were mined with others
            are left out.
    """
    for report in sorted(reports, key=lambda report: report.unit_id):
        if report.part is None:
            yield {
                "unit_id": report.unit_id,
                "item": report.name,
                "edges": report.counts.get("candidates", 0),
            }
            continue
        frames, edges = read_part_tables(parts, report.part)
        name = report.part.name
        has_corrs = corr_options(edges) == options
        yield UnitGraph(
            source=source_of_part(frames),
            frames=frames.select(FRAMES.names),
            edges=edges.select(EDGES.names),
            places=_places_in(name, frames, "jpeg"),
            depths=_places_in(name, frames, "depth"),
            corrs=_places_in(name, edges, "corr") if has_corrs else nowhere(len(edges)),
            covis=(_places_in(name, edges, "covis_12"), _places_in(name, edges, "covis_21")),
        )


def _places_in(name: str, table: pa.Table, prefix: str) -> pa.Table:
    offset, size, crc32 = (table[f"{prefix}_{column}"] for column in ("offset", "size", "crc32"))
    names = pc.if_else(offset.is_valid(), pa.scalar(name), pa.scalar(None, pa.string()))
    return pa.table([names, offset, size, crc32], schema=PLACE)


def nowhere(count: int) -> pa.Table:
    """``count`` rows of PLACE for what is not stored."""
    return pa.table([pa.nulls(count, field.type) for field in PLACE], schema=PLACE)


def units_of_shards(shards: Shards) -> Iterator[UnitGraph | Row]:
    """The units of finished shards, generation by generation, with pictures out of the tars."""
    stored = _stored_in(shards)
    by_kind: dict[str, list[str]] = {"units": [], "frames": [], "edges": []}
    for entry in shards.manifest.graph:
        kind = Path(entry.name).name.rpartition("-")[0]
        by_kind.setdefault(kind, []).append(entry.name)
    for names in zip(by_kind["units"], by_kind["frames"], by_kind["edges"], strict=True):
        units, frames, edges = (
            _by_unit(shards.storage, name, schema)
            for name, schema in zip(names, (UNITS, FRAMES, EDGES), strict=True)
        )
        waiting_frames, waiting_edges = next(frames, None), next(edges, None)
        for unit_id, unit in units:
            unit_frames, unit_edges = FRAMES.empty_table(), EDGES.empty_table()
            if waiting_frames is not None and waiting_frames[0] == unit_id:
                unit_frames, waiting_frames = waiting_frames[1], next(frames, None)
            if waiting_edges is not None and waiting_edges[0] == unit_id:
                unit_edges, waiting_edges = waiting_edges[1], next(edges, None)
            yield _unit_of_shards(unit.to_pylist()[0], unit_frames, unit_edges, stored)


def _unit_of_shards(
    row: Row, frames: pa.Table, edges: pa.Table, stored: dict[str, _Stored]
) -> UnitGraph | Row:
    if row["kind"] is None:
        return row
    source = UnitSource(unit=row["unit_id"], **{name: row[name] for name in _SOURCE_COLUMNS})
    frame_ids = frames["frame_id"].to_pylist()
    ids = zip(edges["frame_1"].to_pylist(), edges["frame_2"].to_pylist(), strict=True)
    keys = [
        pair_key(*frames) if verdict == KEPT else ""
        for frames, verdict in zip(ids, edges["verdict"].to_pylist(), strict=True)
    ]
    return UnitGraph(
        source=source,
        frames=frames,
        edges=edges,
        places=stored["pictures"].find(frame_ids),
        depths=stored["depths"].find(frame_ids),
        corrs=stored["corrs"].find(keys),
        covis=(stored["covis_12"].find(keys), stored["covis_21"].find(keys)),
    )


_SOURCE_COLUMNS = ("kind", "dataset", "item", "scene", "fingerprint", "size_bytes")


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where shards store something, by id, as sorted arrays: 40 bytes for each.

    Attributes:
        ids: (N,) ids.
        shard: (N,) number of its tar in ``tars``.
        offset: (N,) in the tar.
        size: (N,) bytes.
    """

    tars: list[str]
    ids: NDArray[np.bytes_]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, tars: list[str], pieces: list[_Pieces]) -> _Stored:
        """All pieces of some tars; of an id that is met again the first place counts."""
        shard = np.repeat(np.arange(len(pieces), dtype=np.int32), [len(p[0]) for p in pieces])
        columns = [np.concatenate([p[n] for p in pieces]) for n in range(3)] if pieces else _NONE
        ids, first = np.unique(columns[0], return_index=True)
        return cls(tars, ids, shard[first], columns[1][first], columns[2][first])

    def find(self, ids: list[str]) -> pa.Table:
        """A row of PLACE for each id; null where it is not stored."""
        if not len(self.ids):
            return nowhere(len(ids))
        wanted = np.array(ids, ID_TYPE)
        at = np.searchsorted(self.ids, wanted)
        at[at == len(self.ids)] = 0
        absent = self.ids[at] != wanted
        names = pa.DictionaryArray.from_arrays(pa.array(self.shard[at], mask=absent), self.tars)
        offset, size = (pa.array(column[at], mask=absent) for column in (self.offset, self.size))
        return pa.table(
            [names.cast(pa.string()), offset, size, pa.nulls(len(ids), pa.int64())], PLACE
        )


_Pieces = tuple[NDArray[np.bytes_], NDArray[np.int64], NDArray[np.int64]]
"""Ids, offsets and sizes of what one tar holds."""
_NONE = [np.zeros(0, ID_TYPE), np.zeros(0, np.int64), np.zeros(0, np.int64)]


def _stored_in(shards: Shards) -> dict[str, _Stored]:
    """Where pictures and depths lie, by frame id; correspondences and label maps, by pair key."""
    entries = shards.shards()
    found: dict[str, list[_Pieces]] = {}
    for shard in entries:
        table = shards.shard_index(shard, ["key", "views", "members"])
        for what, pieces in _pieces_of(table).items():
            found.setdefault(what, []).append(pieces)
    tars = [shard.tar.name for shard in entries]
    return {what: _Stored.of(tars, found.get(what, [])) for what in _STORED}


_STORED = ("pictures", "depths", "corrs", "covis_12", "covis_21")


def _pieces_of(table: pa.Table) -> dict[str, _Pieces]:
    """What the samples of a shard's index hold, for each of ``_STORED``."""
    views, members = (table[name].combine_chunks() for name in ("views", "members"))
    keys = np.array(table["key"].to_pylist(), ID_TYPE)
    frames = np.array(pc.list_flatten(views).field("frame_id").to_pylist(), ID_TYPE)
    counts = pc.list_value_length(views).to_numpy()
    first_view = np.cumsum(counts) - counts
    sample_of = pc.list_parent_indices(members).to_numpy()
    flat = pc.list_flatten(members)
    offset, size = (flat.field(name).to_numpy(zero_copy_only=False) for name in ("offset", "size"))

    def of_views(pattern: str) -> _Pieces:
        matched = pc.extract_regex(flat.field("name"), pattern)
        at = np.flatnonzero(matched.is_valid())
        view = matched.drop_null().field("number").cast(pa.int64()).to_numpy() - 1
        return frames[first_view[sample_of[at]] + view], offset[at], size[at]

    def of_pairs(suffix: str) -> _Pieces:
        at = np.flatnonzero(pc.ends_with(flat.field("name"), f".{suffix}"))
        return keys[sample_of[at]], offset[at], size[at]

    found = (
        of_views(r"\.view(?P<number>\d+)\.jpg$"),
        of_views(r"\.depth(?P<number>\d+)\.png$"),
        of_pairs("corr_1_2.npy"),
        *(of_pairs(suffix) for suffix in COVIS_SUFFIXES),
    )
    return dict(zip(_STORED, found, strict=True))


def _by_unit(storage: Storage, name: str, schema: pa.Schema) -> Iterator[tuple[str, pa.Table]]:
    """A table of the graph cut where its ``unit_id`` changes, read by row groups."""
    held: list[pa.Table] = []
    with storage.open(name) as file:
        try:
            parquet = pq.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise DamagedError(f"{storage.join(name)}: damaged table; mine again") from error
        for group in range(parquet.num_row_groups):
            table = completed(parquet.read_row_group(group), schema)
            for unit_id, piece in _runs(table):
                if held and held[0]["unit_id"][0].as_py() != unit_id:
                    yield held[0]["unit_id"][0].as_py(), pa.concat_tables(held)
                    held = []
                held.append(piece)
    if held:
        yield held[0]["unit_id"][0].as_py(), pa.concat_tables(held)


def _runs(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    start = 0
    for unit_id, run in groupby(table["unit_id"].to_pylist()):
        length = sum(1 for _ in run)
        yield unit_id, table.slice(start, length)
        start += length


def known_units(out: Storage, graph: Iterable[FileEntry]) -> set[str]:
    """Ids of the units inside finished shards."""
    known: set[str] = set()
    for entry in graph:
        if Path(entry.name).name.startswith("units-"):
            table = from_parquet(out.read(entry.name), out.join(entry.name), ["unit_id"])
            known.update(table["unit_id"].to_pylist())
    return known


def rewritten(
    source: Storage,
    name: str,
    out: Storage,
    schema: pa.Schema,
    change: Callable[[pa.Table], pa.Table],
) -> FileEntry:
    """Write a table of the graph to ``out`` with its rows changed, some at a time.

    Args:
        source: where the table is.
        name: of the file, there and in ``out``.
        out: where to.
        schema: of the table.
        change: what is done to some of its rows; as many come back.

    Raises:
        DamagedError: the table is damaged; the message names it.
    """
    with out.staged(name) as path:
        target = _TableFile(name, path, schema)
        try:
            for table in _row_groups(source, name):
                changed = change(completed(table, schema))
                target.add(changed.replace_schema_metadata(schema.metadata))
            return target.finish()
        finally:
            target.abandon()


def _row_groups(storage: Storage, name: str) -> Iterator[pa.Table]:
    with storage.open(name) as file:
        try:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            groups = (parquet.read_row_group(n) for n in range(parquet.num_row_groups))
            yield from groups
        except (pa.ArrowException, OSError) as error:
            raise DamagedError(f"{storage.join(name)}: damaged table; mine again") from error


class GraphWriter:
    """Writes one generation of ``graph/``; ``entries`` is known after the ``with`` block.

    After an exception nothing is left of it.
    """

    def __init__(self, out: Storage, generation: int, measure: str) -> None:
        self.entries: tuple[FileEntry, ...] = ()
        self._stack = ExitStack()
        self._out = out
        self._suffix = f"-{generation:06d}.parquet"
        self._curves = Curves(f"overlap_{measure}")
        self._files: dict[str, _TableFile] = {}

    def __enter__(self) -> Self:
        for kind, schema in (("edges", EDGES), ("frames", FRAMES), ("units", UNITS)):
            self._open(kind, schema)
        return self

    def add(self, unit: UnitGraph) -> None:
        """Append a unit's tables."""
        row = {**asdict(unit.source), "unit_id": unit.source.unit, "edges": len(unit.edges)}
        del row["unit"]
        self._files["units"].add(table_of([row], UNITS))
        self._files["frames"].add(unit.frames.replace_schema_metadata(FRAMES.metadata))
        self._files["edges"].add(unit.edges.replace_schema_metadata(EDGES.metadata))
        self._curves.add(unit.source, unit.edges)

    def add_empty(self, row: Row) -> None:
        """Append a unit that left no part."""
        self._files["units"].add(table_of([row], UNITS))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._open("curves", CURVES).add(self._curves.table())
            self.entries = tuple(file.finish() for _, file in sorted(self._files.items()))
        else:
            for file in self._files.values():
                file.abandon()
        self._stack.__exit__(kind, error, trace)

    def _open(self, kind: str, schema: pa.Schema) -> _TableFile:
        name = f"graph/{kind}{self._suffix}"
        path = self._stack.enter_context(self._out.staged(name))
        file = self._files[kind] = _TableFile(name, path, schema)
        return file


class _TableFile:
    """A parquet file that grows; row groups depend on the rows alone, not on how they came."""

    def __init__(self, name: str, path: Path, schema: pa.Schema) -> None:
        self._name, self._path = name, path
        self._sink = path.open("xb")
        self._writer: Any = parquet_writer(self._sink, schema)
        self._schema = schema
        self._held: list[pa.Table] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        self._held.append(table)
        self._rows += len(table)
        if self._rows >= ROWS_AT_ONCE:
            self._write(whole_groups=True)

    def finish(self) -> FileEntry:
        self._write(whole_groups=False)
        self.abandon()
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(self._name, self._path.stat().st_size, digest)

    def _write(self, *, whole_groups: bool) -> None:
        held = pa.concat_tables([self._schema.empty_table(), *self._held]).combine_chunks()
        while len(held) >= (ROWS_AT_ONCE if whole_groups else 1):
            self._writer.write_table(held.slice(0, ROWS_AT_ONCE))
            held = held.slice(ROWS_AT_ONCE)
        self._held, self._rows = [held], len(held)

    def abandon(self) -> None:
        self._writer.close()
        self._sink.close()
