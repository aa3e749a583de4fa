"""What was found in a source and not mined: skipped when planning, or failed and in quarantine.

Both are working state, beside the shards of the folder that was mined into; a copy of the shards
alone does not have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow.parquet as pq

from mimic.shards.tables import metadata_of
from mimic.storage import Storage
from schemas.marker import load_failure

PLAN_NAME = ".mimic/plan.parquet"
QUARANTINE = ".mimic/quarantine"
MOST_FAILURES = 1000
"""Failures read; each is a small file of its own."""


@dataclass(frozen=True, slots=True)
class NotMined:
    """A file or unit that gave nothing, the word that is counted for it, and one sentence."""

    name: str
    state: Literal["skipped", "failed"]
    reason: str
    message: str


def not_mined(storage: Storage) -> Iterator[NotMined]:
    """What the plan skipped, then what failed (at most ``MOST_FAILURES``)."""
    if storage.exists(PLAN_NAME):
        with storage.open(PLAN_NAME) as file:
            schema = pq.ParquetFile(file).schema_arrow
        for entry in metadata_of(schema, "skipped") or ():
            yield NotMined(entry["name"], "skipped", entry["reason"], entry["message"])
    for entry in storage.list(QUARANTINE)[:MOST_FAILURES]:
        failure = load_failure(storage.read(entry.name).decode(), storage.join(entry.name))
        yield NotMined(failure.name, "failed", failure.reason, failure.message)
