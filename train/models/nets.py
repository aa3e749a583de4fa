"""The networks that the methods train.

Shapes: B batch, N patches of a view, K patches kept, P patch size, H, W pixels. Images are float
tensors, normalised by the method. A network is built from its config with its first weights drawn
from torch's global generator, and its state-dict names are those of CroCo's released checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from train.models.blocks import Block, CrossBlock
from train.models.decoder import Decoding, MaskedDecoding
from train.models.init import initialise
from train.models.patches import unpatchify
from train.models.sizes import (
    CovisibilitySegmenterConfig,
    CrossViewCompletionConfig,
    MaskedAutoencoderConfig,
    NetConfig,
    config_from_dict,
    grid_of,
)


class MaskedAutoencoder(MaskedDecoding):
    """MAE (He et al., 2022), with or without a class token."""

    def __init__(self, config: MaskedAutoencoderConfig) -> None:
        super().__init__(config.encoder, config.decoder, Block)
        self.config = config
        initialise(self)

    def forward(self, images: Tensor, kept: Tensor) -> Tensor:
        """Predict a view from some of its patches.

        Args:
            images: [B, 3, H, W].
            kept: int64 [B, K], numbers of the patches that are seen.

        Returns:
            [B, N, P*P*3]: every patch's values as ``patchify`` orders them.
        """
        turned = self.decoder_rotation(images)
        tokens = self.embedded(self.encode(images, kept))
        tokens = self.placed(self.completed(tokens, kept, _patches(self, images)))
        for block in self.dec_blocks:
            tokens = block(tokens, turned)
        return self.predicted(tokens)

    def to_dict(self) -> dict[str, Any]:
        """The config's."""
        return self.config.to_dict()

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Self:
        """A new network of a config's dict."""
        return cls(MaskedAutoencoderConfig.from_dict(entries))


class CrossViewCompletion(MaskedDecoding):
    """CroCo v1 (Weinzaepfel et al., 2022) with either decoder, the v2 shapes, and MIMIC's."""

    def __init__(self, config: CrossViewCompletionConfig) -> None:
        block = CrossBlock if config.block == "cross" else Block
        super().__init__(config.encoder, config.decoder, block)
        self.config = config
        if config.block == "cat":
            self.view_embed = nn.Parameter(torch.zeros(2, config.decoder.width))
        initialise(self)

    def forward(self, images: Tensor, kept: Tensor) -> Tensor:
        """Predict view 1 from some of its patches and the whole of view 2.

        Args:
            images: [B, 2, 3, H, W].
            kept: int64 [B, K], numbers of the patches of view 1 that are seen.

        Returns:
            [B, N, P*P*3]: every patch of view 1, values as ``patchify`` orders them.
        """
        first, second = images.unbind(1)
        tokens = self.embedded(self.encode(first, kept))
        tokens = self.placed(self.completed(tokens, kept, _patches(self, first)))
        memory = self.placed(self.embedded(self.encode(second)))
        decode = self._decode_cross if self.config.block == "cross" else self._decode_cat
        return self.predicted(decode(tokens, memory, images))

    def _decode_cross(self, tokens: Tensor, memory: Tensor, images: Tensor) -> Tensor:
        turned = self.decoder_rotation(images)
        for block in self.dec_blocks:
            tokens = block(tokens, memory, turned, turned)
        return tokens

    def _decode_cat(self, tokens: Tensor, memory: Tensor, images: Tensor) -> Tensor:
        """Both views' tokens, each view with its own embedding, through ordinary blocks."""
        turned = self.decoder_rotation(images)
        if turned is not None:
            turned = type(turned)(*(torch.cat([part, part], dim=2) for part in turned))
        both = torch.cat([tokens + self.view_embed[0], memory + self.view_embed[1]], dim=1)
        for block in self.dec_blocks:
            both = block(both, turned)
        return both[:, : tokens.shape[1]]

    def to_dict(self) -> dict[str, Any]:
        """The config's."""
        return self.config.to_dict()

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Self:
        """A new network of a config's dict."""
        return cls(CrossViewCompletionConfig.from_dict(entries))


class CovisibilitySegmenter(Decoding):
    """Alligat0R (Loiseau et al., 2025): what of each view the other sees."""

    def __init__(self, config: CovisibilitySegmenterConfig) -> None:
        super().__init__(config.encoder, config.decoder, CrossBlock)
        self.config = config
        # Not CroCo's prediction_head: with three classes that has the same shape and means pixels.
        outputs = config.encoder.patch**2 * config.classes
        self.segmentation_head = nn.Linear(config.decoder.width, outputs)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Classify the pixels of both views.

        Args:
            images: [B, 2, 3, H, W].

        Returns:
            Logits [B, 2, classes, H, W]: of view 1 as view 2 sees it, and of 2 as 1 does.
        """
        return self.segmented(self.decode(images), images)

    def segmented(self, tokens: Tensor, images: Tensor) -> Tensor:
        """Decoded tokens [B, 2, N, D] of images -> logits [B, 2, classes, H, W]."""
        rows, cols = grid_of((images.shape[-2], images.shape[-1]), self.config.encoder.patch)
        logits = self.segmentation_head(tokens)
        return unpatchify(logits, self.config.encoder.patch, rows, cols)

    def decode(self, images: Tensor) -> Tensor:
        """Images [B, 2, 3, H, W] -> both views' decoded tokens [B, 2, N, D], after the last norm.

        Encoder and decoder are shared: O1 = D(F1, F2), O2 = D(F2, F1).
        """
        tokens = self.placed(self.embedded(self.encode(images.flatten(0, 1))))
        views = (len(images), 2, *tokens.shape[1:])
        memory = tokens.reshape(views).flip(1).flatten(0, 1)
        turned = self.decoder_rotation(images)
        for block in self.dec_blocks:
            tokens = block(tokens, memory, turned, turned)
        out: Tensor = self.dec_norm(tokens).reshape(views)
        return out

    def to_dict(self) -> dict[str, Any]:
        """The config's."""
        return self.config.to_dict()

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Self:
        """A new network of a config's dict."""
        return cls(CovisibilitySegmenterConfig.from_dict(entries))


Net = MaskedAutoencoder | CrossViewCompletion | CovisibilitySegmenter


def build(config: NetConfig) -> Net:
    """The network of a config, with its first weights."""
    match config:
        case MaskedAutoencoderConfig():
            return MaskedAutoencoder(config)
        case CrossViewCompletionConfig():
            return CrossViewCompletion(config)
        case CovisibilitySegmenterConfig():
            return CovisibilitySegmenter(config)


def net_from_dict(entries: Mapping[str, Any]) -> Net:
    """The network of a config's dict (a checkpoint's ``net``), whichever kind it names."""
    return build(config_from_dict(entries))


def _patches(network: MaskedDecoding, images: Tensor) -> int:
    rows, cols = grid_of((images.shape[-2], images.shape[-1]), network.encoder_config.patch)
    return rows * cols
