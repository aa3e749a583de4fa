"""Each sample once: how what is held out is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.data.draws import ORDER, hashed
from train.data.order import Numbers, Order, permuted


@dataclass(frozen=True)
class Once(Order):
    """One pass over a pool, in a random order that is always the same.

    Batches are all as large, so the last is filled up with samples that were first.
    """

    @property
    def steps(self) -> int:
        """Until all have been seen."""
        return -(-len(self) // self.batch)

    def indices(self, step: int) -> Numbers:
        """The samples of a step: (batch,) int64."""
        places = self._places(step) % len(self)
        return permuted(places, len(self), hashed(self.seed, ORDER, 0, 0))

    def first_time(self, step: int, rank: int, world: int) -> NDArray[np.bool_]:
        """Whether each sample of a rank is not one that fills up: (batch / world,)."""
        share = self.batch // world
        return (self._places(step) < len(self))[rank * share : (rank + 1) * share]

    def _places(self, step: int) -> Numbers:
        return step * self.batch + np.arange(self.batch)


def once(sizes: tuple[int, ...], batch: int, world: int) -> Once | None:
    """A pass in batches of at most ``batch``; None where there are fewer samples than processes."""
    even = min(batch, sum(sizes)) // world * world
    return Once(sizes, None, 0, even) if even else None
