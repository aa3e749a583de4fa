"""The tables of a data set as streams of record batches, so that none is ever held whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from mimic.errors import DamagedError
from mimic.report.notmined import NotMined, not_mined
from mimic.shards.reader import Shards
from mimic.storage import MissingError
from schemas import Manifest, ShardEntry

TableName = Literal["samples", "edges", "frames", "curves", "units"]

BATCH_ROWS = 65_536

_TELLING: dict[TableName, set[str]] = {
    # Columns that only this table has: files are known by content, not by name.
    "curves": {"item", "overlap_median"},
    "edges": {"verdict", "frame_1"},
    "frames": {"frame_id", "phash"},
    "units": {"unit_id", "item"},
}


class Tables(Protocol):
    """What a report reads. A table that is not there yields no batches."""

    url: str
    manifest: Manifest

    def batches(self, table: TableName, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """The table's rows in order. Columns that it does not have are left out."""
        ...

    def missing(self) -> tuple[str, ...]:
        """Names of listed files that are not there (a graph left behind in a copy, say)."""
        ...

    def not_mined(self) -> tuple[NotMined, ...]:
        """What was found and gave nothing, as far as the working state is still there."""
        ...


class StoredTables:
    """The tables of shards in a folder or bucket (raises as :class:`Shards` does)."""

    def __init__(self, url: str) -> None:
        self.shards = Shards(url)
        self.storage = self.shards.storage
        self.url = self.storage.url
        self.manifest = self.shards.manifest
        self._graph, self._missing = self._sorted_graph()

    def batches(self, table: TableName, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """See :class:`Tables`."""
        if table == "samples":
            for _, batch in self.sample_batches(columns):
                yield batch
            return
        for name in self._graph.get(table, []):
            yield from self._read(name, columns)

    def sample_batches(
        self, columns: tuple[str, ...]
    ) -> Iterator[tuple[ShardEntry, pa.RecordBatch]]:
        """The rows of the shards' indexes, each batch with its shard."""
        for shard in self.manifest.shards:
            for batch in self._read(shard.index.name, columns):
                yield shard, batch

    def missing(self) -> tuple[str, ...]:
        """See :class:`Tables`."""
        return self._missing

    def not_mined(self) -> tuple[NotMined, ...]:
        """See :class:`Tables`."""
        return tuple(not_mined(self.storage))

    def _read(self, name: str, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        where = self.storage.join(name)
        with self.storage.open(name) as file, _naming_damage(where):
            parquet = pq.ParquetFile(file)
            there = [column for column in columns if column in parquet.schema_arrow.names]
            yield from parquet.iter_batches(batch_size=BATCH_ROWS, columns=there)

    def _sorted_graph(self) -> tuple[dict[TableName, list[str]], tuple[str, ...]]:
        graph: dict[TableName, list[str]] = {}
        missing = []
        for entry in self.manifest.graph:
            if not entry.name.endswith(".parquet"):
                continue
            try:
                columns = self._columns_of(entry.name)
            except MissingError:
                missing.append(entry.name)
                continue
            for table, telling in _TELLING.items():
                if telling <= columns:
                    graph.setdefault(table, []).append(entry.name)
                    break
        return graph, tuple(missing)

    def _columns_of(self, name: str) -> set[str]:
        with self.storage.open(name) as file, _naming_damage(self.storage.join(name)):
            return set(pq.ParquetFile(file).schema_arrow.names)


@contextlib.contextmanager
def _naming_damage(where: str) -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        detail = str(error).splitlines()[0]
        raise DamagedError(f"{where}: damaged table ({detail}); run `mimic verify`") from error
