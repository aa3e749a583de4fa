"""Numbers and poses in text files, and how frames are told by their names and times."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.tree import stem_of
from mimic.types import Matrix

_NUMBER = re.compile(r"\d+")


def rows_of(text: str) -> list[list[str]]:
    """The words of each line; empty lines and comments (``#``) are left out. Commas are spaces."""
    lines = (line.partition("#")[0].replace(",", " ").split() for line in text.splitlines())
    return [words for words in lines if words]


def floats_of(words: Sequence[str], bundle: Bundle, path: str) -> list[float]:
    """Numbers; ``inf`` and ``nan`` are numbers, too.

    Raises:
        SourceError: ``malformed``.
    """
    try:
        return [float(word) for word in words]
    except ValueError:
        shown = " ".join(words)[:60]
        raise bundle.malformed(path, f"has a line that is not numbers ({shown!r})") from None


def matrix_in(bundle: Bundle, path: str, text: str | None = None) -> Matrix:
    """A (3, 3), (3, 4) or (4, 4) matrix in a file of its own.

    Raises:
        SourceError: ``malformed``.
    """
    rows = rows_of(bundle.text(path) if text is None else text)
    values = floats_of([word for row in rows for word in row], bundle, path)
    shapes = {9: (3, 3), 12: (3, 4), 16: (4, 4)}
    if len(values) not in shapes:
        raise bundle.malformed(path, f"has {len(values)} numbers: a matrix of 9, 12 or 16 is due")
    return np.array(values).reshape(shapes[len(values)])


def intrinsics_in(bundle: Bundle, path: str, text: str | None = None) -> Matrix:
    """The (3, 3) intrinsics in a file, as they stand there.

    Raises:
        SourceError: ``malformed``.
    """
    return matrix_in(bundle, path, text)[:3, :3].copy()


def pose_of(values: Sequence[float]) -> Matrix:
    """A (4, 4) pose of 12 or 16 numbers, row by row."""
    pose = np.eye(4)
    pose.flat[: len(values)] = values
    return pose


def from_quaternion(translation: Sequence[float], xyzw: Sequence[float]) -> Matrix:
    """A (4, 4) pose; one of a quaternion that is far from a unit is not rigid."""
    x, y, z, w = xyzw
    norm = float(np.linalg.norm(xyzw))
    if 0.99 < norm < 1.01:  # rounded in its text
        x, y, z, w = (value / norm for value in xyzw)
    pose = np.eye(4)
    pose[:3, :3] = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
    pose[:3, 3] = translation
    return pose


def from_axis_angle(translation: Sequence[float], turn: Sequence[float]) -> Matrix:
    """A (4, 4) pose of a rotation vector in radians (Rodrigues)."""
    pose = np.eye(4)
    pose[:3, 3] = translation
    angle = float(np.linalg.norm(turn))
    if angle > 0:
        x, y, z = (value / angle for value in turn)
        cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
        pose[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return pose


def inverse(pose: Matrix) -> Matrix:
    """Of a rigid (4, 4) pose; of any other one, something that is not rigid either."""
    turned = np.eye(4)
    turned[:3, :3] = pose[:3, :3].T
    with np.errstate(invalid="ignore"):
        turned[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return turned


def nearest(stamps: NDArray[np.float64], stamp: float, within_s: float) -> int | None:
    """The place of the nearest of ascending stamps; None where none is that near."""
    at = bisect_left(stamps, stamp)
    near = [i for i in (at - 1, at) if 0 <= i < len(stamps)]
    best = min(near, key=lambda i: abs(stamps[i] - stamp), default=None)
    # Stamps of 1e9 s have a resolution of 1e-7 s.
    return None if best is None or abs(stamps[best] - stamp) > within_s + 1e-6 else best


def partners(paths: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """Which of the others goes with a path: that of the same stem, else of the same number.

    The number is the first in the name, else the last; it must be of one file only on both sides.
    """
    keys: list[Callable[[str], str | None]] = [stem_of, _number(0), _number(-1)]
    for key in keys:
        found = _by_key(paths, others, key)
        if found:
            return found
    return {}


def _number(place: int) -> Callable[[str], str | None]:
    def key(path: str) -> str | None:
        numbers = _NUMBER.findall(stem_of(path))
        return str(int(numbers[place])) if numbers else None

    return key


def _by_key(
    paths: Sequence[str], others: Sequence[str], key: Callable[[str], str | None]
) -> dict[str, str]:
    counts = Counter(map(key, paths)), Counter(map(key, others))
    known = {k: other for other in others if (k := key(other)) is not None and counts[1][k] == 1}
    return {path: known[k] for path in paths if (k := key(path)) in known and counts[0][k] == 1}
