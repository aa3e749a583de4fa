"""A moving average of the weights."""

from __future__ import annotations

import copy

import torch

from train.methods.base import Method


class Ema:
    """``average <- decay * average + (1 - decay) * weights`` after each step."""

    def __init__(self, method: Method, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(method).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, method: Method) -> None:
        """Take in the weights of a step."""
        for average, weight in zip(self.module.parameters(), method.parameters(), strict=True):
            average.lerp_(weight.to(average), 1 - self.decay)
        for held, value in zip(self.module.buffers(), method.buffers(), strict=True):
            held.copy_(value)
