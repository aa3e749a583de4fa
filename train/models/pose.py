"""Alligat0R with a pose head (Loiseau et al., 2025, section 3.3): where view 1 stands to view 2.

Shapes: B batch, N patches, D width of the decoder, H, W pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from train.models.init import TOKEN_STD, initialise
from train.models.nets import CovisibilitySegmenter
from train.models.sizes import CovisibilitySegmenterConfig


class PoseAndLabels(NamedTuple):
    """What the network says of a batch.

    Attributes:
        translations: [B, 3] metres, float32.
        rotations: [B, 4] quaternions (w, x, y, z) of any length, float32.
        pose_scales: (2,) logarithms of the scales of translation and rotation.
        joint_scales: (2,) those of the pose's loss and of the segmentation's.
        logits: [B, 2, classes, H, W]; None where they were not asked for.
    """

    translations: Tensor
    rotations: Tensor
    pose_scales: Tensor
    joint_scales: Tensor
    logits: Tensor | None


class PoseHead(nn.Module):
    """Tokens of both views to a translation and a quaternion (Eq. 5 to 7).

    The paper leaves the layers open. Here the shared part and both heads have two linear layers
    with GELU between, and the first predictions are about no movement. All is computed in float32:
    the eight bits of bfloat16 would be centimetres and tenths of a degree.

    Args:
        width: D.
        hidden: width of the layers within.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(
            nn.Linear(2 * width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )
        last = nn.Linear(hidden, 3), nn.Linear(hidden, 4)
        self.translation, self.rotation = (
            nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), layer) for layer in last
        )
        initialise(self)
        for layer in last:
            nn.init.normal_(layer.weight, std=TOKEN_STD)
        with torch.no_grad():
            last[1].bias[0] = 1.0  # w

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, 2, N, D] -> translations [B, 3] and quaternions [B, 4] of any length."""
        with torch.autocast(tokens.device.type, enabled=False):
            pooled = tokens.float().mean(dim=2).flatten(1)
            shared = self.shared(pooled)
            return self.translation(shared), self.rotation(shared)


class PoseRegressor(CovisibilitySegmenter):
    """The segmenter, whose names it keeps, with a pose head and the scales of its losses.

    The scales are the network's and not the method's, so that they are sharded with it.

    Args:
        config: the segmenter's.
        hidden: width of the pose head's layers; None: the decoder's.
    """

    def __init__(self, config: CovisibilitySegmenterConfig, hidden: int | None = None) -> None:
        super().__init__(config)
        self.pose_head = PoseHead(config.decoder.width, hidden or config.decoder.width)
        self.pose_scales = nn.Parameter(torch.zeros(2))
        self.joint_scales = nn.Parameter(torch.zeros(2))

    def forward(  # type: ignore[override]
        self, images: Tensor, segment: bool = False
    ) -> PoseAndLabels:
        """The pose of view 1 in view 2's camera, and what of each view the other sees.

        Args:
            images: [B, 2, 3, H, W].
            segment: whether pixels are classified too.
        """
        tokens = self.decode(images)
        translations, rotations = self.pose_head(tokens)
        # Copies: where parameters are sharded, they are gone when this returns.
        scales = self.pose_scales.clone(), self.joint_scales.clone()
        logits = self.segmented(tokens, images) if segment else None
        return PoseAndLabels(translations, rotations, *scales, logits)
