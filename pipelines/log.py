"""The JSON lines log of a run: one line an event. The only output that may hold the clock."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from pathlib import Path
from typing import Any, TextIO

from mimic.errors import StorageError
from pipelines.events import Attempted, Event, Planned
from schemas import UnitReport


class JsonLog(contextlib.AbstractContextManager["JsonLog"]):
    """Appends events to a local file, flushed line by line; None as path writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = None
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a", encoding="utf-8")
            except OSError as error:
                raise StorageError(f"log {path}: cannot be written ({error.strerror})") from error

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if self._file is not None:
            line = {"time": round(time.time(), 3), **record(event)}
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def record(event: Event) -> dict[str, Any]:
    """An event as plain JSON values, ``event`` naming its kind."""
    if isinstance(event, Attempted):
        return _attempt(event)
    values = {"event": type(event).__name__.lower(), **dataclasses.asdict(event)}
    if isinstance(event, Planned):
        values["skipped"] = [dataclasses.asdict(skipped) for skipped in event.skipped]
    return values


def _attempt(event: Attempted) -> dict[str, Any]:
    outcome, result = event.outcome, event.outcome.result
    values: dict[str, Any] = {
        "event": "unit",
        "unit": result.unit_id,
        "name": result.name,
        "wall_s": round(outcome.wall_s, 3),
        "cpu_s": round(outcome.cpu_s, 3),
    }
    if isinstance(result, UnitReport):
        return values | {"state": result.state, "counts": result.counts}
    return values | {
        "state": "failed" if outcome.final else "retried",
        "reason": result.reason,
        "message": result.message,
        "attempts": result.attempts,
    }
