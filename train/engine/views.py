"""What a method sees of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from train.config import TrainConfig
from train.data.batch import Batch
from train.data.photometric import Photometric
from train.methods.base import Method, Views

VALIDATION_STEP = (1 << 62) - 1
"""The step in whose name held-out pairs are masked: their masks never change."""


def views_of(
    batch: Batch,
    method: Method | type[Method],
    config: TrainConfig,
    device: torch.device,
    *,
    train: bool,
) -> Views:
    """A batch as a method sees it; what it looks at is moved to the device.

    Args:
        batch: as the loader gives it.
        method: says what it reads.
        config: of the run.
        device: where it computes.
        train: change colours, and mask in the name of the batch's step; else for held-out pairs.
    """

    def moved(tensor: Tensor) -> Tensor:
        """The copy does not block where memory is pinned."""
        return tensor.to(device, non_blocking=True)

    photometric = Photometric(config.data.colour, config.seed)
    images = photometric(moved(batch.images), batch.numbers, batch.step, augment=train)
    labelled = method.reads_labels(config.options)
    return Views(
        images,
        moved(batch.covis) if labelled else batch.covis,
        batch.numbers,
        batch.step if train else VALIDATION_STEP,
        config.seed,
        moved(batch.cam_to_world) if method.posed else None,
    )
