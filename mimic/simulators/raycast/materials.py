"""What a surface looks like: a picture, how it repeats, a colour, and what is cut out of it.

Colours are stored as pictures store them (sRGB, 0..255); factors are linear, as glTF has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mimic.errors import SourceError
from mimic.types import UInt8Image

Wrap = Literal["repeat", "clamp", "mirror"]
Factor = tuple[float, float, float, float]
WHITE: Factor = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A texture: ``rgba`` (h, w, 4) uint8, its first row at v = 0, and how it goes on beyond it."""

    rgba: UInt8Image
    wrap: tuple[Wrap, Wrap] = ("repeat", "repeat")


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """``factor``: linear RGBA that multiplies the picture (or is the colour, where there is none).

    Where alpha is below ``cutoff`` there is no surface; None: alpha says nothing.
    """

    picture: Picture | None = None
    factor: Factor = WHITE
    cutoff: float | None = None


def to_linear(srgb: NDArray[Any]) -> NDArray[np.float64]:
    """SRGB 0..1 to linear light 0..1 (IEC 61966-2-1)."""
    values = np.asarray(srgb, np.float64)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: NDArray[Any]) -> NDArray[np.float64]:
    """Linear light 0..1 to sRGB 0..1, clipped to that range."""
    values = np.clip(np.asarray(linear, np.float64), 0.0, 1.0)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


def decoded(data: bytes, name: str, scene: str) -> UInt8Image:
    """The pixels (h, w, 4) of a texture file that a scene names.

    Raises:
        SourceError: ``missing_texture``: the bytes are no picture that can be read.
    """
    from mimic.opencv import decode_png  # its reader keeps alpha and ignores EXIF, as glTF asks

    try:
        image = decode_png(data)
    except ValueError as error:
        raise SourceError(
            "missing_texture",
            f"{scene}: its texture {name} is {error}; export the scene again with PNG or JPEG",
        ) from error
    if image.dtype != np.uint8:  # 16 bits a channel
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[2] == 3:
        image = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    rgba: UInt8Image = np.ascontiguousarray(image, np.uint8)
    return rgba


def painted(material: Material) -> UInt8Image:
    """The material's picture (h, w, 4) with its factor in it; one texel where it has none."""
    factor = np.clip(material.factor, 0.0, 1.0)
    if material.picture is None:
        colour = np.append(to_srgb(factor[:3]), factor[3])
        texel: UInt8Image = np.rint(colour * 255).astype(np.uint8)
        return texel.reshape(1, 1, 4)
    rgba = material.picture.rgba
    if (factor == 1).all():
        return rgba
    levels = np.arange(256) / 255
    tables = [to_srgb(to_linear(levels) * share) for share in factor[:3]] + [levels * factor[3]]
    lookup = np.rint(np.stack(tables) * 255).astype(np.uint8)
    return np.stack([lookup[channel][rgba[:, :, channel]] for channel in range(4)], axis=2)
