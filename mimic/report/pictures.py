"""Pillow, and only here: decoding, encoding and text for the report's pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mimic.types import UInt8Image


def decode(data: bytes) -> UInt8Image:
    """A stored picture as RGB (OSError if it is not one)."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def encode_png(array: NDArray[np.uint8]) -> bytes:
    """RGB or RGBA as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as an address that a page carries in itself; ``kind``: jpeg or png."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


class Canvas:
    """An RGB sheet to paste pictures and write text on."""

    def __init__(self, width: int, height: int, background: tuple[int, int, int]) -> None:
        self._image = Image.new("RGB", (width, height), background)
        self._draw = ImageDraw.Draw(self._image)

    def paste(self, rgb: UInt8Image, x: int, y: int, size: tuple[int, int] | None = None) -> None:
        """Put a picture's top left corner at (x, y), resized to ``size`` if given."""
        image = Image.fromarray(rgb)
        if size is not None and size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS)
        self._image.paste(image, (x, y))

    def box(self, x: int, y: int, size: tuple[int, int], colour: tuple[int, int, int]) -> None:
        """Fill a rectangle."""
        self._draw.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), fill=colour)

    def text(
        self, text: str, x: int, y: int, size: int, colour: tuple[int, int, int], width: int
    ) -> None:
        """Write one line; what does not fit into ``width`` is cut off.

        The font that comes with Pillow has Latin letters only: others become question marks.
        """
        font = ImageFont.load_default(size)
        line = _ascii(text)
        while line and font.getlength(line) > width:
            line = line[:-1]
        self._draw.text((x, y), line, colour, font=font)

    def array(self) -> UInt8Image:
        """The sheet as RGB."""
        return np.asarray(self._image)


def filled(words: Sequence[str], size: int, width: int, gap: str = "   ") -> list[str]:
    """Words packed into lines that :meth:`Canvas.text` can write within ``width``."""
    font = ImageFont.load_default(size)
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]}{gap}{word}" if lines else word
        if lines and font.getlength(_ascii(longer)) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


_PLAIN = str.maketrans({"\u00a0": " ", "–": "-", "→": "->", "×": "x", "°": " deg", "…": "..."})


def _ascii(text: str) -> str:
    return text.translate(_PLAIN).encode("ascii", "replace").decode()
