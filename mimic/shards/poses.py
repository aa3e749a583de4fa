"""``poses.parquet``: what another machine needs to render the same samples again.

Shards of scenes that may not be passed on are published as this one file: for every sample the
camera of each view, and of every scene its fingerprint. Rows are sorted by unit and key and lie in
small row groups, so that a unit's rows are read without the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mimic.config import Config
from mimic.errors import DamagedError, MimicError
from mimic.shards.pairs import lists_of
from mimic.shards.part import UnitSource
from mimic.shards.sample import VIEW_FIELDS
from mimic.shards.tables import metadata_of, parquet_writer, with_metadata
from mimic.storage import Storage
from schemas import POSES, SchemaError, check_schema

POSES_NAME = "poses.parquet"
ROWS_AT_ONCE = 4096
"""Samples of a row group."""

_NOT_POSES = "not a poses file (`mimic export --layout poses` writes one)"


@dataclass(frozen=True, slots=True)
class PosedItem:
    """An item that samples were rendered from: a scene file, say."""

    name: str
    kind: str
    scene: str
    dataset: str | None
    fingerprint: str
    size_bytes: int | None

    @classmethod
    def of(cls, source: UnitSource) -> Self:
        """The item of a unit.

        Raises:
            MimicError: it was mined by an early version of mimic, which did not note the file.
        """
        if source.fingerprint is None:
            raise MimicError(
                f"{source.item}: its shards do not say which file they were made from, so nobody "
                "could render them again; mine it again with this version of mimic"
            )
        return cls(
            name=source.item,
            kind=source.kind,
            scene=source.scene,
            dataset=source.dataset,
            fingerprint=source.fingerprint,
            size_bytes=source.size_bytes,
        )


@dataclass(frozen=True, slots=True)
class PosesHead:
    """What all samples of a poses file share; the same values as in a manifest.

    ``items`` are sorted by name.
    """

    config: dict[str, Any]
    fingerprint: str
    preset: str
    seed: int
    versions: dict[str, str]
    items: tuple[PosedItem, ...]

    @classmethod
    def of(cls, config: Config, versions: dict[str, str], sources: Iterable[UnitSource]) -> Self:
        """The head of samples that were mined with this config from these sources."""
        return cls(
            config=config.decisive(),
            fingerprint=config.fingerprint(),
            preset=config.preset,
            seed=config.seed,
            versions=versions,
            items=tuple(sorted({PosedItem.of(source) for source in sources}, key=_by_name)),
        )


def _by_name(item: PosedItem) -> tuple[str, str, str]:
    return item.name, item.fingerprint, item.kind


@dataclass(frozen=True, slots=True)
class Poses:
    """A poses file that was read: its head, and rows of ``schemas.POSES``, by unit and key."""

    head: PosesHead
    table: pa.Table


@dataclass(frozen=True, slots=True)
class PosesFile:
    """A poses file that was written, by its name below the place it was written to."""

    name: str
    size: int
    sha256: str
    samples: int


def poses_table(
    keys: Sequence[str], sources: Sequence[UnitSource], edges: pa.Table, frames: pa.Table
) -> pa.Table:
    """Rows of ``schemas.POSES``.

    Args:
        keys: of n pairs.
        sources: of each pair.
        edges: n rows with ``slot_1`` and ``slot_2``.
        frames: 2n rows with the fields of a view: view 1 and view 2 of the first pair, and so on.

    Raises:
        MimicError: a view has no camera; the message names the pair.
    """
    count = len(keys)
    for name in ("intrinsics", "cam_to_world"):
        if frames[name].null_count:
            first = int(np.flatnonzero(frames[name].is_null())[0]) // 2
            raise MimicError(
                f"{sources[first].item}: its pair {keys[first]} has no {name}, so it cannot be "
                "rendered again; only walks through scenes can be published as poses"
            )
    slots = np.column_stack([edges["slot_1"].to_numpy(), edges["slot_2"].to_numpy()]).ravel()
    views = frames.select(VIEW_FIELDS).append_column("slot", pa.array(slots, pa.int64()))
    columns: dict[str, pa.Array] = {
        "key": pa.array(keys, pa.string()),
        "views": lists_of(POSES.field("views").type, views, [2] * count),
    }
    for name in ("unit", "kind", "dataset", "item", "scene", "fingerprint"):
        columns[name] = pa.array([getattr(source, name) for source in sources], pa.string())
    return pa.table([columns[name] for name in POSES.names], schema=POSES)


def write_poses(
    head: PosesHead, tables: Iterable[pa.Table], out: Storage, name: str = POSES_NAME
) -> PosesFile:
    """Write a poses file, atomically; a pure function of head and rows.

    Args:
        head: what the samples share.
        tables: rows of ``schemas.POSES``, sorted by unit and key; each table becomes a row group.
        out: where to.
        name: its name there.
    """
    schema = with_metadata(POSES.empty_table(), {"poses": asdict(head)}).schema
    samples = 0
    with out.staged(name) as path:
        with path.open("xb") as file, parquet_writer(file, schema) as writer:
            for table in tables:
                writer.write_table(table.replace_schema_metadata(schema.metadata))
                samples += len(table)
        size = path.stat().st_size
        with path.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
    return PosesFile(name, size, digest, samples)


def is_poses_file(storage: Storage, name: str) -> bool:
    """Whether a file is a poses file, of whatever schema.

    Raises:
        MissingError: there is no such file.
    """
    with storage.open(name) as file:
        try:
            schema = pq.ParquetFile(file).schema_arrow
        except (pa.ArrowException, OSError):
            return False
    return metadata_of(schema, "poses") is not None


def read_head(storage: Storage, name: str = POSES_NAME) -> PosesHead:
    """The head of a poses file, without its rows.

    Raises:
        MissingError: there is no such file.
        DamagedError: it is not a poses file, or one of another schema; one sentence names it.
    """
    with storage.open(name) as file:
        return _head_of(_opened(file, storage.join(name)).schema_arrow, storage.join(name))


def read_poses(storage: Storage, name: str = POSES_NAME, unit: str | None = None) -> Poses:
    """A poses file, or of its rows those of one unit (with the row groups they lie in).

    Raises:
        MissingError: there is no such file.
        DamagedError: it is not a poses file, one of another schema, or it is damaged; one sentence
            names it.
    """
    where = storage.join(name)
    with storage.open(name) as file:
        parquet = _opened(file, where)
        head = _head_of(parquet.schema_arrow, where)
        groups = [n for n in range(parquet.num_row_groups) if _may_hold(parquet, n, unit)]
        try:
            table = parquet.read_row_groups(groups, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DamagedError(f"{where}: damaged poses file; fetch it again") from error
    if not table.schema.equals(POSES):
        raise DamagedError(f"{where}: its columns are not those of a poses file; fetch it again")
    if unit is not None:
        table = table.filter(pc.equal(table["unit"], unit))
    return Poses(head, table.replace_schema_metadata(POSES.metadata))


def _opened(file: Any, where: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise DamagedError(f"{where}: {_NOT_POSES}") from error


def _head_of(schema: pa.Schema, where: str) -> PosesHead:
    values = metadata_of(schema, "poses")
    if values is None:
        raise DamagedError(f"{where}: {_NOT_POSES}")
    try:
        check_schema(metadata_of(schema, "schema"), where)
        items = tuple(PosedItem(**item) for item in values.pop("items"))
        return PosesHead(items=items, **values)
    except SchemaError as error:
        raise DamagedError(str(error)) from error
    except (KeyError, TypeError) as error:
        raise DamagedError(f"{where}: {_NOT_POSES}") from error


def _may_hold(parquet: pq.ParquetFile, group: int, unit: str | None) -> bool:
    """Whether rows of the unit may lie in a row group: rows are sorted by unit."""
    if unit is None:
        return True
    found = parquet.metadata.row_group(group).column(POSES.get_field_index("unit")).statistics
    return found is None or not found.has_min_max or found.min <= unit <= found.max
