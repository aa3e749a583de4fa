"""The decoder's parts, the same in all networks but for the block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from train.models.blocks import Block, CrossBlock, layer_norm
from train.models.encoder import Encoding
from train.models.positions import Rotation, cosine_embedding
from train.models.sizes import DecoderConfig, EncoderConfig


class Decoding(Encoding):
    """An encoder and a decoder: the decoder's names are CroCo's too."""

    dec_pos_embed: Tensor

    def __init__(
        self, encoder: EncoderConfig, decoder: DecoderConfig, block: type[Block | CrossBlock]
    ) -> None:
        super().__init__(encoder)
        self.decoder_config = decoder
        self.decoder_embed = nn.Linear(encoder.width, decoder.width)
        if encoder.positions == "cosine":
            self.register_buffer("dec_pos_embed", cosine_embedding(*encoder.grid, decoder.width))
        self.dec_blocks = nn.ModuleList(
            block(decoder.width, decoder.heads, decoder.mlp_ratio) for _ in range(decoder.depth)
        )
        self.dec_norm = layer_norm(decoder.width)

    def embedded(self, tokens: Tensor) -> Tensor:
        """The encoder's tokens in the decoder's width."""
        return self.decoder_embed(tokens).to(self.decoder_embed.weight.dtype)  # type: ignore[no-any-return]

    def placed(self, tokens: Tensor) -> Tensor:
        """Tokens [B, (1 +) N, D] with the decoder's cosine positions; a class token has none."""
        if self.encoder_config.positions != "cosine":
            return tokens
        if not self.encoder_config.class_token:
            return tokens + self.dec_pos_embed
        return torch.cat([tokens[:, :1], tokens[:, 1:] + self.dec_pos_embed], dim=1)

    def decoder_rotation(self, images: Tensor) -> Rotation | None:
        """RoPE of all patches in the decoder's head width."""
        return self.rotation_of(images, self.decoder_config.width // self.decoder_config.heads)

    def patch_tokens(self, tokens: Tensor) -> Tensor:
        """Tokens without the class token."""
        return tokens[:, 1:] if self.encoder_config.class_token else tokens


class MaskedDecoding(Decoding):
    """A decoder that predicts the pixels of hidden patches."""

    def __init__(
        self, encoder: EncoderConfig, decoder: DecoderConfig, block: type[Block | CrossBlock]
    ) -> None:
        super().__init__(encoder, decoder, block)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder.width))
        self.prediction_head = nn.Linear(decoder.width, encoder.patch_values)

    def completed(self, tokens: Tensor, kept: Tensor, patches: int) -> Tensor:
        """Tokens of the kept patches at their places, the mask token at all others.

        Tokens [B, (1 +) K, D] and their patches' numbers [B, K] -> [B, (1 +) ``patches``, D].
        """
        seen = self.patch_tokens(tokens)
        batch, _, width = seen.shape
        everywhere = self.mask_token.expand(batch, patches, width)
        whole = everywhere.scatter(1, kept[..., None].expand(-1, -1, width), seen)
        if self.encoder_config.class_token:
            return torch.cat([tokens[:, :1], whole], dim=1)
        return whole

    def predicted(self, tokens: Tensor) -> Tensor:
        """The last blocks' tokens [B, (1 +) N, D] -> pixels [B, N, P*P*3]."""
        out: Tensor = self.prediction_head(self.dec_norm(self.patch_tokens(tokens)))
        return out
