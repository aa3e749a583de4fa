"""Explicit pair lists: CSV, JSON lines, parquet, or text in columns. Stereo pairs come in so.

The columns are ``path1`` and ``path2``, else the first two; paths are relative to the list's
folder.
Slots 2i and 2i + 1 are the i-th pair.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

from mimic.config import Config
from mimic.errors import SourceError
from mimic.sources.base import File, Order
from mimic.sources.fingerprint import fingerprint_of
from mimic.sources.members import address_of, make_item, read_members, split_members
from mimic.sources.parallel import in_order
from mimic.storage import MissingError
from mimic.types import Frame, Skipped, SourceItem, WorkUnit

COLUMNS = ("path1", "path2")
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".txt")

Pair = tuple[str, str]


class PairSource:
    """Files that list pairs of pictures."""

    kind = "pairs"
    order: Order = "listed"

    def discover(self, files: Sequence[File], config: Config) -> Iterator[SourceItem | Skipped]:
        """One item a list.

        Raises:
            SourceError: the list cannot be read, or names pictures that do not exist.
        """
        for file in files:
            pairs = read_pairs(file)
            base = file.uri.rpartition("/")[0]
            members, size = _members(file, base, pairs)
            yield make_item(self.kind, file.name, base, members, size, config)

    def split(self, item: SourceItem, config: Config) -> list[WorkUnit]:
        """Units of ``unit_images`` pictures, rounded to whole pairs."""
        owned = max(2, config.source.photos.unit_images // 2 * 2)
        return split_members(item, owned, self.order, config)

    @contextmanager
    def open(self, unit: WorkUnit, config: Config, margin_slots: int) -> Iterator[Iterator[Frame]]:
        """See :meth:`mimic.sources.base.Source.open`."""
        yield (
            Frame(frame_id=frame_id, slot=slot, label=path, pts_s=None, shot=0, rgb=picture)
            for slot, path, frame_id, picture in read_members(unit, margin_slots)
        )


def read_pairs(file: File) -> list[Pair]:
    """The pairs of a list, in its order.

    Raises:
        SourceError: ``bad_list``, with the line and what was expected there.
    """
    data = file.storage.read(file.basename)
    suffix = PurePosixPath(file.name).suffix.lower()
    try:
        if suffix == ".parquet":
            pairs = _from_parquet(data)
        elif suffix in {".jsonl", ".ndjson"}:
            pairs = _from_json_lines(data.decode("utf-8-sig"))
        else:
            pairs = _from_columns(data.decode("utf-8-sig"), suffix)
    except UnicodeDecodeError as error:
        raise _bad(file, "it is not UTF-8 text") from error
    except ValueError as error:
        raise _bad(file, str(error)) from error
    if not pairs:
        raise _bad(file, "it lists no pair")
    return pairs


def _from_columns(text: str, suffix: str) -> list[Pair]:
    if suffix == ".txt":
        rows = [line.split() for line in text.splitlines()]
    else:
        rows = list(csv.reader(io.StringIO(text), delimiter="\t" if suffix == ".tsv" else ","))
    rows = [[cell.strip() for cell in row] for row in rows]
    numbered = [(n, row) for n, row in enumerate(rows, 1) if any(row) and row[0][:1] != "#"]
    first, second = 0, 1
    if numbered and set(COLUMNS) <= set(numbered[0][1]):
        header = numbered.pop(0)[1]
        first, second = header.index(COLUMNS[0]), header.index(COLUMNS[1])
    elif numbered and not any("." in cell for cell in numbered[0][1][:2]):
        numbered.pop(0)  # a header of other names: no picture is named without a suffix
    pairs = []
    for number, row in numbered:
        if len(row) <= max(first, second) or not row[first] or not row[second]:
            raise ValueError(f"line {number} does not name two pictures")
        pairs.append((row[first], row[second]))
    return pairs


def _from_json_lines(text: str) -> list[Pair]:
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number} is not JSON") from error
        values = row
        if isinstance(row, dict):
            values = (
                [row[name] for name in COLUMNS] if set(COLUMNS) <= set(row) else [*row.values()]
            )
        if not isinstance(values, list) or not _two_paths(values):
            raise ValueError(f"line {number} does not name two pictures")
        pairs.append((values[0], values[1]))
    return pairs


def _two_paths(values: Sequence[object]) -> bool:
    return len(values) >= 2 and all(isinstance(v, str) and v for v in values[:2])


def _from_parquet(data: bytes) -> list[Pair]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except pa.ArrowException as error:
        raise ValueError(f"it is not parquet ({error})") from error
    names = table.column_names
    columns = COLUMNS if set(COLUMNS) <= set(names) else tuple(names[:2])
    if len(columns) < 2:
        raise ValueError("it has fewer than two columns")
    rows = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    pairs = []
    for number, row in enumerate(rows, 1):
        if not _two_paths(row):
            raise ValueError(f"row {number} does not name two pictures")
        pairs.append((row[0], row[1]))
    return pairs


def _members(file: File, base: str, pairs: Sequence[Pair]) -> tuple[list[str], int]:
    """``path#fingerprint`` of both pictures of each pair, and the bytes of all pictures."""
    paths = sorted({path for pair in pairs for path in pair})
    found = dict(zip(paths, in_order(lambda path: _look_at(base, path), paths), strict=True))
    missing = [path for path in paths if found[path] is None]
    if missing:
        first = next(path for pair in pairs for path in pair if found[path] is None)
        raise SourceError(
            "missing_files",
            f"pair list {file.name}: {len(missing)} of the {len(paths)} pictures it names do not "
            f"exist, first {first} (paths are relative to the list's folder)",
        )
    known = {path: entry for path, entry in found.items() if entry is not None}
    members = [f"{path}#{known[path][0]}" for pair in pairs for path in pair]
    return members, sum(size for _, size in known.values())


def _look_at(base: str, path: str) -> tuple[str, int] | None:
    """Fingerprint and size; None where there is no such file."""
    at = File.at(path, address_of(base, path), 0)
    try:
        file = File(path, at.uri, at.storage.size(at.basename))
        return fingerprint_of(file), file.size
    except MissingError:
        return None


def _bad(file: File, why: str) -> SourceError:
    return SourceError(
        "bad_list",
        f"pair list {file.name}: {why}; write columns path1,path2 as CSV, JSON lines or parquet",
    )
