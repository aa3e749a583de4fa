"""Reading ``corresponding.npy`` of strangers: a pickled dict, without running what a pickle can.

The file is ``np.save`` of an object array of no dimensions that holds ``{patch: patch}``. The
unpickler knows four names, and even those are stand-ins of our own: nothing is imported, no NumPy
code sees the file's bytes, and anything else is refused.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from mimic.errors import SourceError

MAX_BYTES = 1 << 20
"""Larger files are refused: a map of 196 patches takes a few kilobytes."""


def read_corresponding(data: bytes, where: str) -> dict[int, int]:
    """The map {patch of view 1: patch of view 2}.

    Raises:
        SourceError: reason ``unsafe_pickle`` if the file asks for anything but plain data, else
            ``damaged``; the message names ``where``.
    """
    if len(data) > MAX_BYTES:
        raise SourceError("damaged", f"{where}: {len(data)} bytes are too many for a patch map")
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read_header(file)
    except (ValueError, KeyError, EOFError) as error:
        raise SourceError("damaged", f"{where}: not a .npy file ({error})") from error
    if shape != () or dtype != np.dtype(object):
        raise SourceError("damaged", f"{where}: holds {dtype} {shape}, not a patch map")
    return _checked(_unpickled(file, where), where)


def _unpickled(file: io.BytesIO, where: str) -> Any:
    try:
        return _Unpickler(file).load()
    except _ForbiddenError as error:
        raise SourceError(
            "unsafe_pickle",
            f"{where}: refused, its pickle asks for {error}, which a patch map never needs; do not "
            "trust where it came from",
        ) from error
    except Exception as error:  # whatever a broken pickle raises, it is one damaged file
        raise SourceError("damaged", f"{where}: not a readable patch map ({error})") from error


def _checked(array: Any, where: str) -> dict[int, int]:
    content = array.content if isinstance(array, _Array) else None
    value = content[0] if isinstance(content, list) and len(content) == 1 else None
    if not isinstance(value, dict) or not all(
        type(number) is int for pair in value.items() for number in pair
    ):
        raise SourceError("damaged", f"{where}: not a map from patch to patch")
    return value


class _ForbiddenError(Exception):
    """The pickle asked for a name that is not on the list."""


class _Marker:
    """Stands for ``numpy.ndarray``, which is only ever an argument."""


class _Array:
    """Stands for an array; keeps the content of an object array."""

    def __init__(self) -> None:
        self.content: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.content = state[4]


class _Dtype:
    """Stands for a dtype; knows integers."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = str(code)
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, raw: bytes | str) -> int:
    """An integer scalar of NumPy."""
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    if dtype.code not in {"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}:
        raise ValueError(f"a scalar of type {dtype.code}")
    in_order = data[::-1] if dtype.order == ">" else data
    return int.from_bytes(in_order, "little", signed=dtype.code[0] == "i")


def _latin_1(text: str, *_: Any) -> bytes:
    """How pickles of protocol 2 spell bytes."""
    return text.encode("latin-1")


_KNOWN: dict[tuple[str, str], Any] = {
    **{
        (module, name): stand_in
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name, stand_in in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    ("_codecs", "encode"): _latin_1,
    ("numpy", "ndarray"): _Marker,
    ("numpy", "dtype"): _Dtype,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None


def write_corresponding(pairs: dict[int, int]) -> bytes:
    """The file as ``np.save`` writes it, readable by every NumPy that the peer may run.

    NumPy 2 would name its own private modules in the pickle, which NumPy 1 does not have.
    """
    array = np.empty((), dtype=object)
    array[()] = pairs
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    # Protocol 3 (what the peer's NumPy writes too) has module names as plain lines.
    pickled = pickle.dumps(array, protocol=3)
    return header.getvalue() + pickled.replace(
        b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    )
