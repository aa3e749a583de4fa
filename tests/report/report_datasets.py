"""Small data sets for the report's tests: in memory, and on disk with tars, graph and manifest."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import schemas
from mimic.report.notmined import NotMined
from schemas import CURVES, EDGES, FRAMES, SAMPLES, UNITS, FileEntry, Manifest, ShardEntry

CONFIG = {"overlap": {"measure": "patch", "low": 0.5, "high": 0.75, "patch_size": 16}}


def table(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows with the missing columns null."""
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in rows], schema
    )


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "config": CONFIG,
        "fingerprint": "abcdef012345",
        "preset": "default",
        "seed": 0,
        "versions": {"mimic": "0.1.0"},
        "shards": (),
        "graph": (),
        "counts": {},
        "units": 0,
    }
    return Manifest(**{**values, **changes})


@dataclass
class MemoryTables:
    """Tables in memory; every batch has ``rows`` rows, so that merging over batches is tested."""

    manifest: Manifest
    tables: dict[str, pa.Table] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    rows: int = 3
    lost: tuple[NotMined, ...] = ()
    url: str = "memory"

    def batches(self, name: str, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        found = self.tables.get(name)
        if found is not None:
            there = [column for column in columns if column in found.column_names]
            yield from found.select(there).to_batches(max_chunksize=self.rows)

    def not_mined(self) -> tuple[NotMined, ...]:
        return self.lost

    def missing(self) -> tuple[str, ...]:
        return self.absent


def view(frame_id: str, size: tuple[int, int] = (64, 48)) -> dict[str, Any]:
    return {
        "frame_id": frame_id,
        "frame": frame_id,
        "width": size[0],
        "height": size[1],
        "original_width": size[0],
        "original_height": size[1],
    }


def sample(key: str, frames: tuple[str, str], **columns: Any) -> dict[str, Any]:
    row = {
        "sample_id": key,
        "key": key,
        "split": "train",
        "kind": "video",
        "item": "walk.mp4",
        "scene": "walk.mp4",
        "unit": "u1",
        "patch_size": 16,
        "views": [view(frames[0]), view(frames[1])],
        "edges": [],
        "members": [],
        "overlap_patch": 0.6,
        "interval_s": 1.0,
    }
    return {**row, **columns}


def edge(verdict: str, **columns: Any) -> dict[str, Any]:
    row = {
        "unit_id": "u1",
        "frame_1": "f0",
        "frame_2": "f1",
        "slot_1": 0,
        "slot_2": 1,
        "interval_s": 0.5,
        "verdict": verdict,
    }
    return {**row, **columns}


def frame(frame_id: str, **columns: Any) -> dict[str, Any]:
    return {"unit_id": "u1", "frame_id": frame_id, "frame": frame_id, **columns}


def write_dataset(
    folder: Path,
    samples: list[dict[str, Any]],
    pictures: dict[str, np.ndarray | bytes],
    corr: dict[str, np.ndarray],
    graph: dict[str, list[dict[str, Any]]] | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    """One shard, a graph and a manifest as DESIGN section 5 says; pictures are RGB or JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, shards = [], []
    tar = folder / "train-000000.tar"
    with tarfile.open(tar, "w") as archive:
        for row in samples:
            members = _members(row, pictures, corr)
            rows.append({**row, "members": [_added(archive, *member) for member in members]})
    index = _parquet(folder, "train-000000.parquet", SAMPLES, rows)
    if samples:
        shards.append(ShardEntry("train", len(rows), _entry(folder, tar.name), index))
    known = {"edges": EDGES, "frames": FRAMES, "curves": CURVES, "units": UNITS}
    tables = tuple(
        _parquet(folder, f"graph/{name}.parquet", known[name], rows)
        for name, rows in (graph or {}).items()
    )
    edges = (graph or {}).get("edges", [])
    counts = {"candidates": len(edges)}
    for row in edges:
        counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
    text = manifest(
        shards=tuple(shards), graph=tables, counts=counts, units=1, config=config or CONFIG
    ).to_json()
    (folder / schemas.MANIFEST_NAME).write_text(text)
    return folder


def _members(
    row: dict[str, Any], pictures: dict[str, np.ndarray | bytes], corr: dict[str, np.ndarray]
) -> list[tuple[str, bytes]]:
    array = io.BytesIO()
    np.save(array, corr[row["key"]].astype(np.int32))
    views = [
        (f"{row['key']}.view{number}.jpg", _jpeg(pictures[held["frame_id"]]))
        for number, held in enumerate(row["views"], 1)
    ]
    return [
        *views,
        (f"{row['key']}.json", json.dumps({"schema": 1}).encode()),
        (f"{row['key']}.corr_1_2.npy", array.getvalue()),
    ]


def _jpeg(picture: np.ndarray | bytes) -> bytes:
    if isinstance(picture, bytes):
        return picture
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _added(archive: tarfile.TarFile, name: str, data: bytes) -> dict[str, Any]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    offset = archive.fileobj.tell() + 512  # a short name has one header block
    archive.addfile(info, io.BytesIO(data))
    return {"name": name, "offset": offset, "size": len(data)}


def _parquet(folder: Path, name: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> FileEntry:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(schema, rows), folder / name)
    return _entry(folder, name)


def _entry(folder: Path, name: str) -> FileEntry:
    data = (folder / name).read_bytes()
    return FileEntry(name, len(data), hashlib.sha256(data).hexdigest())
