"""Pictures, depth, ``poses.txt`` and ``K.txt``: the plain layout; and what layouts like it share.

``poses.txt``: a line a frame, camera-to-world, OpenCV axes, metres, 12 or 16 numbers row by row: in
the sorted order of the pictures, or led by the picture's name or number. ``K.txt``: 3 x 3, centre
of the first pixel at (0, 0) as calibration tools write it; or ``intrinsics.txt``: a line a frame of
4 (fx, fy, cx, cy) or 9 numbers. Depth: integers in millimetres, or floats in metres.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from mimic.sources.base import File
from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.listed import Blob, Depth, Found, Layout, Lens, Listed, continuous, pinhole
from mimic.sources.rgbd.text import (
    floats_of,
    intrinsics_in,
    partners,
    pose_of,
    rows_of,
)
from mimic.sources.rgbd.tree import DEPTHS, Tree, stem_of
from mimic.types import Matrix

COLOUR = ("images", "image", "color", "colour", "rgb")
DEPTH = ("depth", "depths")
POSES, UNSCALED_POSES = "poses.txt", "poses_unscaled.txt"
"""Camera poses in metres, and those in a unit that is not known (of sequences without depth)."""
MILLIMETRES = Depth(Blob(""))
SIZED_BY = 3
"""So many first pictures are tried for their size."""


def find(tree: Tree) -> Iterator[Found]:
    """Folders with pictures, depth and ``poses.txt``."""
    for folder in folders_with_depth(tree):
        poses = tree.file(folder, POSES)
        if poses is not None:
            others = [tree.file(folder, "K.txt"), tree.file(folder, "intrinsics.txt")]
            yield found_with_depth("plain", tree, folder, [poses, *others])


def frames(bundle: Bundle, slots: Sequence[int]) -> list[Listed]:
    """See :class:`mimic.sources.rgbd.listed.Layout`."""
    pictures = colours(bundle)
    poses = _by_picture(bundle, bundle.first(POSES) or UNSCALED_POSES, pictures, {12, 16})
    lenses = _lenses(bundle, pictures)
    depth = depths(bundle, pictures)
    return [
        Listed(
            slot=slot,
            name=pictures[slot],
            colour=Blob(pictures[slot]),
            depth=depth.get(pictures[slot]),
            cam_to_world=None if values is None else pose_of(values),
            lens=lenses[slot],
            problem=None if lenses[slot] else "no_intrinsics",
        )
        for slot in slots
        for values in [poses.get(pictures[slot])]
    ]


def folders_with_depth(tree: Tree) -> list[str]:
    """Folders that hold a folder of pictures and one of depth."""
    candidates = sorted({folder for name in DEPTH for folder in tree.parents(name)})
    return [
        folder
        for folder in candidates
        if tree.pictures(folder, COLOUR) and tree.pictures(folder, DEPTH, DEPTHS)
    ]


def found_with_depth(
    layout: str,
    tree: Tree,
    folder: str,
    others: Sequence[File | None],
    settings: tuple[tuple[str, str], ...] = (),
) -> Found:
    """A sequence of a folder of pictures, one of depth, and index files."""
    files = [
        *(file for file in others if file is not None),
        *tree.pictures(folder, COLOUR),
        *tree.pictures(folder, DEPTH, DEPTHS),
    ]
    return Found(layout, folder, folder or ".", tuple(files), settings=settings)


def colours(bundle: Bundle) -> list[str]:
    """The pictures of a sequence, a slot each."""
    return bundle.pictures(*COLOUR)


def count(bundle: Bundle) -> int:
    """Slots of a sequence that has one for each picture."""
    return len(colours(bundle))


def depths(bundle: Bundle, pictures: Sequence[str], like: Depth = MILLIMETRES) -> dict[str, Depth]:
    """The depth that goes with each picture, written ``like`` that; the user's scale rules."""
    files = bundle.pictures(*DEPTH, suffixes=DEPTHS)
    return {
        path: depth_of(bundle, other, like) for path, other in partners(pictures, files).items()
    }


def depth_of(bundle: Bundle, path: str, like: Depth = MILLIMETRES) -> Depth:
    """A depth file, written ``like`` that but as its suffix says; the user's scale rules."""
    return replace(
        like,
        blob=Blob(path),
        encoding="npy" if path.lower().endswith(".npy") else like.encoding,
        per_metre=float(bundle.settings.get("depth_scale", like.per_metre)),
    )


def given_lens(bundle: Bundle, pictures: Sequence[str]) -> Lens | None:
    """The intrinsics of ``K.txt``, or those that the user gives for sequences that have none."""
    sized_by = tuple(Blob(path) for path in pictures[:SIZED_BY])
    if bundle.first("K.txt") is not None:
        return Lens(continuous(intrinsics_in(bundle, "K.txt")), sized_by=sized_by)
    asked = bundle.settings.get("intrinsics")
    if asked is None:
        return None
    fx, fy, cx, cy = (float(word) for word in asked.split(","))
    return Lens(pinhole(fx, fy, cx, cy), sized_by=sized_by)


def _lenses(bundle: Bundle, pictures: Sequence[str]) -> list[Lens | None]:
    if bundle.first("K.txt") is None and bundle.first("intrinsics.txt") is not None:
        return _lenses_by_picture(bundle, pictures)
    lens = given_lens(bundle, pictures)
    if lens is None:
        raise bundle.no_intrinsics()
    return [lens] * len(pictures)


def _lenses_by_picture(bundle: Bundle, pictures: Sequence[str]) -> list[Lens | None]:
    sized_by = tuple(Blob(path) for path in pictures[:SIZED_BY])
    rows = _by_picture(bundle, "intrinsics.txt", pictures, {4, 9})
    matrices = {path: continuous(_matrix(values)) for path, values in rows.items()}
    return [Lens(matrices[p], sized_by=sized_by) if p in matrices else None for p in pictures]


def _matrix(values: list[float]) -> Matrix:
    return np.array(values).reshape(3, 3) if len(values) == 9 else pinhole(*values, shift=0.0)


def _by_picture(
    bundle: Bundle, path: str, pictures: Sequence[str], lengths: set[int]
) -> dict[str, list[float]]:
    """The numbers of each picture, of a file with a line a picture.

    Raises:
        SourceError: ``malformed``: other numbers of words, or it is not clear which line is whose.
    """
    rows = rows_of(bundle.text(path))
    bad = next((row for row in rows if not {len(row), len(row) - 1} & lengths), None)
    if bad is not None:
        due = " or ".join(str(length) for length in sorted(lengths))
        raise bundle.malformed(path, f"has a line of {len(bad)} words; {due} numbers are due")
    named = [len(row) not in lengths for row in rows]
    if any(named) != all(named):
        raise bundle.malformed(path, "names some of its lines only; name all of them or none")
    if rows and named[0]:
        names = _names(pictures)
        values = {names.get(_plain_name(row[0])): row[1:] for row in rows}
        return {p: floats_of(words, bundle, path) for p, words in values.items() if p is not None}
    if len(rows) != len(pictures):
        raise bundle.malformed(
            path,
            f"has {len(rows)} lines for {len(pictures)} pictures; write a line a picture, or the "
            "picture's name at the start of each line",
        )
    if list(pictures) != sorted(pictures):
        raise bundle.malformed(
            path,
            "has no names, and the pictures' numbers have no leading zeros, so that their order is "
            "not clear; write the picture's name at the start of each line",
        )
    return {p: floats_of(row, bundle, path) for p, row in zip(pictures, rows, strict=True)}


def _names(pictures: Sequence[str]) -> dict[object, str]:
    """Pictures by file name, by stem, and by number where the stem is one."""
    found: dict[object, str] = {}
    for picture in pictures:
        stem = stem_of(picture)
        found |= {picture.rpartition("/")[2]: picture, picture: picture, _plain_name(stem): picture}
    return found


def _plain_name(word: str) -> object:
    return int(word) if word.isdigit() else word


LAYOUT = Layout("plain", find, count, frames)
