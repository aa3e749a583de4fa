"""CroCo: complete view 1 from a tenth of itself and the whole of view 2.

Weinzaepfel et al., NeurIPS 2022 (v1: either decoder), ICCV 2023 (v2: RoPE, larger decoders).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from train.methods.base import Method, Outcome, Views
from train.methods.completion import colours, kept_of, losses_of, mask_of, panels_of
from train.methods.options import MaskOptions
from train.models import CrossViewCompletion, CrossViewCompletionConfig


class CroCoOptions(MaskOptions):
    """CroCo's options."""

    block: Literal["cross", "cat"] = Field(
        "cross", description="decoder: cross-attention to view 2, or both views' tokens together"
    )


class CroCo(Method):
    """Cross-view completion."""

    name = "croco"
    Options: ClassVar[type[CroCoOptions]] = CroCoOptions
    net: CrossViewCompletion

    def __init__(self, options: CroCoOptions) -> None:
        super().__init__()
        self.options = options
        self.net = CrossViewCompletion(
            CrossViewCompletionConfig(
                encoder=options.encoder_config(),
                decoder=options.decoder_config(),
                block=options.block,
            )
        )

    def forward(self, views: Views) -> Outcome:
        """Mean squared error over the hidden patches of view 1 (CroCo Eq. 1)."""
        norm, patch = self.options.normalised_target, self.net.config.encoder.patch
        mask = mask_of(views, patch, self.options)
        predictions = self.net(views.images, mask.kept)
        return Outcome(losses_of(predictions, views.images[:, 0], mask, patch, norm))

    def pictures(self, views: Views) -> Tensor:
        """View 1, what is seen of it, its completion, and view 2."""
        norm, patch = self.options.normalised_target, self.net.config.encoder.patch
        mask = mask_of(views, patch, self.options)
        predictions = self.net(views.images, mask.kept)
        panels = panels_of(predictions, views.images[:, 0], mask, patch, norm)
        return torch.stack([*panels, colours(views.images[:, 1])], dim=1)

    def kept(self) -> int:
        """Patches that are seen of a masked view."""
        return kept_of(self.net.config.num_patches, self.options)

    def net_dict(self) -> dict[str, Any]:
        """The network's config."""
        return self.net.to_dict()
