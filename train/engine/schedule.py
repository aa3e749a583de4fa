"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from train.config import OptimiserConfig, ScheduleConfig


def steps_of(length: float, schedule: ScheduleConfig, steps_per_epoch: float) -> int:
    """A length of the schedule in steps."""
    return round(length * (steps_per_epoch if schedule.unit == "epochs" else 1))


def total_steps(schedule: ScheduleConfig, steps_per_epoch: float) -> int:
    """How long the run is; at least one step."""
    return max(1, steps_of(schedule.length, schedule, steps_per_epoch))


def peak_rate(optimiser: OptimiserConfig, batch: int) -> float:
    """The linear scaling rule (Goyal et al. 2017), as MAE and CroCo use it."""
    return optimiser.base_lr * batch / 256


def rate_at(step: int, peak: float, schedule: ScheduleConfig, steps_per_epoch: float) -> float:
    """The rate of a step: linear warm-up from 0, then half a cosine to ``min_lr`` (MAE, CroCo).

    Both papers' code adjusts it each iteration by the fraction of epochs gone, as here.
    """
    warmup = steps_of(schedule.warmup, schedule, steps_per_epoch)
    if step < warmup:
        return peak * step / warmup
    horizon = steps_of(schedule.horizon or schedule.length, schedule, steps_per_epoch)
    gone = min(1.0, (step - warmup) / max(1, horizon - warmup))
    return schedule.min_lr + (peak - schedule.min_lr) * 0.5 * (1 + math.cos(math.pi * gone))
