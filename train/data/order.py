"""Which samples a step sees: a pure function of (sizes, weights, seed, batch, step).

Nothing is held and nothing is drawn in turn, so a run that is resumed, on whatever number of ranks,
goes on as an undisturbed one would (design, law 7). A permutation of any number of samples costs no
memory: it is computed where it is asked (a Feistel network on pairs of digits, after Black and
Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import isqrt, lcm

import numpy as np
from numpy.typing import NDArray

from train.data.draws import ORDER, SPARE, Hashes, hashed, mixed
from train.errors import TrainError

Numbers = NDArray[np.int64]

_ROUNDS = 8
"""With 4, and with 6, permutations of five or six samples are visibly not all as likely."""
_LONGEST_PATTERN = 1 << 16


def permuted(places: Numbers, count: int, keys: Hashes) -> Numbers:
    """Where each place (N,) of ``range(count)`` goes under the permutation of its key (N,) or (1,).

    A place is two digits, (left, right), of bases whose product is the smallest that holds
    ``count``; each round adds a hash of one to the other. Where that leaves the range it is
    applied again until it does not (cycle walking).
    """
    base = isqrt(count - 1) + 1
    other = -(-count // base)
    result = _feistel(places, base, other, keys)
    while (beyond := result >= count).any():
        their_keys = keys if len(keys) == 1 else keys[beyond]
        result[beyond] = _feistel(result[beyond], base, other, their_keys)
    return result


def _feistel(places: Numbers, base: int, other: int, keys: Hashes) -> Numbers:
    left, right = places // other, places % other
    for number in range(_ROUNDS):
        left = (left + _digit(keys, 2 * number, right, base)) % base
        right = (right + _digit(keys, 2 * number + 1, left, other)) % other
    return np.asarray(left * other + right, np.int64)


def _digit(keys: Hashes, number: int, of: Numbers, base: int) -> Numbers:
    words = mixed(mixed(keys + np.uint64(number)) ^ of.astype(np.uint64))
    return np.asarray(words % np.uint64(base), np.int64)


@dataclass(frozen=True)
class Order:
    """The order of training on one data set or several.

    Samples are numbered through all sets: the first of set i follows the last of set i - 1.
    Without weights all sets are one pool: each epoch is a permutation of it, without the remainder
    that fills no batch. With weights each set walks its own epochs, and each has its share of the
    batches: of the first n samples, for every n, to within one.

    Args:
        sizes: samples of each set.
        weights: of each set; they need not add up to 1. Null: one pool.
        seed: the run's.
        batch: samples a step, over all ranks.

    Raises:
        TrainError: there are fewer samples than a batch takes.
    """

    sizes: tuple[int, ...]
    weights: tuple[float, ...] | None
    seed: int
    batch: int

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise TrainError(f"a batch of {self.batch} samples: give at least 1")
        if self.weights is not None and len(self.weights) != len(self.sizes):
            raise TrainError(f"{len(self.sizes)} data sets but {len(self.weights)} weights")
        for name, size, wanted in self._needs():
            if size < wanted:
                raise TrainError(
                    f"{name} has {size} samples but a batch takes {wanted} of it: make the batch "
                    "(over all ranks) smaller, loosen --where, or give more data"
                )

    def __len__(self) -> int:
        return sum(self.sizes)

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which as many samples are seen as there are (whole steps for one pool)."""
        whole = len(self) // self.batch
        return whole if self.weights is None else len(self) / self.batch

    def indices(self, step: int) -> Numbers:
        """The samples of a step: (batch,) int64."""
        if self.weights is None:
            epoch, within = divmod(step, len(self) // self.batch)
            places = within * self.batch + np.arange(self.batch)
            return permuted(places, len(self), hashed(self.seed, ORDER, 0, epoch))
        return self._mixed(step)

    def of_rank(self, step: int, rank: int, world: int) -> Numbers:
        """The part of a rank: (batch / world,); those of all ranks are the batch.

        Raises:
            TrainError: the batch cannot be split evenly.
        """
        if self.batch % world:
            raise TrainError(
                f"a batch of {self.batch} cannot be split evenly over {world} ranks: set batch to "
                f"a multiple of {world}, or change the number of processes"
            )
        share = self.batch // world
        return self.indices(step)[rank * share : (rank + 1) * share]

    def spare(self, step: int, number: int, attempt: int) -> int:
        """What stands in for a sample that cannot be read: another of its set.

        Args:
            step: where it was met.
            number: the sample that cannot be read.
            attempt: from 0; the next where the stand-in cannot be read either.
        """
        which = int(np.searchsorted(self._first, number, side="right")) - 1
        first, size = int(self._first[which]), self.sizes[which]
        word = int(hashed(self.seed, SPARE, step, number, attempt)[0])
        found = first + word % size
        return found if found != number else first + (found - first + 1) % size

    @cached_property
    def _first(self) -> Numbers:
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)

    @cached_property
    def _units(self) -> tuple[int, ...]:
        return whole_units(self.weights or ())

    def _needs(self) -> list[tuple[str, int, int]]:
        if self.weights is None:
            return [("the data", len(self), self.batch)]
        total = sum(self._units)
        return [
            (f"data set {number}", size, -(-self.batch * units // total))
            for number, (size, units) in enumerate(zip(self.sizes, self._units, strict=True), 1)
        ]

    def _mixed(self, step: int) -> Numbers:
        which, before = pattern(self._units)
        cycle, slot = np.divmod(step * self.batch + np.arange(self.batch), len(which))
        chosen = which[slot]
        units = np.array(self._units)[chosen]
        sizes = np.array(self.sizes)[chosen]
        epoch, place = np.divmod(cycle * units + before[slot], sizes)
        keys = hashed(self.seed, ORDER, chosen + 1, epoch)
        result = np.empty(self.batch, np.int64)
        for number in np.unique(chosen):
            here = chosen == number
            found = permuted(place[here], self.sizes[number], keys[here])
            result[here] = self._first[number] + found
        return result


@lru_cache(maxsize=64)
def whole_units(weights: tuple[float, ...]) -> tuple[int, ...]:
    """Weights as whole numbers: exact where their common denominator is at most 65,536.

    Otherwise 65,536ths, rounded so that they add up, at least one each.
    """
    fractions = [Fraction(weight).limit_denominator(_LONGEST_PATTERN) for weight in weights]
    shares = [fraction / sum(fractions) for fraction in fractions]
    total = lcm(*(share.denominator for share in shares))
    if total <= _LONGEST_PATTERN:
        return tuple(int(share * total) for share in shares)
    units = [max(1, int(share * _LONGEST_PATTERN)) for share in shares]
    rest = _LONGEST_PATTERN - sum(units)
    units[units.index(max(units))] += rest
    return tuple(units)


@lru_cache(maxsize=16)
def pattern(units: tuple[int, ...]) -> tuple[Numbers, Numbers]:
    """Which set each sample of a cycle comes from, and how many of that set came before it.

    At every place each set's count is off its share by less than one (Tijdeman, The chairman
    assignment problem, 1980): of the sets that are owed enough, the one whose next sample falls due
    first is taken.
    """
    total, sets = sum(units), len(units)
    counts = [0] * sets
    slack = total / max(1, 2 * sets - 2)
    which, before = np.empty((2, total), np.int64)
    for place in range(total):
        owed = [u * (place + 1) - total * n for u, n in zip(units, counts, strict=True)]
        ready = [i for i in range(sets) if owed[i] >= slack] or list(range(sets))
        due = [((total - slack - owed[i]) / units[i], i) for i in ready]
        taken = min(due)[1]
        which[place], before[place] = taken, counts[taken]
        counts[taken] += 1
    return which, before
