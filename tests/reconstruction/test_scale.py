"""The unit of a reconstruction, from learned depth at its points."""

from __future__ import annotations

import numpy as np
import pytest

from mimic.errors import MimicError
from mimic.reconstruction import SeenPoints, frame_ratio, scale_of
from mimic.reconstruction.scale import MIN_POINTS


def points(count: int, unit_m: float, seed: int = 0) -> tuple[np.ndarray, SeenPoints]:
    """A depth map in metres and points on it, in units of ``unit_m``."""
    rng = np.random.default_rng(seed)
    depth_m = rng.uniform(1, 9, (40, 60)).astype(np.float32)
    xy = rng.uniform((0, 0), (60, 40), (count, 2))
    column, row = xy.astype(int).T
    return depth_m, SeenPoints(xy, depth_m[row, column] / unit_m)


def test_the_ratio_is_the_unit_whatever_a_third_of_the_points_say() -> None:
    depth_m, seen = points(90, 2.5)
    assert frame_ratio(depth_m, seen) == pytest.approx(2.5)
    wrong = SeenPoints(seen.xy, np.where(np.arange(90) % 3 == 0, 50.0, seen.depth))
    assert frame_ratio(depth_m, wrong) == pytest.approx(2.5)


def test_points_without_a_depth_do_not_vote() -> None:
    depth_m, seen = points(MIN_POINTS, 2.0)
    assert frame_ratio(depth_m, seen) == pytest.approx(2.0)
    column, row = seen.xy[0].astype(int)
    depth_m[row, column] = 0
    assert frame_ratio(depth_m, seen) is None


def test_frames_are_told_by_how_far_they_are_off() -> None:
    scale = scale_of([2.0, None, 1.8, 2.2, 2.0])
    assert scale.metres_per_unit == pytest.approx(2.0)
    assert scale.frames == pytest.approx((1.0, None, 0.9, 1.1, 1.0))
    assert scale.spread == pytest.approx(0.025)  # quartiles at 0.975 and 1.025
    assert scale_of([3.0, 3.0]).spread == 0


def test_no_frame_with_points_is_refused() -> None:
    with pytest.raises(MimicError, match="scale is not known"):
        scale_of([None, None])
