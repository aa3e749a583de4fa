"""The values that flow from a layout's reader to the source: a frame as its index files tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mimic.sources.base import File
from mimic.types import Matrix

if TYPE_CHECKING:
    from mimic.sources.rgbd.bundle import Bundle
    from mimic.sources.rgbd.tree import Tree

MAX_STAMP_DIFFERENCE_S = 0.02
"""Colour, depth and pose that lie farther apart in time are not of one frame."""

HALF_PIXEL = 0.5
"""What calibrations that put the centre of the first pixel at (0, 0) lack to ours."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes of a file of the sequence: all, or ``size`` of them from ``offset``."""

    path: str
    offset: int = 0
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Depth:
    """Where the depth of a frame lies and how it is written.

    ``picture``: a grey picture, integers in units of 1 / ``per_metre`` or floats in metres.
    ``npy``: the same as a NumPy array. ``colmap``: COLMAP's dense map. ``zlib`` and ``raw``:
    little-endian uint16 of ``size`` (width, height). 0, ``invalid`` and what is not finite mean
    that there is none.
    """

    blob: Blob
    encoding: Literal["picture", "npy", "colmap", "zlib", "raw"] = "picture"
    per_metre: float = 1000.0
    invalid: int | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """A camera: (3, 3) ``intrinsics`` of continuous pixels, and the picture ``size`` they are of.

    ``size`` None: that of the first of the pictures ``sized_by`` that can be read.
    ``distortion``: Brown's k1, k2, p1, p2, k3, or none.
    """

    intrinsics: Matrix
    size: tuple[int, int] | None = None
    sized_by: tuple[Blob, ...] = ()
    distortion: tuple[float, float, float, float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """One frame of a sequence. ``problem`` says in one word why it cannot be used.

    ``depth_lens`` None: the depth has the colour's field of view, whatever its size. Otherwise the
    depth camera is assumed to stand where the colour camera stands and to look the same way.
    """

    slot: int
    name: str
    colour: Blob
    depth: Depth | None = None
    cam_to_world: Matrix | None = None
    lens: Lens | None = None
    depth_lens: Lens | None = None
    stamp_s: float | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A sequence by the names of its files: ``folder`` is relative to the source's root.

    ``files`` are those it is read from. ``whole``: all else in its folder is its, too.
    ``settings``: what its address tells of it.
    """

    layout: str
    folder: str
    name: str
    files: tuple[File, ...]
    whole: bool = True
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to lay out a sequence.

    ``find`` names sequences by file names alone. ``count`` tells how many slots one has, and
    ``frames`` reads what its index files say of some slots, in order; both raise SourceError for
    files that cannot be understood. ``parts`` lists the sequences in one found thing (scenes of a
    driving log), where there may be several.
    """

    name: str
    find: Callable[[Tree], Iterable[Found]]
    count: Callable[[Bundle], int]
    frames: Callable[[Bundle, Sequence[int]], list[Listed]]
    parts: Callable[[Bundle], list[str]] | None = None


def pinhole(fx: float, fy: float, cx: float, cy: float, *, shift: float = HALF_PIXEL) -> Matrix:
    """Intrinsics (3, 3) of continuous pixels; ``shift`` 0 where they are that already."""
    return np.array([[fx, 0.0, cx + shift], [0.0, fy, cy + shift], [0.0, 0.0, 1.0]])


def continuous(intrinsics: Matrix, shift: float = HALF_PIXEL) -> Matrix:
    """Intrinsics (3, 3) whose first pixel centre is at (0, 0), in continuous pixels."""
    moved = np.array(intrinsics, dtype=np.float64)
    moved[:2] += shift * moved[2]
    return moved
