"""Which pairs a contact sheet shows: a deterministic draw, seeded by the data set."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mimic.errors import MimicError
from mimic.ids import generator_of
from mimic.types import KEPT

Order = Literal["spread", "lowest", "highest", "random"]
ORDERS: tuple[Order, ...] = ("spread", "lowest", "highest", "random")


@dataclass(frozen=True, slots=True)
class Choice:
    """What to show.

    ``what``: ``kept`` (samples of the data set), ``rejected`` (measured pairs that were not kept,
    evenly over reasons), or one reason. ``order``: ``spread`` (evenly over the overlaps),
    ``lowest`` or ``highest`` overlap, or ``random``. ``item``: a shell pattern on item names.
    ``labels``: label maps over the pictures, of samples that have them, not matching patches.
    """

    what: str = "kept"
    order: Order = "spread"
    count: int = 24
    item: str | None = None
    labels: bool = False

    def __post_init__(self) -> None:
        if self.labels and self.what != KEPT:
            raise MimicError(
                f"what {self.what!r} has no labels: only pairs of the data set are labelled; show "
                "kept ones"
            )
        if self.order not in ORDERS:
            raise MimicError(f"order {self.order!r} is unknown: use one of {', '.join(ORDERS)}")
        if self.count < 1:
            raise MimicError(f"count {self.count} shows nothing: use 1 or more")

    def wants_item(self, item: str) -> bool:
        """Whether an item passes the filter; a plain text matches anywhere in the name."""
        if self.item is None:
            return True
        return fnmatch.fnmatchcase(item, self.item) or self.item in item


def choose_rows(
    overlap: NDArray[np.float64], rows: NDArray[np.int64], choice: Choice, seed: str
) -> list[int]:
    """Up to ``choice.count`` of ``rows``, in the order in which they are shown.

    ``overlap`` (NaN: none) belongs to each of ``rows``; ``seed`` names the data set and purpose.
    """
    ranked = rows[np.lexsort((rows, overlap))]  # NaN last, ties by row
    count = min(choice.count, len(ranked))
    if choice.order == "lowest":
        return [int(row) for row in ranked[:count]]
    if choice.order == "highest":
        known = int((~np.isnan(overlap)).sum())
        return [int(row) for row in np.concatenate([ranked[:known][::-1], ranked[known:]])[:count]]
    draw = generator_of(seed, "sheet")
    if choice.order == "random":
        return [int(row) for row in draw.permutation(ranked)[:count]]
    bounds = np.linspace(0, len(ranked), count + 1).astype(int)
    strata = itertools.pairwise(bounds)
    return [int(ranked[draw.integers(low, high)]) for low, high in strata]


def rows_at(batches: Iterator[pa.RecordBatch], wanted: list[int]) -> list[dict[str, object]]:
    """The rows with these numbers in the stream, in the order of ``wanted``."""
    order = np.sort(np.array(wanted, np.int64))
    found: dict[int, dict[str, object]] = {}
    start = 0
    for batch in batches:
        here = order[(order >= start) & (order < start + batch.num_rows)]
        if len(here):
            rows = batch.take(pa.array(here - start)).to_pylist()
            found.update(zip((int(row) for row in here), rows, strict=True))
        start += batch.num_rows
    return [found[row] for row in wanted]


def matching(batch: pa.RecordBatch, column: str, accept: set[str]) -> NDArray[np.bool_]:
    """Which rows hold one of the accepted texts."""
    held = batch.column(batch.schema.get_field_index(column))
    inside = pc.is_in(held, value_set=pa.array(sorted(accept), pa.string()))
    return cast("NDArray[np.bool_]", inside.to_numpy(zero_copy_only=False))
