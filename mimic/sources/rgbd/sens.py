"""ScanNet's ``.sens`` file, version 4: all frames of a scan in one file, read by seeking.

A header (intrinsics and extrinsics of both cameras as 4 x 4 float32, compressions, sizes, units a
metre, the number of frames), then a frame after the other: a camera-to-world pose (-inf where
tracking was lost), two time stamps in microseconds, two lengths, and as many bytes of colour and
depth. Intrinsics: centre of the first pixel at (0, 0).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.listed import Blob, Depth, Found, Layout, Lens, Listed, continuous
from mimic.sources.rgbd.tree import Tree, natural, stem_of, suffix_of
from mimic.types import Matrix

VERSION = 4
_COLOURS = {1: "png", 2: "jpeg"}
_DEPTHS = {0: "raw", 1: "zlib"}
_AFTER_NAME = struct.Struct("<64fii4IfQ")
_FRAME = struct.Struct("<16f4Q")


class Header(NamedTuple):
    """What a file says of all its frames; ``first`` is where they begin."""

    lens: Lens
    depth_lens: Lens
    per_metre: float
    compressed: bool
    frames: int
    first: int


def find(tree: Tree) -> Iterator[Found]:
    """Every ``.sens`` file."""
    for folder, files in sorted(tree.folders.items()):
        for name in sorted(files, key=natural):
            if suffix_of(name) == ".sens":
                yield Found("sens", folder, files[name].name, (files[name],), whole=False)


def count(bundle: Bundle) -> int:
    """The frames that the header announces."""
    return _header(bundle).frames


def frames(bundle: Bundle, slots: Sequence[int]) -> list[Listed]:
    """See :class:`mimic.sources.rgbd.listed.Layout`; frames beyond the file's end are truncated."""
    header, path = _header(bundle), _path(bundle)
    found = {}
    at, end = header.first, bundle.sizes[path]
    wanted = set(slots)
    for slot in range(max(slots, default=-1) + 1):
        if at + _FRAME.size > end:
            break
        values = _FRAME.unpack(bundle.read(Blob(path, at, _FRAME.size)))
        colour_size, depth_size = values[18:20]
        start, at = at + _FRAME.size, at + _FRAME.size + colour_size + depth_size
        if at > end:
            break
        if slot in wanted:
            found[slot] = _listed(slot, header, path, values, start)
    return [found.get(slot) or _truncated(slot, path) for slot in slots]


def _listed(slot: int, header: Header, path: str, values: tuple[float, ...], start: int) -> Listed:
    stamp_us, colour_size, depth_size = int(values[16]), int(values[18]), int(values[19])
    depth = Depth(
        Blob(path, start + colour_size, depth_size),
        "zlib" if header.compressed else "raw",
        header.per_metre,
        size=header.depth_lens.size,
    )
    return Listed(
        slot=slot,
        name=_name(slot, path),
        colour=Blob(path, start, colour_size),
        depth=depth if depth_size else None,
        cam_to_world=np.array(values[:16], dtype=np.float64).reshape(4, 4),
        lens=header.lens,
        depth_lens=header.depth_lens,
        stamp_s=stamp_us / 1e6 if stamp_us else None,
    )


def _truncated(slot: int, path: str) -> Listed:
    return Listed(slot, _name(slot, path), Blob(path), problem="truncated")


def _name(slot: int, path: str) -> str:
    return f"{stem_of(path)}/{slot:06d}"


def _path(bundle: Bundle) -> str:
    return next(iter(bundle.sizes))


def _header(bundle: Bundle) -> Header:
    path = _path(bundle)
    head = bundle.read(Blob(path, 0, min(bundle.sizes[path], 4096)))
    version, length = struct.unpack_from("<IQ", head) if len(head) >= 12 else (0, 0)
    if version != VERSION:
        raise bundle.malformed(path, f"is not a .sens file of version {VERSION}")
    if 12 + length + _AFTER_NAME.size > len(head):
        raise bundle.malformed(path, "ends within its header")
    values = _AFTER_NAME.unpack_from(head, 12 + length)
    colour_k, colour_at, depth_k, depth_at = np.array(values[:64]).reshape(4, 4, 4)
    compressions = values[64], values[65]
    if compressions[0] not in _COLOURS or compressions[1] not in _DEPTHS:
        raise bundle.malformed(path, f"is compressed in a way that is not read ({compressions})")
    if not (_is_identity(colour_at) and _is_identity(depth_at)):
        raise bundle.malformed(path, "has cameras that stand apart; extract and register its depth")
    return Header(
        Lens(continuous(colour_k[:3, :3]), (values[66], values[67])),
        Lens(continuous(depth_k[:3, :3]), (values[68], values[69])),
        per_metre=float(values[70]),
        compressed=compressions[1] == 1,
        frames=values[71],
        first=12 + length + _AFTER_NAME.size,
    )


def _is_identity(extrinsics: Matrix) -> bool:
    return bool(np.abs(extrinsics - np.eye(4)).max() < 1e-3)


LAYOUT = Layout("sens", find, count, frames)
