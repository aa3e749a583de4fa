"""The plan: every unit of a source in one fixed order, what is skipped, what it would cost.

Written before work begins, so that totals are known; resume is plan minus done.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from mimic import sources
from mimic.config import Config
from mimic.errors import DamagedError, MimicError, StorageError
from mimic.storage import MissingError, Storage
from mimic.types import Skipped, SourceItem, Span, WorkUnit
from schemas import PLAN, SchemaError, check_schema

PLAN_NAME = ".mimic/plan.parquet"
ROWS_AT_ONCE = 65_536
JPEG_BYTES_PER_PIXEL = 0.45
"""A picture at quality 95 takes about this (for the estimate of output alone)."""
ASPECT = 1.6
"""A typical long side over a short side (for the estimate of output alone)."""
_SKIPPED_KEY = b"mimic.skipped"
_SOURCE_KEY = b"mimic.source"
_SCHEMA_KEY = b"mimic.schema"


@dataclass(frozen=True, slots=True)
class Slice:
    """Part ``index`` of ``count`` of a plan: every ``count``-th unit, from ``index`` on."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``i/n``, 0 <= i < n.

        Raises:
            MimicError: it is not that.
        """
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            raise MimicError(f"--slice {text}: write it as i/n with 0 <= i < n, such as 0/4")
        return cls(int(index), int(count))

    def of(self, units: Sequence[WorkUnit]) -> Sequence[WorkUnit]:
        """Its units, in plan order."""
        return units[self.index :: self.count]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a plan amounts to; CPU time, pairs and output are estimates."""

    units: int
    items: int
    footage_s: float
    estimated_cpu_s: float
    estimated_pairs: float
    source_bytes: int
    estimated_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Units in plan order (by item, then slot), and what was found but will not be mined.

    ``source`` is the address that was planned; "" where it is not known.
    """

    units: tuple[WorkUnit, ...]
    skipped: tuple[Skipped, ...]
    source: str = ""

    def summary(self, config: Config) -> Summary:
        """Its totals."""
        sizes = {unit.item.fingerprint: unit.item.size_bytes for unit in self.units}
        pairs = sum(unit.estimated_pairs for unit in self.units)
        aspect = 1.0 if config.image.resize == "squash" else ASPECT
        picture_bytes = config.image.size**2 * aspect * JPEG_BYTES_PER_PIXEL
        return Summary(
            units=len(self.units),
            items=len({_item_key(unit) for unit in self.units}),
            footage_s=sum(unit.footage_s for unit in self.units),
            estimated_cpu_s=sum(unit.estimated_s for unit in self.units),
            estimated_pairs=pairs,
            source_bytes=sum(sizes.values()),
            estimated_bytes=round(2 * pairs * picture_bytes),
        )


def make_plan(source: str | sources.Recognised, config: Config) -> Plan:
    """Discover a source and cut it into units; opens large videos for their length, reads no frame.

    Raises:
        MimicError: there is nothing to mine, and why.
    """
    units: list[WorkUnit] = []
    skipped: list[Skipped] = []
    for found in sources.discover(source, config):
        if isinstance(found, Skipped):
            skipped.append(found)
        else:
            units.extend(sources.split(found, config))
    where = source if isinstance(source, str) else source.where
    return plan_of(units, skipped, Storage(where).url)


def plan_of(units: Iterable[WorkUnit], skipped: Iterable[Skipped] = (), source: str = "") -> Plan:
    """A plan in its one order; of units with the same id (the same content) the first stays."""
    unique: dict[str, WorkUnit] = {}
    for unit in sorted(units, key=_place_of):
        unique.setdefault(unit.unit_id, unit)
    return Plan(
        tuple(unique.values()),
        tuple(sorted(skipped, key=lambda entry: (entry.name, entry.reason, entry.message))),
        source,
    )


def write_plan(plan: Plan, storage: Storage) -> None:
    """Write ``.mimic/plan.parquet``: the same plan gives the same bytes."""
    skipped = json.dumps([dataclasses.asdict(entry) for entry in plan.skipped])
    said = {_SKIPPED_KEY: skipped.encode(), _SOURCE_KEY: json.dumps(plan.source).encode()}
    schema = PLAN.with_metadata({**PLAN.metadata, **said})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for start in range(0, len(plan.units), ROWS_AT_ONCE):
            rows = [_row_of(unit) for unit in plan.units[start : start + ROWS_AT_ONCE]]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    storage.write(PLAN_NAME, sink.getvalue())


def read_plan(storage: Storage) -> Plan:
    """Read what :func:`write_plan` wrote.

    Raises:
        StorageError: there is no plan. DamagedError: it cannot be read.
    """
    where = storage.join(PLAN_NAME)
    data = storage.read(PLAN_NAME)
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        metadata = file.schema_arrow.metadata or {}
        check_schema(int(metadata[_SCHEMA_KEY]), where)
        skipped = tuple(Skipped(**entry) for entry in json.loads(metadata[_SKIPPED_KEY]))
        return Plan(tuple(_units_in(file)), skipped, _source_in(metadata))
    except SchemaError as error:
        raise DamagedError(str(error)) from error
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise DamagedError(f"{where}: not a plan ({error}); mine again") from error


def planned_source(storage: Storage) -> str | None:
    """The address that the plan there is of; None without a plan that can be read."""
    try:
        file = pq.ParquetFile(io.BytesIO(storage.read(PLAN_NAME)))
        return _source_in(file.schema_arrow.metadata or {})
    except (MissingError, pa.ArrowException, ValueError):
        return None


def replanned(plan: Plan, unit_ids: Collection[str], config: Config) -> Plan:
    """The plan with the items of these units looked at anew: a mended file has other units.

    An item that is gone, or that still cannot be planned, keeps its units; they fail again and say
    why. What else is new in the source is left to ``mimic mine``.
    """
    items = {_item_key(unit) for unit in plan.units if unit.unit_id in unit_ids}
    found = _found_again(plan.source, items, config) if plan.source and items else ()
    fresh = [unit for unit in found if _item_key(unit) in items]
    renewed = {_item_key(unit) for unit in fresh}
    kept = [unit for unit in plan.units if _item_key(unit) not in renewed]
    return plan_of([*kept, *fresh], plan.skipped, plan.source)


def _found_again(
    source: str, items: Collection[tuple[str, str]], config: Config
) -> Sequence[WorkUnit]:
    try:
        found = sources.recognise(source, config)
        files = {
            kind: [f for f in files if kind != "video" or (kind, f.name) in items]
            for kind, files in found.files.items()
            if any(kind == item_kind for item_kind, _ in items)
        }
        return make_plan(dataclasses.replace(found, files=files), config).units
    except StorageError:
        raise
    except MimicError:
        return ()  # nothing of it is left, or none of it can be read


def _source_in(metadata: dict[bytes, bytes]) -> str:
    return str(json.loads(metadata.get(_SOURCE_KEY, b'""')))


def _item_key(unit: WorkUnit) -> tuple[str, str]:
    return unit.item.kind, unit.item.name


def _place_of(unit: WorkUnit) -> tuple[str, str, int, str]:
    return unit.item.kind, unit.item.name, unit.span.first, unit.unit_id


def _row_of(unit: WorkUnit) -> dict[str, Any]:
    item = unit.item
    return {
        "unit_id": unit.unit_id,
        "kind": item.kind,
        "uri": item.uri,
        "name": item.name,
        "fingerprint": item.fingerprint,
        "size_bytes": item.size_bytes,
        "scene": item.scene,
        "dataset": item.dataset,
        "first_slot": unit.span.first,
        "last_slot": unit.span.last,
        "members": list(item.members),
        "settings": item.settings,
        "seed": unit.seed,
        "footage_s": unit.footage_s,
        "item_footage_s": item.footage_s,
        "estimated_s": unit.estimated_s,
        "estimated_pairs": unit.estimated_pairs,
        "resources": unit.resources,
    }


def _units_in(file: pq.ParquetFile) -> Iterator[WorkUnit]:
    item: SourceItem | None = None
    for batch in file.iter_batches():
        for row in batch.to_pylist():
            same = _item_of(row)
            item = item if item == same else same  # neighbours share one item in memory
            yield WorkUnit(
                unit_id=row["unit_id"],
                item=item,
                span=Span(row["first_slot"], row["last_slot"]),
                seed=row["seed"],
                footage_s=row["footage_s"],
                estimated_s=row["estimated_s"],
                estimated_pairs=row["estimated_pairs"],
                resources=row["resources"],
            )


def _item_of(row: dict[str, Any]) -> SourceItem:
    return SourceItem(
        kind=row["kind"],
        uri=row["uri"],
        name=row["name"],
        fingerprint=row["fingerprint"],
        size_bytes=row["size_bytes"],
        scene=row["scene"],
        dataset=row["dataset"],
        members=tuple(row["members"]),
        settings=tuple((name, value) for name, value in row["settings"]),
        footage_s=row["item_footage_s"],
    )
