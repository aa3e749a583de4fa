"""The ViT that sees each view alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from train.errors import TrainError
from train.models.blocks import Block, layer_norm
from train.models.init import initialise
from train.models.patches import at
from train.models.positions import Rotation, cosine_embedding, patch_positions, rotation
from train.models.sizes import CHANNELS, EncoderConfig, grid_of


class PatchEmbed(nn.Module):
    """A linear map of each patch; its weight has a convolution's shape, as in every checkpoint."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(CHANNELS, width, patch, stride=patch)

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] -> [B, N, D], or [B, K, D] of the patches kept: the hidden cost nothing."""
        batch, channels, height, width = images.shape
        rows, cols = grid_of((height, width), self.patch)
        blocks = images.reshape(batch, channels, rows, self.patch, cols, self.patch)
        patches = blocks.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        if kept is not None:
            patches = at(patches, kept)
        return linear(patches, self.proj.weight.flatten(1), self.proj.bias)


class Encoding(nn.Module):
    """The part that all networks share; its state-dict names are CroCo's.

    The residual stream has the parameters' type, also under autocast.
    """

    enc_pos_embed: Tensor
    cls_token: nn.Parameter

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder_config = config
        self.patch_embed = PatchEmbed(config.width, config.patch)
        if config.class_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        if config.positions == "cosine":
            self.register_buffer("enc_pos_embed", cosine_embedding(*config.grid, config.width))
        self.enc_blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.enc_norm = layer_norm(config.width)

    @property
    def num_patches(self) -> int:
        """Patches of a view of the configured size."""
        return self.encoder_config.num_patches

    def encode(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """Tokens of images, or of the patches of them that are kept.

        Args:
            images: [B, 3, H, W], normalised as the method does.
            kept: int64 [B, K], numbers of the patches to see; None: all N of them.

        Returns:
            [B, K or N, D] in the order of ``kept``, after the last norm; with a class token one
            more, the first.
        """
        tokens = self.patch_embed(images, kept).to(self.patch_embed.proj.weight.dtype)
        head_width = self.encoder_config.width // self.encoder_config.heads
        turned = self.rotation_of(images, head_width, kept)
        if self.encoder_config.positions == "cosine":
            self._check_size(images)
            tokens = tokens + (self.enc_pos_embed if kept is None else self.enc_pos_embed[kept])
        if self.encoder_config.class_token:
            tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        for block in self.enc_blocks:
            tokens = block(tokens, turned)
        out: Tensor = self.enc_norm(tokens)
        return out

    def rotation_of(
        self, images: Tensor, head_width: int, kept: Tensor | None = None
    ) -> Rotation | None:
        """RoPE of the patches of images [..., H, W] or of those kept; None with cosine ones."""
        rows, cols = grid_of((images.shape[-2], images.shape[-1]), self.encoder_config.patch)
        if self.encoder_config.positions == "cosine":
            return None
        positions = patch_positions(rows, cols, images.device)
        chosen = positions[None] if kept is None else positions[kept]
        return rotation(chosen, head_width, self.encoder_config.rope_base)

    def _check_size(self, images: Tensor) -> None:
        size, expected = tuple(images.shape[-2:]), self.encoder_config.image_size
        if size != expected:
            raise TrainError(
                f"images are {size[0]} x {size[1]}, the network's positions are for "
                f"{expected[0]} x {expected[1]}: set the transform's or encoder.image_size"
            )


class Encoder(Encoding):
    """The encoder by itself: what evaluation and fine-tuning start from."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        initialise(self)

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """As ``encode``."""
        return self.encode(images, kept)
