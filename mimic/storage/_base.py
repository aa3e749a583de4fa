"""What the rooms of the storage share: an entry, the backends' protocol, and names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from mimic.errors import StorageError


class MissingError(StorageError):
    """There is nothing by that name (or the bucket does not exist)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored file: posix ``name`` relative to the storage, ``size`` in bytes, and ``etag``.

    ``etag`` changes when the content does: the object store's own, or the time of modification (ns)
    of a local file. It tells versions apart in one place; it is not a hash and enters no id.
    """

    name: str
    size: int
    etag: str


class Backend(Protocol):
    def list(self, prefix: str, recursive: bool) -> list[Entry]: ...
    def size(self, name: str) -> int: ...
    def read(self, name: str, offset: int, size: int | None) -> bytes: ...
    def write(self, name: str, data: bytes) -> None: ...
    def put(self, source: Path, name: str) -> None: ...
    def stage(self, name: str) -> Path: ...
    def commit(self, staged: Path, name: str) -> None: ...
    def delete(self, name: str) -> None: ...
    def delete_tree(self, prefix: str) -> None: ...
    def delete_unfinished(self, prefix: str, recursive: bool) -> None: ...


def has_protocol(url: str) -> bool:
    return "://" in url


def normalised(url: str | Path) -> str:
    text = str(url)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if has_protocol(text):
        protocol, _, rest = text.partition("://")
        return f"{protocol}://{rest.strip('/')}"
    return str(Path(text).expanduser().absolute())


def checked(name: str) -> str:
    """``name`` without a closing slash; it may not leave the storage."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"a name in a storage is relative and stays inside it, not {name!r}")
    return name.rstrip("/")
