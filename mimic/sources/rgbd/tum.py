"""TUM RGB-D: ``rgb.txt``, ``depth.txt`` and ``groundtruth.txt``, put together by their time stamps.

Depth is registered to the colour camera, 5000 a metre. Intrinsics: ``K.txt``, else those that the
data set gives for ``freiburg1``, ``2`` and ``3`` in the name of the sequence, centre of the first
pixel at (0, 0). The pictures of the first two have distortion, which is taken out of colour and
depth here; those of the third are without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from mimic.sources.base import File
from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.listed import (
    MAX_STAMP_DIFFERENCE_S,
    Blob,
    Depth,
    Found,
    Layout,
    Lens,
    Listed,
    pinhole,
)
from mimic.sources.rgbd.plain import depth_of, given_lens
from mimic.sources.rgbd.text import floats_of, from_quaternion, nearest, rows_of
from mimic.sources.rgbd.tree import DEPTHS, Tree

INDEX = ("rgb.txt", "depth.txt", "groundtruth.txt")
_CAMERAS = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3),
    "freiburg2": (520.9, 521.0, 325.1, 249.7),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
}
_DISTORTIONS = {
    "freiburg1": (0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    "freiburg2": (0.2312, -0.7849, -0.0033, -0.0001, 0.9172),
}
_CAMERA = re.compile(r"freiburg[123]")


def find(tree: Tree) -> Iterator[Found]:
    """Folders with the three index files, ``rgb`` and ``depth``."""
    for folder in tree.parents("rgb"):
        index = [tree.file(folder, name) for name in INDEX]
        colour, depth = tree.pictures(folder, ["rgb"]), tree.pictures(folder, ["depth"], DEPTHS)
        if all(index) and colour and depth:
            known = [file for file in (*index, tree.file(folder, "K.txt")) if file is not None]
            files = (*known, *colour, *depth)
            yield Found("tum", folder, folder or ".", files, settings=_camera_of(known[0]))


def count(bundle: Bundle) -> int:
    """A slot a picture."""
    return len(bundle.pictures("rgb"))


def frames(bundle: Bundle, slots: Sequence[int]) -> list[Listed]:
    """See :class:`mimic.sources.rgbd.listed.Layout`."""
    pictures = bundle.pictures("rgb")
    colour = {path: stamp for stamp, path in _listed(bundle, "rgb.txt")}
    depth = sorted(_listed(bundle, "depth.txt"))
    depth_stamps = np.array([stamp for stamp, _ in depth])
    truth = sorted(_truth(bundle), key=lambda row: row[0])
    truth_stamps = np.array([row[0] for row in truth])
    lens = given_lens(bundle, pictures) or _known_lens(bundle)
    found = []
    for slot in slots:
        path = pictures[slot]
        stamp = colour.get(path, np.nan)
        of_depth = nearest(depth_stamps, stamp, MAX_STAMP_DIFFERENCE_S)
        of_pose = nearest(truth_stamps, stamp, MAX_STAMP_DIFFERENCE_S)
        late = of_depth is None or of_pose is None or np.isnan(stamp)
        listed = Listed(slot, path, Blob(path), lens=lens, problem="unsynchronised")
        if not late and of_depth is not None and of_pose is not None:
            listed = _frame(bundle, slot, path, stamp, depth[of_depth][1], truth[of_pose], lens)
        found.append(listed)
    return found


def _frame(
    bundle: Bundle,
    slot: int,
    path: str,
    stamp_s: float,
    depth: str,
    pose: Sequence[float],
    lens: Lens | None,
) -> Listed:
    like = Depth(Blob(""), per_metre=5000.0)
    return Listed(
        slot=slot,
        name=path,
        colour=Blob(path),
        depth=depth_of(bundle, depth, like) if depth in bundle.sizes else None,
        cam_to_world=from_quaternion(pose[1:4], pose[4:8]),
        lens=lens,
        stamp_s=stamp_s,
    )


def _listed(bundle: Bundle, path: str) -> list[tuple[float, str]]:
    rows = rows_of(bundle.text(path))
    if any(len(row) != 2 for row in rows):
        raise bundle.malformed(path, "has a line that is not a time stamp and a file name")
    return [(floats_of(row[:1], bundle, path)[0], row[1].removeprefix("./")) for row in rows]


def _truth(bundle: Bundle) -> list[list[float]]:
    path = "groundtruth.txt"
    rows = [floats_of(row, bundle, path) for row in rows_of(bundle.text(path))]
    if any(len(row) != 8 for row in rows):
        raise bundle.malformed(path, "has a line that is not a time stamp and 7 numbers")
    return rows


def _known_lens(bundle: Bundle) -> Lens:
    camera = bundle.settings.get("camera")
    if camera is None:
        raise bundle.no_intrinsics()
    return Lens(pinhole(*_CAMERAS[camera]), (640, 480), distortion=_DISTORTIONS.get(camera))


def _camera_of(file: File) -> tuple[tuple[str, str], ...]:
    folder = file.uri.split("/")[-2] if "/" in file.uri else ""
    match = _CAMERA.search(folder)
    return (("camera", match.group()),) if match else ()


LAYOUT = Layout("tum", find, count, frames)
