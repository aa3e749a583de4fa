"""A local folder: a temporary sibling, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from mimic.storage._base import Entry

TEMP_PREFIX = ".~"
"""Files being written have such names; they are never listed."""
_TEMPORARY = re.compile(re.escape(TEMP_PREFIX) + r".+\.[0-9a-f]{12}")


class LocalFolder:
    """A folder of this machine (or of a shared file system)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self, prefix: str, recursive: bool) -> list[Entry]:
        top = self.root / prefix
        if not top.exists():
            return []
        entries = [
            Entry(path.relative_to(self.root).as_posix(), stat.st_size, str(stat.st_mtime_ns))
            for path, stat in _files_below(top, recursive)
        ]
        return sorted(entries, key=lambda entry: entry.name)

    def size(self, name: str) -> int:
        path = self.root / name
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        return path.stat().st_size

    def read(self, name: str, offset: int, size: int | None) -> bytes:
        with (self.root / name).open("rb") as file:
            file.seek(offset)
            return file.read(-1 if size is None else size)

    def write(self, name: str, data: bytes) -> None:
        self._replace(name, lambda file: file.write(data))

    def put(self, source: Path, name: str) -> None:
        def copy(target: BinaryIO) -> None:
            with source.open("rb") as opened:
                shutil.copyfileobj(opened, target, 1 << 20)

        self._replace(name, copy)

    def stage(self, name: str) -> Path:
        target = self.root / name
        _make_folder(target.parent)
        return temporary_beside(target)

    def commit(self, staged: Path, name: str) -> None:
        target = self.root / name
        _sync(staged)
        staged.replace(target)
        _sync(target.parent)

    def delete(self, name: str) -> None:
        (self.root / name).unlink()

    def delete_tree(self, prefix: str) -> None:
        target = self.root / prefix
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    def delete_unfinished(self, prefix: str, recursive: bool) -> None:
        pattern = f"{TEMP_PREFIX}*"
        top = self.root / prefix
        for path in list(top.rglob(pattern) if recursive else top.glob(pattern)):
            if _TEMPORARY.fullmatch(path.name):  # other programs have such names too
                path.unlink(missing_ok=True)

    def _replace(self, name: str, fill: Callable[[BinaryIO], object]) -> None:
        staged = self.stage(name)
        try:
            with staged.open("xb") as file:
                fill(file)
            self.commit(staged, name)
        finally:
            staged.unlink(missing_ok=True)


def _files_below(top: Path, recursive: bool) -> Iterator[tuple[Path, os.stat_result]]:
    """Files below a folder (or the file itself) with their stat; being-written ones left out."""
    if not top.is_dir():
        yield top, top.stat()
        return
    with os.scandir(top) as children:
        for child in children:
            if child.is_dir():
                if recursive:
                    yield from _files_below(Path(child.path), recursive)
            elif not child.name.startswith(TEMP_PREFIX):
                with contextlib.suppress(FileNotFoundError):  # removed, or a dangling link
                    yield Path(child.path), child.stat()


def temporary_beside(target: Path) -> Path:
    return target.with_name(f"{TEMP_PREFIX}{target.name}.{secrets.token_hex(6)}")


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    """Flush a file or a folder's list of names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
