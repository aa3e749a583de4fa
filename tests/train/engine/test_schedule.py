"""The rate is the papers' function of the step."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st

from train.config import OptimiserConfig, ScheduleConfig
from train.engine.schedule import peak_rate, rate_at, total_steps


def by_mae(epoch, peak, warmup, epochs, min_lr):
    """MAE's util/lr_sched.py in a formula, epoch fractional."""
    if epoch < warmup:
        return peak * epoch / warmup
    return min_lr + (peak - min_lr) * 0.5 * (
        1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup))
    )


@given(
    st.integers(1, 500),
    st.integers(1, 40),
    st.integers(41, 800),
    st.floats(0, 1),
    st.floats(0, 1e-4),
)
def test_it_is_the_formula_of_mae(per_epoch, warmup, epochs, place, min_lr):
    schedule = ScheduleConfig(length=epochs, warmup=warmup, min_lr=min_lr)
    step = int(place * (epochs * per_epoch - 1))
    want = by_mae(step / per_epoch, 1e-3, warmup, epochs, min_lr)
    assert rate_at(step, 1e-3, schedule, per_epoch) == pytest.approx(want, rel=1e-9, abs=1e-15)


def test_croco_stops_before_its_cosine_ends():
    schedule = ScheduleConfig(length=400, warmup=40, horizon=800)
    last = total_steps(schedule, 10) - 1
    assert last == 3999
    assert rate_at(last, 1.0, schedule, 10) == pytest.approx(by_mae(399.9, 1.0, 40, 800, 0))
    assert rate_at(last, 1.0, schedule, 10) > 0.5


def test_lengths_in_steps_know_no_epochs():
    schedule = ScheduleConfig(unit="steps", length=100, warmup=10)
    assert total_steps(schedule, 7.3) == 100
    assert [rate_at(step, 1.0, schedule, 7.3) for step in (0, 5, 10)] == [0.0, 0.5, 1.0]
    assert rate_at(100, 1.0, schedule, 7.3) == pytest.approx(0)


def test_the_rate_grows_with_the_batch():
    assert peak_rate(OptimiserConfig(base_lr=1.5e-4), 4096) == pytest.approx(2.4e-3)


def test_a_warm_up_longer_than_the_run_is_refused():
    with pytest.raises(ValueError, match="warmup"):
        ScheduleConfig(length=10, warmup=11)
