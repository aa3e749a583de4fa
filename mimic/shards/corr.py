"""A correspondence as bytes: the ``.npy`` of parts and shards, and what of it is read most."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

Corr = NDArray[np.int32]
"""(N, 2): patch of view 1, patch of view 2, row-major from the top left, one-to-one."""

_BYTES_A_PAIR = 8


def encode_corr(corr: Corr) -> bytes:
    """``.npy`` bytes: int32, C order, no pickle."""
    return _header(len(corr)) + np.ascontiguousarray(corr, "<i4").tobytes()


def decode_corr(data: bytes) -> Corr:
    """The inverse of :func:`encode_corr` (ValueError for anything but a plain array)."""
    return cast("Corr", np.load(io.BytesIO(data), allow_pickle=False))


def corr_count(data: bytes) -> int:
    """How many pairs of patches the bytes hold, without making an array of them."""
    count = (len(data) - len(_header(0))) // _BYTES_A_PAIR
    header = _header(max(0, count))
    if data.startswith(header) and len(data) == len(header) + _BYTES_A_PAIR * count:
        return count
    return len(decode_corr(data))


@lru_cache(maxsize=4096)
def _header(count: int) -> bytes:
    """NumPy pads it to a multiple of 64, so it is as long for every count that fits a view."""
    sink = io.BytesIO()
    shape = {"descr": "<i4", "fortran_order": False, "shape": (count, 2)}
    np.lib.format.write_array_header_1_0(sink, shape)
    return sink.getvalue()
