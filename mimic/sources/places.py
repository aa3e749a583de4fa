"""What ``--source`` names: a file, a folder, a glob, or a text list; local or any fsspec URL."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mimic.errors import MimicError
from mimic.sources.base import File
from mimic.sources.parallel import in_order
from mimic.storage import MissingError, Storage

LIST_SUFFIXES = (".txt", ".lst")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Place:
    """The files of a source, sorted by name; ``explicit`` where each was named by the user."""

    where: str
    files: tuple[File, ...]
    explicit: bool


def find(where: str, *, lists: bool = True) -> Place:
    """Resolve an address.

    ``lists`` False takes a ``.txt`` file as itself (a pair list), not as a list of files.

    Raises:
        MimicError: missing path, empty folder, glob without a match, empty list; StorageError
            for a bucket that is out of reach.
    """
    if not where:
        raise MimicError("--source is empty: name a file, a folder, a glob, a list or a URL")
    if _is_glob(where):
        return _from_glob(where)
    storage, name = split_address(where)
    if not _is_remote(where) and Path(storage.join(name)).is_dir():
        return _from_folder(where, Storage(storage.join(name)))
    try:
        size = storage.size(name)
    except MissingError:
        if _is_remote(where):
            return _from_folder(where, Storage(where))
        raise MimicError(f"--source {where}: there is no such file or folder") from None
    if lists and PurePosixPath(name).suffix.lower() in LIST_SUFFIXES:
        return _from_list(where, storage, name)
    return Place(where, (File(name, storage.join(name), size),), explicit=True)


def _from_folder(where: str, storage: Storage) -> Place:
    files = tuple(
        File(entry.name, storage.join(entry.name), entry.size)
        for entry in storage.list()
        if not any(part.startswith(".") for part in PurePosixPath(entry.name).parts)
    )
    if not files:
        raise MimicError(
            f"--source {where}: "
            + ("nothing is found there" if _is_remote(where) else "the folder is empty")
            + "; name a place that holds videos, pictures or scenes"
        )
    return Place(where, files, explicit=False)


def _from_glob(where: str) -> Place:
    """The root is the part before the first folder with a wildcard; ``**`` crosses folders."""
    parts = where.split("/")
    wild = next(i for i, part in enumerate(parts) if _WILD.search(part))
    root = "/".join(parts[:wild]) or ("/" if where.startswith("/") else ".")
    pattern = re.compile(_glob_regex("/".join(parts[wild:])))
    storage = Storage(root)
    files = tuple(
        File(entry.name, storage.join(entry.name), entry.size)
        for entry in storage.list()
        if pattern.fullmatch(entry.name)
    )
    if not files:
        raise MimicError(
            f"--source {where}: no file matches; quote the pattern, and use ** to cross folders"
        )
    return Place(where, files, explicit=True)


def _from_list(where: str, storage: Storage, name: str) -> Place:
    try:
        lines = storage.read(name).decode().splitlines()
    except UnicodeDecodeError:
        raise MimicError(f"--source {where}: not a text list (one path or URL a line)") from None
    entries = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not entries:
        raise MimicError(f"--source {where}: the list is empty; write one path or URL a line")
    addresses = [
        entry if _is_remote(entry) or entry.startswith("/") else f"{storage.url}/{entry}"
        for entry in map(_clean, entries)
    ]
    names = _names_in_list(entries)
    files = list(
        in_order(_sized, [File.at(*pair, 0) for pair in zip(names, addresses, strict=True)])
    )
    missing = [file.name for file in files if file.size < 0]
    if missing:
        raise MimicError(
            f"--source {where}: {len(missing)} of {len(entries)} files in the list do not exist, "
            f"first {missing[0]}"
        )
    return Place(where, tuple(files), explicit=True)


def _sized(file: File) -> File:
    """The file with its size; -1 where there is none."""
    try:
        return replace(file, size=file.storage.size(file.basename))
    except MissingError:
        return replace(file, size=-1)


def _clean(entry: str) -> str:
    return entry if _is_remote(entry) else PurePosixPath(entry).as_posix()


def _names_in_list(entries: list[str]) -> list[str]:
    """Relative lines keep their text; of absolute ones the common folder is dropped."""
    absolute = [entry for entry in entries if _is_remote(entry) or entry.startswith("/")]
    common = 0
    if absolute:
        folders = [entry.split("/")[:-1] for entry in absolute]
        common = next(
            (i for i, column in enumerate(zip(*folders, strict=False)) if len(set(column)) > 1),
            min(map(len, folders)),
        )
    return [
        "/".join(entry.split("/")[common:]) if entry in set(absolute) else _clean(entry)
        for entry in entries
    ]


def _is_glob(where: str) -> bool:
    if not _WILD.search(where):
        return False
    return _is_remote(where) or not Path(where).exists()


def _glob_regex(pattern: str) -> str:
    return (
        glob.translate(pattern, recursive=True)
        if hasattr(glob, "translate")
        else _translate(pattern)
    )


def _translate(pattern: str) -> str:
    """A shell pattern as a regular expression: ``*`` and ``?`` stay within a folder."""
    text, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            text, at = text + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            text, at = text + ".*", at + 2
        elif pattern[at] == "*":
            text, at = text + "[^/]*", at + 1
        elif pattern[at] == "?":
            text, at = text + "[^/]", at + 1
        elif pattern[at] == "[" and "]" in pattern[at + 1 :]:
            end = pattern.index("]", at + 1)
            inside = pattern[at + 1 : end].replace("\\", r"\\")
            text += f"[{'^' + inside[1:] if inside.startswith('!') else inside}]"
            at = end + 1
        else:
            text, at = text + re.escape(pattern[at]), at + 1
    return text


def _is_remote(where: str) -> bool:
    return "://" in where and not where.startswith("file://")


def split_address(where: str) -> tuple[Storage, str]:
    """The folder and the name of an address."""
    if not _is_remote(where):
        path = Path(where.removeprefix("file://")).expanduser().absolute()
        return Storage(path.parent), path.name
    folder, _, name = where.rstrip("/").rpartition("/")
    return Storage(folder), name
