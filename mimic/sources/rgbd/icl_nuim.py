"""ICL-NUIM in its TUM-like form (``*_frei_png``): rgb, depth and a ``*.gt.freiburg`` trajectory.

The data set's camera is (481.2, -480, 319.5, 239.5), centre of the first pixel at (0, 0): its y
axis points up, and with x to the right and z forward that makes camera and world left-handed. Both
are mirrored here, y -> -y, which keeps every distance and makes the poses proper ones of a camera
whose fy is 480. Depth is along the optical axis, 5000 a metre (the ``.depth`` text files of the
other form hold distances along the ray; they are not read).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.listed import Blob, Depth, Found, Layout, Lens, Listed, pinhole
from mimic.sources.rgbd.plain import (
    colours,
    count,
    depths,
    folders_with_depth,
    found_with_depth,
    given_lens,
)
from mimic.sources.rgbd.text import floats_of, from_quaternion, rows_of
from mimic.sources.rgbd.tree import Tree, stem_of
from mimic.types import Matrix

SUFFIX = ".gt.freiburg"
_MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])


def find(tree: Tree) -> Iterator[Found]:
    """Folders with pictures, depth and one ``*.gt.freiburg``."""
    for folder in folders_with_depth(tree):
        files = tree.folders.get(folder, {})
        truth = [file for name, file in sorted(files.items()) if name.endswith(SUFFIX)]
        if len(truth) == 1:
            yield found_with_depth("icl-nuim", tree, folder, [*truth, tree.file(folder, "K.txt")])


def frames(bundle: Bundle, slots: Sequence[int]) -> list[Listed]:
    """See :class:`mimic.sources.rgbd.listed.Layout`."""
    pictures = colours(bundle)
    depth = depths(bundle, pictures, Depth(Blob(""), per_metre=5000.0))
    poses = _poses(bundle)
    lens = given_lens(bundle, pictures) or Lens(pinhole(481.2, 480.0, 319.5, 239.5), (640, 480))
    return [
        Listed(
            slot=slot,
            name=pictures[slot],
            colour=Blob(pictures[slot]),
            depth=depth.get(pictures[slot]),
            cam_to_world=poses.get(int(stem)) if stem.isdigit() else None,
            lens=lens,
        )
        for slot in slots
        for stem in [stem_of(pictures[slot])]
    ]


def _poses(bundle: Bundle) -> dict[int, Matrix]:
    path = next(path for path in bundle.sizes if path.endswith(SUFFIX))
    poses = {}
    for row in rows_of(bundle.text(path)):
        number, *values = floats_of(row, bundle, path)
        if len(values) != 7:
            raise bundle.malformed(path, f"has a line of {len(row)} numbers; 8 are due")
        poses[int(number)] = _MIRROR @ from_quaternion(values[:3], values[3:]) @ _MIRROR
    return poses


LAYOUT = Layout("icl-nuim", find, count, frames)
