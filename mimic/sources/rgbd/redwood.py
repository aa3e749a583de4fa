"""Redwood and Open3D: pictures, depth in millimetres, and a trajectory in ``.log`` form.

A log has five lines a frame: three integers, of which the first is the place of the frame in the
order of the pictures, and a 4 x 4 camera-to-world matrix. Names like ``000012-000000366667`` hold
a number and microseconds. Intrinsics: ``K.txt``, Open3D's JSON, else PrimeSense's (525, 525,
319.5, 239.5 for 640 x 480), centre of the first pixel at (0, 0).
"""

from __future__ import annotations

import json
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
    continuous,
    pinhole,
)
from mimic.sources.rgbd.plain import (
    colours,
    count,
    depths,
    folders_with_depth,
    found_with_depth,
    given_lens,
)
from mimic.sources.rgbd.text import floats_of, pose_of, rows_of
from mimic.sources.rgbd.tree import Tree, stem_of, suffix_of
from mimic.types import Matrix

LOGS = ("trajectory.log", "scene/trajectory.log")
CAMERAS = ("camera_intrinsic.json", "intrinsic.json", "camera_primesense.json")
_NUMBER_AND_MICROSECONDS = re.compile(r"\d+-(\d{12})")


def find(tree: Tree) -> Iterator[Found]:
    """Folders with pictures, depth and one trajectory."""
    for folder in folders_with_depth(tree):
        log = tree.file(folder, *LOGS) or _only_log(tree, folder)
        if log is not None:
            others = [log, tree.file(folder, "K.txt"), tree.file(folder, *CAMERAS)]
            yield found_with_depth("redwood", tree, folder, others)


def frames(bundle: Bundle, slots: Sequence[int]) -> list[Listed]:
    """See :class:`mimic.sources.rgbd.listed.Layout`."""
    pictures = colours(bundle)
    depth = depths(bundle, pictures)
    poses = _log(bundle)
    lens = given_lens(bundle, pictures) or _open3d_lens(bundle) or _primesense()
    return [
        Listed(
            slot=slot,
            name=pictures[slot],
            colour=Blob(pictures[slot]),
            depth=depth.get(pictures[slot]),
            cam_to_world=poses.get(slot),
            lens=lens,
            stamp_s=_stamp_s(pictures[slot]),
            problem=_unsynchronised(pictures[slot], depth.get(pictures[slot])),
        )
        for slot in slots
    ]


def _only_log(tree: Tree, folder: str) -> File | None:
    logs = [f for name, f in tree.folders.get(folder, {}).items() if suffix_of(name) == ".log"]
    return logs[0] if len(logs) == 1 else None


def _log(bundle: Bundle) -> dict[int, Matrix]:
    path = next(path for path in bundle.sizes if suffix_of(path) == ".log")
    rows = rows_of(bundle.text(path))
    if len(rows) % 5 or any(len(row) != (4 if i % 5 else 3) for i, row in enumerate(rows)):
        raise bundle.malformed(path, "is no trajectory: five lines a frame are due, of 3 and 4 x 4")
    poses: dict[int, Matrix] = {}
    for i in range(0, len(rows), 5):
        place, *_ = floats_of(rows[i], bundle, path)
        values = [word for row in rows[i + 1 : i + 5] for word in row]
        if int(place) in poses:
            raise bundle.malformed(path, f"has two poses of frame {int(place)}")
        poses[int(place)] = pose_of(floats_of(values, bundle, path))
    return poses


def _open3d_lens(bundle: Bundle) -> Lens | None:
    path = bundle.first(*CAMERAS)
    if path is None:
        return None
    try:
        camera = json.loads(bundle.text(path))
        columns = np.array(camera["intrinsic_matrix"], dtype=np.float64).reshape(3, 3)
        return Lens(continuous(columns.T), (int(camera["width"]), int(camera["height"])))
    except (ValueError, KeyError, TypeError):
        raise bundle.malformed(path, "is not a camera of Open3D (width, height, matrix)") from None


def _primesense() -> Lens:
    return Lens(pinhole(525.0, 525.0, 319.5, 239.5), (640, 480))


def _stamp_s(path: str) -> float | None:
    match = _NUMBER_AND_MICROSECONDS.fullmatch(stem_of(path))
    return int(match.group(1)) / 1e6 if match else None


def _unsynchronised(picture: str, depth: Depth | None) -> str | None:
    if depth is None:
        return None
    stamps = _stamp_s(picture), _stamp_s(depth.blob.path)
    if stamps[0] is None or stamps[1] is None:
        return None
    return "unsynchronised" if abs(stamps[0] - stamps[1]) > MAX_STAMP_DIFFERENCE_S else None


LAYOUT = Layout("redwood", find, count, frames)
