"""Images as patches and back, and the reconstruction's target and error.

Shapes: B batch, C channels, H, W pixels, P patch size, N patches. A patch's values are ordered row,
column, channel (MAE's n, h, w, p, q, c), unlike a convolution's weights.
"""

from __future__ import annotations

from torch import Tensor

_VARIANCE_FLOOR = 1e-6


def patchify(images: Tensor, patch: int) -> Tensor:
    """[..., C, H, W] -> [..., N, P*P*C]; H and W are multiples of P."""
    *lead, channels, height, width = images.shape
    blocks = images.reshape(*lead, channels, height // patch, patch, width // patch, patch)
    ordered = blocks.movedim(-5, -1).transpose(-4, -3)  # ... C h p w q -> ... h w p q C
    return ordered.flatten(-3).flatten(-3, -2)


def unpatchify(patches: Tensor, patch: int, rows: int, cols: int) -> Tensor:
    """[..., N, P*P*C] -> [..., C, H, W]: the inverse of ``patchify``, for a grid of rows x cols."""
    *lead, _, values = patches.shape
    blocks = patches.reshape(*lead, rows, cols, patch, patch, values // patch**2)
    ordered = blocks.movedim(-1, -5).transpose(-3, -2)  # ... h w p q C -> ... C h p w q
    return ordered.flatten(-2).flatten(-3, -2)


def normalised(patches: Tensor) -> Tensor:
    """Each patch less its mean, over its standard deviation: MAE's target (norm_pix).

    [..., P*P*C] -> the same. The variance is the unbiased one, plus 1e-6; computed in float32.
    """
    patches = patches.float()
    mean = patches.mean(dim=-1, keepdim=True)
    variance = patches.var(dim=-1, keepdim=True)
    return (patches - mean) / (variance + _VARIANCE_FLOOR).sqrt()


def at(tokens: Tensor, index: Tensor) -> Tensor:
    """Rows of tokens [B, N, D] at int64 [B, K] -> [B, K, D]."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def masked_error(predictions: Tensor, target: Tensor, masked: Tensor) -> Tensor:
    """Mean squared error over the masked patches of each sample, float32 [B].

    Predictions and target [B, N, P*P*C], the masked patches' numbers int64 [B, M], as many in every
    sample: the mean over the batch is MAE's and CroCo's loss.
    """
    difference = at(predictions, masked).float() - at(target, masked).float()
    return difference.square().mean(dim=(1, 2))
