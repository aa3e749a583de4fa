"""Depth with a camera pose, and how far two depths of one surface may differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.types import Matrix

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PosedDepth:
    """What is known of a view's geometry.

    ``depth_m`` (h, w) float32 along the optical axis, 0 where unknown; (3, 3) ``intrinsics`` of the
    same pixels; (4, 4) ``cam_to_world``.
    """

    depth_m: Floats
    intrinsics: Matrix
    cam_to_world: Matrix


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two depths of one surface may differ: ``relative`` of the depth, plus ``absolute_m``.

    ``smooth``: a pixel whose inverse depth lies by more than this share apart from the neighbours
    on both sides, between theirs, mixes two surfaces. ``normals``: ask besides, of the slope of
    the depth, that the other camera is in front of the surface.

    Why these defaults (benchmarks/label_truth.py): recorded depths of one surface mostly agree
    within 1 %. Few pairs of depths lie 2 to 10 % apart, so little hangs on the choice, and colours
    begin to differ there. Larger ones are in use (10 % for pairs of photos, 5 cm for scenes): they
    take a thin thing for the table it lies on.
    """

    relative: float = 0.02
    absolute_m: float = 0.01
    smooth: float = 0.1
    normals: bool = True


DEFAULT_TOLERANCE = Tolerance()
