"""Robust two-view geometry from putative matches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimic.config import VerifyConfig
from mimic.geometry import homography as homographies
from mimic.matching.match import subset
from mimic.opencv import find_fundamental, find_homography
from mimic.types import Matches, Matrix, TwoView

Size = tuple[int, int]
Mask = NDArray[np.bool_]

REFERENCE_SHORT_SIDE = 224
"""Short side, in pixels, at which the homography's threshold is given."""
EXPLAINED_PX = 2.0
"""Error, in pixels at that short side, within which a homography explains a match."""


def estimate(
    matches: Matches,
    size_1: Size,
    size_2: Size,
    config: VerifyConfig,
    stored_per_matching_px: float = 1.0,
) -> TwoView:
    """Homography and fundamental matrix in stored pixels, each None where none was found.

    With epipolar geometry on, the homography is estimated from the epipolar inliers alone: matches
    that no rigid scene explains must not decide an overlap. Where no fundamental matrix is found
    because the scene is a plane or the camera only turned (every F = [e]x H fits then), the inliers
    of a homography take their place: they are the epipolar inliers. Under ``magsac`` it is then
    refined on all of them.

    Both estimators draw from a generator that starts anew at each call: the result is a function of
    the arguments alone, the order of the matches included.

    Args:
        matches: positions in stored pixels.
        size_1: (width, height) of the stored view 1.
        size_2: (width, height) of the stored view 2; its short side scales the homography's
            threshold, since the error is measured there.
        config: thresholds and effort.
        stored_per_matching_px: stored pixels in one pixel of the matching size, in which the
            epipolar threshold is given.
    """
    fundamental, trusted = None, np.ones(len(matches), dtype=bool)
    if config.epipolar_px is not None:
        threshold_px = config.epipolar_px * stored_per_matching_px
        fundamental, trusted = _fundamental(matches, config, threshold_px)
        if fundamental is None:
            trusted = _on_a_plane(matches, size_2, config)
    homography, inliers = _homography(subset(matches, trusted), size_1, size_2, config)
    homography_inliers = np.zeros(len(matches), dtype=bool)
    homography_inliers[trusted] = inliers
    epipolar_inliers = trusted & (config.epipolar_px is not None)
    return TwoView(homography, homography_inliers, fundamental, epipolar_inliers)


def _fundamental(
    matches: Matches, config: VerifyConfig, threshold_px: float
) -> tuple[Matrix | None, Mask]:
    found = find_fundamental(
        matches.xy_1, matches.xy_2, threshold_px, config.iterations, config.confidence
    )
    return found or (None, np.zeros(len(matches), dtype=bool))


def _on_a_plane(matches: Matches, size_2: Size, config: VerifyConfig) -> Mask:
    """The matches that one homography explains to ``EXPLAINED_PX``."""
    threshold_px = EXPLAINED_PX * min(size_2) / REFERENCE_SHORT_SIDE
    found = find_homography(
        matches.xy_1, matches.xy_2, "magsac", threshold_px, config.iterations, config.confidence
    )
    return found[1] if found else np.zeros(len(matches), dtype=bool)


def _homography(
    matches: Matches, size_1: Size, size_2: Size, config: VerifyConfig
) -> tuple[Matrix | None, Mask]:
    threshold_px = config.homography_px * min(size_2) / REFERENCE_SHORT_SIDE
    none = np.zeros(len(matches), dtype=bool)
    found = find_homography(
        matches.xy_1,
        matches.xy_2,
        config.homography,
        threshold_px,
        config.iterations,
        config.confidence,
    )
    if found is None:
        return None, none
    matrix, inliers = found
    if config.homography == "magsac":
        better = homographies.refined(matrix, matches.xy_1, matches.xy_2, threshold_px)
        matrix = matrix if better is None else better
    oriented = homographies.oriented(matrix, size_1)
    if oriented is None:
        return None, none
    if config.homography == "magsac":
        inliers = transfer_px(oriented, matches) < threshold_px
    return oriented, inliers


def transfer_px(homography: Matrix, matches: Matches) -> NDArray[np.float64]:
    """Distance in view 2 from where an oriented matrix puts each match (M,); inf behind it."""
    miss = np.linalg.norm(homographies.apply(homography, matches.xy_1) - matches.xy_2, axis=1)
    return np.where(np.isnan(miss), np.inf, miss)
