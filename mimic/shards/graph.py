"""The measured graph as files: read unit by unit from parts or from finished shards, and written.

``graph/`` holds one numbered set of tables per packing run (generation): units, frames, edges and
curves. A later run adds a set and leaves the earlier ones alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from mimic.errors import DamagedError
from mimic.shards.curves import Curves
from mimic.shards.part import UnitSource, read_part_tables, source_of_part
from mimic.shards.reader import Shards
from mimic.shards.tables import Row, from_parquet, parquet_writer, table_of
from mimic.shards.writer import Place
from mimic.storage import Storage
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
"""Where a frame's picture lies; null where it was not stored."""


@dataclass(frozen=True, slots=True)
class UnitGraph:
    """What one unit measured: ``frames``, its ``edges``, and ``places`` (a row of PLACE per frame).

    ``corrs`` gives, by pair key, correspondences that no homography can tell.
    """

    source: UnitSource
    frames: pa.Table
    edges: pa.Table
    places: pa.Table
    corrs: dict[str, Place]


def units_of_parts(reports: Iterable[UnitReport], parts: Storage) -> Iterator[UnitGraph | Row]:
    """The units of committed parts, by unit id; of a unit without part, its row of UNITS."""
    for report in sorted(reports, key=lambda report: report.unit_id):
        if report.part is None:
            yield {
                "unit_id": report.unit_id,
                "item": report.name,
                "edges": report.counts.get("candidates", 0),
            }
            continue
        frames, edges = read_part_tables(parts, report.part)
        name = pa.array([report.part.name], pa.string())
        stored = frames["jpeg_offset"].is_valid()
        names = pa.compute.if_else(stored, name[0], pa.scalar(None, pa.string()))
        places = pa.table(
            [names, frames["jpeg_offset"], frames["jpeg_size"], frames["jpeg_crc32"]],
            schema=PLACE,
        )
        yield UnitGraph(source_of_part(frames), frames, edges, places, {})


def units_of_shards(shards: Shards) -> Iterator[UnitGraph | Row]:
    """The units of finished shards, generation by generation, with pictures out of the tars."""
    pictures, corrs = _stored_in(shards)
    by_kind: dict[str, list[str]] = {"units": [], "frames": [], "edges": []}
    for entry in shards.manifest.graph:
        kind = Path(entry.name).name.rpartition("-")[0]
        by_kind.setdefault(kind, []).append(entry.name)
    for names in zip(by_kind["units"], by_kind["frames"], by_kind["edges"], strict=True):
        units, frames, edges = (_by_unit(shards.storage, name) for name in names)
        waiting_frames, waiting_edges = next(frames, None), next(edges, None)
        for unit_id, unit in units:
            unit_frames, unit_edges = FRAMES.empty_table(), EDGES.empty_table()
            if waiting_frames is not None and waiting_frames[0] == unit_id:
                unit_frames, waiting_frames = waiting_frames[1], next(frames, None)
            if waiting_edges is not None and waiting_edges[0] == unit_id:
                unit_edges, waiting_edges = waiting_edges[1], next(edges, None)
            yield _unit_of_shards(unit.to_pylist()[0], unit_frames, unit_edges, pictures, corrs)


def _unit_of_shards(
    row: Row,
    frames: pa.Table,
    edges: pa.Table,
    pictures: dict[str, Place],
    corrs: dict[str, Place],
) -> UnitGraph | Row:
    if row["kind"] is None:
        return row
    source = UnitSource(row["unit_id"], row["kind"], row["dataset"], row["item"], row["scene"])
    found = [pictures.get(frame_id) for frame_id in frames["frame_id"].to_pylist()]
    places = table_of(
        [{} if p is None else {f"place_{k}": v for k, v in asdict(p).items()} for p in found],
        PLACE,
    )
    return UnitGraph(source, frames, edges, places, corrs)


def _stored_in(shards: Shards) -> tuple[dict[str, Place], dict[str, Place]]:
    """Frame id to picture, and pair key to correspondence where there is no homography."""
    pictures: dict[str, Place] = {}
    corrs: dict[str, Place] = {}
    for shard in shards.shards():
        table = shards.shard_index(shard, ["key", "views", "edges", "members"])
        for row in table.to_pylist():
            members = {
                m["name"].removeprefix(f"{row['key']}."): Place(
                    shard.tar.name, m["offset"], m["size"]
                )
                for m in row["members"]
            }
            for number, view in enumerate(row["views"], start=1):
                pictures.setdefault(view["frame_id"], members[f"view{number}.jpg"])
            if row["edges"][0]["homography"] is None:
                corrs[row["key"]] = members["corr_1_2.npy"]
    return pictures, corrs


def _by_unit(storage: Storage, name: str) -> Iterator[tuple[str, pa.Table]]:
    """A table of the graph cut where its ``unit_id`` changes, read by row groups."""
    held: list[pa.Table] = []
    with storage.open(name) as file:
        try:
            parquet = pq.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise DamagedError(f"{storage.join(name)}: damaged table; mine again") from error
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group)
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
        self._held = schema.empty_table()

    def add(self, table: pa.Table) -> None:
        self._held = pa.concat_tables([self._held, table])
        while len(self._held) >= ROWS_AT_ONCE:
            self._writer.write_table(self._held.slice(0, ROWS_AT_ONCE).combine_chunks())
            self._held = self._held.slice(ROWS_AT_ONCE)

    def finish(self) -> FileEntry:
        if len(self._held):
            self._writer.write_table(self._held.combine_chunks())
        self.abandon()
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(self._name, self._path.stat().st_size, digest)

    def abandon(self) -> None:
        self._writer.close()
        self._sink.close()
