"""The ledger: which units are done, filtered or failed, as small files that never change.

A unit counts only when its marker exists; the marker is put last, after the part it describes.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import TypeVar

from mimic.config import Config
from mimic.errors import SourceError
from mimic.shards.part import write_part
from mimic.storage import MissingError, Storage
from mimic.types import KEPT, Part, WorkUnit
from pipelines.limits import crash_point
from schemas import Failure, State, UnitReport
from schemas.marker import dump, load_failure, load_report

DONE = ".mimic/done"
PARTS = ".mimic/parts"
QUARANTINE = ".mimic/quarantine"
BLOCK_BYTES = 4 << 20
READERS = 32
"""Markers read at once: they are small, and a store answers each after some 20 ms."""

MineUnit = Callable[[WorkUnit, Config], Part]
_T = TypeVar("_T")


def commit_unit(unit: WorkUnit, *, config: Config, out: str, mine_unit: MineUnit) -> UnitReport:
    """Mine a unit and commit it: the part, then the marker. Runs in the worker.

    Doing it twice, at once or after a crash at any point, leaves the same two files.

    Raises:
        SourceError: the unit's source cannot be read. StorageError: ``out`` cannot be written.
    """
    try:
        part = mine_unit(unit, config)
    except MissingError as error:
        raise SourceError("vanished", f"{unit.item.name}: {error}") from error
    storage = Storage(out)
    counts = _counts(part)
    crash_point("before_part")
    file = write_part(part, storage, PARTS) if part.edges or part.frames else None
    crash_point("after_part")
    state: State = "done" if counts.get(KEPT) else "filtered"
    report = UnitReport(unit.unit_id, unit.item.name, state, counts, file)
    storage.write(_name(DONE, unit.unit_id), dump(report).encode())
    crash_point("after_marker")
    return report


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What the ledger holds. ``reports``: units that are done or filtered, whose part is there.

    ``packed``: units inside the committed manifest; their parts may be gone.
    ``damaged``: unit id to one sentence, for markers that do not count.
    """

    reports: dict[str, UnitReport]
    packed: frozenset[str]
    failures: dict[str, Failure]
    damaged: dict[str, str]


class Ledger:
    """The ledger of an output folder."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def load(self, packed: frozenset[str] | set[str] = frozenset()) -> LedgerState:
        """Read it all: three listings, and every marker that is not of a ``packed`` unit.

        A marker counts if its part is there with the size it says, or if the unit is ``packed``
        (inside the committed manifest). A failure record counts if there is no such marker.
        """
        marked = _ids(entry.name for entry in self._storage.list(DONE))
        sizes = {entry.name: entry.size for entry in self._storage.list(PARTS)}
        reports: dict[str, UnitReport] = {}
        damaged: dict[str, str] = {}
        unpacked = [unit_id for unit_id in marked if unit_id not in packed]
        for unit_id, found in self._each(DONE, unpacked, load_report):
            if isinstance(found, ValueError):
                damaged[unit_id] = f"{found}; it will be mined again"
            elif found.part is not None and sizes.get(found.part.name) != found.part.size:
                damaged[unit_id] = _part_problem(found, sizes.get(found.part.name))
            else:
                reports[unit_id] = compact(found)
        return LedgerState(
            reports, frozenset(packed), self._failures(reports.keys() | packed), damaged
        )

    def _failures(self, settled: set[str]) -> dict[str, Failure]:
        listed = _ids(entry.name for entry in self._storage.list(QUARANTINE))
        unsettled = [unit_id for unit_id in listed if unit_id not in settled]
        return {
            unit_id: found
            for unit_id, found in self._each(QUARANTINE, unsettled, load_failure)
            if not isinstance(found, ValueError)
        }

    def report_of(self, unit_id: str) -> UnitReport | None:
        """The marker of one unit, if it exists and can be read."""
        name = _name(DONE, unit_id)
        try:
            return load_report(self._storage.read(name).decode(), name)
        except (MissingError, ValueError):
            return None

    def quarantine(self, failure: Failure) -> None:
        """Record that a unit failed."""
        self._storage.write(_name(QUARANTINE, failure.unit_id), dump(failure).encode())

    def quarantined(self) -> set[str]:
        """Units with a failure record."""
        return set(_ids(entry.name for entry in self._storage.list(QUARANTINE)))

    def release(self, unit_ids: Iterable[str]) -> None:
        """Remove failure records, so that the units are mined again."""
        for unit_id in unit_ids:
            self._storage.delete(_name(QUARANTINE, unit_id))

    def forget(self, unit_ids: Iterable[str]) -> None:
        """Remove markers, so that the units are mined again."""
        for unit_id in unit_ids:
            self._storage.delete(_name(DONE, unit_id))

    def damaged_parts(self, reports: Iterable[UnitReport]) -> dict[str, str]:
        """Hash every part; unit id to one sentence for those that are not what was committed."""
        found = {}
        for report in reports:
            if report.part is not None and self._digest(report.part.name) != report.part.sha256:
                found[report.unit_id] = (
                    f"{report.name}: the part of unit {report.unit_id} is damaged; it will be "
                    "mined again"
                )
        return found

    def _digest(self, name: str) -> str | None:
        digest = hashlib.sha256()
        try:
            with self._storage.open(name) as file:
                while block := file.read(BLOCK_BYTES):
                    digest.update(block)
        except MissingError:
            return None
        return digest.hexdigest()

    def tidy(self) -> None:
        """Remove what killed workers left half-written; only when none is at work."""
        self._storage.delete_unfinished(".mimic")

    def delete_parts(self) -> None:
        """Remove all parts; only after a manifest that holds them is committed."""
        self._storage.delete_tree(PARTS)

    def _each(
        self, folder: str, unit_ids: Iterable[str], parse: Callable[[str, str], _T]
    ) -> Iterator[tuple[str, _T | ValueError]]:
        """Records read by many threads, in order, a bounded number in flight."""

        def read(unit_id: str) -> tuple[str, _T | ValueError]:
            name = _name(folder, unit_id)
            try:
                return unit_id, parse(self._storage.read(name).decode(), name)
            except ValueError as error:
                return unit_id, error

        waiting = iter(unit_ids)
        with ThreadPoolExecutor(READERS) as pool:
            while chunk := list(islice(waiting, 64 * READERS)):
                yield from pool.map(read, chunk)


def compact(report: UnitReport) -> UnitReport:
    """The same report, its repeated words held once in memory: a run may have a million."""
    counts = {sys.intern(word): count for word, count in report.counts.items()}
    return replace(report, name=sys.intern(report.name), counts=counts)


def _counts(part: Part) -> dict[str, int]:
    counts = {"candidates": len(part.edges), "frames": len(part.frames), "stored": len(part.jpegs)}
    counts[KEPT] = 0
    for edge in part.edges:
        counts[edge["verdict"]] = counts.get(edge["verdict"], 0) + 1
    return dict(sorted(counts.items()))


def _part_problem(report: UnitReport, size: int | None) -> str:
    what = "is missing" if size is None else f"has {size} bytes"
    expected = report.part.size if report.part else 0
    return (
        f"{report.name}: the part of unit {report.unit_id} {what} where its marker says {expected} "
        "bytes; it will be mined again"
    )


def _name(folder: str, unit_id: str) -> str:
    return f"{folder}/{unit_id}.json"


def _ids(names: Iterable[str]) -> list[str]:
    return [PurePosixPath(name).stem for name in names if name.endswith(".json")]
