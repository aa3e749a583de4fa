"""From a config to a finished run: data, method, state and loop, put together and let go again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from train.config import TrainConfig
from train.data import DataSets, Order
from train.data.once import once
from train.data.order import Numbers
from train.engine.alone import alone
from train.engine.begun import Begun
from train.engine.checkpoint import latest
from train.engine.given import Given, given
from train.engine.loading import loader_of
from train.engine.loop import train
from train.engine.metrics import Sink, sinks
from train.engine.numerics import set_up
from train.engine.run import Run, put_together, resume
from train.engine.say import Progress
from train.engine.validate import HeldOut
from train.engine.world import World, joined
from train.files import whole, written_to
from train.methods import build_method
from train.methods.base import Method
from train.models.load import initialise_from


@dataclass(frozen=True)
class Asked:
    """What a command asks beside the config.

    ``init`` and ``overfit_batches`` decide what is learned, so checkpoints hold them too (see
    :class:`train.engine.begun.Begun`); the others do not.
    """

    out: Path
    init: Path | None = None
    limit_steps: int | None = None
    overfit_batches: int | None = None
    force_resume: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How a session ended: whether its run is whole, and whether it was asked to stop."""

    whole: bool
    stop_asked: bool


def run_session(config: TrainConfig, asked: Asked, progress: Callable[[World], Progress]) -> bool:
    """Train; whether the run came to its end (else it was asked to stop, and can go on).

    Raises:
        TrainError: something is not as it should be, and what to do.
    """
    with joined(config.hardware.device) as world:
        return session_in(world, config, asked, progress(world)).whole


def session_in(world: World, config: TrainConfig, asked: Asked, said: Progress) -> Ended:
    """Train in a world that is joined already: for commands of several sessions."""
    set_up(config)
    with ExitStack() as open_now:
        found = open_now.enter_context(given(config))
        order = _order(found.data, config, asked.overfit_batches)
        order.of_rank(0, world.rank, world.size)  # what it refuses, it refuses before any writing
        open_now.enter_context(alone(world, asked.out))
        run = _ready(config, asked, world, (found.data, order), said)
        loader = loader_of(world, config, found.data, order, config.data.views)
        held_out = _held_out(run, found, said)
        with _sinks(run) as places:
            ended = train(run, loader, held_out, places, said)
        said.note(
            f"done: {run.step} steps; the last checkpoint is in {run.out / 'checkpoints'}"
            if ended
            else f"stopped after {run.step} of {run.total} steps: the same line again goes on"
        )
        for bad in (loader.bad, None if held_out is None else held_out.loader.bad):
            if bad is not None and bad.keys:
                said.note(f"left out, for they cannot be read: {bad} (see: `mimic verify`)")
        return Ended(ended, run.stop_asked)


@dataclass(frozen=True)
class Overfitting(Order):
    """The same few batches again and again."""

    batches: int = 1

    def indices(self, step: int) -> Numbers:
        """The samples of a step."""
        return super().indices(step % self.batches)


def _order(data: DataSets, config: TrainConfig, overfit_batches: int | None) -> Order:
    order = data.order(config.seed, config.batch)
    if overfit_batches is None:
        return order
    return Overfitting(order.sizes, order.weights, order.seed, order.batch, overfit_batches)


@contextmanager
def _sinks(run: Run) -> Iterator[list[Sink]]:
    """Where the main rank writes what is measured; the others write nothing."""
    plain = run.config.model_dump(mode="json")
    places = sinks(run.out, run.config.report, run.step, plain) if run.world.is_main else []
    try:
        yield places
    finally:
        for place in places:
            place.close()


def _ready(
    config: TrainConfig, asked: Asked, world: World, given: tuple[DataSets, Order], said: Progress
) -> Run:
    """A run at the step where it begins or goes on."""
    data, order = given
    torch.manual_seed(config.seed)
    method = build_method(config.method, config.options)
    begun = Begun.of(asked.init, asked.overfit_batches)
    if asked.init is not None:
        _initialise(method, asked.init, asked.out, said)
    found = (data.fingerprint, order.steps_per_epoch)
    run = put_together(config, world, asked.out, method, found, asked.limit_steps, begun)
    resumed = resume(run, asked.force_resume)
    said.total, said.first = run.total, run.step
    weights = sum(parameter.numel() for parameter in method.parameters())
    said.note(
        f"{config.method}, {weights / 1e6:.1f} M weights, {len(data):,} samples in batches of "
        f"{config.batch} ({run.steps_per_epoch:.1f} steps an epoch), {run.total} steps, on "
        f"{world.size} x {world.device.type}"
        + (f"; goes on after step {run.step}" if resumed else "")
    )
    if world.is_main and run.step < run.total:  # or nothing will be done as it says
        _write_config(run)
    return run


def _initialise(method: Method, init: Path, out: Path, said: Progress) -> None:
    """First weights from a file, unless the run goes on: then it has its own."""
    if (path := latest(out / "checkpoints")) is None:
        said.note(str(initialise_from(method.net, init)))
    else:
        gone = "" if init.exists() else " (it is gone)"
        said.note(f"--init {init}{gone}: not loaded, for the run goes on from {path}")


def _write_config(run: Run) -> None:
    plain = yaml.safe_dump(run.config.model_dump(mode="json"), sort_keys=False)
    with written_to(run.out), whole(run.out / "config.yaml") as file:
        file.write_text(plain)


def _held_out(run: Run, found: Given, said: Progress) -> HeldOut | None:
    """What is held out, to be looked at now and then; what has no part in it is said."""
    config, world = run.config, run.world
    for why in found.without:
        said.note(f"no validation: {why}" if found.held_out is None else f"not validated on: {why}")
    if found.held_out is None:
        return None
    order = once(found.held_out.sizes, config.batch, world.size)
    if order is None:
        count = len(found.held_out)
        said.note(f"no validation: {count} held-out samples for {world.size} processes")
        return None
    loader = loader_of(world, config, found.held_out, order, config.data.views.plain())
    return HeldOut(loader, order)
