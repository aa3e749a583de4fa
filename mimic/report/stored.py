"""Where the picture of a measured frame can still be found: in a sample, or in a kept part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mimic.report.tables import StoredTables
from mimic.report.text import NBSP
from mimic.shards.part import read_part_tables
from schemas.marker import load_report

NOT_STORED = "not stored (no kept pair uses it)"


@dataclass(frozen=True, slots=True)
class Panel:
    """One view: its stored JPEG (None: see ``missing``), its label, its stored (width, height)."""

    jpeg: bytes | None
    label: str
    size: tuple[int, int]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Frame:
    label: str
    size: tuple[int, int]


class StoredPictures:
    """The pictures of some frames, searched once: samples first, then the parts of ``units``."""

    def __init__(self, tables: StoredTables, frames: set[str], units: set[str]) -> None:
        self._tables = tables
        self._frames = dict(_frames_of(tables, frames))
        self._places = dict(_in_samples(tables, frames))
        missing = frames - self._places.keys()
        if missing:
            for unit in sorted(units):
                self._places.update(_in_part(tables, unit, missing))

    def has(self, frame_id: str) -> bool:
        """Whether the frame's picture was found."""
        return frame_id in self._places

    def panel(self, frame_id: str) -> Panel:
        """The view of a frame, with or without its picture."""
        known = self._frames.get(frame_id, _Frame(frame_id, (0, 0)))
        place = self._places.get(frame_id)
        if place is None:
            return Panel(None, known.label, known.size, NOT_STORED)
        data = self._tables.storage.read_range(place.file, place.offset, place.size)
        return Panel(data, known.label, known.size)


_FRAME_COLUMNS = ("frame_id", "frame", "pts_s", "width", "height")


def label_of(frame: dict[str, Any]) -> str:
    """What names a frame to people: its time, or its path."""
    return frame["frame"] if frame["pts_s"] is None else f"{frame['pts_s']:.2f}{NBSP}s"


def _frames_of(tables: StoredTables, wanted: set[str]) -> Iterator[tuple[str, _Frame]]:
    for batch in tables.batches("frames", _FRAME_COLUMNS):
        for row in _only(batch, "frame_id", wanted).to_pylist():
            yield row["frame_id"], _Frame(label_of(row), (row["width"], row["height"]))


def _in_samples(tables: StoredTables, wanted: set[str]) -> Iterator[tuple[str, _Place]]:
    for shard, batch in tables.sample_batches(("key", "views", "members")):
        ids = batch.column("views").flatten().field("frame_id")
        if not pc.any(pc.is_in(ids, value_set=pa.array(sorted(wanted), pa.string()))).as_py():
            continue
        for row in batch.to_pylist():
            members = {member["name"]: member for member in row["members"]}
            for number, view in enumerate(row["views"], 1):
                if view["frame_id"] in wanted:
                    member = members[f"{row['key']}.view{number}.jpg"]
                    place = _Place(shard.tar.name, member["offset"], member["size"])
                    yield view["frame_id"], place


def _in_part(tables: StoredTables, unit: str, wanted: set[str]) -> Iterator[tuple[str, _Place]]:
    marker = f".mimic/done/{unit}.json"
    storage = tables.storage
    if not storage.exists(marker):
        return
    part = load_report(storage.read(marker).decode(), storage.join(marker)).part
    if part is None or not storage.exists(part.name):
        return
    frames, _ = read_part_tables(storage, part)
    for row in _only(frames, "frame_id", wanted).to_pylist():
        if row["jpeg_offset"] is not None:
            yield row["frame_id"], _Place(part.name, row["jpeg_offset"], row["jpeg_size"])


def _only(rows: pa.RecordBatch | pa.Table, column: str, wanted: set[str]) -> pa.Table:
    values = pa.array(sorted(wanted), pa.string())
    return rows.filter(pc.is_in(rows.column(column), value_set=values))
