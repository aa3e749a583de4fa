"""MAE: complete a view from a quarter of itself (He et al., CVPR 2022). Pairs are two samples."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from train.methods.base import Method, Outcome, Views
from train.methods.completion import kept_of, losses_of, mask_of, panels_of
from train.methods.options import MASK_RATIO, MASK_ROUNDING, MaskOptions, MaskRounding
from train.models import MaskedAutoencoder, MaskedAutoencoderConfig


class MAEOptions(MaskOptions):
    """MAE's options."""

    mask_ratio: float = Field(0.75, gt=0, lt=1, description=MASK_RATIO)
    mask_rounding: MaskRounding = Field("mae", description=MASK_ROUNDING)


class MAE(Method):
    """Masked autoencoding."""

    name = "mae"
    Options: ClassVar[type[MAEOptions]] = MAEOptions
    singles = True
    net: MaskedAutoencoder

    def __init__(self, options: MAEOptions) -> None:
        super().__init__()
        self.options = options
        self.net = MaskedAutoencoder(
            MaskedAutoencoderConfig(
                encoder=options.encoder_config(), decoder=options.decoder_config()
            )
        )

    def forward(self, views: Views) -> Outcome:
        """Mean squared error over the hidden patches."""
        first = views.images[:, 0]
        norm, patch = self.options.normalised_target, self.net.config.encoder.patch
        mask = mask_of(views, patch, self.options)
        predictions = self.net(first, mask.kept)
        return Outcome(losses_of(predictions, first, mask, patch, norm))

    def pictures(self, views: Views) -> Tensor:
        """The view, what is seen of it, and its completion."""
        first = views.images[:, 0]
        norm, patch = self.options.normalised_target, self.net.config.encoder.patch
        mask = mask_of(views, patch, self.options)
        predictions = self.net(first, mask.kept)
        return torch.stack(panels_of(predictions, first, mask, patch, norm), dim=1)

    def kept(self) -> int:
        """Patches that are seen of a masked view."""
        return kept_of(self.net.config.num_patches, self.options)

    def net_dict(self) -> dict[str, Any]:
        """The network's config."""
        return self.net.to_dict()
