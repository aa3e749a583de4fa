"""Random numbers of a sample: functions of (seed, step, sample), not of rank, device or order."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from train.data.draws import MASKS, hashed, uniforms


def mask_noise(seed: int, step: int, numbers: Tensor, patches: int) -> Tensor:
    """Uniform noise [B, N] float32; the patches with the least of it are kept.

    Args:
        seed: the run's.
        step: the step; validation has one of its own, so that its masks never change.
        numbers: (B,) the samples' numbers.
        patches: N.
    """
    words = hashed(seed, MASKS, step, numbers.cpu().numpy())
    return torch.from_numpy(uniforms(words, patches).astype(np.float32))
