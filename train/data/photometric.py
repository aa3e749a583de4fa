"""Colour jitter and normalisation of whole batches, on whatever device they are.

Factors are functions of (seed, step, sample number, view): the same on every rank and device.

Shape legend: B batch, V views, H and W pixels.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.data.config import ColourConfig
from train.data.device import constant, to_device
from train.data.draws import COLOUR, hashed, uniforms

_GREY = (0.299, 0.587, 0.114)
"""ITU-R BT.601 luma."""
_ORDERS = np.array(list(permutations(range(3))))
"""Orders in which brightness (0), contrast (1) and saturation (2) are changed."""


class Photometric:
    """Jitters (the order of the three changes is drawn too) and normalises."""

    def __init__(self, config: ColourConfig, seed: int) -> None:
        self.config, self.seed = config, seed

    def __call__(self, images: Tensor, numbers: Tensor, step: int, augment: bool = True) -> Tensor:
        """What a network sees.

        Args:
            images: [B, V, 3, H, W] uint8 RGB.
            numbers: (B,) the samples' numbers.
            step: the step they are drawn for.
            augment: false: only normalised.

        Returns:
            [B, V, 3, H, W] float32 on the images' device, contiguous, with the data set's mean
            taken away and divided by its deviation.
        """
        pixels = images.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        if augment and self.config.jitter:
            kinds, factors = self.draws(numbers.cpu().numpy(), images.shape[1], step)
            pixels = jittered(
                pixels,
                to_device(torch.from_numpy(kinds), images.device),
                to_device(torch.from_numpy(factors), images.device),
            )
        mean, std = (
            constant(values, pixels.device).view(3, 1, 1)
            for values in (self.config.mean, self.config.std)
        )
        return pixels.sub_(mean).div_(std)

    def draws(
        self, numbers: NDArray[np.int64], views: int, step: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """For each view the three changes in their order, and their factors: (B, V, 3) each."""
        config = self.config
        of_view = np.arange(views, dtype=np.int64)[None]
        word = hashed(self.seed, COLOUR, step)
        common = uniforms(hashed(int(word[0]), numbers), 1)[:, :1] >= config.asymmetric
        view = np.where(common, 0, of_view).ravel()
        drawn = uniforms(hashed(int(word[0]), np.repeat(numbers, views), view + 1), 4)
        low, high = np.array([config.brightness, config.contrast, config.saturation]).T
        factor = low + (high - low) * drawn[:, :3]
        kinds = _ORDERS[(drawn[:, 3] * len(_ORDERS)).astype(np.int64)]
        factors = np.take_along_axis(factor, kinds, axis=1).astype(np.float32)
        shape = (len(numbers), views, 3)
        return kinds.reshape(shape), factors.reshape(shape)


def jittered(pixels: Tensor, kinds: Tensor, factors: Tensor) -> Tensor:
    """Change each view three times.

    A change blends with what has none of the quality: black (brightness, kind 0), the view's mean
    grey (contrast, 1), its own grey (saturation, 2); factor 1 changes nothing; then it is clamped.

    Args:
        pixels: [B, V, 3, H, W] in [0, 1].
        kinds: (B, V, 3) int64, in order.
        factors: (B, V, 3), of these.
    """
    weights = constant(_GREY, pixels.device).view(3, 1, 1)
    for place in range(3):
        kind = kinds[:, :, place, None, None, None]
        factor = factors[:, :, place, None, None, None]
        grey = (pixels * weights).sum(dim=2, keepdim=True)
        mean = grey.mean(dim=(3, 4), keepdim=True)
        without = torch.where(kind == 1, mean, grey) * (kind != 0)
        pixels = torch.lerp(without.expand_as(pixels), pixels, factor).clamp_(0, 1)
    return pixels
