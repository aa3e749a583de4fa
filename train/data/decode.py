"""Encoded pictures to tensors; decoding releases the interpreter's lock, so threads scale.

With torchvision's operators where they are (on one core 1.5 times as fast as Pillow, with the same
pixels), else with Pillow: torchvision means to give them up after 0.29.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_LAST_CLASS, UNKNOWN = 2, 255
_STORED, _GREY, _RGB = 0, 1, 3
"""Torchvision's numbers for what comes out."""


def _has_operators() -> bool:
    """Whether torchvision's decoders are there; loading it registers them with torch."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torchvision.io  # type: ignore[import-untyped]  # noqa: F401
        return hasattr(torch.ops.image, "decode_jpeg")
    except (ImportError, RuntimeError):
        return False


FAST = _has_operators()
"""Whether torchvision decodes; else Pillow does."""


def decode_picture(data: bytearray) -> Tensor:
    """A JPEG as uint8 RGB (3, H, W); it lies in memory as rows of pixels.

    Raises:
        ValueError: it is not a whole JPEG.
    """
    if not FAST:
        return _by_pillow(data, "JPEG", "RGB").permute(2, 0, 1)
    return _decoded(data, lambda raw: torch.ops.image.decode_jpeg(raw, _RGB, False), "JPEG")


def decode_any(data: bytearray) -> Tensor:
    """A JPEG, PNG or WebP as uint8 RGB (3, H, W) (ValueError for anything else)."""
    if not FAST:
        return _by_pillow(data, "picture", "RGB").permute(2, 0, 1)
    return _decoded(data, lambda raw: torch.ops.image.decode_image(raw, _RGB, False), "picture")


def decode_labels(data: bytearray) -> Tensor:
    """A co-visibility map: uint8 (H, W), 0 co-visible, 1 occluded, 2 outside, 255 unknown.

    Raises:
        ValueError: it is not a whole PNG of such values.
    """
    if FAST:
        labels = _decoded(data, lambda raw: torch.ops.image.decode_png(raw, _GREY, False), "PNG")[0]
    else:
        labels = _by_pillow(data, "PNG", "L")
    if (labels + 1).max() > _LAST_CLASS + 1:  # in bytes, where UNKNOWN + 1 is 0
        raise ValueError("a label map with values that are no labels")
    return labels


def decode_depth(data: bytearray) -> Tensor:
    """A depth map of 16-bit millimetres: float32 (H, W) in metres, 0 where there is none.

    Raises:
        ValueError: it is not a whole PNG.
    """
    if FAST:
        stored = _decoded(data, lambda raw: torch.ops.image.decode_png(raw, _STORED, False), "PNG")[
            0
        ]
    else:
        stored = _by_pillow(data, "PNG", "I;16")
    return stored.to(torch.float32).div_(1000)


def _decoded(data: bytearray, decode: Callable[[Tensor], Tensor], what: str) -> Tensor:
    try:
        return decode(torch.frombuffer(data, dtype=torch.uint8))
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"not a whole {what}") from error


def _by_pillow(data: bytearray, what: str, mode: str) -> Tensor:
    formats = None if what == "picture" else [what]
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            return torch.from_numpy(np.array(image.convert(mode)))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"not a whole {what}") from error
