"""Statistics of streams: histograms and quartiles in bounded memory, the same on every run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.report.measures import Measure

EXACT_UP_TO = 250_000
"""Values up to which quartiles are exact; beyond, of every 2nd, 4th, ... value of the stream."""


@dataclass(frozen=True, slots=True)
class Quartiles:
    """25 %, 50 % and 75 % of a set of values."""

    q25: float
    median: float
    q75: float


class Values:
    """The quartiles of a stream. NaN (null) is left out."""

    def __init__(self, exact_up_to: int = EXACT_UP_TO) -> None:
        self._limit = exact_up_to
        self._held: list[NDArray[np.float64]] = []
        self._size = 0
        self._step = 1
        self.count = 0

    def add(self, values: NDArray[np.float64]) -> None:
        """Take in the next values of the stream."""
        values = values[~np.isnan(values)]
        taken = values[-self.count % self._step :: self._step]
        self.count += len(values)
        self._held.append(taken)
        self._size += len(taken)
        while self._size > self._limit:
            thinned = np.concatenate(self._held)[::2]
            self._held, self._size, self._step = [thinned], len(thinned), self._step * 2

    def quartiles(self) -> Quartiles | None:
        """The quartiles (linear between values), or None if there was no value."""
        if not self._size:
            return None
        q25, median, q75 = np.quantile(np.concatenate(self._held), (0.25, 0.5, 0.75))
        return Quartiles(float(q25), float(median), float(q75))


class Bins:
    """A histogram of a stream over a measure's fixed bins, with its quartiles."""

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self._edges = np.array(measure.edges)
        self._counts = np.zeros(len(measure.edges) - 1, np.int64)
        self._values = Values()

    def add(self, values: NDArray[np.float64]) -> None:
        """Count the next values; those beyond the ends fall into the outer bins."""
        inside = np.clip(values[~np.isnan(values)], self._edges[0], self._edges[-1])
        self._counts += np.histogram(inside, self._edges)[0]
        self._values.add(values)

    @property
    def count(self) -> int:
        """Values counted."""
        return self._values.count

    def result(self) -> Histogram:
        """The finished histogram."""
        return Histogram(
            measure=self.measure,
            counts=tuple(int(count) for count in self._counts),
            quartiles=self._values.quartiles(),
        )


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per bin of ``measure.edges`` (half-open, the last one closed, open-ended outside)."""

    measure: Measure
    counts: tuple[int, ...]
    quartiles: Quartiles | None

    @property
    def total(self) -> int:
        """Values counted."""
        return sum(self.counts)


Ids = NDArray[np.uint64]
"""Texts as 64-bit numbers; among 100 million ids two share one with a chance of 1 in 4,000."""

_FACTORS = np.random.Generator(np.random.PCG64(64)).integers(0, 2**64, 64, np.uint64) | np.uint64(1)


def id_numbers(texts: NDArray[np.bytes_]) -> Ids:
    """A number for each text (of at most 512 bytes), the same whatever array it comes in."""
    words = -(-texts.dtype.itemsize // 8)
    bytes_ = texts.astype(f"S{8 * words}").view(np.uint64).reshape(len(texts), words)
    return np.asarray((bytes_ * _FACTORS[:words]).sum(axis=1, dtype=np.uint64))


class Distinct:
    """The distinct ids of a stream, sorted; merging costs little however many batches there are."""

    def __init__(self) -> None:
        self._sorted = np.empty(0, np.uint64)
        self._pending: list[Ids] = []
        self._size = 0

    def add(self, ids: Ids) -> None:
        """Take in the next ids."""
        self._pending.append(ids)
        self._size += len(ids)
        if self._size > len(self._sorted):
            self.sorted()

    def sorted(self) -> Ids:
        """All distinct ids so far, in order."""
        if self._pending:
            merged = np.sort(np.concatenate([self._sorted, *self._pending]))
            first = np.ones(len(merged), bool)
            first[1:] = merged[1:] != merged[:-1]
            self._sorted, self._pending, self._size = merged[first], [], 0
        return self._sorted

    def holds(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of these were met."""
        held = self.sorted()
        if len(held) == 0:
            return np.zeros(len(ids), bool)
        places = np.minimum(np.searchsorted(held, ids), len(held) - 1)
        return np.asarray(held[places] == ids)


class SceneMixing:
    """How well scenes are mixed: the chance that two samples of one window share a scene.

    Windows of ``window`` consecutive samples in shard order, as a batch would take them.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._rest = np.empty(0, np.int64)
        self._totals = np.zeros(0, np.int64)
        self._same = 0
        self._pairs = 0

    def add(self, scenes: NDArray[np.int64]) -> None:
        """Take in the scene numbers (from 0) of the next samples."""
        if len(scenes) == 0:
            return
        counts = np.bincount(scenes, minlength=len(self._totals))
        counts[: len(self._totals)] += self._totals
        self._totals = counts
        stream = np.concatenate([self._rest, scenes])
        whole = len(stream) // self._window * self._window
        self._count(stream[:whole].reshape(-1, self._window))
        self._rest = stream[whole:]

    def rate(self) -> float | None:
        """Measured chance, None with fewer than two samples."""
        self._count(self._rest[None, :])
        self._rest = self._rest[:0]
        return self._same / self._pairs if self._pairs else None

    def expected(self) -> float | None:
        """The chance if samples were shuffled perfectly."""
        total = int(self._totals.sum())
        if total < 2:
            return None
        return float((self._totals * (self._totals - 1)).sum() / (total * (total - 1)))

    def _count(self, windows: NDArray[np.int64]) -> None:
        rows, size = windows.shape
        if rows == 0 or size < 2:
            return
        scenes = len(self._totals)
        cells = windows + scenes * np.arange(rows)[:, None]
        counts = np.unique(cells, return_counts=True)[1]
        self._same += int((counts * (counts - 1)).sum())
        self._pairs += rows * size * (size - 1)


NEAR_BITS = 3


def near_duplicate_share(hashes: NDArray[np.uint64], near_bits: int = NEAR_BITS) -> float | None:
    """The share of 64-bit hashes with another one at most ``near_bits`` away.

    Hashes are sorted under eight rotations and compared with their next few neighbours: equal
    hashes are always found, near ones almost always, so the share is a tight lower bound.
    """
    if len(hashes) == 0:
        return None
    near = np.zeros(len(hashes), bool)
    for turn in range(0, 64, 8):
        turned = (hashes << np.uint64(turn)) | (hashes >> np.uint64((64 - turn) % 64))
        order = np.argsort(turned, kind="stable")
        ranked = turned[order]
        for step in (1, 2, 3, 4):
            close = np.bitwise_count(ranked[step:] ^ ranked[:-step]) <= near_bits
            near[order[step:][close]] = True
            near[order[:-step][close]] = True
    return float(near.mean())
