"""From a config to a finished run: data, method, state and loop, put together and let go again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from train.config import TrainConfig
from train.data import DataSets, Loader, Order, Photometric, Transform, Wanted, open_sets
from train.data.index import NoSamplesError
from train.data.order import Numbers
from train.engine.loop import train
from train.engine.metrics import Sink, sinks
from train.engine.run import Run, put_together, resume
from train.engine.say import Progress
from train.engine.world import World, joined
from train.errors import TrainError
from train.methods import build_method, method_of
from train.models.load import initialise_from


@dataclass(frozen=True)
class Asked:
    """What a command asks beside the config: none of it changes what a step does."""

    out: Path
    init: Path | None = None
    limit_steps: int | None = None
    overfit_batches: int | None = None
    force_resume: bool = False


def run_session(config: TrainConfig, asked: Asked, progress: Callable[[World], Progress]) -> bool:
    """Train; whether the run came to its end (else it was asked to stop, and can go on).

    Raises:
        TrainError: something is not as it should be, and what to do.
    """
    if config.hardware.compute_threads is not None:
        torch.set_num_threads(config.hardware.compute_threads)
    with joined(config.hardware.device) as world, _data(config) as (data, held_out):
        said = progress(world)
        run = _ready(config, asked, world, data, said)
        order = _order(data, config, asked.overfit_batches)
        loader = _loader(run, data, order, Transform(config.data.views))
        val_loader = _val_loader(run, held_out, said)
        with _sinks(run) as places:
            ended = train(run, loader, val_loader, places, said)
        said.note(
            f"done: {run.step} steps; the last checkpoint is in {run.out / 'checkpoints'}"
            if ended
            else f"stopped after {run.step} of {run.total} steps: the same line again goes on"
        )
        for bad in (loader, val_loader):
            if bad is not None and bad.bad.keys:
                said.note(f"{len(bad.bad.keys)} samples could not be read and were left out")
        return ended


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
    wanted = Wanted(geometry=False, covis=method.labelled, corr=False)
    data = open_sets(config.data, "train", wanted)
    if method.labelled:
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
            )


def _ready(config: TrainConfig, asked: Asked, world: World, data: DataSets, said: Progress) -> Run:
    """A run at the step where it begins or goes on."""
    torch.manual_seed(config.seed)
    method = build_method(config.method, config.options)
    if asked.init is not None:
        said.note(str(initialise_from(method.net, asked.init)))
    photometric = Photometric(config.data.colour, config.seed)
    found = (data.fingerprint, len(data))
    run = put_together(config, world, asked.out, method, photometric, found, asked.limit_steps)
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


def _write_config(run: Run) -> None:
    plain = yaml.safe_dump(run.config.model_dump(mode="json"), sort_keys=False)
    try:
        run.out.mkdir(parents=True, exist_ok=True)
        (run.out / "config.yaml").write_text(plain)
    except OSError as error:
        raise TrainError(f"--out {run.out}: cannot be written ({error.strerror})") from error


def _loader(run: Run, data: DataSets, order: Order, transform: Transform) -> Loader:
    hardware = run.config.hardware
    return Loader(
        data,
        order,
        transform,
        rank=run.world.rank,
        world=run.world.size,
        threads=hardware.decode_threads,
        prefetch=hardware.prefetch,
        pin=run.world.device.type == "cuda",
        max_bad_share=run.config.data.max_bad_share,
    )


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
    return _loader(run, held_out, order, Transform(run.config.data.views.plain()))
