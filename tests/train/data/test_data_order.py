"""The order of training: permutations, ranks, mixing, stand-ins. All arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from train.data.draws import VIEWS, hashed, of_views, uniforms
from train.data.order import Order, pattern, permuted, whole_units
from train.errors import TrainError

sizes = st.integers(1, 5000)
seeds = st.integers(0, 2**40)


@settings(deadline=None)
@given(count=sizes, key=seeds)
def test_a_permutation_is_one(count: int, key: int) -> None:
    places = permuted(np.arange(count), count, hashed(key))
    assert np.array_equal(np.sort(places), np.arange(count))


def test_a_permutation_of_a_hundred_million_needs_no_table() -> None:
    count = 100_000_000
    places = np.random.default_rng(0).choice(count, 20_000, replace=False)
    found = permuted(places, count, hashed(1))
    assert len(np.unique(found)) == len(places)
    assert found.min() >= 0
    assert found.max() < count


@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_all_permutations_are_as_likely(count: int) -> None:
    draws = 24_000
    orders = permuted(
        np.tile(np.arange(count), draws), count, np.repeat(hashed(7, np.arange(draws)), count)
    ).reshape(draws, count)
    _, found = np.unique(orders, axis=0, return_counts=True)
    possible = int(np.prod(np.arange(1, count + 1)))
    assert len(found) == possible
    chi_squared = ((found - draws / possible) ** 2 / (draws / possible)).sum()
    assert chi_squared < possible + 5 * np.sqrt(2 * possible)


def test_neighbours_do_not_stay_together() -> None:
    """A block of samples (one video's pairs) is spread over the epoch, and epochs differ."""
    count, block = 10_000, 100
    for epoch in range(5):
        where = permuted(np.arange(block), count, hashed(0, epoch))
        gaps = np.diff(np.sort(where))
        assert gaps.mean() == pytest.approx(count / block, rel=0.3)
        assert abs(np.corrcoef(np.arange(block), where)[0, 1]) < 0.4


@settings(deadline=None)
@given(size=sizes, share=st.floats(0.02, 1), seed=seeds, epoch=st.integers(0, 3))
def test_an_epoch_is_a_permutation_without_its_remainder(
    size: int, share: float, seed: int, epoch: int
) -> None:
    batch = max(1, int(size * share))
    order = Order((size,), None, seed, batch)
    steps = int(order.steps_per_epoch)
    assert steps == size // batch
    seen = np.concatenate([order.indices(epoch * steps + k) for k in range(steps)])
    assert len(np.unique(seen)) == len(seen) == steps * batch
    assert seen.min() >= 0
    assert seen.max() < size


def test_epochs_and_seeds_differ() -> None:
    first, second = Order((640,), None, 0, 64), Order((640,), None, 1, 64)
    assert not np.array_equal(first.indices(0), first.indices(10))
    assert not np.array_equal(first.indices(0), second.indices(0))


@settings(deadline=None)
@given(
    share=st.integers(1, 8),
    world=st.sampled_from([1, 2, 3, 4, 8]),
    step=st.integers(0, 10**9),
    weights=st.sampled_from([None, (0.7, 0.3)]),
)
def test_ranks_are_disjoint_and_together_the_batch_whatever_their_number(
    share: int, world: int, step: int, weights: tuple[float, ...] | None
) -> None:
    order = Order((300, 400), weights, 3, share * 24)
    parts = [order.of_rank(step, rank, world) for rank in range(world)]
    assert {len(part) for part in parts} == {share * 24 // world}
    assert np.array_equal(np.concatenate(parts), order.indices(step))


def test_a_step_does_not_depend_on_what_was_asked_before() -> None:
    order = Order((50, 70, 90), (1, 2, 3), 5, 12)
    later = order.indices(17)
    for step in range(30):
        order.indices(step)
    assert np.array_equal(order.indices(17), later)
    assert np.array_equal(Order((50, 70, 90), (1, 2, 3), 5, 12).indices(17), later)


units = st.lists(st.integers(1, 60), min_size=1, max_size=6).map(tuple)


@settings(deadline=None)
@given(units=units)
def test_of_the_first_samples_every_set_has_its_share_to_within_one(units: tuple[int, ...]) -> None:
    which, before = pattern(units)
    total = sum(units)
    counts = np.cumsum(which[:, None] == np.arange(len(units)), axis=0)
    owed = np.arange(1, total + 1)[:, None] * np.array(units) / total
    assert np.abs(counts - owed).max() < 1
    assert counts[-1].tolist() == list(units)
    assert np.array_equal(before + 1, counts[np.arange(total), which])


@settings(max_examples=20, deadline=None)
@given(
    weights=st.lists(st.sampled_from([0.1, 0.25, 0.5, 1.0, 2.0, 3.0]), min_size=2, max_size=4),
    batch=st.integers(4, 40),
    seed=seeds,
)
def test_every_set_has_its_share_and_walks_its_own_epochs(
    weights: list[float], batch: int, seed: int
) -> None:
    sizes = tuple(101 + 37 * number for number in range(len(weights)))
    order = Order(sizes, tuple(weights), seed, batch)
    first = np.concatenate([[0], np.cumsum(sizes)])
    seen = np.concatenate([order.indices(step) for step in range(40)])
    which = np.searchsorted(first, seen, side="right") - 1
    counts = np.cumsum(which[:, None] == np.arange(len(sizes)), axis=0)
    owed = np.arange(1, len(seen) + 1)[:, None] * np.array(weights) / sum(weights)
    assert np.abs(counts - owed).max() < 1
    for number, size in enumerate(sizes):
        mine = seen[which == number] - first[number]
        for start in range(0, len(mine), size):
            epoch = mine[start : start + size]
            assert len(np.unique(epoch)) == len(epoch)


def test_without_weights_sets_are_one_pool() -> None:
    pool, one = Order((30, 70), None, 0, 10), Order((100,), None, 0, 10)
    assert np.array_equal(pool.indices(123), one.indices(123))


def test_weights_without_a_small_denominator_are_near() -> None:
    weights = (np.pi, np.e, 1e-3)
    units = np.array(whole_units(weights))
    assert np.allclose(units / units.sum(), np.array(weights) / sum(weights), atol=1e-4)
    assert units.min() >= 1
    assert units.sum() <= 1 << 16


@settings(deadline=None)
@given(step=st.integers(0, 10**6), number=st.integers(0, 99), attempt=st.integers(0, 5))
def test_a_stand_in_is_another_of_the_same_set_and_always_the_same(
    step: int, number: int, attempt: int
) -> None:
    order = Order((60, 40), (0.5, 0.5), 1, 10)
    found = order.spare(step, number, attempt)
    assert found != number
    assert (found < 60) == (number < 60)
    assert 0 <= found < 100
    assert found == Order((60, 40), (0.5, 0.5), 1, 10).spare(step, number, attempt)


def test_stand_ins_differ_between_attempts() -> None:
    order = Order((1000,), None, 1, 10)
    assert len({order.spare(0, 5, attempt) for attempt in range(20)}) > 15


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Order((5,), None, 0, 8), r"5 samples but a batch takes 8.*batch.*smaller"),
        (lambda: Order((50, 3), (0.5, 0.5), 0, 8), r"data set 2 has 3 samples but .* takes 4"),
        (lambda: Order((50,), None, 0, 0), "at least 1"),
        (lambda: Order((50,), (1.0, 2.0), 0, 8), "1 data sets but 2 weights"),
        (lambda: Order((50,), None, 0, 8).of_rank(0, 0, 3), r"8 cannot .* over 3 ranks: set batch"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(make, says) -> None:
    with pytest.raises(TrainError, match=says):
        make()


@given(seed=st.integers(0, 2**63 - 1), step=st.integers(0, 2**40), number=st.integers(0, 2**40))
def test_a_stream_draws_what_the_arrays_draw(seed: int, step: int, number: int) -> None:
    stream = of_views(seed, step, number)
    words = hashed(seed, VIEWS, step, np.array([number]))
    assert [stream.random() for _ in range(5)] == uniforms(words, 5)[0].tolist()
