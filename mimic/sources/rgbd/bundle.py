"""The files of one sequence at hand: what was planned of them, and their bytes.

An item carries its files as one packed text, a line ``size path`` each: sequences have thousands,
and every unit must find them without listing a folder again.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from mimic.errors import SourceError
from mimic.ids import stable_id
from mimic.sources.base import File
from mimic.sources.fingerprint import changed, fingerprint_of, vanished
from mimic.sources.parallel import in_order
from mimic.sources.rgbd.listed import Blob, Found
from mimic.sources.rgbd.tree import PICTURES, natural, suffix_of
from mimic.storage import MissingError
from mimic.types import SourceItem

SAMPLES = 8
"""Of the files of one folder and suffix, so many are looked into for the fingerprint."""

_SUFFIXES = re.compile(r"(\.[A-Za-z_]+)*$")


@dataclass(frozen=True)
class Bundle:
    """The files of a sequence: sizes by path relative to ``uri``, and what is known beside them.

    ``name`` is what people call it.
    """

    name: str
    uri: str
    sizes: dict[str, int]
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_item(cls, item: SourceItem) -> Bundle:
        """The files of a planned item."""
        return cls(item.name, item.uri, unpacked(item.members[0]), dict(item.settings))

    @classmethod
    def of_found(cls, found: Found, asked: Mapping[str, str]) -> Bundle:
        """The files of a sequence that was just found; ``asked``: what the user says of it."""
        inside = len(found.folder) + 1 if found.folder else 0
        sizes = {file.name[inside:]: file.size for file in found.files}
        first = found.files[0]
        uri = first.uri.removesuffix(first.name[inside:]).rstrip("/") or "/"
        return cls(found.name, uri, sizes, dict(found.settings) | dict(asked))

    def part(self, name: str) -> Bundle:
        """One of the sequences in it."""
        shown = "/".join(word for word in (self.name.removesuffix("."), name) if word) or "."
        return replace(self, name=shown, settings=self.settings | {"part": name})

    @cached_property
    def folders(self) -> dict[str, list[str]]:
        """Paths by folder, in natural order; ``""`` is the sequence's own."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.sizes, key=natural):
            found.setdefault(path.rpartition("/")[0], []).append(path)
        return found

    def pictures(self, *folders: str, suffixes: frozenset[str] = PICTURES) -> list[str]:
        """The pictures of the first of these folders that has any, in natural order."""
        for folder in folders:
            found = [p for p in self.folders.get(folder, []) if suffix_of(p) in suffixes]
            if found:
                return found
        return []

    def first(self, *paths: str) -> str | None:
        """The first of these paths that there is."""
        return next((path for path in paths if path in self.sizes), None)

    def read(self, blob: Blob) -> bytes:
        """Its bytes, checked against the planned size.

        Raises:
            SourceError: ``vanished`` or ``changed``.
        """
        file = self.file(blob.path)
        try:
            if blob.size is None:
                data = file.storage.read(file.basename)
                same = len(data) == file.size
            else:
                data = file.storage.read_range(file.basename, blob.offset, blob.size)
                same = len(data) == blob.size
        except MissingError as error:
            raise vanished(self.shown(blob.path)) from error
        if not same:
            raise changed(self.shown(blob.path))
        return data

    def text(self, path: str) -> str:
        """The content of an index file."""
        try:
            return self.read(Blob(path)).decode()
        except UnicodeDecodeError:
            raise self.malformed(path, "is not text") from None

    def texts(self, paths: Sequence[str]) -> list[str]:
        """The contents of many small files."""
        return list(in_order(self.text, paths))

    def file(self, path: str) -> File:
        """A file of the sequence."""
        return File.at(self.shown(path), f"{self.uri.rstrip('/')}/{path}", self.sizes[path])

    def shown(self, path: str) -> str:
        """A path as people read it."""
        return path if self.name in {".", ""} else f"{self.name}: {path}"

    def malformed(self, path: str, why: str) -> SourceError:
        """An index file cannot be understood."""
        return SourceError("malformed", f"{self.shown(path)}: {why}")

    def no_intrinsics(self) -> SourceError:
        """Nothing tells its camera."""
        return SourceError(
            "no_intrinsics",
            f"{self.name}: has no intrinsics; put K.txt (3 x 3) into its folder, or give "
            "--set source.rgbd.intrinsics=[fx,fy,cx,cy]",
        )

    def packed(self) -> str:
        """The files as an item carries them."""
        lines = "\n".join(f"{size} {path}" for path, size in sorted(self.sizes.items()))
        return base64.b64encode(zlib.compress(lines.encode(), 9)).decode()

    def fingerprint(self, layout: str) -> str:
        """By all names and sizes, what is known beside them, and samples of the contents."""
        files = [part for path in sorted(self.sizes) for part in (path, self.sizes[path])]
        sampled = self._sampled()
        contents = in_order(lambda path: fingerprint_of(self.file(path)), sampled)
        return stable_id(
            "rgbd", layout, *files, json.dumps(self.settings, sort_keys=True), *contents
        )

    def _sampled(self) -> list[str]:
        groups: dict[tuple[str, str], list[str]] = {}
        for path in sorted(self.sizes):
            folder, _, name = path.rpartition("/")
            suffixes = _SUFFIXES.search(name)
            groups.setdefault((folder, suffixes.group() if suffixes else ""), []).append(path)
        return [path for paths in groups.values() for path in spread(paths, SAMPLES)]


def spread(values: Sequence[str], count: int) -> list[str]:
    """At most so many of the values, evenly spaced, the first and the last among them."""
    if len(values) <= count:
        return list(values)
    return [values[i * (len(values) - 1) // (count - 1)] for i in range(count)]


def unpacked(text: str) -> dict[str, int]:
    """Sizes by path, of :meth:`Bundle.packed`."""
    lines = zlib.decompress(base64.b64decode(text)).decode().split("\n")
    pairs = (line.partition(" ") for line in lines)
    return {path: int(size) for size, _, path in pairs}
