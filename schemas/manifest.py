"""The manifest: written last, it is what makes a folder of shards a data set."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from schemas.version import SCHEMA_VERSION, check_schema

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the data set, by its name relative to the manifest."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One shard: its tar, its index (parquet) and how many samples both hold."""

    split: str
    samples: int
    tar: FileEntry
    index: FileEntry


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``manifest.json`` says. ``config`` is the resolved config as plain JSON values.

    ``counts`` holds the totals over all units (candidates, kept, and one entry a rejection reason);
    ``versions`` the tools that decide bytes; ``units`` how many units are inside (their ids are in
    ``graph/units-*.parquet``).
    """

    config: dict[str, Any]
    fingerprint: str
    preset: str
    seed: int
    versions: dict[str, str]
    shards: tuple[ShardEntry, ...]
    graph: tuple[FileEntry, ...]
    counts: dict[str, int]
    units: int
    schema: int = field(default=SCHEMA_VERSION)

    def to_json(self) -> str:
        """Canonical text: sorted keys, two-space indent, a final newline."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = MANIFEST_NAME) -> Manifest:
        """Parse and check; ``where`` names the file in errors (ValueError)."""
        try:
            raw = json.loads(text)
            check_schema(raw.get("schema"), where)
            shards = tuple(
                ShardEntry(
                    split=s["split"],
                    samples=s["samples"],
                    tar=FileEntry(**s["tar"]),
                    index=FileEntry(**s["index"]),
                )
                for s in raw.pop("shards")
            )
            graph = tuple(FileEntry(**g) for g in raw.pop("graph"))
            return cls(shards=shards, graph=graph, **raw)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{where}: not a mimic manifest ({error})") from error
