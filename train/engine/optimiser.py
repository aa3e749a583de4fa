"""AdamW with the papers' parameter groups."""

from __future__ import annotations

import torch
from torch import nn

from train.config import OptimiserConfig


def adamw(module: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW; biases and other 1-D parameters do not decay (timm's rule, MAE's)."""
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    plain = [p for name, p in named if p.ndim <= 1 or name.endswith(".bias")]
    decayed = [p for name, p in named if not (p.ndim <= 1 or name.endswith(".bias"))]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    fused = bool(named) and named[0][1].is_cuda
    return torch.optim.AdamW(groups, lr=0.0, betas=config.betas, fused=fused)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the coming step."""
    for group in optimiser.param_groups:
        group["lr"] = rate
