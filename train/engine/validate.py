"""Held-out pairs: the loss, the loss with the wrong reference, and pictures."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from train.data.batch import Batch
from train.engine.run import Run
from train.errors import TrainError
from train.files import whole
from train.methods.base import Views, shuffled_reference


@torch.no_grad()
def validation(run: Run, batches: Iterable[Batch]) -> dict[str, float]:
    """Means over held-out pairs; every rank works on its own and they are added up.

    ``val_loss``; ``val_loss_shuffled``, where each view 1 is given the view 2 of another sample:
    a method that uses its reference is worse at that; and what the method measures.
    """
    method = run.evaluated.eval()
    sums: dict[str, Tensor] = {}
    count = torch.zeros((), device=run.world.device, dtype=torch.float64)
    for batch in islice(batches, run.config.report.validate_batches):
        views = run.views(batch, train=False)
        for name, value in _measured(run, views).items():
            sums[name] = sums.get(name, torch.zeros_like(count)) + value.double() * len(batch)
        count += len(batch)
    method.train()
    total = run.world.summed(count)
    return {name: float(run.world.summed(value) / total) for name, value in sorted(sums.items())}


def _measured(run: Run, views: Views) -> dict[str, Tensor]:
    method = run.evaluated
    with run.stepper.autocast():
        right = method(views)
        found = {"val_loss": right.loss} | {f"val_{k}": v for k, v in right.measures.items()}
        if views.images.shape[1] > 1 and len(views.numbers) > 1:
            found["val_loss_shuffled"] = method(shuffled_reference(views)).loss
    return found


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
