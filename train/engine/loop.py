"""The loop: a step, what is said of it, and when the run is saved.

It knows no method. A step is a function of (data, config, step): stopping after any of them and
going on gives the weights that an undisturbed run would have.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import torch

from train.data.batch import Batch
from train.data.loader import Loader
from train.engine import checkpoint
from train.engine.metrics import Meter, Sink, measured_peak
from train.engine.numerics import DTYPES
from train.engine.optimiser import set_rate
from train.engine.run import Run
from train.engine.schedule import rate_at
from train.engine.validate import draw, validation
from train.errors import TrainError
from train.methods.base import Outcome

_log = logging.getLogger(__name__)

Say = Callable[[int, dict[str, float]], None]


@dataclass
class Told:
    """Whether this process was asked to stop (SIGTERM or Ctrl-C)."""

    stop: bool = False


def train(run: Run, loader: Loader, held_out: Loader | None, sinks: list[Sink], say: Say) -> bool:
    """Train from ``run.step`` to ``run.total``; whether it got there.

    On SIGTERM or Ctrl-C the step is finished, a checkpoint written, and False returned.
    """
    config, meter, waited_s = run.config, _meter(run), 0.0
    with _stop_asked() as told:
        for batch in loader.batches(run.step, run.total):
            values = one_step(run, batch)
            meter.add(values, len(batch), loader.wait_s - waited_s)
            waited_s = loader.wait_s
            due = _Due(run)
            if due(config.report.log_every):
                _tell(run, meter.read(run.world), sinks, say)
            if held_out is not None and due(config.report.validate_every):
                _tell(run, _validated(run, held_out), sinks, say)
            stop = run.world.any(told.stop)
            if stop or due(config.checkpoint.every):
                save(run)
            if stop:
                return run.step >= run.total
    return True


def _meter(run: Run) -> Meter:
    """On a GPU it knows what the card can do, measured once, to tell the share that is used."""
    device, dtype = run.world.device, DTYPES.get(run.config.numerics.precision, torch.float32)
    peak = measured_peak(device, dtype) if device.type == "cuda" else None
    return Meter(device, run.method.training_flops(), peak)


def one_step(run: Run, batch: Batch) -> dict[str, float]:
    """Forward, backward, update. What is not finite changes no weight and is counted."""
    rate = rate_at(run.step, run.peak_rate, run.config.schedule, run.steps_per_epoch)
    set_rate(run.optimiser, rate)
    outcome = run.stepper.gradients(run.views(batch))
    norm = run.stepper.norm()
    finite = bool(torch.isfinite(norm))
    run.stepper.update(finite)
    if finite and run.ema is not None:
        run.ema.update(run.method)
    run.step += 1
    if not finite and not run.stepper.scaler.is_enabled():
        _count_skipped(run, batch, outcome)
    measured = {name: float(value) for name, value in outcome.measures.items()}
    return {"loss": float(outcome.loss), "lr": rate, "grad_norm": float(norm), **measured}


def _count_skipped(run: Run, batch: Batch, outcome: Outcome) -> None:
    run.skipped += 1
    bad = [
        key
        for key, ok in zip(batch.keys, outcome.losses.isfinite().tolist(), strict=True)
        if not ok
    ]
    named = ", ".join(bad[:5]) or "none by itself: the gradient overflowed"
    if run.skipped > run.config.numerics.nan_budget:
        raise TrainError(
            f"step {run.step - 1}: loss or gradient is not finite for the {run.skipped}th time "
            f"(numerics.nan_budget); samples: {named}; lower optimiser.base_lr, set "
            "optimiser.clip_norm, or look at these samples"
        )
    if run.world.is_main:
        _log.warning("step %d: not finite, skipped; samples: %s", run.step - 1, named)


def save(run: Run) -> None:
    """A checkpoint of this step; every rank takes part, the main one writes."""
    state = run.state()
    if run.world.is_main:
        folder = run.out / "checkpoints"
        checkpoint.save(checkpoint.path_of(folder, run.step), state)
        checkpoint.purge(folder, run.config.checkpoint)
    run.world.wait()


def _validated(run: Run, held_out: Loader) -> dict[str, float]:
    values = validation(run, held_out.batches(0))
    if run.config.report.pictures:  # on all ranks: FSDP computes together
        first = next(iter(held_out.batches(0)))
        draw(run, first, run.out / "pictures" / f"step-{run.step:08d}.png")
    return values


def _tell(run: Run, values: dict[str, float], sinks: list[Sink], say: Say) -> None:
    if run.world.is_main:
        for sink in sinks:
            sink.write(run.step, values)
        say(run.step, values)


@dataclass(frozen=True)
class _Due:
    """Whether something that is done every so many steps is due; all is at the end."""

    run: Run

    def __call__(self, every: int) -> bool:
        return self.run.step % every == 0 or self.run.step >= self.run.total


@contextmanager
def _stop_asked() -> Iterator[Told]:
    told = Told()

    def note(_signal: int, _frame: FrameType | None) -> None:
        told.stop = True

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
