"""What a file is, without reading all of it: size and four samples of its content.

The same bytes have the same fingerprint wherever they lie, so ids and shards do not depend on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from mimic.errors import SourceError
from mimic.ids import ID_HEX_DIGITS
from mimic.sources.base import File
from mimic.storage import MissingError

SAMPLE_BYTES = 64 << 10
"""Bytes read at the start, at one and two thirds, and at the end; smaller files are read whole."""


def fingerprint_of(file: File) -> str:
    """20 hex digits over the size and the samples.

    Raises:
        StorageError: the file cannot be read.
    """
    storage, name = file.storage, file.basename
    return _digest(file.size, lambda offset, size: storage.read_range(name, offset, size))


def fingerprint_of_bytes(data: bytes) -> str:
    """The same, of a file that was read whole."""
    return _digest(len(data), lambda offset, size: data[offset : offset + size])


def check_unchanged(file: File, fingerprint: str) -> None:
    """Compare a file with what was planned.

    Raises:
        SourceError: ``vanished`` or ``changed``.
    """
    try:
        same = file.storage.size(file.basename) == file.size and fingerprint_of(file) == fingerprint
    except MissingError as error:
        raise vanished(file.name) from error
    if not same:
        raise changed(file.name)


def vanished(name: str) -> SourceError:
    """The file is no longer there."""
    return SourceError(
        "vanished", f"{name}: has vanished since the plan was made; run the same command again"
    )


def changed(name: str) -> SourceError:
    """The file is not what was planned."""
    return SourceError(
        "changed", f"{name}: has changed since the plan was made; run the same command again"
    )


def _digest(size: int, read: Callable[[int, int], bytes]) -> str:
    digest = hashlib.sha256(f"{size}:".encode())
    if size <= 4 * SAMPLE_BYTES:
        digest.update(read(0, size))
    else:
        for offset in (0, size // 3, 2 * size // 3, size - SAMPLE_BYTES):
            digest.update(read(offset, SAMPLE_BYTES))
    return digest.hexdigest()[:ID_HEX_DIGITS]
