"""One class over local folders and object stores: atomic writes, bounded retries, clear errors.

Nothing here decides what is written or in which order; callers write their marker last.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from mimic.errors import StorageError
from mimic.storage._base import Backend, Entry, MissingError, checked, has_protocol, normalised
from mimic.storage._faults import kind_of, naming_full_disk, sentence
from mimic.storage._local import LocalFolder
from mimic.storage._objects import ObjectStore, RangeFile

ATTEMPTS = 8
"""Tries of one request to an object store before it is given up."""
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0
"""Waits double from the first to the longest: about 22 seconds in all, the same every time."""
READ_BLOCK_BYTES = 4 << 20
"""Bytes fetched at once by a file opened on an object store."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Storage:
    """Files below one address: a local folder, or any fsspec URL (``s3://bucket/folder``).

    Names are posix paths relative to it. Nothing is opened until first use, so a ``Storage`` is
    cheap to make and to pickle. All methods raise :class:`StorageError` in one sentence that names
    the URL; :class:`MissingError` when there is no such file.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = normalised(url)
        self._backend_cache: Backend | None = None

    def __repr__(self) -> str:
        return f"Storage({self.url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Storage) and other.url == self.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.url = state["url"]
        self._backend_cache = None

    @property
    def is_local(self) -> bool:
        """Whether files here have a path on this machine."""
        return not has_protocol(self.url)

    def join(self, name: str) -> str:
        """The full address of ``name``, for messages and for other libraries."""
        return f"{self.url.rstrip('/')}/{checked(name)}" if name else self.url

    def sub(self, name: str) -> Storage:
        """The storage at a folder below this one."""
        return Storage(self.join(name))

    def local_path(self, name: str = "") -> Path | None:
        """Where ``name`` lies on this machine; None for an object store."""
        return Path(self.join(name)) if self.is_local else None

    def list(self, prefix: str = "", *, recursive: bool = True) -> list[Entry]:
        """The files below the folder ``prefix`` (or directly in it), sorted by name; [] if none."""
        return self._try("list", prefix, lambda: self._backend.list(checked(prefix), recursive))

    def exists(self, name: str) -> bool:
        """Whether there is a file by that name."""
        try:
            self.size(name)
        except MissingError:
            return False
        return True

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return self._try("read", name, lambda: self._backend.size(checked(name)))

    def read(self, name: str) -> bytes:
        """The whole content of a file."""
        return self._try("read", name, lambda: self._backend.read(checked(name), 0, None))

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``; fewer only where the file ends."""
        if size <= 0:
            return b""
        return self._try("read", name, lambda: self._backend.read(checked(name), offset, size))

    def open(self, name: str) -> BinaryIO:
        """A seekable binary file for reading; on an object store every block read is retried."""
        path = self.local_path(name)
        if path is not None:
            return self._try("read", name, lambda: path.open("rb"))
        raw = RangeFile(partial(self.read_range, name), name, self.size(name))
        return cast("BinaryIO", io.BufferedReader(raw, READ_BLOCK_BYTES))

    def write(self, name: str, data: bytes) -> None:
        """Put ``data`` at ``name``, atomically: readers see the old file or the new one."""
        self._try("write", name, lambda: self._backend.write(checked(name), data))

    def put(self, local_path: str | Path, name: str) -> None:
        """Copy a local file to ``name``, atomically. The local file stays."""
        source = Path(local_path)
        self._try("write", name, lambda: self._backend.put(source, checked(name)))

    @contextlib.contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """A local path to write; on leaving the block it is committed to ``name``, atomically.

        Where the storage is local the path is a sibling of the target and is renamed, so that large
        files are written once. After an exception nothing of it remains.
        """
        path = self._try("write", name, lambda: self._backend.stage(checked(name)))
        try:
            with naming_full_disk(path):
                yield path
            self._try("write", name, lambda: self._backend.commit(path, checked(name)))
        finally:
            path.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Remove a file; nothing happens where there is none."""
        with contextlib.suppress(MissingError):
            self._try("delete", name, lambda: self._backend.delete(checked(name)))

    def delete_tree(self, prefix: str) -> None:
        """Remove everything below the folder ``prefix`` (which may not be empty)."""
        if not prefix:
            raise ValueError("refusing to delete a whole storage: name a folder in it")
        with contextlib.suppress(MissingError):
            self._try("delete", prefix, lambda: self._backend.delete_tree(checked(prefix)))

    def delete_unfinished(self, prefix: str = "", *, recursive: bool = True) -> None:
        """Remove what killed writers left half-written below the folder (or directly in it).

        A writer that is still at work there fails: only for when none is.
        """
        call = partial(self._backend.delete_unfinished, checked(prefix), recursive)
        self._try("delete", prefix, call)

    @property
    def _backend(self) -> Backend:
        if self._backend_cache is None:
            self._backend_cache = (
                LocalFolder(Path(self.url)) if self.is_local else ObjectStore(self.url)
            )
        return self._backend_cache

    def _try(self, action: str, name: str, call: Callable[[], _T]) -> _T:
        """Run ``call``; retry what is transient, and turn the rest into one sentence."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call()
            except (StorageError, ValueError):
                raise
            except Exception as error:
                kind = kind_of(error, local=self.is_local)
                if kind != "transient" or attempt == ATTEMPTS:
                    raise sentence(kind, action, self.join(name), error, attempt) from error
                wait_s = min(FIRST_WAIT_S * 2 ** (attempt - 1), LONGEST_WAIT_S)
                _log.debug("%s %s: %s; again in %.1f s", action, self.join(name), error, wait_s)
                time.sleep(wait_s)
        raise AssertionError("unreachable")
