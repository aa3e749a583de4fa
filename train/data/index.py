"""The table of samples: which there are, and where their bytes lie. Read once, from the indexes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mimic.errors import MimicError
from mimic.shards.reader import Shards
from mimic.shards.tables import completed, from_parquet
from schemas import SAMPLES, FileEntry, ShardEntry
from train.data.where import Where, parse
from train.errors import TrainError

_READS_AT_ONCE = 16

ABSENT = -1
"""The size of a member that a sample does not have."""


class NoSamplesError(TrainError):
    """A data set is there and whole, but holds no samples of the split or of the condition."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sample lies: ``members`` gives (offset, size) by suffix in the ``tar``."""

    key: str
    tar: FileEntry
    members: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """n samples of S kinds of members; 12 bytes a member, so millions fit.

    Attributes:
        tars: the tars that hold them.
        first: (tars + 1,) int64, the number of each tar's first sample, and n.
        keys: (n,) bytes.
        suffixes: (S) of the members: ``json``, ``view1.jpg``.
        offsets: (n, S) int64, of members' contents.
        sizes: (n, S) int32, ``ABSENT`` where a sample lacks it.
        fingerprint: of the manifest, the split and the condition.
    """

    tars: tuple[FileEntry, ...]
    first: NDArray[np.int64]
    keys: NDArray[np.bytes_]
    suffixes: tuple[str, ...]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int32]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, number: int) -> str:
        """The key of a sample."""
        return str(self.keys[number].decode())

    def place(self, number: int) -> Place:
        """Where a sample lies."""
        tar = self.tars[int(self.first.searchsorted(number, side="right")) - 1]
        offsets, sizes = self.offsets[number].tolist(), self.sizes[number].tolist()
        members = {
            suffix: (offset, size)
            for suffix, offset, size in zip(self.suffixes, offsets, sizes, strict=True)
            if size != ABSENT
        }
        return Place(self.key(number), tar, members)


def read_index(shards: Shards, split: str, conditions: Sequence[str]) -> Index:
    """The samples of a split that all conditions choose (see :func:`train.data.where.parse`).

    Raises:
        NoSamplesError: there are none.
        TrainError: a condition cannot be read, or an index is not what the manifest says.
    """
    entries = shards.shards(split)
    if not entries:
        raise NoSamplesError(
            f"{shards.storage.url}: no split {split}, only {', '.join(shards.splits) or 'none'}; "
            "a share of the scenes is held out with `mimic pack --set pack.val_share=0.1`"
        )
    measure = shards.manifest.config.get("overlap", {}).get("measure", "patch")
    wheres = [parse(text, measure) for text in conditions]
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        parts = list(pool.map(lambda entry: _part(shards, entry, wheres), entries))
    if not any(len(part.keys) for part in parts):
        total = sum(entry.samples for entry in entries)
        raise NoSamplesError(
            f"--where {' and '.join(w.text for w in wheres)!r}: chooses none of the {total} "
            f"samples of split {split} in {shards.storage.url}; `mimic stats` shows their values"
        )
    return _joined(parts, entries, _fingerprint(shards, split, wheres))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The chosen samples of one shard; ``places`` of each suffix are offsets and sizes (n,)."""

    keys: NDArray[np.bytes_]
    places: dict[str, tuple[NDArray[np.int64], NDArray[np.int32]]]


def _part(shards: Shards, entry: ShardEntry, wheres: Sequence[Where]) -> _Part:
    wanted = {"key", "members"}.union(*(where.columns for where in wheres))
    table = _table(shards, entry, [name for name in SAMPLES.names if name in wanted])
    chosen = np.ones(len(table), bool)
    for where in wheres:
        chosen &= where.mask(table)
    table = table.filter(pa.array(chosen)).combine_chunks()
    keys = np.array(table["key"].to_pylist(), np.bytes_)
    return _Part(keys, _members(table, len(keys)))


def _table(shards: Shards, entry: ShardEntry, columns: list[str]) -> pa.Table:
    name, where = entry.index.name, shards.storage.join(entry.index.name)
    try:
        data = shards.storage.read(name)
        if len(data) != entry.index.size or _sha256(data) != entry.index.sha256:
            raise TrainError(
                f"{where}: not the index that the manifest names; run `mimic verify "
                f"{shards.storage.url}`, or copy the data set again"
            )
        table = from_parquet(data, where, columns)
    except MimicError as error:
        raise TrainError(f"{error}; run `mimic verify {shards.storage.url}`") from error
    return completed(table, pa.schema([SAMPLES.field(name) for name in columns]))


def _members(table: pa.Table, count: int) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int32]]]:
    """Offsets and sizes of each kind of member, by its suffix (what follows the key)."""
    lists = table["members"].combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.chunk(0) if lists.num_chunks else pa.array([], lists.type)
    flat = lists.flatten()
    rows = np.asarray(pc.list_parent_indices(lists))
    names = pc.replace_substring_regex(flat.field("name"), r"^[^.]*\.", "").dictionary_encode()
    offsets = np.asarray(flat.field("offset"))
    sizes = np.asarray(flat.field("size"))
    found = {}
    for code, suffix in enumerate(names.dictionary.to_pylist()):
        here = np.asarray(names.indices) == code
        offset, size = np.zeros(count, np.int64), np.full(count, ABSENT, np.int32)
        offset[rows[here]], size[rows[here]] = offsets[here], sizes[here]
        found[suffix] = (offset, size)
    return found


def _joined(parts: Sequence[_Part], entries: Sequence[ShardEntry], fingerprint: str) -> Index:
    suffixes = tuple(sorted({suffix for part in parts for suffix in part.places}))
    first = np.concatenate([[0], np.cumsum([len(part.keys) for part in parts])])
    offsets = np.zeros((int(first[-1]), len(suffixes)), np.int64)
    sizes = np.full(offsets.shape, ABSENT, np.int32)
    for start, part in zip(first, parts, strict=False):
        rows = slice(int(start), int(start) + len(part.keys))
        for column, suffix in enumerate(suffixes):
            if suffix in part.places:
                offsets[rows, column], sizes[rows, column] = part.places[suffix]
    keys = np.concatenate([part.keys for part in parts if len(part.keys)])
    tars = tuple(entry.tar for entry in entries)
    return Index(tars, first.astype(np.int64), keys, suffixes, offsets, sizes, fingerprint)


def _fingerprint(shards: Shards, split: str, wheres: Sequence[Where]) -> str:
    said = [shards.manifest.to_json(), split, *(where.text for where in wheres)]
    return _sha256(json.dumps(said).encode())[:12]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
