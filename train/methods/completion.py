"""What MAE and CroCo share: hidden patches, their prediction, and how it is shown."""

from __future__ import annotations

import torch
from torch import Tensor

from train.data.device import to_device
from train.methods.base import Views
from train.methods.draws import mask_noise
from train.methods.options import MaskOptions
from train.models.masking import Mask, mask_from_noise, num_kept
from train.models.patches import masked_error, normalised, patchify, unpatchify

_MEAN = torch.tensor([0.485, 0.456, 0.406])
_STD = torch.tensor([0.229, 0.224, 0.225])


def kept_of(patches: int, options: MaskOptions) -> int:
    """How many patches of so many are seen."""
    return num_kept(patches, options.mask_ratio, options.mask_rounding)


def mask_of(views: Views, patch: int, options: MaskOptions) -> Mask:
    """Which patches of view 1 are seen: a function of the seed, the step and the sample."""
    rows, cols = views.images.shape[-2] // patch, views.images.shape[-1] // patch
    patches = rows * cols
    kept = kept_of(patches, options)
    noise = mask_noise(views.seed, views.step, views.numbers, patches)
    return mask_from_noise(to_device(noise, views.images.device), kept)


def losses_of(predictions: Tensor, first: Tensor, mask: Mask, patch: int, norm: bool) -> Tensor:
    """Mean squared error over the hidden patches of each sample (B,)."""
    target = patchify(first.float(), patch)
    return masked_error(predictions, normalised(target) if norm else target, mask.masked)


def panels_of(
    predictions: Tensor, first: Tensor, mask: Mask, patch: int, norm: bool
) -> list[Tensor]:
    """View 1, what of it is seen, and the whole with the hidden patches as predicted.

    Each [B, 3, H, W] in colours of [0, 1]. A normalised prediction is given its patch's own mean
    and deviation back, which the network cannot know: it is a picture, not a result.
    """
    target = patchify(first.float(), patch)
    rows, cols = first.shape[-2] // patch, first.shape[-1] // patch
    predicted = predictions.float()
    if norm:
        deviation = (target.var(dim=-1, keepdim=True) + 1e-6).sqrt()
        predicted = predicted * deviation + target.mean(dim=-1, keepdim=True)
    hidden = torch.zeros(target.shape[:2], dtype=torch.bool, device=first.device)
    hidden = hidden.scatter(1, mask.masked, True)[..., None]
    seen = torch.where(hidden, torch.zeros_like(target), target)
    whole = torch.where(hidden, predicted, target)
    return [
        colours(first),
        colours(unpatchify(seen, patch, rows, cols)),
        colours(unpatchify(whole, patch, rows, cols)),
    ]


def colours(images: Tensor) -> Tensor:
    """Normalised images [..., 3, H, W] as colours."""
    shape = (3, 1, 1)
    return images.float() * _STD.to(images.device).view(shape) + _MEAN.to(images.device).view(shape)
