"""Grey PNGs, decoded without OpenCV: what parts and shards store beside the pictures."""

from __future__ import annotations

import io
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray


def decode_grey(data: bytes, modes: Collection[str], what: str) -> NDArray[Any]:
    """The values of a PNG, (h, w).

    Args:
        data: the encoded picture.
        modes: Pillow's words for the kinds of PNG that will do.
        what: these in words, for the error.

    Raises:
        ValueError: anything but a whole PNG of one of the modes.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            mode, values = image.mode, np.asarray(image)
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise ValueError(f"not a whole PNG: {error}") from error
    if mode not in modes:
        raise ValueError(f"a PNG of mode {mode}, not {what}")
    return values
