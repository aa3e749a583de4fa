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
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mimic.errors import DamagedError
from mimic.shards.part import UnitSource, check_jpeg
from mimic.shards.sample import (
    VIEW_FIELDS,
    Context,
    Corr,
    corr_of,
    decode_corr,
    index_row,
    members_of,
    meta_of,
)
from mimic.shards.tables import Row, metadata_of, table_of, to_parquet, with_metadata
from mimic.shards.tar import TarWriter
from mimic.storage import MissingError, Storage
from schemas import SAMPLES, FileEntry, ShardEntry

GAP_BYTES = 64 << 10
"""Stored pieces of one file that lie closer than this are fetched with one read."""
READS_AT_ONCE = 16
"""Parallel reads from an object store (a local disk is read in order)."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Bytes inside a stored file; ``crc32`` where it is known."""

    name: str
    offset: int
    size: int
    crc32: int | None = None


@dataclass(frozen=True, slots=True)
class PairTask:
    """One pair to write: its rows of the graph, and where its pictures lie.

    ``corr`` is its correspondence where no homography can tell it (data made elsewhere): the
    ``.npy`` bytes, or where they are stored.
    """

    key: str
    source: UnitSource
    edge: Row
    frames: tuple[Row, Row]
    pictures: tuple[Place, Place]
    corr: Place | bytes | None = None


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to write: ``pairs`` in order, read from ``source``, to ``out``."""

    split: str
    name: str
    pairs: tuple[PairTask, ...]
    source: Storage
    out: Storage
    context: Context
    versions: tuple[tuple[str, str], ...]

    def digest(self) -> str:
        """Identifies the content: equal digests give equal bytes."""
        values: list[Any] = [self.split, asdict(self.context), self.versions]
        values += [_content(pair) for pair in self.pairs]
        text = json.dumps(values, sort_keys=True, default=_hex)
        return hashlib.sha256(text.encode()).hexdigest()


def write_shard(task: ShardTask) -> ShardEntry:
    """Write ``NAME.tar``, then ``NAME.parquet``; nothing if this task has been finished before.

    Raises:
        DamagedError: a stored picture is not what its table says.
        StorageError: a place cannot be read or written.
    """
    digest = task.digest()
    done = _finished(task, digest)
    if done is not None:
        return done
    tar_name, index_name = f"{task.name}.tar", f"{task.name}.parquet"
    pieces = fetch(task.source, [place for pair in task.pairs for place in _places(pair)])
    with task.out.staged(tar_name) as path, path.open("xb") as file:
        tar = TarWriter(file)
        rows = [_add_pair(tar, pair, task, pieces) for pair in task.pairs]
        tar.close()
    tar_entry = FileEntry(tar_name, tar.size, tar.sha256)
    table = with_metadata(table_of(rows, SAMPLES), {"tar": asdict(tar_entry), "task": digest})
    index = to_parquet(table)
    task.out.write(index_name, index)
    return ShardEntry(task.split, len(rows), tar_entry, file_entry(index_name, index))


def file_entry(name: str, data: bytes) -> FileEntry:
    """The manifest's entry of a file with this content."""
    return FileEntry(name, len(data), hashlib.sha256(data).hexdigest())


def fetch(storage: Storage, places: Sequence[Place]) -> dict[Place, bytes]:
    """The bytes of all places, each read once, file by file in order of offset."""
    runs = list(_runs(sorted(set(places))))
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
        place: check_jpeg(
            data[place.offset - start : place.offset - start + place.size],
            place.size,
            place.crc32,
            where,
        )
        for place in run
    }


def _add_pair(tar: TarWriter, pair: PairTask, task: ShardTask, pieces: dict[Place, bytes]) -> Row:
    corr = _corr(pair, task.context, pieces)
    meta = meta_of(pair.key, pair.source, pair.edge, pair.frames, task.context)
    pictures = (pieces[pair.pictures[0]], pieces[pair.pictures[1]])
    members = [
        tar.add(f"{pair.key}.{suffix}", data)
        for suffix, data in members_of(meta, corr, pictures).items()
    ]
    return index_row(
        pair.key,
        task.split,
        pair.source,
        pair.edge,
        pair.frames,
        patch_size=task.context.patch_size,
        corr_count=len(corr),
        members=members,
    )


def _corr(pair: PairTask, context: Context, pieces: dict[Place, bytes]) -> Corr:
    computed = corr_of(pair.edge, pair.frames, context)
    if computed is not None:
        return computed
    if pair.corr is None:
        raise ValueError(f"pair {pair.key} has neither a homography nor a stored correspondence")
    return decode_corr(pair.corr if isinstance(pair.corr, bytes) else pieces[pair.corr])


def _places(pair: PairTask) -> Iterator[Place]:
    yield from pair.pictures
    if isinstance(pair.corr, Place):
        yield pair.corr


def _content(pair: PairTask) -> list[Any]:
    """What a pair is, not where its pictures lie: a frame id stands for a picture's bytes."""
    views = [{name: frame[name] for name in VIEW_FIELDS} for frame in pair.frames]
    corr = pair.corr if isinstance(pair.corr, bytes) else None
    sizes = [place.size for place in pair.pictures]
    return [pair.key, asdict(pair.source), pair.edge, views, sizes, corr]


def _hex(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"not JSON: {value!r}")


def _finished(task: ShardTask, digest: str) -> ShardEntry | None:
    """The entry of a shard that an earlier, interrupted run has committed for this very task."""
    tar_name, index_name = f"{task.name}.tar", f"{task.name}.parquet"
    try:
        index = task.out.read(index_name)
        schema = pq.read_schema(pa.BufferReader(index))
        if metadata_of(schema, "task") != digest:
            return None
        tar = FileEntry(**metadata_of(schema, "tar"))
        if task.out.size(tar_name) != tar.size:
            return None
    except (MissingError, OSError, ValueError):
        return None  # absent, or not a whole index: it is written (again)
    return ShardEntry(task.split, len(task.pairs), tar, file_entry(index_name, index))
