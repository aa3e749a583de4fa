from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mimic.sources.grid import Grid


@dataclass(frozen=True)
class At:
    time_s: Fraction


times = st.lists(st.integers(0, 5000), min_size=1, max_size=60, unique=True).map(
    lambda ms: [At(Fraction(t, 1000)) for t in sorted(ms)]
)
intervals = st.sampled_from([1 / 3, 0.1, 0.5, 1.0, 0.04, 2 / 7])


def test_an_interval_that_is_a_rounded_fraction_is_that_fraction() -> None:
    assert Grid.every(1 / 3).interval == Fraction(1, 3)
    assert Grid.every(0.1).interval == Fraction(1, 10)


def test_rounded_time_stamps_of_webm_do_not_shift_the_grid() -> None:
    frames = [At(Fraction(round(i * 1000 / 15), 1000)) for i in range(373)]
    picked = list(Grid.every(1 / 3).pick(frames, 0, None))
    assert picked == [(k, frames[5 * k]) for k in range(75)]


def test_half_way_is_the_earlier_slot_and_ties_are_the_earlier_frame() -> None:
    grid = Grid.every(1.0)
    assert grid.slot_of(Fraction(1, 2)) == 0
    assert grid.slot_of(Fraction(501, 1000)) == 1
    tie = [At(Fraction(9, 10)), At(Fraction(11, 10))]
    assert list(grid.pick(tie, 0, None)) == [(1, tie[0])]


@given(times, intervals)
def test_a_slot_has_the_nearest_frame_or_none_near_enough(frames: list[At], every: float) -> None:
    grid = Grid.every(every)
    picked = dict(grid.pick(frames, 0, None))
    assert len(set(picked.values())) == len(picked)
    for slot in range(grid.slot_of(frames[-1].time_s) + 2):
        nearest = min(grid.distance(frame.time_s, slot) for frame in frames)
        if slot in picked:
            assert grid.distance(picked[slot].time_s, slot) == nearest <= grid.interval / 2
        elif nearest <= grid.interval / 2:
            # Only a frame exactly half-way, which is the earlier slot's.
            assert nearest == grid.interval / 2


@given(times, intervals, st.integers(0, 20), st.integers(1, 20))
def test_a_part_is_the_same_as_in_the_whole(
    frames: list[At], every: float, first: int, count: int
) -> None:
    grid = Grid.every(every)
    whole = dict(grid.pick(frames, 0, None))
    opened = [frame for frame in frames if frame.time_s > grid.opens_at(first)]
    part = dict(grid.pick(opened, first, first + count))
    assert part == {k: v for k, v in whole.items() if first <= k < first + count}
