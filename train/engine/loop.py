"""The loop: a step, what is said of it, and when the run is saved.

It knows no method. A step is a function of (data, config, step): stopping after any of them and
going on gives the weights that an undisturbed run would have.
"""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import torch
from torch import Tensor

from train.data.batch import Batch
from train.data.loader import Loader
from train.engine import checkpoint
from train.engine.metrics import Meter, Sink, Sums
from train.engine.numerics import DTYPES
from train.engine.optimiser import set_rate
from train.engine.peak import measured_peak
from train.engine.run import Run
from train.engine.schedule import rate_at
from train.engine.validate import HeldOut, draw, validation
from train.errors import TrainError
from train.methods.base import Outcome

_log = logging.getLogger(__name__)

_NAMED = 5

Say = Callable[[int, dict[str, float]], None]


@dataclass
class Told:
    """Whether this process was asked to stop (SIGTERM or Ctrl-C)."""

    stop: bool = False


def train(run: Run, loader: Loader, held_out: HeldOut | None, sinks: list[Sink], say: Say) -> bool:
    """Train from ``run.step`` to ``run.total``; whether it got there.

    On SIGTERM or Ctrl-C the step is finished, a checkpoint written, and False returned.
    """
    config, meter, waited_s = run.config, _meter(run), 0.0
    with _stop_asked() as told:
        for batch in loader.batches(run.step, run.total):
            meter.add(one_step(run, batch), len(batch), loader.wait_s - waited_s)
            waited_s = loader.wait_s
            due = _Due(run)
            if due(config.report.log_every):
                _tell(run, run.method.told(meter.read(run.world)), sinks, say)
                _share_bad(run, loader)
            if held_out is not None and due(config.report.validate_every):
                _tell(run, _validated(run, held_out), sinks, say)
                _share_bad(run, held_out.loader)
            stop = run.world.any(told.stop)
            if stop or due(config.checkpoint.every):
                save(run)
            if stop:
                run.stop_asked = True
                return run.step >= run.total
    return True


def _meter(run: Run) -> Meter:
    """On a GPU it knows what the card can do, measured once, to tell the share that is used."""
    device, dtype = run.world.device, DTYPES.get(run.config.numerics.precision, torch.float32)
    peak = measured_peak(device, dtype) if device.type == "cuda" else None
    return Meter(device, run.method.training_flops(), peak)


def one_step(run: Run, batch: Batch) -> Sums:
    """Forward, backward, update. What is not finite changes no weight and is counted."""
    rate = rate_at(run.step, run.peak_rate, run.config.schedule, run.steps_per_epoch)
    set_rate(run.optimiser, rate)
    outcome = run.stepper.gradients(run.views(batch))
    sums = _scalars(outcome, run.stepper.norm())
    finite = math.isfinite(sums["grad_norm"][0])
    run.stepper.update(finite)
    if finite and run.ema is not None:
        run.ema.update(run.method)
    run.step += 1
    if not finite and not _seeks_scale(run, sums["loss"][0]):
        _count_skipped(run, batch, outcome)
    return {"lr": (rate, 1.0), **sums}


def _scalars(outcome: Outcome, norm: Tensor) -> Sums:
    """All that is said of a step, read at once, so that a GPU is waited for once."""
    named = {"grad_norm": torch.stack([norm.double(), torch.ones_like(norm).double()])}
    named |= outcome.sums()
    stacked = torch.stack([pair.detach() for pair in named.values()])
    return {name: (s, n) for name, (s, n) in zip(named, stacked.tolist(), strict=True)}


def _seeks_scale(run: Run, loss: float) -> bool:
    """Whether losses are finite on all ranks, and only fp16's scale was too large for gradients."""
    return run.stepper.seeks_scale and not run.world.any(not math.isfinite(loss))


def _count_skipped(run: Run, batch: Batch, outcome: Outcome) -> None:
    run.skipped += 1
    fine = outcome.losses.isfinite().tolist()
    here = [key for key, ok in zip(batch.keys, fine, strict=True) if not ok]
    bad = [key for keys in run.world.gathered(here) for key in keys]
    budget = run.config.numerics.nan_budget
    if run.skipped > budget:
        raise TrainError(
            f"step {run.step - 1}: loss or gradient is not finite, step {run.skipped} of this run "
            f"where that is so (numerics.nan_budget: {budget}); {_blamed(bad, run.config.batch)}; "
            + _way_on(run)
        )
    if run.world.is_main:
        _log.warning(
            "step %d: not finite, skipped; %s", run.step - 1, _blamed(bad, run.config.batch)
        )


def _way_on(run: Run) -> str:
    again = "begin again in another --out"
    if checkpoint.latest(run.out / "checkpoints") is None:
        return f"there is no checkpoint yet: {again}, with other values"
    return (
        "the last checkpoint is whole: --force-resume goes on from it with other values, or "
        + again
    )


def _blamed(bad: list[str], batch: int) -> str:
    """What is not finite: some samples, all of them, or only what their gradients add up to."""
    calmer = "lower optimiser.base_lr or set optimiser.clip_norm"
    if not bad:
        return f"no sample by itself, the gradient overflowed: {calmer}"
    if len(bad) == batch > 1:
        return f"all {batch} samples of the batch, so it is the weights that diverged: {calmer}"
    more = ", ..." if len(bad) > _NAMED else ""
    return (
        f"{len(bad)} of the batch's {batch} samples: {', '.join(bad[:_NAMED])}{more}: look at "
        f"them, or {calmer}"
    )


def _share_bad(run: Run, loader: Loader) -> None:
    """Samples that a rank could not read are known to all ranks, and counted once."""
    if run.world.size > 1 and run.world.any(loader.bad.has_news):
        for found in run.world.gathered(loader.bad.news()):
            loader.bad.add(found)


def save(run: Run) -> None:
    """A checkpoint of this step; every rank takes part, the main one writes."""
    state = run.state()
    if run.world.is_main:
        folder = run.out / "checkpoints"
        checkpoint.save(checkpoint.path_of(folder, run.step), state)
        checkpoint.purge(folder, run.config.checkpoint)
    run.world.wait()


def _validated(run: Run, held_out: HeldOut) -> dict[str, float]:
    values = validation(run, held_out)
    if run.config.report.pictures:  # on all ranks: FSDP computes together
        draw(run, held_out.few(), run.out / "pictures" / f"step-{run.step:08d}.png")
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
