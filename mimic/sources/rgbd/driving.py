"""Driving logs: several cameras on a vehicle, depth supplied for each picture, in ``rgbd.jsonl``.

A line a picture, a JSON object; paths are relative to the file::

    {"scene": "0061", "camera": "CAM_FRONT", "timestamp": 1532402927.6,
     "image": "samples/CAM_FRONT/a.jpg", "depth": "depth/CAM_FRONT/a.png",
     "K": [[1266.4, 0, 816.3], [0, 1266.4, 491.5], [0, 0, 1]],
     "cam_to_ego": [4 x 4], "ego_to_world": [4 x 4]}

``K``: centre of the first pixel at (0, 0). Poses are 4 x 4 in rows, OpenCV axes at the camera,
metres; in place of the last two, ``cam_to_world``. Times are in seconds. Optional: ``depth_scale``
(units of integer depth a metre, default 1000), ``pose_timestamp`` and ``depth_timestamp`` (frames
in which they differ from ``timestamp`` by more than 0.02 s are left out), ``size`` ([width,
height]). An item is a scene; its order is by time, then by camera.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

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
)
from mimic.sources.rgbd.plain import SIZED_BY, depth_of
from mimic.sources.rgbd.tree import DEPTHS, PICTURES, Tree, suffix_of
from mimic.types import Matrix

INDEX = "rgbd.jsonl"
_Line = dict[str, Any]


def find(tree: Tree) -> Iterator[Found]:
    """Every folder with such a file: the pictures below it are its own."""
    for folder, files in sorted(tree.folders.items()):
        if INDEX in files:
            suffixes = PICTURES | DEPTHS
            below = [file for file in tree.below(folder) if suffix_of(file.name) in suffixes]
            yield Found("driving", folder, folder or ".", (files[INDEX], *below))


def parts(bundle: Bundle) -> list[str]:
    """The scenes in a log, sorted."""
    return sorted({str(line.get("scene", "")) for line in _lines(bundle)})


def count(bundle: Bundle) -> int:
    """A slot a line of the scene."""
    return len(_scene(bundle))


def frames(bundle: Bundle, slots: Sequence[int]) -> list[Listed]:
    """See :class:`mimic.sources.rgbd.listed.Layout`."""
    lines = _scene(bundle)
    by_camera: dict[str, list[Blob]] = {}
    for line in lines:
        if line["image"] in bundle.sizes:
            by_camera.setdefault(str(line.get("camera", "")), []).append(Blob(line["image"]))
    return [_listed(bundle, slot, lines[slot], by_camera) for slot in slots]


def _listed(bundle: Bundle, slot: int, line: _Line, by_camera: dict[str, list[Blob]]) -> Listed:
    image, depth = line["image"], line.get("depth")
    stamp = line.get("timestamp")
    camera = str(line.get("camera", ""))
    try:
        lens = _lens(line, tuple(by_camera.get(camera, [])[:SIZED_BY]))
        pose = _pose(line)
        late = _unsynchronised(line)
        like = Depth(Blob(""), per_metre=float(line.get("depth_scale", 1000)))
    except (ValueError, TypeError) as error:
        raise bundle.malformed(INDEX, f"what it says of {image} cannot be read ({error})") from None
    return Listed(
        slot=slot,
        name=image,
        colour=Blob(image),
        depth=depth_of(bundle, depth, like) if depth in bundle.sizes else None,
        cam_to_world=pose,
        lens=lens,
        stamp_s=None if stamp is None else float(stamp),
        problem="no_picture" if image not in bundle.sizes else late,
    )


def _lens(line: _Line, sized_by: tuple[Blob, ...]) -> Lens | None:
    if "K" not in line:
        return None
    matrix = np.array(line["K"], dtype=np.float64).reshape(3, 3)
    size = line.get("size")
    known = None if size is None else (int(size[0]), int(size[1]))
    return Lens(continuous(matrix), known, sized_by)


def _pose(line: _Line) -> Matrix | None:
    names = ("cam_to_world",) if "cam_to_world" in line else ("ego_to_world", "cam_to_ego")
    if any(line.get(name) is None for name in names):
        return None
    matrices = [np.array(line[name], dtype=np.float64).reshape(4, 4) for name in names]
    with np.errstate(invalid="ignore"):
        return matrices[0] if len(matrices) == 1 else matrices[0] @ matrices[1]


def _unsynchronised(line: _Line) -> str | None:
    stamps = [line.get(name) for name in ("timestamp", "pose_timestamp", "depth_timestamp")]
    known = [float(stamp) for stamp in stamps if stamp is not None]
    apart = max(known, default=0.0) - min(known, default=0.0)
    return "unsynchronised" if apart > MAX_STAMP_DIFFERENCE_S else None


def _scene(bundle: Bundle) -> list[_Line]:
    """The lines of the bundle's scene, by time, camera and picture."""
    wanted = bundle.settings.get("part", "")
    lines = [line for line in _lines(bundle) if str(line.get("scene", "")) == wanted]
    return sorted(
        lines,
        key=lambda line: (
            float(line.get("timestamp") or 0.0),
            str(line.get("camera", "")),
            line["image"],
        ),
    )


def _lines(bundle: Bundle) -> list[_Line]:
    lines: list[_Line] = []
    for number, text in enumerate(bundle.text(INDEX).splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError:
            raise bundle.malformed(INDEX, f"line {number} is not JSON") from None
        if not isinstance(line, dict) or not isinstance(line.get("image"), str):
            raise bundle.malformed(INDEX, f"line {number} is not an object with an image")
        lines.append(line)
    return lines


LAYOUT = Layout("driving", find, count, frames, parts)
