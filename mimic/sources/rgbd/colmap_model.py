"""COLMAP's ``cameras`` and ``images`` in text and binary form. Pixels are continuous, as ours."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.listed import Blob
from mimic.sources.rgbd.text import floats_of, from_quaternion, inverse
from mimic.types import Matrix

MODELS = (
    ("SIMPLE_PINHOLE", 3),
    ("PINHOLE", 4),
    ("SIMPLE_RADIAL", 4),
    ("RADIAL", 5),
    ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12),
    ("FOV", 5),
    ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5),
    ("THIN_PRISM_FISHEYE", 12),
)
"""Names and numbers of parameters, by the model's number in binary files."""

_CAMERA = struct.Struct("<IiQQ")
_IMAGE = struct.Struct("<I7dI")
_POINT_BYTES = 24


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of a model: ``parameters`` as COLMAP orders them for it."""

    model: str
    size: tuple[int, int]
    parameters: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A registered picture."""

    name: str
    camera: int
    cam_to_world: Matrix


def read_cameras(bundle: Bundle, path: str) -> dict[int, Camera]:
    """By their ids.

    Raises:
        SourceError: ``malformed``.
    """
    if path.endswith(".bin"):
        return _binary_cameras(bundle, path)
    cameras = {}
    for words in _lines(bundle, path):
        if len(words) < 5:
            raise bundle.malformed(path, "has a line that is not a camera")
        number, width, height, *values = floats_of([words[0], *words[2:]], bundle, path)
        cameras[int(number)] = Camera(words[1], (int(width), int(height)), tuple(values))
    return cameras


def read_images(bundle: Bundle, path: str) -> list[Image]:
    """In the order of the file.

    Raises:
        SourceError: ``malformed``.
    """
    if path.endswith(".bin"):
        return _binary_images(bundle, path)
    lines = [line for line in bundle.text(path).splitlines() if not line.startswith("#")]
    images = []
    for line in lines[::2]:  # every second line holds points, or nothing
        words = line.split(maxsplit=9)
        if not words:
            continue
        if len(words) != 10:
            raise bundle.malformed(path, "has a line that is not an image")
        values = floats_of(words[:9], bundle, path)
        images.append(_image(words[9], int(values[8]), values[1:5], values[5:8]))
    return images


def _image(name: str, camera: int, wxyz: list[float], translation: list[float]) -> Image:
    w, x, y, z = wxyz
    return Image(name, camera, inverse(from_quaternion(translation, [x, y, z, w])))


def _lines(bundle: Bundle, path: str) -> list[list[str]]:
    lines = bundle.text(path).splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def _binary_cameras(bundle: Bundle, path: str) -> dict[int, Camera]:
    data = bundle.read(Blob(path))
    cameras = {}
    try:
        (count,), at = struct.unpack_from("<Q", data), 8
        for _ in range(count):
            number, model, width, height = _CAMERA.unpack_from(data, at)
            name, parameters = MODELS[model]
            values = struct.unpack_from(f"<{parameters}d", data, at + _CAMERA.size)
            cameras[number] = Camera(name, (width, height), values)
            at += _CAMERA.size + 8 * parameters
    except (struct.error, IndexError):
        raise bundle.malformed(path, "ends early, or has a camera model that is unknown") from None
    return cameras


def _binary_images(bundle: Bundle, path: str) -> list[Image]:
    data = bundle.read(Blob(path))
    images = []
    try:
        (count,), at = struct.unpack_from("<Q", data), 8
        for _ in range(count):
            _, *pose, camera = _IMAGE.unpack_from(data, at)
            at += _IMAGE.size
            end = data.index(b"\0", at)
            images.append(_image(data[at:end].decode(), camera, pose[:4], pose[4:]))
            (points,) = struct.unpack_from("<Q", data, end + 1)
            at = end + 9 + points * _POINT_BYTES
    except (struct.error, ValueError):
        raise bundle.malformed(path, "ends early: it is not a whole images.bin") from None
    if at > len(data):
        raise bundle.malformed(path, "ends early: it is not a whole images.bin")
    return images
