"""Whole shards of an object store, kept on this machine: one folder for all runs and processes.

A shard lies under its SHA-256, so a cache never holds the wrong one (a plain tar, of which none is
known, under its address, size and the store's mark of its version). It is fetched once to a
temporary sibling, checked and renamed; processes of a machine wait for each other at a lock. What
was used least recently goes when there is too much (a file that a process has open stays readable).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from mimic.errors import MimicError
from mimic.storage import Entry, Storage
from schemas import FileEntry
from train.errors import TrainError

_AnyEntry = TypeVar("_AnyEntry", FileEntry, Entry)
_Check = Callable[[str, _AnyEntry, int, str | None], None]

_NOT_THE_MANIFESTS = "the shards in {url} are not those of its manifest: run `mimic verify {url}`"
_NOT_AS_LISTED = "restore it, and run the same command again when nobody writes to {url}"

_BLOCK_BYTES = 16 << 20
_SUFFIX = ".tar"


def default_folder() -> Path:
    """Where shards are kept when nothing is said: below the system's temporary folder."""
    return Path(tempfile.gettempdir()) / f"mimic-cache-{os.getuid()}"


class ShardCache:
    """Shards of any object store, in ``folder``, of at most ``limit_bytes`` together."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainError(
                f"data.cache.folder {folder}: cannot be made ({error.strerror}); give another"
            ) from error

    def path(self, storage: Storage, entry: FileEntry) -> Path:
        """Where a shard lies here; it is fetched if it does not.

        Raises:
            TrainError: it cannot be fetched, or is not what the manifest says.
        """
        return self._kept(storage, entry, entry.sha256, check, _NOT_THE_MANIFESTS)

    def plain_path(self, storage: Storage, entry: Entry) -> Path:
        """Where a tar without a manifest lies here; it is fetched if it does not.

        Raises:
            TrainError: it cannot be fetched, or is not of the size that it was listed with.
        """
        known = f"{storage.join(entry.name)} {entry.size} {entry.etag}"
        name = hashlib.sha256(known.encode()).hexdigest()
        return self._kept(storage, entry, name, _check_listed, _NOT_AS_LISTED)

    def _kept(
        self, storage: Storage, entry: _AnyEntry, name: str, check: _Check[_AnyEntry], advice: str
    ) -> Path:
        path = self.folder / f"{name}{_SUFFIX}"
        if not _touched(path):
            with self._locked(name):
                if not _touched(path):
                    self._make_room(entry.size)
                    self._fetch(storage, entry, path, check, advice)
        return path

    def _fetch(
        self, storage: Storage, entry: _AnyEntry, path: Path, check: _Check[_AnyEntry], advice: str
    ) -> None:
        where = storage.join(entry.name)
        part = path.with_name(f".~{path.name}.{secrets.token_hex(6)}")
        digest, size = hashlib.sha256(), 0
        try:
            check(where, entry, storage.size(entry.name), None)
            with part.open("xb") as file:
                while size < entry.size:
                    wanted = min(_BLOCK_BYTES, entry.size - size)
                    block = storage.read_range(entry.name, size, wanted)
                    file.write(block)
                    digest.update(block)
                    size += len(block)
                    if len(block) < wanted:
                        break
            check(where, entry, size, digest.hexdigest())
            part.rename(path)
        except MimicError as error:
            raise TrainError(f"{error}; {advice.format(url=storage.url)}") from error
        except OSError as error:
            raise TrainError(
                f"data.cache.folder {self.folder}: {error.strerror}; make room, lower "
                "data.cache.limit_gb, or give another folder"
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Remove shards, the least recently used first, until one of ``size`` bytes fits."""
        with self._locked("room"):
            kept = []
            for path in self.folder.glob(f"*{_SUFFIX}"):
                with contextlib.suppress(FileNotFoundError):
                    stat = path.stat()
                    kept.append((stat.st_atime_ns, stat.st_size, path))
            total = sum(taken for _, taken, _ in kept) + size
            for _, taken, path in sorted(kept):
                if total <= self.limit_bytes:
                    break
                path.unlink(missing_ok=True)
                total -= taken

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """One process and thread at a time; the lock of a killed process is free."""
        with (self.folder / f"{name}.lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def check(where: str, entry: FileEntry, size: int, sha256: str | None) -> None:
    """Compare a shard with what the manifest says of it (TrainError names what differs)."""
    if size != entry.size:
        differs = f"has {size} bytes, the manifest says {entry.size}"
    elif sha256 is not None and sha256 != entry.sha256:
        differs = f"has SHA-256 {sha256[:12]}..., the manifest says {entry.sha256[:12]}..."
    else:
        return
    raise TrainError(
        f"shard {where}: {differs}; it is not the one that was mined: restore it, or run the same "
        "`mimic mine` or `mimic pack` again into an empty folder and train on that"
    )


def _check_listed(where: str, entry: Entry, size: int, _sha256: str | None) -> None:
    if size != entry.size:
        raise TrainError(f"tar {where}: has {size} bytes, and had {entry.size} when it was listed")


def _touched(path: Path) -> bool:
    """Whether it is there; if so it counts as used now (its time of modification stays)."""
    try:
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    except FileNotFoundError:
        return False
    return True
