"""The files of a source by folder, and which of them are the pictures of a sequence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from mimic.sources.base import File

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp"})
DEPTHS = frozenset({".png", ".pgm", ".tif", ".tiff", ".npy", ".exr"})

_CHUNKS = re.compile(r"\d+|\D+")


class Tree:
    """Files by folder and name; names are relative to the source's root, the root is ``""``."""

    def __init__(self, files: Sequence[File]) -> None:
        self.folders: dict[str, dict[str, File]] = {}
        for file in files:
            if file.uri.endswith(file.name):  # else its place in the source is not its address
                folder, _, name = file.name.rpartition("/")
                self.folders.setdefault(folder, {})[name] = file

    def inside(self, folder: str, name: str) -> str:
        """The full name of something in a folder."""
        return f"{folder}/{name}" if folder else name

    def parents(self, name: str) -> list[str]:
        """Folders that hold a subfolder of this name with files in or below it, sorted."""
        found = set()
        for folder in self.folders:
            parts = folder.split("/")
            found |= {"/".join(parts[:i]) for i, part in enumerate(parts) if part == name}
        return sorted(found)

    def file(self, folder: str, *names: str) -> File | None:
        """The first of these files that the folder, or a subfolder named with it, holds."""
        for name in names:
            place, _, base = self.inside(folder, name).rpartition("/")
            found = self.folders.get(place, {}).get(base)
            if found is not None:
                return found
        return None

    def pictures(
        self, folder: str, names: Iterable[str], suffixes: frozenset[str] = PICTURES
    ) -> list[File]:
        """The pictures of the first of these subfolders that has any, in natural order."""
        for name in names:
            files = self.folders.get(self.inside(folder, name), {}).values()
            found = [file for file in files if suffix_of(file.name) in suffixes]
            if found:
                return sorted(found, key=lambda file: natural(file.name))
        return []

    def below(self, folder: str) -> list[File]:
        """All files in a folder and its subfolders."""
        return [
            file
            for place, files in self.folders.items()
            if not folder or place == folder or place.startswith(f"{folder}/")
            for file in files.values()
        ]


def natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """A key to sort by: numbers in a name count as numbers, so that 2 comes before 10."""
    chunks = _CHUNKS.findall(name)
    return tuple((0, int(chunk)) if chunk.isdigit() else (1, chunk) for chunk in chunks)


def suffix_of(name: str) -> str:
    """``.png`` of ``a/b.PNG``."""
    return PurePosixPath(name).suffix.lower()


def stem_of(name: str) -> str:
    """``b`` of ``a/b.png``."""
    return PurePosixPath(name).stem
