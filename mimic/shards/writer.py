"""Writing one shard: a pure function of its task, so that any executor may run it, or run it again.

The tar is committed first, its index after it; the index says which task it answers and what the
tar's hash is, so a shard that an interrupted run has finished is recognised and not written again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mimic.errors import DamagedError
from mimic.shards.corr import corr_count, encode_corr
from mimic.shards.pairs import Pairs, Place, index_table
from mimic.shards.part import check_piece
from mimic.shards.sample import Context, corr_of, members_of, meta_bytes, meta_of
from mimic.shards.tables import Row, metadata_of, to_parquet, with_metadata
from mimic.shards.tar import TarWriter
from mimic.storage import MissingError, Storage
from schemas import FileEntry, ShardEntry

GAP_BYTES = 64 << 10
"""Stored pieces of one file that lie closer than this are fetched with one read."""
READS_AT_ONCE = 16
"""Parallel reads from an object store (a local disk is read in order)."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to write: ``pairs`` in order, read from ``source``, to ``out``."""

    split: str
    name: str
    pairs: Pairs
    source: Storage
    out: Storage
    context: Context
    versions: tuple[tuple[str, str], ...]


def write_shard(task: ShardTask) -> ShardEntry:
    """Write ``NAME.tar``, then ``NAME.parquet``; nothing if this task has been finished before.

    Raises:
        DamagedError: a stored picture is not what its table says.
        StorageError: a place cannot be read or written.
    """
    pairs = task.pairs
    rows = list(pairs.rows())
    metas = [
        meta_bytes(meta_of(key, source, edge, frames, task.context))
        for key, source, (edge, frames) in zip(pairs.keys, pairs.sources, rows, strict=True)
    ]
    digest = _digest(task, metas)
    done = finished(task.out, task.name, digest)
    if done is not None:
        return ShardEntry(task.split, len(pairs), *done)
    tar_name = f"{task.name}.tar"
    pieces = fetch(task.source, list(pairs.places()))
    corrs = [_corr(task, number, row, pieces) for number, row in enumerate(rows)]
    pictures = [pieces[place] for place in pairs.pictures]
    depths, covis = (
        [None if place is None else pieces[place] for place in places]
        for places in (pairs.depths, pairs.covis)
    )
    contents = map(members_of, metas, corrs, _by_pair(pictures), _by_pair(depths), _by_pair(covis))
    with task.out.staged(tar_name) as path, path.open("xb") as file:
        tar = TarWriter(file)
        members = [
            [tar.add(f"{key}.{suffix}", data) for suffix, data in content.items()]
            for key, content in zip(pairs.keys, contents, strict=True)
        ]
        tar.close()
    tar_entry = FileEntry(tar_name, tar.size, tar.sha256)
    counts = [corr_count(corr) for corr in corrs]
    table = index_table(pairs, task.split, task.context.patch_size, counts, members)
    index_entry = commit_index(task.out, task.name, table, tar_entry, digest)
    return ShardEntry(task.split, len(pairs), tar_entry, index_entry)


def commit_index(
    out: Storage, name: str, table: pa.Table, tar: FileEntry, digest: str
) -> FileEntry:
    """Write the index of a shard whose tar is committed; with it the task (its ``digest``) is done.

    Args:
        out: where the tar is.
        name: of the shard, without suffix.
        table: rows of ``schemas.SAMPLES``.
        tar: the tar's entry.
        digest: identifies the task: equal digests give equal bytes.
    """
    index = to_parquet(with_metadata(table, {"tar": asdict(tar), "task": digest}))
    out.write(f"{name}.parquet", index)
    return file_entry(f"{name}.parquet", index)


def _by_pair(of_views: list[_T]) -> Iterator[tuple[_T, _T]]:
    return zip(of_views[::2], of_views[1::2], strict=True)


def file_entry(name: str, data: bytes) -> FileEntry:
    """The manifest's entry of a file with this content."""
    return FileEntry(name, len(data), hashlib.sha256(data).hexdigest())


def fetch(storage: Storage, places: Sequence[Place]) -> dict[Place, bytes]:
    """The bytes of all places, each read once, file by file in order of offset."""
    runs = list(_runs(sorted(set(places), key=lambda place: (place.name, place.offset))))
    if storage.is_local:
        read = [_read_run(storage, run) for run in runs]
    else:
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            read = list(pool.map(lambda run: _read_run(storage, run), runs))
    return {place: data for pieces in read for place, data in pieces.items()}


def _runs(places: Sequence[Place]) -> Iterator[list[Place]]:
    """Sorted places cut into runs that are worth one read each."""
    for _, group in groupby(places, key=lambda place: place.name):
        run: list[Place] = []
        end = 0
        for place in group:
            if run and place.offset - end > GAP_BYTES:
                yield run
                run = []
            run.append(place)
            end = max(end, place.offset + place.size) if len(run) > 1 else place.offset + place.size
        yield run


def _read_run(storage: Storage, run: list[Place]) -> dict[Place, bytes]:
    name, start = run[0].name, run[0].offset
    where = storage.join(name)
    try:
        data = storage.read_range(name, start, max(p.offset + p.size for p in run) - start)
    except MissingError as error:
        raise DamagedError(f"{where}: missing, but its marker says it is there") from error
    return {
        place: check_piece(
            data[place.offset - start : place.offset - start + place.size],
            place.size,
            place.crc32,
            where,
        )
        for place in run
    }


def _corr(
    task: ShardTask, number: int, row: tuple[Row, tuple[Row, Row]], pieces: dict[Place, bytes]
) -> bytes:
    """The correspondence of a pair: as it is stored, or else computed."""
    stored = task.pairs.corrs[number]
    if stored is not None:
        return pieces[stored] if isinstance(stored, Place) else stored
    computed = corr_of(*row, task.context)
    if computed is None:
        key = task.pairs.keys[number]
        raise ValueError(f"pair {key} has neither a homography nor a stored correspondence")
    return encode_corr(computed)


def _digest(task: ShardTask, metas: Sequence[bytes]) -> str:
    """Identifies a shard's content: equal digests give equal bytes.

    Where pieces lie does not count: a frame id stands for the bytes of its picture and depth, and a
    stored correspondence and label maps follow from the frames and the config (unless it came from
    elsewhere, as bytes).
    """
    pairs = task.pairs
    beyond_json = [pairs.edges[name].to_pylist() for name in ("slot_1", "slot_2", "verdict")]
    places = (*pairs.pictures, *pairs.depths, *pairs.covis)
    sizes = [None if place is None else place.size for place in places]
    head = [task.split, asdict(task.context), task.versions, beyond_json, sizes]
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for meta, corr in zip(metas, pairs.corrs, strict=True):
        digest.update(meta)
        if isinstance(corr, bytes):
            digest.update(corr)
    return digest.hexdigest()


def finished(out: Storage, name: str, digest: str) -> tuple[FileEntry, FileEntry] | None:
    """Tar and index of a shard that an earlier, interrupted run has committed for this very task.

    Args:
        out: where the shard would be.
        name: of the shard, without suffix.
        digest: of the task.
    """
    tar_name, index_name = f"{name}.tar", f"{name}.parquet"
    try:
        index = out.read(index_name)
        schema = pq.read_schema(pa.BufferReader(index))
        if metadata_of(schema, "task") != digest:
            return None
        tar = FileEntry(**metadata_of(schema, "tar"))
        if out.size(tar_name) != tar.size:
            return None
    except (MissingError, OSError, ValueError):
        return None  # absent, or not a whole index: it is written (again)
    return tar, file_entry(index_name, index)
