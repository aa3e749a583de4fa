"""The frames of a sequence that can be used, and their poses: known before a picture is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.decode import decode_colour
from mimic.sources.rgbd.lens import fits, size_of, straightened
from mimic.sources.rgbd.listed import Blob, Lens, Listed
from mimic.types import Matrix

MAX_NOT_RIGID = 0.005
"""How far R^T R may be from the identity: text of four digits is within it, a scale is not."""
REASONS = {
    "no_depth": "without depth",
    "no_pose": "without a pose",
    "lost_pose": "whose pose is not finite",
    "not_rigid": "whose pose is not rigid",
    "unsynchronised": "whose time stamps lie too far apart",
    "no_intrinsics": "without intrinsics",
    "bad_intrinsics": "whose intrinsics do not fit the picture",
    "distorted": "of a lens with distortion",
    "empty": "whose files are empty",
    "no_picture": "without a picture",
    "truncated": "that their file ends before",
}
"""Why a frame is left out."""


@dataclass(frozen=True, slots=True, eq=False)
class PosedIndex:
    """The usable frames of a sequence in slot order, N of them.

    ``names`` are those of their pictures; ``slots`` (N,) int64; ``cam_to_world`` (N, 4, 4);
    ``intrinsics`` (N, 3, 3) of the pixels of pictures of ``sizes`` (N, 2) int64, width and height;
    ``frames``: where their colour and depth lie. ``left_out``: slot and reason of the others.
    """

    slots: NDArray[np.int64]
    names: tuple[str, ...]
    cam_to_world: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    sizes: NDArray[np.int64]
    frames: tuple[Listed, ...]
    left_out: tuple[tuple[int, str], ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def reasons(self) -> dict[str, int]:
        """How many frames are left out for each reason, sorted by it."""
        return dict(sorted(Counter(reason for _, reason in self.left_out).items()))


def index_of(bundle: Bundle, listed: Sequence[Listed], *, deep: bool = True) -> PosedIndex:
    """Sort out the frames that cannot be used; ``deep``: for one, those without depth.

    Raises:
        SourceError: pictures whose size is needed have vanished or changed.
    """
    sized = _with_sizes(bundle, listed)
    problems = [frame.problem or _problem(bundle, frame, deep) for frame in sized]
    good = tuple(frame for frame, problem in zip(sized, problems, strict=True) if problem is None)
    lenses = [straightened(_lens(frame)) for frame in good]
    return PosedIndex(
        slots=np.array([frame.slot for frame in good], dtype=np.int64),
        names=tuple(frame.name for frame in good),
        cam_to_world=np.array([frame.cam_to_world for frame in good]).reshape(-1, 4, 4),
        intrinsics=np.array([lens.intrinsics for lens in lenses]).reshape(-1, 3, 3),
        sizes=np.array([size_of(lens) for lens in lenses], dtype=np.int64).reshape(-1, 2),
        frames=good,
        left_out=tuple(
            (frame.slot, problem)
            for frame, problem in zip(sized, problems, strict=True)
            if problem is not None
        ),
    )


def told(counts: dict[str, int]) -> str:
    """For example: ``3 without depth, 1 whose pose is not finite``."""
    return ", ".join(f"{count} {REASONS.get(word, word)}" for word, count in counts.items())


def not_rigid(pose: Matrix) -> bool:
    """Whether a finite (4, 4) is no rotation and translation."""
    turn = pose[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(turn.T @ turn - np.eye(3)).max()
        proper = np.linalg.det(turn) > 0
    return bool(not off <= MAX_NOT_RIGID or not proper or (pose[3] != (0, 0, 0, 1)).any())


def _problem(bundle: Bundle, frame: Listed, deep: bool) -> str | None:
    """The first question a frame fails."""
    if deep and frame.depth is None:
        return "no_depth"
    blobs = [frame.colour, *([frame.depth.blob] if frame.depth else [])]
    if not all(bundle.sizes[blob.path] for blob in blobs):
        return "empty"
    if frame.cam_to_world is None:
        return "no_pose"
    if not np.isfinite(frame.cam_to_world).all():
        return "lost_pose"
    if not_rigid(frame.cam_to_world):
        return "not_rigid"
    if frame.lens is None:
        return "no_intrinsics"
    return None if fits(frame.lens) else "bad_intrinsics"


def _lens(frame: Listed) -> Lens:
    assert frame.lens is not None
    return frame.lens


def _with_sizes(bundle: Bundle, listed: Sequence[Listed]) -> list[Listed]:
    """The frames with the sizes of their pictures, as far as intrinsics need them."""
    sizes: dict[tuple[Blob, ...], tuple[int, int] | None] = {}
    sized = []
    for frame in listed:
        lens = frame.lens
        if lens is not None and lens.size is None and frame.problem is None:
            if lens.sized_by not in sizes:
                sizes[lens.sized_by] = picture_size(bundle, lens.sized_by)
            frame = replace(frame, lens=replace(lens, size=sizes[lens.sized_by]))
        sized.append(frame)
    return sized


def picture_size(bundle: Bundle, pictures: Sequence[Blob]) -> tuple[int, int] | None:
    """(width, height) of the first of these that can be read."""
    for picture in pictures:
        try:
            height, width = decode_colour(bundle.read(picture)).shape[:2]
        except ValueError:
            continue
        return width, height
    return None
