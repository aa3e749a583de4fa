"""A sample in memory, before it is one of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]
Size = tuple[int, int]
"""(width, height)."""
Corr = NDArray[np.int64]
"""(M, 2): patch of view 1, patch of view 2, row-major from the top left, one-to-one."""


class CorruptError(Exception):
    """A sample that cannot be read: it is skipped and counted. ``key`` names it."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key}: {why}")
        self.key = key


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Matrices of V views, float64, in pixels of the images beside them; NaN where unknown.

    ``intrinsics`` (V, 3, 3); ``cam_to_world`` (V, 4, 4) in metres, OpenCV axes; ``homography``
    (3, 3), view 1 to view 2; ``from_original`` (V, 3, 3), pixels of the source to pixels here.
    """

    intrinsics: Matrix
    cam_to_world: Matrix
    homography: Matrix
    from_original: Matrix

    @property
    def posed(self) -> bool:
        """Whether all cameras and their poses are known."""
        return bool(np.isfinite(self.intrinsics).all() and np.isfinite(self.cam_to_world).all())

    @classmethod
    def unknown(cls, views: int) -> Geometry:
        """Of so many views."""
        shapes = ((views, 3, 3), (views, 4, 4), (3, 3), (views, 3, 3))
        return cls(*(np.full(shape, np.nan) for shape in shapes))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """V views of one thing.

    Attributes:
        key: its name.
        images: V of uint8 RGB (3, H, W).
        covis: V of uint8 (H, W), or None where it has no labels: the pixels of view 1 as view 2
            sees them, and of 2 as 1 does: 0 co-visible, 1 occluded, 2 outside, 255 unknown.
        geometry: None where it was not asked for.
        corr: None where it was not asked for.
        patch_size: of ``corr``, in pixels.
        depth: V of float32 (H, W), metres along the optical axis, 0 where there is none, as stored;
            it tells what labels become when views are cut, and is dropped then.
    """

    key: str
    images: tuple[Tensor, ...]
    covis: tuple[Tensor, ...] | None = None
    geometry: Geometry | None = None
    corr: Corr | None = None
    patch_size: int = 16
    depth: tuple[Tensor, ...] | None = None

    @property
    def sizes(self) -> tuple[Size, ...]:
        """(width, height) of each view."""
        return tuple((int(image.shape[2]), int(image.shape[1])) for image in self.images)


def checked(sample: Sample) -> Sample:
    """The sample, if its labels and correspondences fit its pictures (ValueError otherwise)."""
    for what, maps in (("labels", sample.covis), ("a depth", sample.depth)):
        for image, found in zip(sample.images, maps or (), strict=False):
            if found.shape != image.shape[1:]:
                shapes = f"{tuple(found.shape)} for a picture of {tuple(image.shape[1:])}"
                raise ValueError(f"{what} of {shapes}")
    if sample.corr is not None and len(sample.corr):
        patches = [(w // sample.patch_size) * (h // sample.patch_size) for w, h in sample.sizes]
        if sample.corr.min() < 0 or (sample.corr.max(axis=0) >= patches).any():
            raise ValueError("correspondences of patches that the pictures do not have")
    return sample


_UNSCALED = "unscaled"
"""The kind of a source whose poses are in a unit of their own."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read beside the pictures; each costs time."""

    geometry: bool = True
    covis: bool = True
    corr: bool = True
    depth: bool = False
    """What labels need to follow a cut; with ``geometry``."""


def geometry_of(meta: dict[str, Any]) -> Geometry:
    """The matrices in a sample's JSON (KeyError, TypeError or ValueError where it is not one).

    Poses in a unit that is not known are not known: they are metres or NaN.
    """
    views, edges = meta["views"], meta["edges"]
    metric = meta["source"]["kind"] != _UNSCALED
    poses = [_matrix(view["cam_to_world"] if metric else None, 4) for view in views]
    return Geometry(
        intrinsics=np.stack([_matrix(view["intrinsics"], 3) for view in views]),
        cam_to_world=np.stack(poses),
        homography=_matrix(edges[0]["homography"] if edges else None, 3),
        from_original=np.stack([_matrix(view["original_to_stored"], 3) for view in views]),
    )


def _matrix(values: list[list[float]] | None, side: int) -> Matrix:
    if values is None:
        return np.full((side, side), np.nan)
    matrix = np.array(values, np.float64)
    if matrix.shape != (side, side):
        raise ValueError(f"a matrix of shape {matrix.shape}, not {side} x {side}")
    return matrix
