"""Items made of several picture files: how they are named, found again, and read.

A member is written ``path#fingerprint``, so that a unit that needs a few of an item's pictures can
check and identify these few alone. Paths are relative to the item's ``uri``. A unit carries only
the members it may read: the first is that of its span's first slot.
"""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mimic.config import Config
from mimic.errors import StorageError
from mimic.ids import stable_id
from mimic.sampling import margin_slots as margin_of
from mimic.sources.base import File, Order, placed, unit_of
from mimic.sources.fingerprint import changed, fingerprint_of, fingerprint_of_bytes, vanished
from mimic.sources.parallel import in_order
from mimic.storage import MissingError
from mimic.types import Skipped, SourceItem, Span, UInt8Image, WorkUnit

CPU_S_PER_IMAGE = 0.05
"""Reading and decoding a photo of a few megapixels, and detecting on it."""
CPU_S_PER_PAIR = 0.01
"""Matching and verifying one candidate pair."""
PAIRS_PER_CANDIDATE = 0.1
"""Kept pairs a candidate, in tourist photo groups."""

_log = logging.getLogger("mimic")


def base_of(files: Sequence[File]) -> str:
    """The deepest folder that holds all the files."""
    folders = [file.uri.split("/")[:-1] for file in files]
    shared = 0
    for column in zip(*folders, strict=False):
        if len(set(column)) > 1:
            break
        shared += 1
    return "/".join(folders[0][:shared]) or "/"


def item_of(
    kind: str, name: str, files: Sequence[File], config: Config
) -> tuple[SourceItem | None, list[Skipped]]:
    """An item of pictures in this order, and the files that cannot be read."""
    base = base_of(files)
    skipped: list[Skipped] = []
    members: list[str] = []
    size = 0
    for file, result in zip(files, in_order(_fingerprint_or_reason, files), strict=True):
        if isinstance(result, Skipped):
            skipped.append(result)
            continue
        members.append(f"{posixpath.relpath(file.uri, base)}#{result}")
        size += file.size
    if not members:
        return None, skipped
    return make_item(kind, name, base, members, size, config), skipped


def make_item(
    kind: str, name: str, uri: str, members: Sequence[str], size: int, config: Config
) -> SourceItem:
    """An item of members that are already written as ``path#fingerprint``."""
    item = SourceItem(
        kind=kind,
        uri=uri,
        name=name,
        fingerprint=stable_id(kind, *members),
        size_bytes=size,
        scene=name,
        members=tuple(members),
    )
    return placed(item, config)


def split_members(item: SourceItem, owned: int, order: Order, config: Config) -> list[WorkUnit]:
    """Units of ``owned`` slots; the last one is open-ended."""
    count = len(item.members)
    margin = margin_of(order, config.sampling)
    units = []
    for first in range(0, count, owned):
        last = first + owned if first + owned < count else None
        members = item.members[first : None if last is None else last + margin]
        part = replace(item, members=members, fingerprint=stable_id(item.kind, *members))
        images = min(owned, count - first)
        candidates = (
            sum(min(margin, count - 1 - slot) for slot in range(first, first + images))
            if order == "group"
            else images
            if order == "sequence"
            else images // 2
        )
        units.append(
            unit_of(
                part,
                Span(first, last),
                config,
                footage_s=0.0,
                estimated_s=len(members) * CPU_S_PER_IMAGE + candidates * CPU_S_PER_PAIR,
                estimated_pairs=candidates * PAIRS_PER_CANDIDATE,
            )
        )
    return units


def path_of(member: str) -> str:
    """The path of a member."""
    return member.rpartition("#")[0]


def read_members(unit: WorkUnit, margin_slots: int) -> Iterator[tuple[int, str, str, UInt8Image]]:
    """(slot, path, frame id, picture) in slot order; a picture that does not decode is left out.

    Raises:
        SourceError: ``vanished`` or ``changed``.
    """
    from mimic.opencv import decode_image

    end = None if unit.span.last is None else unit.span.last + margin_slots
    for slot, member in enumerate(unit.item.members, unit.span.first):
        if end is not None and slot >= end:
            break
        path, _, fingerprint = member.rpartition("#")
        data = _read(unit.item, path)
        if fingerprint_of_bytes(data) != fingerprint:
            raise changed(_shown(unit.item, path))
        try:
            picture = decode_image(data)
        except ValueError as error:
            _log.warning("%s: left out, not a picture (%s)", _shown(unit.item, path), error)
            continue
        yield slot, path, stable_id(fingerprint, "picture", path), picture


def address_of(base: str, path: str) -> str:
    """Where a member lies: its path may be absolute or a URL."""
    if "://" in path or path.startswith("/"):
        return path
    return f"{base.rstrip('/')}/{path}"


def _read(item: SourceItem, path: str) -> bytes:
    file = File.at(path, address_of(item.uri, path), 0)
    try:
        return file.storage.read(file.basename)
    except MissingError as error:
        raise vanished(_shown(item, path)) from error


def _shown(item: SourceItem, path: str) -> str:
    return path if item.name in {".", ""} else f"{item.name}: {path}"


def _fingerprint_or_reason(file: File) -> str | Skipped:
    if file.size == 0:
        return Skipped(file.name, "empty", f"{file.name}: is empty (0 bytes)")
    try:
        return fingerprint_of(file)
    except StorageError as error:
        return Skipped(file.name, "unreadable", f"{file.name}: {error}")
