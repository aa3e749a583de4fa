"""ARKitScenes: folders ``lowres_wide``, ``lowres_depth``, ``lowres_wide_intrinsics``; a ``.traj``.

The trajectory holds a time, a rotation vector and a translation a line: world to camera, OpenCV
axes, ten a second. Names are ``<video>_<seconds>``. A ``.pincam`` holds width, height, fx, fy, cx,
cy: those of the 1920-pixel picture, first pixel centre at (0, 0), made smaller by a factor (centre
959.5 became 127.93 of 256): so what is added is half a pixel of the large picture. Depth is in
millimetres.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.listed import Blob, Found, Layout, Lens, Listed, pinhole
from mimic.sources.rgbd.plain import depth_of
from mimic.sources.rgbd.text import floats_of, from_axis_angle, inverse, nearest, rows_of
from mimic.sources.rgbd.tree import DEPTHS, Tree, stem_of

COLOUR, DEPTH, PINCAM = "lowres_wide", "lowres_depth", "lowres_wide_intrinsics"
TRAJECTORY = "lowres_wide.traj"
CAMERAS = frozenset({".pincam"})
FULL_WIDTH = 1920
MAX_DIFFERENCE_S = 0.005
"""Between a picture and its pose, as in the data set's own tools."""
MAX_ROUNDING_S = 0.001
"""Between a picture and its depth and intrinsics, whose names should hold the same time."""
_STAMP = re.compile(r"(\d+\.\d+)$")


def find(tree: Tree) -> Iterator[Found]:
    """Folders with the three folders and the trajectory."""
    for folder in tree.parents(COLOUR):
        trajectory = tree.file(folder, TRAJECTORY)
        parts = [
            tree.pictures(folder, [COLOUR]),
            tree.pictures(folder, [DEPTH], DEPTHS),
            tree.pictures(folder, [PINCAM], CAMERAS),
        ]
        if trajectory is not None and all(parts):
            files = (trajectory, *(file for part in parts for file in part))
            yield Found("arkitscenes", folder, folder or ".", files)


def count(bundle: Bundle) -> int:
    """A slot a picture."""
    return len(bundle.pictures(COLOUR))


def frames(bundle: Bundle, slots: Sequence[int]) -> list[Listed]:
    """See :class:`mimic.sources.rgbd.listed.Layout`."""
    pictures = bundle.pictures(COLOUR)
    stamps = {slot: _stamp_s(pictures[slot]) for slot in slots}
    depth = _Timed(bundle.pictures(DEPTH, suffixes=DEPTHS))
    cameras = _Timed(bundle.pictures(PINCAM, suffixes=CAMERAS))
    chosen = {slot: cameras.at(stamp) for slot, stamp in stamps.items()}
    wanted = sorted({path for path in chosen.values() if path is not None})
    texts = dict(zip(wanted, bundle.texts(wanted), strict=True))
    trajectory = _trajectory(bundle)
    times = np.array([row[0] for row in trajectory])
    found = []
    for slot, stamp in stamps.items():
        place = None if stamp is None else nearest(times, stamp, MAX_DIFFERENCE_S)
        pose = None if place is None else trajectory[place]
        of_depth, camera = depth.at(stamp), chosen[slot]
        listed = Listed(
            slot=slot,
            name=pictures[slot],
            colour=Blob(pictures[slot]),
            depth=None if of_depth is None else depth_of(bundle, of_depth),
            cam_to_world=None if pose is None else inverse(from_axis_angle(pose[4:], pose[1:4])),
            lens=None if camera is None else _lens(bundle, camera, texts[camera]),
            stamp_s=stamp,
            problem="no_intrinsics" if camera is None else None,
        )
        found.append(listed)
    return found


class _Timed:
    """Files by the time in their names."""

    def __init__(self, paths: Sequence[str]) -> None:
        known = [(stamp, path) for path in paths if (stamp := _stamp_s(path)) is not None]
        self._pairs = sorted(known)
        self._stamps = np.array([stamp for stamp, _ in self._pairs])

    def at(self, stamp: float | None) -> str | None:
        place = None if stamp is None else nearest(self._stamps, stamp, MAX_ROUNDING_S)
        return None if place is None else self._pairs[place][1]


def _stamp_s(path: str) -> float | None:
    match = _STAMP.search(stem_of(path))
    return float(match.group(1)) if match else None


def _trajectory(bundle: Bundle) -> list[list[float]]:
    rows = [floats_of(row, bundle, TRAJECTORY) for row in rows_of(bundle.text(TRAJECTORY))]
    if any(len(row) != 7 for row in rows):
        raise bundle.malformed(TRAJECTORY, "has a line that is not a time and 6 numbers")
    return sorted(rows)


def _lens(bundle: Bundle, path: str, text: str) -> Lens:
    values = floats_of(text.split(), bundle, path)
    if len(values) != 6:
        raise bundle.malformed(path, "is not width, height, fx, fy, cx, cy")
    width, height, *camera = values
    return Lens(pinhole(*camera, shift=0.5 * width / FULL_WIDTH), (int(width), int(height)))


LAYOUT = Layout("arkitscenes", find, count, frames)
