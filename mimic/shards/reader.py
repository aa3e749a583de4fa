"""Reading a folder of shards: the manifest, the index, and samples by offset."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from mimic.errors import DamagedError
from mimic.shards.sample import Sample
from mimic.shards.tables import Row, completed, from_parquet
from mimic.storage import MissingError, Storage
from schemas import MANIFEST_NAME, SAMPLES, Manifest, ShardEntry

__all__ = ["Sample", "Shards", "read_manifest"]


def read_manifest(storage: Storage) -> Manifest:
    """The manifest of finished shards.

    Raises:
        MissingError: there is none; the message says what to do.
        DamagedError: it is not a manifest.
        SchemaError: it was written under another schema.
    """
    try:
        text = storage.read(MANIFEST_NAME).decode()
    except MissingError as error:
        raise MissingError(_absent(storage)) from error
    except UnicodeDecodeError as error:
        raise DamagedError(f"{storage.join(MANIFEST_NAME)}: not a mimic manifest") from error
    try:
        return Manifest.from_json(text, storage.join(MANIFEST_NAME))
    except ValueError as error:
        raise DamagedError(str(error)) from error


def _absent(storage: Storage) -> str:
    if storage.exists(".mimic/plan.parquet"):
        return (
            f"{storage.url}: the run has not finished (no {MANIFEST_NAME}); run the same "
            "`mimic mine` command again to finish it"
        )
    return (
        f"{storage.url}: no shards here (no {MANIFEST_NAME}); give the --out folder of `mimic mine`"
    )


class Shards:
    """Finished shards at ``url``, a folder or any fsspec address.

    Raises:
        MissingError: there is no manifest there.
    """

    def __init__(self, url: str | Path | Storage) -> None:
        self.storage = url if isinstance(url, Storage) else Storage(url)
        self.manifest = read_manifest(self.storage)

    def __len__(self) -> int:
        return sum(shard.samples for shard in self.manifest.shards)

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that have shards, in order."""
        return tuple(dict.fromkeys(shard.split for shard in self.manifest.shards))

    def shards(self, split: str | None = None) -> list[ShardEntry]:
        """The entries of one split, or of all, in order."""
        return [s for s in self.manifest.shards if split in (None, s.split)]

    def index(self, split: str | None = None, columns: list[str] | None = None) -> pa.Table:
        """The rows of all samples, in shard order (``schemas.SAMPLES``, or some columns of it)."""
        tables = [self.shard_index(shard, columns) for shard in self.shards(split)]
        return pa.concat_tables([_fields(columns).empty_table(), *tables]).replace_schema_metadata(
            SAMPLES.metadata
        )

    def shard_index(self, shard: ShardEntry, columns: list[str] | None = None) -> pa.Table:
        """The rows of one shard; columns that an earlier version did not write are null."""
        name = shard.index.name
        try:
            data = self.storage.read(name)
        except MissingError as error:
            raise DamagedError(f"{error}; run `mimic verify {self.storage.url}`") from error
        table = from_parquet(data, self.storage.join(name), columns)
        return completed(table, _fields(columns)).replace_schema_metadata(SAMPLES.metadata)

    def samples(self, split: str | None = None) -> Iterator[Sample]:
        """All samples of a split (None: of all), in shard order.

        Members are read by offset when they are asked for; a sample's bytes are fetched with one
        read at the first of them.
        """
        for shard in self.shards(split):
            rows = self.shard_index(shard, ["key", "members"]).to_pylist()
            for row in rows:
                yield self.sample(shard, row)

    def sample(self, shard: ShardEntry, row: Row) -> Sample:
        """The sample of an index row (it needs ``key`` and ``members``)."""
        members = _Members(self.storage, shard.tar.name, row)
        return Sample(row["key"], members.read, members.suffixes)


def _fields(columns: list[str] | None) -> pa.Schema:
    return SAMPLES if columns is None else pa.schema([SAMPLES.field(name) for name in columns])


class _Members:
    """The members of one sample, fetched together when the first is asked for."""

    def __init__(self, storage: Storage, tar: str, row: Row) -> None:
        self._storage, self._tar, self._key = storage, tar, row["key"]
        self._places = {
            m["name"].removeprefix(f"{self._key}."): (m["offset"], m["size"])
            for m in row["members"]
        }
        self._start = min(offset for offset, _ in self._places.values())
        self._end = max(offset + size for offset, size in self._places.values())

    @property
    def suffixes(self) -> tuple[str, ...]:
        return tuple(self._places)

    def read(self, suffix: str) -> bytes:
        if suffix not in self._places:
            raise KeyError(f"sample {self._key} has no {suffix}; it has {', '.join(self._places)}")
        offset, size = self._places[suffix]
        at = offset - self._start
        return self._bytes[at : at + size]

    @cached_property
    def _bytes(self) -> bytes:
        wanted = self._end - self._start
        data = self._storage.read_range(self._tar, self._start, wanted)
        if len(data) < wanted:
            where = self._storage.join(self._tar)
            raise DamagedError(f"{where}: cut short; run `mimic verify {self._storage.url}`")
        return data
