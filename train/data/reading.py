"""Members of a sample by offset: no tar is scanned, and any number of threads may read.

A shard is compared with the manifest when it is opened, and watched while it is: a shard that is
cut short, replaced or written to under a running job is an error that says so.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mimic.shards.tar import BLOCK
from schemas import FileEntry
from train.data.cache import check
from train.data.index import Place
from train.errors import TrainError

_OPEN_FILES = 128
"""Shards held open by one reader."""
_GAP_BYTES = 32 << 10
"""Members of a sample that lie closer are read at once."""

Locate = Callable[[FileEntry], Path]


@dataclass(frozen=True, slots=True)
class _State:
    """What tells one content of a file from another, without reading it."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> _State:
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


class _Opened:
    """An open shard; closed when the last thread that reads it lets go."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)
        self.state = _State.of(os.fstat(self.descriptor))

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class SampleBytes(Protocol):
    """Gives the members of samples."""

    def read(self, place: Place, suffixes: Collection[str]) -> dict[str, bytearray]:
        """The wanted members that the sample has, by suffix."""
        ...


class ShardReader:
    """Reads the shards that ``locate`` finds on this machine.

    Args:
        locate: where a shard lies; it may fetch it.
        verify: compare the SHA-256 when a shard is first opened, not only its size.
    """

    def __init__(self, locate: Locate, *, verify: bool = False) -> None:
        self._locate, self._verify = locate, verify
        self._opened: OrderedDict[str, _Opened] = OrderedDict()
        self._known: dict[str, _State] = {}
        self._opening: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def read(self, place: Place, suffixes: Collection[str]) -> dict[str, bytearray]:
        """The wanted members that the sample has, by suffix.

        Raises:
            TrainError: the shard is missing, cut short, or has changed.
        """
        opened = self._open(place.tar)
        found = self._members(opened, place, suffixes)
        if found is None or _State.of(os.fstat(opened.descriptor)) != opened.state:
            with self._lock:
                self._opened.pop(place.tar.name, None)
            opened = self._open(place.tar)  # which compares its SHA-256, for it is another state
            found = self._members(opened, place, suffixes)
        if found is None:
            raise TrainError(
                f"shard {self._locate(place.tar)}: {place.key} is not where its index says; run "
                "`mimic verify` on the data set"
            )
        return found

    def close(self) -> None:
        """Let go of all shards."""
        with self._lock:
            self._opened.clear()

    def _members(
        self, opened: _Opened, place: Place, suffixes: Collection[str]
    ) -> dict[str, bytearray] | None:
        """The wanted members; None where the shard is not what the index says."""
        found: dict[str, bytearray] = {}
        for run in _runs(sorted((*place.members[n], n) for n in suffixes if n in place.members)):
            members = _read_run(opened.descriptor, place.key, run)
            if members is None:
                return None
            found |= members
        return found

    def _open(self, entry: FileEntry) -> _Opened:
        with self._lock:
            if (opened := self._opened.get(entry.name)) is not None:
                self._opened.move_to_end(entry.name)
                return opened
            opening = self._opening.setdefault(entry.name, threading.Lock())
        with opening:
            with self._lock:
                opened = self._opened.get(entry.name)
            if opened is None:
                opened = self._checked(entry)
        with self._lock:
            self._opened[entry.name] = opened
            while len(self._opened) > _OPEN_FILES:
                self._opened.popitem(last=False)
        return opened

    def _checked(self, entry: FileEntry) -> _Opened:
        """Open a shard; where it is not the file that it was, its SHA-256 has to be."""
        path = self._locate(entry)
        try:
            opened = _Opened(path)
        except OSError as error:
            raise TrainError(
                f"shard {path}: {error.strerror}; restore it, or run the same `mimic mine` or "
                "`mimic pack` command again"
            ) from error
        known = self._known.get(entry.name)
        again = known is not None and known != opened.state
        suspicious = again or (self._verify and known is None)
        sha256 = _sha256(opened.descriptor) if suspicious else None
        check(str(path), entry, opened.state.size, sha256)
        self._known[entry.name] = opened.state
        return opened


def _runs(members: list[tuple[int, int, str]]) -> Iterator[list[tuple[int, int, str]]]:
    """Sorted members (offset, size, suffix), those that lie together in one list."""
    run: list[tuple[int, int, str]] = []
    for member in members:
        if run and member[0] - (run[-1][0] + run[-1][1]) > _GAP_BYTES:
            yield run
            run = []
        run.append(member)
    if run:
        yield run


def _read_run(
    descriptor: int, key: str, run: list[tuple[int, int, str]]
) -> dict[str, bytearray] | None:
    """Members with one read; None where it ends early or a tar header has another name."""
    start = run[0][0] - BLOCK
    data = bytearray(run[-1][0] + run[-1][1] - start)
    if os.preadv(descriptor, [data], start) != len(data):
        return None
    found = {}
    for offset, size, name in run:
        at = offset - start
        if not data.startswith(f"{key}.{name}".encode() + b"\0", at - BLOCK):
            return None
        found[name] = data[at : at + size]
    return found


def _sha256(descriptor: int) -> str:
    digest, at = hashlib.sha256(), 0
    while block := os.pread(descriptor, 1 << 20, at):
        digest.update(block)
        at += len(block)
    return digest.hexdigest()
