"""Held-out pairs: the loss, the loss with the wrong reference, and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from train.data.batch import Batch
from train.data.loader import Loader
from train.data.once import Once
from train.engine.metrics import means
from train.engine.run import Run
from train.errors import TrainError
from train.files import whole
from train.methods.base import Outcome, Views, shuffled_reference


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out samples, and the pass in which they are looked at."""

    loader: Loader
    order: Once

    def few(self) -> Batch:
        """The first of them."""
        (batch,) = self.loader.batches(0, 1)
        return batch


@torch.no_grad()
def validation(run: Run, held_out: HeldOut) -> dict[str, float]:
    """Means over held-out pairs, each seen once; every rank works on its own.

    ``val_loss``; ``val_loss_shuffled``, where each view 1 is given the view 2 of another sample:
    a method that uses its reference is worse at that; and what the method measures.
    """
    method = run.evaluated.eval()
    right: dict[str, Tensor] = {}
    wrong: dict[str, Tensor] = {}
    order, world = held_out.order, run.world
    steps = min(run.config.report.validate_batches, order.steps)
    for batch in held_out.loader.batches(0, steps):
        views = run.views(batch, train=False)
        counted = order.first_time(batch.step, world.rank, world.size)
        _add(right, _measured(run, views, counted))
        if views.images.shape[1] > 1 and len(views.numbers) > 1:
            _add(wrong, _measured(run, shuffled_reference(views), counted))
    method.train()
    found = {f"val_{name}": value for name, value in method.told(_means(run, right)).items()}
    if wrong:
        found["val_loss_shuffled"] = _means(run, wrong)["loss"]
    return dict(sorted(found.items()))


def _measured(run: Run, views: Views, counted: NDArray[np.bool_]) -> dict[str, Tensor]:
    with run.stepper.autocast():
        outcome: Outcome = run.evaluated(views)
    return outcome.of(torch.from_numpy(counted).to(views.images.device)).sums()


def _add(sums: dict[str, Tensor], more: dict[str, Tensor]) -> None:
    for name, value in more.items():
        sums[name] = sums[name] + value if name in sums else value


def _means(run: Run, sums: dict[str, Tensor]) -> dict[str, float]:
    return dict(zip(sums, means(run.world, torch.stack(list(sums.values()))), strict=True))


@torch.no_grad()
def draw(run: Run, batch: Batch, path: Path) -> None:
    """Write the method's panels of the main rank's first held-out pairs, a row each, as a PNG."""
    method = run.evaluated.eval()
    count = run.config.report.pictures
    views = run.views(batch, train=False)
    few = views.rows(slice(count))
    with run.stepper.autocast():
        panels = method.pictures(few).float().clamp(0, 1).cpu()
    method.train()
    if not run.world.is_main:
        return
    rows = torch.cat([torch.cat(list(row), dim=2) for row in panels], dim=1)
    pixels = (rows.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    try:
        with whole(path) as file:
            Image.fromarray(pixels).save(file, "PNG")
    except OSError as error:
        raise TrainError(
            f"{path}: could not be written ({error.strerror or error}); checkpoints are whole: "
            "make room and run the same command again, or set report.pictures=0"
        ) from error
