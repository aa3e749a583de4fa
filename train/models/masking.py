"""Which patches are hidden: at random, as many in every sample."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from train.errors import TrainError

Rounding = Literal["croco", "mae"]


class Mask(NamedTuple):
    """Numbers of the patches that are seen [B, K] and hidden [B, N - K]: int64, ascending."""

    kept: Tensor
    masked: Tensor


def num_kept(patches: int, ratio: float, rounding: Rounding = "croco") -> int:
    """How many patches are seen at a masking ratio.

    CroCo rounds the number hidden down (20 of 196 seen at 0.9), MAE and MIMIC's code the number
    seen (19 of 196 at 0.9, 49 at 0.75).

    Raises:
        TrainError: the ratio leaves nothing to see or nothing to predict.
    """
    kept = patches - int(ratio * patches) if rounding == "croco" else int(patches * (1 - ratio))
    if not 0 < kept < patches:
        raise TrainError(
            f"a masking ratio of {ratio} leaves {kept} of {patches} patches to see; "
            "choose one that both hides and leaves some"
        )
    return kept


def mask_from_noise(noise: Tensor, kept: int) -> Mask:
    """The ``kept`` patches with the least noise are seen; of equals the first.

    ``noise`` [B, N] decides alone, so a mask drawn from a sample's own seed is the same on any rank
    and device.
    """
    order = noise.argsort(dim=1, stable=True)
    return Mask(order[:, :kept].sort(dim=1).values, order[:, kept:].sort(dim=1).values)


def random_mask(batch: int, patches: int, kept: int, generator: torch.Generator) -> Mask:
    """Masks of a batch from a generator, on the generator's device."""
    noise = torch.rand(batch, patches, generator=generator, device=generator.device)
    return mask_from_noise(noise, kept)
