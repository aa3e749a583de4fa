"""A card is all that a contact sheet shows of one pair, whatever it is drawn on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mimic.errors import MimicError
from mimic.geometry import patches
from mimic.report.choice import Choice, choose_rows, matching, rows_at
from mimic.report.colours import Colours, Grid, Layer, label_colours, patch_colours
from mimic.report.passes import UnitNames, encoded
from mimic.report.stored import Panel, StoredPictures, label_of
from mimic.report.tables import StoredTables
from mimic.report.text import item_text, number_text, share_text
from mimic.report.words import word_of
from mimic.shards.covis import CLASSES, SHARE_COLUMNS, Labels
from mimic.shards.reader import Sample
from mimic.types import KEPT
from schemas import OVERLAP_MEASURES, ShardEntry

Row = dict[str, Any]

_SEARCHED = 16
"""Rejected pairs looked at for each one shown: those with stored pictures are shown first."""


@dataclass(frozen=True, slots=True)
class Card:
    """A pair. ``corr`` (N, 2) is its patch map, empty where none is known.

    ``labels`` are its label maps, where these are to be shown.
    """

    title: str
    key: str
    verdict: str
    value: float | None
    views: tuple[Panel, Panel]
    corr: NDArray[np.int32]
    patch_size: int
    facts: tuple[tuple[str, str], ...]
    labels: tuple[Labels, Labels] | None = None

    @property
    def kept(self) -> bool:
        """Whether the pair is a sample of the data set."""
        return self.verdict == KEPT

    @property
    def grids(self) -> tuple[Grid, Grid]:
        """(columns, rows) of both views."""
        first, second = (patches.grid(view.size, self.patch_size) for view in self.views)
        return first, second

    def colours(self) -> tuple[Colours, Colours] | None:
        """The colours of both grids, or None without a patch map."""
        return patch_colours(*self.grids, self.corr) if len(self.corr) else None

    def layers(self) -> tuple[Layer | None, Layer | None]:
        """What is laid over both views: labels if there are any, else the colours of patches."""
        if self.labels is not None:
            first, second = (
                Layer(label_colours(labels), 1, on_grey=True) for labels in self.labels
            )
            return first, second
        colours = self.colours()
        if colours is None:
            return None, None
        return Layer(colours[0], self.patch_size), Layer(colours[1], self.patch_size)

    def verdict_text(self) -> str:
        """``overlap too low (overlap: 0.41)``, or how many patches match."""
        if self.kept:
            return f"{len(self.corr)} matching patches"
        word = word_of(self.verdict)
        if self.value is None or not word.value:
            return word.title
        return f"{word.title} ({word.value}: {number_text(self.value, word.digits)})"


def load_cards(url: str, choice: Choice) -> list[Card]:
    """The chosen pairs of a data set.

    Raises:
        StorageError: there are no finished shards at ``url``.
        MimicError: the reason is not among those of the data set.
    """
    tables = StoredTables(url)
    if choice.what == KEPT:
        return _kept_cards(tables, choice)
    return _rejected_cards(tables, choice)


def _kept_cards(tables: StoredTables, choice: Choice) -> list[Card]:
    overlaps, items, labelled = [], [], []
    column = f"overlap_{_measure(tables)}"
    for batch in tables.batches("samples", ("item", column, _LABELLED)):
        overlaps.append(_column(batch, column))
        items.append(_wanted(batch, choice))
        labelled.append(_has_labels(batch))
    overlap, wanted = _joined(overlaps, items)
    if choice.labels:
        with_labels = np.concatenate([np.empty(0, bool), *labelled])
        if not with_labels.any():
            raise MimicError(
                f"{tables.url}: none of its pairs has labels; `mimic label` adds them where there "
                "are depth and pose"
            )
        wanted &= with_labels
    rows = np.flatnonzero(wanted)
    chosen = choose_rows(overlap[rows], rows, choice, _seed(tables, KEPT))
    found = rows_at(_all_samples(tables), chosen)
    shards = _shards_of(tables, chosen)
    rows_of_shards = zip(shards, found, strict=True)
    return [_kept_card(tables, shard, row, choice.labels) for shard, row in rows_of_shards]


_LABELLED = SHARE_COLUMNS[0]


def _has_labels(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    if _LABELLED not in batch.schema.names:
        return np.zeros(batch.num_rows, bool)
    found: NDArray[np.bool_] = batch.column(_LABELLED).is_valid().to_numpy(zero_copy_only=False)
    return found


def _all_samples(tables: StoredTables) -> Iterator[pa.RecordBatch]:
    columns = ("key", "item", "patch_size", "views", "edges", "members")
    return tables.batches("samples", columns)


def _shards_of(tables: StoredTables, rows: list[int]) -> list[ShardEntry]:
    ends = np.cumsum([shard.samples for shard in tables.manifest.shards])
    return [tables.manifest.shards[int(np.searchsorted(ends, row, "right"))] for row in rows]


def _kept_card(tables: StoredTables, shard: ShardEntry, row: Row, with_labels: bool) -> Card:
    sample = tables.shards.sample(shard, row)
    first, second = (
        Panel(sample.view_bytes(number), label_of(view), (view["width"], view["height"]))
        for number, view in enumerate(row["views"][:2], 1)
    )
    return Card(
        title=item_text(row["item"]),
        key=row["key"],
        verdict=KEPT,
        value=None,
        views=(first, second),
        corr=sample.corr(1, 2),
        patch_size=row["patch_size"],
        facts=_facts(row["edges"][0] if row["edges"] else {}),
        labels=_labels(sample) if with_labels else None,
    )


def _labels(sample: Sample) -> tuple[Labels, Labels] | None:
    first, second = sample.covis(1, 2), sample.covis(2, 1)
    return None if first is None or second is None else (first, second)


class _Verdicts:
    """The verdict of every edge as a small number, one byte an edge."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self._chunks: list[NDArray[np.uint8]] = []

    def extend(self, batch: pa.RecordBatch, column: str) -> None:
        coded = encoded(batch, column)
        known = [self.names.setdefault(name, len(self.names)) for name in coded.names]
        self._chunks.append(np.array(known, np.uint8)[coded.codes])

    def codes(self) -> NDArray[np.uint8]:
        return np.concatenate([np.empty(0, np.uint8), *self._chunks])


def _rejected_cards(tables: StoredTables, choice: Choice) -> list[Card]:
    names = UnitNames()
    names.read(tables)
    column = f"overlap_{_measure(tables)}"
    verdicts, overlaps, wanted = _Verdicts(), [], []
    for batch in tables.batches("edges", ("unit_id", "verdict", column)):
        verdicts.extend(batch, "verdict")
        overlaps.append(_column(batch, column))
        units = batch.column("unit_id").unique().to_pylist()
        accepted = {unit for unit in units if choice.wants_item(names.item_of(unit))}
        wanted.append(matching(batch, "unit_id", accepted))
    overlap, inside = _joined(overlaps, wanted)
    wide = dataclasses.replace(choice, count=_SEARCHED * choice.count)
    candidates = _choose_rejected(tables, wide, overlap, verdicts, inside)
    columns = ("unit_id", "frame_1", "frame_2", "verdict", "value", "homography", *_FACT_COLUMNS)
    rows: list[Row] = rows_at(tables.batches("edges", columns), candidates)
    frames = {row[name] for row in rows for name in ("frame_1", "frame_2")}
    pictures = StoredPictures(tables, frames, {row["unit_id"] for row in rows})
    return [
        _rejected_card(tables, pictures, names.item_of(row["unit_id"]), row)
        for row in _most_visible(rows, pictures, choice.count)
    ]


def _most_visible(rows: list[Row], pictures: StoredPictures, count: int) -> list[Row]:
    """Evenly over reasons, pairs whose pictures are stored before others."""
    by_reason: dict[str, list[Row]] = {}
    for row in rows:
        by_reason.setdefault(row["verdict"], []).append(row)
    shares = _even_shares([len(group) for group in by_reason.values()], count)
    chosen = []
    for group, share in zip(by_reason.values(), shares, strict=True):
        unseen = [
            (not pictures.has(row["frame_1"])) + (not pictures.has(row["frame_2"])) for row in group
        ]
        best = np.argsort(unseen, kind="stable")[:share]
        chosen += [group[index] for index in sorted(best)]
    return chosen


def _choose_rejected(
    tables: StoredTables,
    choice: Choice,
    overlap: NDArray[np.float64],
    verdicts: _Verdicts,
    inside: NDArray[np.bool_],
) -> list[int]:
    """Rows of one reason, or of all in turn, rare reasons not drowned by frequent ones."""
    reasons = sorted(verdicts.names.keys() - {KEPT})
    if choice.what != "rejected":
        if choice.what not in reasons:
            raise MimicError(
                f"no pair of {tables.url} was rejected as {choice.what!r}: use "
                f"{', '.join(['kept', 'rejected', *reasons])}"
            )
        reasons = [choice.what]
    codes = verdicts.codes()
    lists = []
    for reason in reasons:
        rows = np.flatnonzero((codes == verdicts.names[reason]) & inside)
        lists.append(choose_rows(overlap[rows], rows, choice, _seed(tables, reason)))
    share = _even_shares([len(rows) for rows in lists], choice.count)
    return [row for rows, count in zip(lists, share, strict=True) for row in _evenly(rows, count)]


def _even_shares(available: list[int], count: int) -> list[int]:
    """How many to take of each, as even as what is available allows."""
    taken = [0] * len(available)
    for _ in range(min(count, sum(available))):
        open_ones = [index for index, size in enumerate(available) if taken[index] < size]
        least = min(open_ones, key=lambda index: taken[index])
        taken[least] += 1
    return taken


def _evenly(rows: list[int], count: int) -> list[int]:
    """``count`` of the rows at even steps, the first included."""
    return [rows[index * len(rows) // count] for index in range(count)]


def _rejected_card(tables: StoredTables, pictures: StoredPictures, item: str, row: Row) -> Card:
    first, second = pictures.panel(row["frame_1"]), pictures.panel(row["frame_2"])
    overlap = tables.manifest.config.get("overlap", {})
    patch_size = int(overlap.get("patch_size", 16))
    corr = np.zeros((0, 2), np.int32)
    if row["homography"] is not None and first.size[0] and second.size[0]:
        matrix = np.array(row["homography"]).reshape(3, 3)
        votes = bool(overlap.get("outside_votes", False))
        corr = patches.corr(matrix, first.size, second.size, patch_size, votes)
    return Card(
        title=item_text(item),
        key=f"{row['frame_1']}-{row['frame_2']}",
        verdict=row["verdict"],
        value=row["value"],
        views=(first, second),
        corr=corr,
        patch_size=patch_size,
        facts=_facts(row),
    )


_FACTS = (
    *((f"overlap_{name}", name, 2, "") for name in OVERLAP_MEASURES),
    ("scale_ratio", "scale", 2, ""),
    ("parallax_px", "parallax", 1, " px"),
    ("rotation_deg", "rotation", 0, "°"),
    ("viewpoint_angle_deg", "viewpoint change", 0, "°"),
    ("interval_s", "interval", 2, " s"),
    ("motion_px", "motion", 1, " px"),
    ("inliers", "inliers", 0, ""),
    ("matches", "matches", 0, ""),
)
_FACT_COLUMNS = tuple(column for column, *_ in _FACTS)


def _facts(edge: Row) -> tuple[tuple[str, str], ...]:
    numbers = tuple(
        (title, number_text(edge[column], digits) + unit)
        for column, title, digits, unit in _FACTS
        if edge.get(column) is not None
    )
    first, second = (edge.get(column) for column in SHARE_COLUMNS)
    if first is None or second is None:
        return numbers
    return numbers + tuple(
        (name, f"{share_text(one)} | {share_text(other)}")
        for name, one, other in zip(CLASSES, first, second, strict=True)
    )


def _measure(tables: StoredTables) -> str:
    return str(tables.manifest.config.get("overlap", {}).get("measure", "patch"))


def _seed(tables: StoredTables, purpose: str) -> str:
    manifest = tables.manifest
    return f"{manifest.fingerprint}:{manifest.seed}:{purpose}"


def _wanted(batch: pa.RecordBatch, choice: Choice) -> NDArray[np.bool_]:
    items = batch.column("item").unique().to_pylist()
    return matching(batch, "item", {item for item in items if choice.wants_item(item)})


def _column(batch: pa.RecordBatch, column: str) -> NDArray[np.float64]:
    if column not in batch.schema.names:
        return np.full(batch.num_rows, np.nan)
    values: NDArray[np.float64] = batch.column(column).to_numpy(zero_copy_only=False)
    return values.astype(np.float64)


def _joined(
    overlaps: list[NDArray[np.float64]], masks: list[NDArray[np.bool_]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return (
        np.concatenate([np.empty(0), *overlaps]),
        np.concatenate([np.empty(0, bool), *masks]),
    )
