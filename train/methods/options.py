"""Options that several methods share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mimic.layered import Strict
from train.models.sizes import DecoderConfig, EncoderConfig, decoder_config, encoder_config

MaskRounding = Literal["croco", "mae"]
MASK_RATIO = "share of view 1's patches that is hidden"
MASK_ROUNDING = "of 196 patches at 0.9: 20 kept as CroCo does, or 19 as MAE does"
ENCODER = "size: tiny, small, base, large or huge; and any of its values"
DECODER = "size: tiny, small or base; and any of its values"


class NetOptions(Strict):
    """The network's parts: a named ``size`` and what differs from it (train.models.sizes)."""

    encoder: dict[str, Any] = Field(
        default_factory=lambda: {"size": "base"},
        description=ENCODER,
    )
    decoder: dict[str, Any] = Field(default_factory=lambda: {"size": "small"}, description=DECODER)

    def encoder_config(self) -> EncoderConfig:
        """The encoder, or a :class:`TrainError` that names the entry."""
        values = dict(self.encoder)
        return encoder_config(values.pop("size", "base"), **values)

    def decoder_config(self) -> DecoderConfig:
        """The decoder, or a :class:`TrainError` that names the entry."""
        values = dict(self.decoder)
        return decoder_config(values.pop("size", "small"), **values)


class MaskOptions(NetOptions):
    """What is hidden, and what is to be predicted of it."""

    mask_ratio: float = Field(0.9, gt=0, lt=1, description=MASK_RATIO)
    mask_rounding: MaskRounding = Field("croco", description=MASK_ROUNDING)
    normalised_target: bool = Field(
        True, description="each patch less its mean, over its deviation (norm_pix)"
    )
