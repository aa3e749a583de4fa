"""A pass over what is held out: each sample once, whatever the batch and the number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from train.data.once import Once, once


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 4))
def test_each_sample_is_seen_once_for_the_first_time(samples: int, batch: int, world: int) -> None:
    order = once((samples,), batch * world, world)
    if samples < world:
        assert order is None
        return
    seen = []
    for step in range(order.steps):
        for rank in range(world):
            numbers = order.of_rank(step, rank, world)
            first = order.first_time(step, rank, world)
            assert len(numbers) == len(first) == order.batch // world
            seen += numbers[first].tolist()
    assert sorted(seen) == list(range(samples))


def test_the_first_batches_are_of_all_of_it() -> None:
    """Where not all are looked at, it is not the first scene that is."""
    first = np.concatenate([Once((1000,), None, 0, 50).indices(step) for step in range(2)])
    assert first.max() > 900
    assert first.min() < 100
    assert first.tolist() == Once((1000,), None, 0, 100).indices(0).tolist()
