"""Small things on their way to the device, without making the host wait for what runs there.

A copy to a GPU from memory that is not pinned waits until all that was asked of the GPU is done.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host's on the device; a copy to a GPU is only asked for, not waited for.

    The pinned copy may be let go at once: torch uses its memory again when it has been read.
    """
    pinned = tensor.pin_memory() if device.type == "cuda" else tensor
    return pinned.to(device, non_blocking=True)


@cache
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers (N,) float32 on a device, made once for it; not to be changed."""
    return torch.tensor(values, device=device)
