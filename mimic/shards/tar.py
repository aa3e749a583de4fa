"""A reproducible tar writer that knows where each member's content lies.

The same members give the same bytes everywhere: USTAR headers, mtime 0, owner 0, names empty, mode
0644. The SHA-256 is taken while writing, so no file is read twice.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar: ``offset`` and ``size`` of its *content* in bytes."""

    name: str
    offset: int
    size: int


class TarWriter:
    """Append members to an open binary file; call :meth:`close` to end the archive.

    ``size`` and ``sha256`` are those of everything written so far.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._names: set[str] = set()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes so far."""
        return self._hash.hexdigest()

    def add(self, name: str, data: bytes) -> Member:
        """Append one member. A name may be used once (ValueError)."""
        if name in self._names:
            raise ValueError(f"member {name} is already in the tar")
        self._names.add(name)
        member = Member(name, self.size + BLOCK, len(data))
        self._write(b"".join((header(name, len(data)), data, bytes(-len(data) % BLOCK))))
        return member

    def close(self) -> None:
        """Write the end: two empty blocks, filled up to a whole record as tar programs do."""
        self._write(bytes(2 * BLOCK))
        self._write(bytes(-self.size % tarfile.RECORDSIZE))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)


class TarReader:
    """Reads the members of a tar one after the other, as an index lists them, and checks each."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._at = 0

    def member(self, name: str, offset: int, size: int) -> bytes:
        """The content of the next member (ValueError if another one stands there, or none)."""
        padding = -size % BLOCK
        data = self._read(BLOCK + size + padding)
        if (
            offset != self._at + BLOCK
            or data[:BLOCK] != header(name, size)
            or len(data) < BLOCK + size
        ):
            raise ValueError(f"member {name} is not where the index says")
        self._at += len(data)
        return data[BLOCK : BLOCK + size]

    def end(self) -> str:
        """Read what is left; the hex SHA-256 of the whole file (ValueError: more than an end)."""
        rest = self._read(-1)
        if rest.strip(b"\0") or not 2 * BLOCK <= len(rest) <= 2 * BLOCK + tarfile.RECORDSIZE:
            raise ValueError("does not end where the index says")
        return self._hash.hexdigest()

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data


def header(name: str, size: int) -> bytes:
    """The 512 bytes before a member's content."""
    encoded = name.encode()
    if len(encoded) > _NAME_BYTES or size > _SIZE_MAX:
        return _plain_header(name, size)
    field = b"%011o" % size
    checksum = _BLANK_SUM + sum(encoded) + sum(field)
    return b"".join(
        (
            encoded.ljust(_NAME_BYTES, b"\0"),
            _BLANK[_NAME_BYTES:124],
            field,
            _BLANK[135:148],
            b"%06o\0 " % checksum,
            _BLANK[156:],
        )
    )


def _plain_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mtime = 0
    info.mode = 0o644
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info.tobuf(tarfile.USTAR_FORMAT)


_NAME_BYTES = 100
_SIZE_MAX = 8**11 - 1
_BLANK = _plain_header("", 0)
# Of the fields that change: the size is eleven zeros here, the checksum counts as eight spaces.
_BLANK_SUM = sum(_BLANK[:124]) + sum(_BLANK[135:148]) + sum(b" " * 8) + sum(_BLANK[156:])
