"""A reconstructed clip on disk, as sources read it: pictures, ``K.txt``, poses, and depth if any.

With depth it is a plain RGB-D sequence (:mod:`mimic.sources.rgbd.plain`), without one with poses of
unknown scale (:mod:`mimic.sources.posed`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimic import opencv
from mimic.sources.rgbd.listed import HALF_PIXEL
from mimic.sources.rgbd.plain import POSES, UNSCALED_POSES
from mimic.types import Matrix, UInt8Image
from mimic.views import depth_mm

PICTURES, DEPTHS, RECORD = "images", "depth", "reconstruction.json"
JPEG_QUALITY = 95


def write_picture(folder: Path, name: str, rgb: UInt8Image) -> None:
    """A frame, as ``images/NAME.jpg``."""
    _write(folder / PICTURES / f"{name}.jpg", opencv.encode_jpeg(rgb, JPEG_QUALITY))


def read_picture(folder: Path, name: str) -> UInt8Image:
    """A frame as it was written, so that what is made of it does not depend on when."""
    return opencv.decode_image((folder / PICTURES / f"{name}.jpg").read_bytes())


def write_depth(folder: Path, name: str, depth_m: NDArray[np.float32]) -> None:
    """A frame's depth (h, w) in metres, as ``depth/NAME.png`` in millimetres."""
    _write(folder / DEPTHS / f"{name}.png", opencv.encode_png(depth_mm(depth_m)))


def read_depth(folder: Path, name: str) -> NDArray[np.float32]:
    """A frame's depth (h, w) in metres."""
    stored = opencv.decode_png((folder / DEPTHS / f"{name}.png").read_bytes())
    return stored.astype(np.float32) / np.float32(1000)


def write_cameras(
    folder: Path,
    intrinsics: Matrix,
    names: Sequence[str],
    cam_to_world: Sequence[Matrix],
    *,
    metres: bool,
) -> None:
    """``K.txt`` (first pixel centre at (0, 0), as its readers take it) and the poses by name."""
    calibrated = intrinsics.copy()
    calibrated[:2] -= HALF_PIXEL * calibrated[2]
    _write(folder / "K.txt", _text(calibrated))
    lines = [
        f"{name}.jpg {_text(pose.reshape(1, 16))}"
        for name, pose in zip(names, cam_to_world, strict=True)
    ]
    _write(folder / (POSES if metres else UNSCALED_POSES), b"".join(map(str.encode, lines)))


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """What was done and what came of it."""
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    _write(folder / RECORD, text.encode())


def read_record(folder: Path) -> dict[str, Any] | None:
    """What was done, of a folder that a reconstruction has finished."""
    try:
        found = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _text(matrix: Matrix) -> str:
    return "".join(" ".join(repr(float(v)) for v in row) + "\n" for row in matrix)


def _write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
