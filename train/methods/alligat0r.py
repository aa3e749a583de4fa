"""Alligat0R: tell of every pixel whether the other view sees it (Loiseau et al., 2025, section 3).

Both views whole, symmetric, three classes a pixel: co-visible, occluded, outside the field of view.
Pixels of unknown label (no depth) are ignored: the paper does not say what it does with them. The
mean of Eq. 4, an image's, is here over the known pixels of both views of a pair.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from train.methods.base import Method, Outcome, Views
from train.methods.completion import colours
from train.methods.options import DECODER, ENCODER, NetOptions
from train.models import CovisibilitySegmenter, CovisibilitySegmenterConfig

UNKNOWN = 255
CLASSES = 3
_SHARES = ("share_covisible", "share_occluded", "share_outside")
"""Of the known pixels, by class."""
_PALETTE = torch.tensor([[0.2, 0.7, 0.3], [0.85, 0.25, 0.2], [0.25, 0.4, 0.85], [0.0, 0.0, 0.0]])
"""Co-visible green, occluded red, outside blue; unknown black."""


class Alligat0rOptions(NetOptions):
    """Alligat0R's options."""

    encoder: dict[str, Any] = Field(
        default_factory=lambda: {"size": "large", "positions": "rope"}, description=ENCODER
    )
    decoder: dict[str, Any] = Field(default_factory=lambda: {"size": "base"}, description=DECODER)


class Alligat0r(Method):
    """Co-visibility segmentation."""

    name = "alligat0r"
    labelled = True
    Options: ClassVar[type[Alligat0rOptions]] = Alligat0rOptions
    net: CovisibilitySegmenter

    def __init__(self, options: Alligat0rOptions) -> None:
        super().__init__()
        self.options = options
        self.net = CovisibilitySegmenter(
            CovisibilitySegmenterConfig(
                encoder=options.encoder_config(),
                decoder=options.decoder_config(),
                classes=CLASSES,
            )
        )

    def forward(self, views: Views) -> Outcome:
        """Cross-entropy over the known pixels of both views, and how many are right.

        Samples of which no pixel is known have a loss of 0 and no other measure.
        """
        logits = self.net(views.images).float()
        labels = views.covis.long()
        right = {"accuracy": logits.argmax(2) == labels}
        present = {name: labels == number for number, name in enumerate(_SHARES)}
        known = (labels != UNKNOWN).sum((1, 2, 3))  # of none the shares are 0 / 0, NaN
        measures = {
            name: (found & (labels != UNKNOWN)).sum((1, 2, 3)) / known
            for name, found in (right | present).items()
        }
        return Outcome(pixel_losses(logits, labels), measures)

    def told(self, means: dict[str, float]) -> dict[str, float]:
        """``majority`` for the shares of the classes: that of the commonest.

        It is what a network reaches that has learnt nothing else.
        """
        shares = [means[name] for name in _SHARES]
        rest = {name: value for name, value in means.items() if name not in _SHARES}
        return {**rest, "majority": max(shares)}

    def pictures(self, views: Views) -> Tensor:
        """View 1, its labels, its prediction; then the same of view 2."""
        predicted = self.net(views.images).argmax(2)
        panels = []
        for view in range(2):
            labels = views.covis[:, view].long().clamp(max=CLASSES)
            panels += [
                colours(views.images[:, view]),
                painted(labels),
                painted(predicted[:, view]),
            ]
        return torch.stack(panels, dim=1)

    def net_dict(self) -> dict[str, Any]:
        """The network's config."""
        return self.net.to_dict()


def pixel_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the known pixels of both views of each sample, (B,); 0 without any.

    Args:
        logits: [B, 2, classes, H, W].
        labels: [B, 2, H, W] int64, ``UNKNOWN`` where there is none.
    """
    of_pixels = functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(0, 1), ignore_index=UNKNOWN, reduction="none"
    ).view(labels.shape)
    counts = (labels != UNKNOWN).sum((1, 2, 3)).clamp(min=1)
    return of_pixels.sum((1, 2, 3)) / counts


def painted(labels: Tensor) -> Tensor:
    """Labels [B, H, W] in 0..3 as colours [B, 3, H, W]."""
    return _PALETTE.to(labels.device)[labels].permute(0, 3, 1, 2)
