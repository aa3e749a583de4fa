"""Arrow tables to parquet bytes and back, the same bytes for the same rows and pyarrow version."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mimic.errors import DamagedError

Row = dict[str, Any]

_WRITE = {"compression": "zstd", "compression_level": 3, "write_page_checksum": True}


def table_of(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Rows as a table; a key that the schema lacks is an error (ValueError), one not given null."""
    known = set(schema.names)
    for row in rows:
        if not known.issuperset(row):
            raise ValueError(f"columns unknown to the schema: {sorted(set(row) - known)}")
    return pa.Table.from_pylist(list(rows), schema=schema)


def completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of ``schema``, null where an earlier version of mimic did not write them.

    Within a schema number columns are only ever added. The table's metadata stays.
    """
    columns = [_column(table, field) for field in schema]
    return pa.table(columns, schema=schema.with_metadata(table.schema.metadata))


def _column(table: pa.Table, field: pa.Field) -> pa.Array | pa.ChunkedArray:
    if field.name not in table.column_names:
        return pa.nulls(len(table), field.type)
    column = table[field.name]
    if column.type.equals(field.type):
        return column
    return pa.array(column.to_pylist(), field.type)  # a list of structs that have gained a field


def with_metadata(table: pa.Table, values: Mapping[str, Any]) -> pa.Table:
    """The table with JSON values added to its schema's metadata, under ``mimic.<name>``."""
    encoded = {
        f"mimic.{name}".encode(): json.dumps(value, sort_keys=True).encode()
        for name, value in values.items()
    }
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **encoded})


def metadata_of(schema: pa.Schema, name: str) -> Any:
    """A JSON value put there by :func:`with_metadata`; None if absent."""
    text = (schema.metadata or {}).get(f"mimic.{name}".encode())
    return None if text is None else json.loads(text)


def to_parquet(table: pa.Table) -> bytes:
    """Parquet bytes with page checksums, without clock or host."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **_WRITE)
    return sink.getvalue()


def parquet_writer(sink: BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer for tables that come in pieces, with the same settings."""
    return pq.ParquetWriter(sink, schema, **_WRITE)


def from_parquet(data: bytes, where: str, columns: list[str] | None = None) -> pa.Table:
    """Read and check a table.

    Raises:
        DamagedError: the bytes are not a whole parquet file; the message names ``where``.
        SchemaError: it was written under another schema version.
    """
    from schemas import check_schema

    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        table = file.read(columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        detail = str(error).splitlines()[0]
        raise DamagedError(f"{where}: damaged table ({detail})") from error
    check_schema(metadata_of(table.schema, "schema"), where)
    return table
