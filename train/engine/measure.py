"""A finished network on held-out pairs: its figures, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from train.config import TrainConfig
from train.data import NoSamplesError, Wanted, open_held_out
from train.engine import checkpoint, parallel
from train.engine.evaluate import table_of
from train.engine.numerics import set_up
from train.engine.world import World
from train.errors import TrainError
from train.files import whole
from train.methods import build_method
from train.methods.base import Views
from train.methods.pose import RelativePose
from train.methods.pose_errors import Poses, relative
from train.methods.pose_result import PoseResult, result_of


def measured(world: World, path: Path, now: TrainConfig) -> PoseResult:
    """The figures of a checkpoint over all held-out pairs; every rank must ask.

    Args:
        world: its ranks share the pairs.
        path: the checkpoint; its averaged weights are measured where it has them.
        now: which data, and where it is computed; all else is the checkpoint's.

    Raises:
        NoSamplesError: nothing is held out.
        TrainError: no held-out pair has poses.
    """
    state = checkpoint.load(path)
    config = _as_trained(state, now)
    set_up(config)
    held_out, without = open_held_out(config.data, Wanted(covis=False, corr=False))
    if held_out is None:
        raise NoSamplesError("; ".join(without))
    try:
        method = _method(state, config, world)
        table = table_of(world, config, held_out, method, _row(method))
    finally:
        held_out.close()
    known = table.read & table.rows[:, 7:].isfinite().all(1)
    if not known.any():
        raise TrainError(
            f"--shards {config.data.sets[0].url}: no held-out pair has camera poses to compare with"
        )
    rows = table.rows[known]
    predicted, truth = Poses(rows[:, :3], rows[:, 3:7]), Poses(rows[:, 7:10], rows[:, 10:])
    return result_of(predicted, truth, len(table.rows))


def write_result(path: Path, result: PoseResult, of: dict[str, Any]) -> dict[str, Any]:
    """Write the figures as JSON, with what they are ``of``; as plain values."""
    plain = {**result.plain(), **of}
    try:
        with whole(path) as file:
            file.write_text(json.dumps(plain, indent=2) + "\n")
    except OSError as error:
        raise TrainError(
            f"{path}: could not be written ({error.strerror}); make room, and add --evaluate to "
            "the same line"
        ) from error
    return plain


def _as_trained(state: dict[str, Any], now: TrainConfig) -> TrainConfig:
    then = TrainConfig.model_validate(state["config"])
    which = {name: getattr(now.data, name) for name in ("sets", "where", "cache", "max_bad_share")}
    data = then.data.model_copy(update=which)
    return then.model_copy(update={"data": data, "hardware": now.hardware})


def _method(state: dict[str, Any], config: TrainConfig, world: World) -> RelativePose:
    method = build_method(config.method, config.options)
    assert isinstance(method, RelativePose)
    parallel.load_model_state(method, state["ema"] or state["model"])
    return method.to(world.device).eval()


def _row(method: RelativePose) -> Callable[[Views], Tensor]:
    def row(views: Views) -> Tensor:
        """[B, 14]: translation and quaternion as predicted, and as they are."""
        assert views.poses is not None
        return torch.cat([*method.predict(views), *relative(views.poses)], dim=1)

    return row
