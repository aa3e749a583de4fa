"""What a network is built from: frozen configs, and the sizes that have names.

A config turns into a plain dict and back (``to_dict``, ``from_dict``), which is what a checkpoint
and a recipe hold. An unknown or impossible entry raises ``TrainError``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_args

from train.errors import TrainError
from train.models.entries import built, named, plain

Positions = Literal["cosine", "rope"]
DecoderBlock = Literal["cross", "cat"]

CHANNELS = 3


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """A ViT.

    Attributes:
        width, depth, heads, mlp_ratio: of its blocks.
        patch: side of a patch, in pixels.
        image_size: (height, width) in pixels, multiples of ``patch``. Cosine positions hold for
            this size only; with RoPE a network takes any size.
        positions: fixed 2D sine-cosine embeddings (MAE, CroCo v1) or RoPE (CroCo v2), which then
            holds for the decoder too.
        rope_base: RoPE's base.
        class_token: whether a learnt token stands before the patches (MAE, MIMIC).
    """

    width: int
    depth: int
    heads: int
    mlp_ratio: float = 4.0
    patch: int = 16
    image_size: tuple[int, int] = (224, 224)
    positions: Positions = "cosine"
    rope_base: float = 100.0
    class_token: bool = False

    def __post_init__(self) -> None:
        _check_blocks("encoder", self)
        if self.patch < 1 or min(self.image_size) < 1:
            raise TrainError("encoder.patch and encoder.image_size must be positive")
        if self.positions not in get_args(Positions):
            raise TrainError(f"encoder.positions is {self.positions!r}; choose cosine or rope")
        if self.positions == "rope" and self.class_token:
            raise TrainError(
                "encoder.class_token has no place among rope positions; "
                "switch it off or use positions cosine"
            )
        grid_of(self.image_size, self.patch)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return grid_of(self.image_size, self.patch)

    @property
    def num_patches(self) -> int:
        """Patches of an image (a class token is none)."""
        rows, cols = self.grid
        return rows * cols

    @property
    def patch_values(self) -> int:
        """Numbers in a patch: P*P*3."""
        return self.patch**2 * CHANNELS


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The decoder's blocks; positions and patches are the encoder's."""

    width: int = 512
    depth: int = 8
    heads: int = 16
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        _check_blocks("decoder", self)


@dataclass(frozen=True, kw_only=True)
class _NetConfig:
    """What all networks have."""

    kind: ClassVar[str]

    encoder: EncoderConfig
    decoder: DecoderConfig = field(default_factory=DecoderConfig)

    @property
    def num_patches(self) -> int:
        """Patches of one view."""
        return self.encoder.num_patches

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers; ``kind`` names the network."""
        return {"kind": self.kind, **plain(dataclasses.asdict(self))}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Self:
        """The inverse of ``to_dict``; what is left out takes its default.

        ``encoder`` and ``decoder`` may name a ``size``, from which their other entries differ.

        Raises:
            TrainError: an entry is unknown, missing, or of the wrong kind.
        """
        entries = dict(entries)
        kind = entries.pop("kind", cls.kind)
        if kind != cls.kind:
            raise TrainError(f"the network's kind is {kind!r}, where {cls.kind!r} is needed")
        for part, sized in (("encoder", _sized_encoder), ("decoder", _sized_decoder)):
            if part in entries:
                entries[part] = sized(entries[part])
        return built(cls, entries, "net")


@dataclass(frozen=True, kw_only=True)
class MaskedAutoencoderConfig(_NetConfig):
    """MAE: one view, hidden in part; the decoder sees nothing else."""

    kind: ClassVar[str] = "masked_autoencoder"


@dataclass(frozen=True, kw_only=True)
class CrossViewCompletionConfig(_NetConfig):
    """CroCo: view 1, hidden in part, is completed from view 2.

    Attributes:
        block: ``cross``: the decoder's tokens look at view 2's encoding; ``cat``: both views'
            tokens pass through ordinary blocks together.
    """

    kind: ClassVar[str] = "cross_view_completion"

    block: DecoderBlock = "cross"

    def __post_init__(self) -> None:
        if self.block not in get_args(DecoderBlock):
            raise TrainError(f"net.block is {self.block!r}; choose cross or cat")
        if self.block == "cat" and self.encoder.class_token:
            raise TrainError("net.block cat takes no class token; switch encoder.class_token off")


@dataclass(frozen=True, kw_only=True)
class CovisibilitySegmenterConfig(_NetConfig):
    """Alligat0R: both views whole, each decoded with the other; ``classes`` for every pixel."""

    kind: ClassVar[str] = "covisibility_segmenter"

    classes: int = 3

    def __post_init__(self) -> None:
        if self.encoder.class_token:
            raise TrainError("the covisibility segmenter takes no class token; switch it off")
        if self.classes < 2:
            raise TrainError(f"net.classes is {self.classes}; at least 2 are needed")


NetConfig = MaskedAutoencoderConfig | CrossViewCompletionConfig | CovisibilitySegmenterConfig

_CONFIGS: dict[str, type[NetConfig]] = {
    config.kind: config
    for config in (MaskedAutoencoderConfig, CrossViewCompletionConfig, CovisibilitySegmenterConfig)
}

ENCODERS: dict[str, dict[str, int]] = {
    "tiny": {"width": 192, "depth": 4, "heads": 3},
    "small": {"width": 384, "depth": 12, "heads": 6},
    "base": {"width": 768, "depth": 12, "heads": 12},
    "large": {"width": 1024, "depth": 24, "heads": 16},
    "huge": {"width": 1280, "depth": 32, "heads": 16, "patch": 14},
}
"""ViT-S/16, B/16, L/16 and H/14 (MAE's table), and one for a laptop's CPU."""

DECODERS: dict[str, dict[str, int]] = {
    "tiny": {"width": 128, "depth": 2, "heads": 4},
    "small": {"width": 512, "depth": 8, "heads": 16},
    "base": {"width": 768, "depth": 12, "heads": 12},
}
"""``small``: MAE's, MIMIC's, CroCo v1's and v2's smaller one; ``base``: CroCo v2's, Alligat0R's."""


def encoder_config(size: str, **changes: Any) -> EncoderConfig:
    """An encoder of a named size, with changes: ``encoder_config("base", positions="rope")``."""
    return _sized_encoder({"size": size, **changes})


def decoder_config(size: str, **changes: Any) -> DecoderConfig:
    """A decoder of a named size, with changes."""
    return _sized_decoder({"size": size, **changes})


def config_from_dict(entries: Mapping[str, Any]) -> NetConfig:
    """A network's config of whatever kind it names.

    Raises:
        TrainError: as ``from_dict``, or there is no such kind.
    """
    return named(_CONFIGS, entries.get("kind"), "net.kind").from_dict(entries)


def grid_of(image_size: tuple[int, int], patch: int) -> tuple[int, int]:
    """Rows and columns of patches of an image of (height, width) pixels.

    Raises:
        TrainError: a side is no multiple of the patch size.
    """
    height, width = image_size
    if height % patch or width % patch:
        raise TrainError(
            f"images of {height} x {width} pixels hold no whole number of patches of {patch}; "
            "choose an image size that is a multiple of it"
        )
    return height // patch, width // patch


def _check_blocks(part: str, config: EncoderConfig | DecoderConfig) -> None:
    if min(config.width, config.depth, config.heads) < 1 or config.mlp_ratio <= 0:
        raise TrainError(f"{part}.width, depth, heads and mlp_ratio must be positive")
    if config.width % (4 * config.heads):
        raise TrainError(
            f"{part}.width is {config.width}, which {config.heads} heads cannot share in multiples "
            f"of 4 channels; change {part}.width or {part}.heads"
        )


def _sized_encoder(entries: object) -> EncoderConfig:
    return built(EncoderConfig, _sized(entries, ENCODERS, "encoder"), "encoder")


def _sized_decoder(entries: object) -> DecoderConfig:
    return built(DecoderConfig, _sized(entries, DECODERS, "decoder"), "decoder")


def _sized(entries: object, sizes: Mapping[str, dict[str, int]], part: str) -> dict[str, Any]:
    """Entries with those of the size that they name, if they name one."""
    if not isinstance(entries, Mapping):
        raise TrainError(f"net.{part} is {entries!r}; give its entries")
    rest = dict(entries)
    size = rest.pop("size", None)
    return rest if size is None else {**named(sizes, size, f"{part}.size"), **rest}
