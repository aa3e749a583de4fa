"""The size of a JPEG from its header alone."""

from __future__ import annotations

from mimic.errors import SourceError

_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def jpeg_size(data: bytes, where: str) -> tuple[int, int]:
    """(width, height) in pixels.

    Raises:
        SourceError: reason ``damaged``, naming ``where``, if this is not a JPEG.
    """
    at = 2
    if data[:2] == b"\xff\xd8":
        while at + 9 <= len(data) and data[at] == 0xFF:
            marker = data[at + 1]
            if marker in _FRAME_MARKERS:
                height = int.from_bytes(data[at + 5 : at + 7], "big")
                return int.from_bytes(data[at + 7 : at + 9], "big"), height
            if marker == 0xFF:  # a fill byte
                at += 1
            elif marker in _WITHOUT_LENGTH:
                at += 2
            else:
                at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise SourceError("damaged", f"{where}: not a JPEG picture")
