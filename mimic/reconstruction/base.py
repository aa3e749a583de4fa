"""The values that flow from structure from motion to a sequence on disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.sources.rgbd.listed import Lens
from mimic.types import Matrix


@dataclass(frozen=True, slots=True, eq=False)
class SeenPoints:
    """Sparse points that a frame sees.

    ``xy`` (N, 2) continuous pixels of the straightened picture, all inside it; ``depth`` (N,) along
    its optical axis, above 0, in the reconstruction's unit.
    """

    xy: NDArray[np.float64]
    depth: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Reconstructed:
    """One model of a clip, M of its frames registered.

    ``names`` (M) of their pictures, sorted. ``cam_to_world``: M poses (4, 4), the first the
    identity; the unit of length is the median depth of the points. ``lens``: the one camera of all
    frames, with its distortion. ``points``: what each frame sees. ``models``: frames registered in
    each model that was found, this one's first. ``reprojection_px``: mean error of all points.
    """

    names: tuple[str, ...]
    cam_to_world: tuple[Matrix, ...]
    lens: Lens
    points: tuple[SeenPoints, ...]
    models: tuple[int, ...]
    point_count: int
    reprojection_px: float
