"""The small records of a run: a unit's marker (done or filtered), and a failure in quarantine."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from schemas.version import SCHEMA_VERSION, check_schema

State = Literal["done", "filtered", "failed"]


@dataclass(frozen=True, slots=True)
class PartFile:
    """The committed part of a unit: a tar, and where its two tables lie inside (offset, size).

    ``tables_sha256`` is the hash of the bytes from the start of the first table to the end of the
    second, so that they can be checked without reading the pictures.
    """

    name: str
    size: int
    sha256: str
    frames_table: tuple[int, int]
    edges_table: tuple[int, int]
    tables_sha256: str = ""


@dataclass(frozen=True, slots=True)
class UnitReport:
    """All that the driver receives of a unit; also the content of its marker.

    ``counts``: candidates, kept, frames, stored, and one entry a rejection reason.
    ``cpu_s`` and ``wall_s`` are for the log only: they never enter the marker (law 1).
    """

    unit_id: str
    name: str
    state: State
    counts: dict[str, int]
    part: PartFile | None = None
    schema: int = field(default=SCHEMA_VERSION)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a unit failed: one ``reason`` word, one sentence, and the traceback for the curious."""

    unit_id: str
    name: str
    reason: str
    message: str
    attempts: int
    traceback: str = ""
    schema: int = field(default=SCHEMA_VERSION)


def dump(record: UnitReport | Failure) -> str:
    """Canonical JSON text of a record."""
    return json.dumps(dataclasses.asdict(record), sort_keys=True) + "\n"


def load_report(text: str, where: str) -> UnitReport:
    """Parse a marker; ValueError naming ``where`` if it is not one."""
    raw = _parse(text, where)
    part = raw.pop("part", None)
    try:
        if part is not None:
            part = PartFile(
                **{
                    **part,
                    "frames_table": tuple(part["frames_table"]),
                    "edges_table": tuple(part["edges_table"]),
                }
            )
        return UnitReport(part=part, **raw)
    except (TypeError, KeyError) as error:
        raise ValueError(f"{where}: not a unit marker ({error})") from error


def load_failure(text: str, where: str) -> Failure:
    """Parse a quarantine record; ValueError naming ``where`` if it is not one."""
    try:
        return Failure(**_parse(text, where))
    except TypeError as error:
        raise ValueError(f"{where}: not a failure record ({error})") from error


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error})") from error
    if not isinstance(raw, dict):
        raise ValueError(f"{where}: not a JSON object")
    check_schema(raw.get("schema"), where)
    return raw
