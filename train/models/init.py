"""First weights, as in MAE and CroCo."""

from __future__ import annotations

from torch import nn

TOKEN_STD = 0.02
"""Of class tokens, mask tokens and view embeddings."""


def initialise(network: nn.Module) -> None:
    """Set every weight from torch's global generator.

    Linear layers Xavier-uniform with bias 0, the patch embedding's weight as that of the linear
    layer that it is, LayerNorm 1 and 0, single tokens normal with deviation 0.02. Buffers stay.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            weight = module.weight.view(module.weight.shape[0], -1)
            nn.init.xavier_uniform_(weight)
            if module.bias is not None:
                # MAE leaves this one bias as torch draws it for a convolution.
                nn.init.uniform_(module.bias, -(weight.shape[1] ** -0.5), weight.shape[1] ** -0.5)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    for name, parameter in network.named_parameters():
        if name.split(".")[-1] in ("cls_token", "mask_token", "view_embed"):
            nn.init.normal_(parameter, std=TOKEN_STD)
