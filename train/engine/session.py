"""From a config to a finished run: data, method, state and loop, put together and let go again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from train.config import TrainConfig
from train.data import DataSets, Loader, Order, Wanted, open_sets
from train.data.index import NoSamplesError
from train.data.order import Numbers
from train.engine.alone import alone
from train.engine.begun import Begun
from train.engine.checkpoint import latest
from train.engine.loading import loader_of
from train.engine.loop import train
from train.engine.metrics import Sink, sinks
from train.engine.numerics import set_up
from train.engine.run import Run, put_together, resume
from train.engine.say import Progress
from train.engine.world import World, joined
from train.errors import TrainError
from train.files import whole, written_to
from train.methods import build_method, method_of
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
        data, held_out = open_now.enter_context(_data(config))
        order = _order(data, config, asked.overfit_batches)
        order.of_rank(0, world.rank, world.size)  # what it refuses, it refuses before any writing
        open_now.enter_context(alone(world, asked.out))
        run = _ready(config, asked, world, (data, order), said)
        loader = loader_of(world, config, data, order, config.data.views)
        val_loader = _val_loader(run, held_out, said)
        with _sinks(run) as places:
            ended = train(run, loader, val_loader, places, said)
        said.note(
            f"done: {run.step} steps; the last checkpoint is in {run.out / 'checkpoints'}"
            if ended
            else f"stopped after {run.step} of {run.total} steps: the same line again goes on"
        )
        for bad in (loader.bad, None if val_loader is None else val_loader.bad):
            if bad is not None and bad.keys:
                said.note(f"left out, for they cannot be read: {bad} (see: `mimic verify`)")
        return Ended(ended, run.stop_asked)


def check_data(config: TrainConfig) -> None:
    """Whether the data hold what a session would ask of them; a session does so, too.

    Raises:
        TrainError: they do not.
    """
    with _data(config):
        pass


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


@contextmanager
def _data(config: TrainConfig) -> Iterator[tuple[DataSets, DataSets | None]]:
    """The training set, and the held-out one where there is one."""
    method = method_of(config.method)
    labelled = method.reads_labels(config.options)
    cut = labelled and config.data.views.crop != "squash"  # labels then need their depth
    wanted = Wanted(geometry=cut or method.posed, covis=labelled, corr=False, depth=cut)
    data = open_sets(config.data, "train", wanted)
    if method.posed:
        _check_posed(data, config)
    if labelled:
        _check_labelled(data, config)
    held_out = None
    if config.report.validate_batches and config.report.validate_every:
        try:
            held_out = open_sets(config.data, "val", wanted)
        except NoSamplesError:
            held_out = None  # said later: a data set without held-out pairs is no error
    if method.singles:
        data, held_out = data.singles(), None if held_out is None else held_out.singles()
    try:
        yield data, held_out
    finally:
        data.close()
        if held_out is not None:
            held_out.close()


def _check_labelled(data: DataSets, config: TrainConfig) -> None:
    """Without labels all pixels are unknown, and a run would learn nothing and not say so."""
    for part, source in zip(data.sets, config.data.sets, strict=True):
        if part.load(0).covis is None:
            raise TrainError(
                f"--shards {source.url}: has no co-visibility labels, which {config.method} learns "
                "from; label them with `mimic label`, or mine with --set labels.covis=true"
                + method_of(config.method).or_without_labels
            )


def _check_posed(data: DataSets, config: TrainConfig) -> None:
    """Without poses there is nothing to learn."""
    for part, source in zip(data.sets, config.data.sets, strict=True):
        geometry = part.load(0).geometry
        if geometry is None or not np.isfinite(geometry.cam_to_world).all():
            raise TrainError(
                f"--shards {source.url}: has no camera poses in metres, which {config.method} "
                "learns from; mine scenes or sequences with poses, or give videos poses with "
                "`mimic reconstruct`"
            )


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
    if world.is_main:
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


def _val_loader(run: Run, held_out: DataSets | None, said: Progress) -> Loader | None:
    """Batches of held-out pairs: as large as those of training, or as there are pairs."""
    if run.config.report.validate_batches == 0:
        return None
    size = run.world.size
    batch = 0 if held_out is None else min(run.config.batch, len(held_out)) // size * size
    if held_out is None or batch == 0:
        said.note("no validation: the data set holds nothing out (mimic pack --val-share)")
        return None
    order = held_out.order(0, batch)
    return loader_of(run.world, run.config, held_out, order, run.config.data.views.plain())
