"""Pictures and depth from bytes."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimic.sources.rgbd.listed import Depth
from mimic.sources.rgbd.tree import suffix_of
from mimic.types import UInt8Image

_EXIF = b"Exif\x00\x00"


def decode_colour(data: bytes) -> UInt8Image:
    """RGB as the sensor saw it: intrinsics are of these pixels, so EXIF turns nothing here.

    Raises:
        ValueError: not a picture.
    """
    from mimic.opencv import decode_image, decode_png

    rgb = decode_image(data)
    if _EXIF not in data[:4096]:
        return rgb
    raw = decode_png(data)  # not only of PNG: "as it is", not turned
    return rgb if raw.ndim != 3 else np.ascontiguousarray(raw[..., :3], dtype=np.uint8)


def decode_depth(data: bytes, depth: Depth) -> NDArray[np.float32]:
    """Depth (h, w) in metres along the optical axis, 0 where there is none.

    Raises:
        ValueError: the bytes are not what ``depth`` says, with the reason.
    """
    values = _values(data, depth)
    if values.ndim != 2:
        raise ValueError(f"depth has {values.ndim} dimensions, 2 are due")
    if values.dtype.kind == "f":
        metres = values.astype(np.float32)
    elif values.dtype in (np.uint16, np.int32, np.uint32):
        metres = (values / depth.per_metre).astype(np.float32)
    else:
        raise ValueError(f"depth of {values.dtype} values is not one that is known")
    known = np.isfinite(metres) & (metres > 0)
    if depth.invalid is not None and values.dtype.kind != "f":
        known &= values != depth.invalid
    return np.where(known, metres, np.float32(0))


def _values(data: bytes, depth: Depth) -> NDArray[Any]:
    if depth.encoding == "picture":
        return _picture(data, depth.blob.path)
    if depth.encoding == "npy":
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    if depth.encoding == "colmap":
        return _colmap(data)
    if depth.encoding == "zlib":
        try:
            data = zlib.decompress(data)
        except zlib.error as error:
            raise ValueError(f"depth is not zlib data ({error})") from error
    return _raw(data, depth.size)


def _picture(data: bytes, path: str) -> NDArray[Any]:
    from mimic.opencv import decode_png

    if suffix_of(path) == ".exr":
        raise ValueError("depth in EXR is not read: write it as .npy (float32, metres)")
    values = decode_png(data)
    if values.dtype == np.uint8:
        raise ValueError("depth of 8 bits is too coarse: it looks like a picture to look at")
    return values


def _raw(data: bytes, size: tuple[int, int] | None) -> NDArray[Any]:
    width, height = size or (0, 0)
    if len(data) != 2 * width * height:
        raise ValueError(f"depth has {len(data)} bytes, {width} x {height} pixels need 2 each")
    return np.frombuffer(data, dtype="<u2").reshape(height, width)


def _colmap(data: bytes) -> NDArray[Any]:
    """COLMAP's dense arrays: ``width&height&channels&``, then float32."""
    try:
        width, height, channels = (int(word) for word in data[:64].split(b"&", 3)[:3])
    except ValueError:
        raise ValueError("not a depth map of COLMAP (no width&height&channels&)") from None
    start = len(f"{width}&{height}&{channels}&")
    if channels != 1 or len(data) != start + 4 * width * height:
        raise ValueError(f"a depth map of {width} x {height} x {channels} is not of that length")
    return np.frombuffer(data, dtype="<f4", offset=start).reshape(height, width)
