"""A run, put together: data, method, optimiser and state, ready for the loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mimic.layered import flattened
from train.config import TrainConfig
from train.data.batch import Batch
from train.engine import checkpoint, parallel
from train.engine.begun import Begun
from train.engine.ema import Ema
from train.engine.numerics import Stepper
from train.engine.optimiser import adamw
from train.engine.schedule import peak_rate, total_steps
from train.engine.views import views_of
from train.engine.world import World
from train.errors import TrainError
from train.methods.base import Method, Views


@dataclass
class Run:
    """What the loop works on. ``step`` is the number of steps done."""

    config: TrainConfig
    world: World
    out: Path
    method: Method
    wrapped: nn.Module
    optimiser: torch.optim.Optimizer
    stepper: Stepper
    ema: Ema | None
    data_fingerprint: str
    steps_per_epoch: float
    total: int
    begun: Begun
    step: int = 0
    skipped: int = 0
    stop_asked: bool = False

    @property
    def peak_rate(self) -> float:
        """The highest learning rate."""
        return peak_rate(self.config.optimiser, self.config.batch)

    @property
    def evaluated(self) -> Method:
        """The method with the weights that are shown: the average, where there is one."""
        return self.ema.module if self.ema is not None else self.method

    def views(self, batch: Batch, train: bool = True) -> Views:
        """A batch as the method sees it."""
        return views_of(batch, self.method, self.config, self.world.device, train=train)

    def state(self) -> dict[str, Any]:
        """All that a checkpoint holds. Every rank must ask."""
        return {
            "method": self.config.method,
            "net": self.method.net_dict(),
            "model": parallel.model_state(self.method),
            "ema": None if self.ema is None else parallel.model_state(self.ema.module),
            "optimiser": parallel.optimiser_state(self.method, self.optimiser),
            "scaler": self.stepper.scaler.state_dict(),
            "step": self.step,
            "skipped": self.skipped,
            "config": self.config.model_dump(mode="json"),
            "config_fingerprint": self.config.fingerprint(),
            "data_fingerprint": self.data_fingerprint,
            "begun": self.begun.plain(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        parallel.load_model_state(self.method, state["model"])
        if self.ema is not None:  # one that is first asked for now begins with these weights
            parallel.load_model_state(self.ema.module, state["ema"] or state["model"])
        parallel.load_optimiser_state(self.method, self.optimiser, state["optimiser"])
        if state["scaler"]:  # empty where the precision was another
            self.stepper.scaler.load_state_dict(state["scaler"])
        self.step, self.skipped = state["step"], state["skipped"]
        self.begun = self.begun.gone_on(state)


def put_together(
    config: TrainConfig,
    world: World,
    out: Path,
    method: Method,
    data: tuple[str, float],
    limit_steps: int | None = None,
    begun: Begun = Begun(),  # noqa: B008  (frozen)
) -> Run:
    """A run at step 0.

    Args:
        config: of the run.
        world: this process.
        out: the run's folder.
        method: with its first weights, the same on each rank.
        data: fingerprint, and steps an epoch.
        limit_steps: stop after so many; the schedule is not changed by it.
        begun: what decides beside the config.
    """
    fingerprint, steps_per_epoch = data
    decay = config.numerics.ema_decay
    method.to(world.device)
    ema = None if decay is None else Ema(method, decay)
    if ema is not None and world.size > 1 and config.hardware.parallel == "fsdp":
        parallel.sharded(ema.module, world)
    if config.hardware.compile:
        method.net.compile()
    wrapped = parallel.wrapped(method, world, config.hardware)
    optimiser = adamw(method, config.optimiser)
    clip = config.optimiser.clip_norm
    total = total_steps(config.schedule, steps_per_epoch)
    return Run(
        config=config,
        world=world,
        out=out,
        method=method,
        wrapped=wrapped,
        optimiser=optimiser,
        stepper=Stepper(wrapped, optimiser, config.numerics, clip, world.device),
        ema=ema,
        data_fingerprint=fingerprint,
        steps_per_epoch=steps_per_epoch,
        total=total if limit_steps is None else min(total, limit_steps),
        begun=begun,
    )


def resume(run: Run, force: bool) -> bool:
    """Go on from the newest checkpoint in the run's folder; whether there was one.

    Raises:
        TrainError: it is of another config or of other data, and ``force`` was not said.
    """
    path = checkpoint.latest(run.out / "checkpoints")
    if path is None:
        return False
    state = checkpoint.load(path)  # to the CPU: a GPU might not hold all of it twice
    if not force:
        _check_same(run, state, path)
    _check_network(run, state, path)
    run.restore(state)
    return True


def _check_network(run: Run, state: dict[str, Any], path: Path) -> None:
    """A run goes on with its own network, whatever is forced."""
    then = {name: tuple(value.shape) for name, value in state["model"].items()}
    now = {name: tuple(value.shape) for name, value in run.method.state_dict().items()}
    differs = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    if differs:
        name = differs[0]
        raise TrainError(
            f"{path}: is of another network, {len(differs)} of its weights differ ({name}: "
            f"{then.get(name, 'none')} -> {now.get(name, 'none')}); use another --out, and --init "
            f"{path} to begin with what fits"
        )


def _check_same(run: Run, state: dict[str, Any], path: Path) -> None:
    changed = run.begun.changes(state)
    if state["config_fingerprint"] != run.config.fingerprint():
        then = flattened(TrainConfig.model_validate(state["config"]).decisive())
        now = flattened(run.config.decisive())
        keys = [key for key in sorted({*then, *now}) if then.get(key) != now.get(key)]
        changed += [f"{key} ({then.get(key)!r} -> {now.get(key)!r})" for key in keys]
    if changed:
        raise TrainError(
            f"{path}: this run was started with another config: {', '.join(changed[:3])}; use the "
            "old one, another --out, or --force-resume to go on with the new one"
        )
    if state["data_fingerprint"] != run.data_fingerprint:
        raise TrainError(
            f"{path}: this run was started on other data (their manifests differ); use another "
            "--out, or --force-resume to go on with these"
        )
