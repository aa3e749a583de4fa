"""All that is measured of a pair of views, cheapest first, as far as the filters let it go."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mimic import filters
from mimic.config import Config
from mimic.geometry import epipolar, overlap, patches
from mimic.geometry.homography import rotation_deg, sanity, scale_ratio
from mimic.matching.by_depth import coarse_covis
from mimic.matching.match import coarse_matches, neighbours, subset
from mimic.matching.robust import EXPLAINED_PX, REFERENCE_SHORT_SIDE, estimate, transfer_px
from mimic.matching.thumbs import thumb_measures
from mimic.types import Directed, EdgeMeasures, Matches, Matrix, Overlap, TwoView, View

Size = tuple[int, int]

SUPPORT_PX = 2.0
"""Distance to the epipolar lines, in matching pixels, within which a neighbour supports if it also
lies within ``overlap.SUPPORT_RADIUS`` of where the homography puts it."""


def measure(
    view_1: View,
    view_2: View,
    interval_s: float | None,
    config: Config,
    with_features: Callable[[View], View] = lambda view: view,
) -> EdgeMeasures:
    """Measure a pair; what lies behind a question that the pair failed stays None.

    Args:
        view_1: the earlier view.
        view_2: the later view.
        interval_s: time between the frames, if known.
        config: the whole config.
        with_features: gives a view its features; called only where no cheap question stops the
            pair. By default they must be there.
    """
    measures = thumb_measures(view_1, view_2, interval_s)
    if _stops(filters.GATES, view_1, view_2, measures, config):
        return measures
    covis = coarse_covis(view_1, view_2)
    measures = dataclasses.replace(measures, overlap=Overlap(covis=covis))
    if _stops(filters.BEFORE_FEATURES, view_1, view_2, measures, config):
        return measures
    view_1, view_2 = with_features(view_1), with_features(view_2)
    if view_1.features is None or view_2.features is None:
        raise AssertionError("measure() needs features where no gate gave a verdict")
    keypoints = (len(view_1.features), len(view_2.features))
    measures = dataclasses.replace(measures, keypoints=keypoints)
    if _stops(filters.BEFORE_MATCHING, view_1, view_2, measures, config):
        return measures
    coarse = coarse_matches(view_1.features, view_2.features, config.match)
    measures = dataclasses.replace(measures, coarse_matches=coarse)
    if _stops(filters.BEFORE_ALL_MATCHES, view_1, view_2, measures, config):
        return measures
    candidates, passed = neighbours(view_1.features, view_2.features, config.match)
    measures = dataclasses.replace(measures, matches=int(passed.sum()))
    if _stops(filters.BEFORE_GEOMETRY, view_1, view_2, measures, config):
        return measures
    matches = subset(candidates, passed)
    scale = min(view_2.size) / min(view_2.match_gray.shape)
    two_view = estimate(matches, view_1.size, view_2.size, config.verify, scale)
    measures = _geometric_measures(measures, matches, two_view, (view_1.size, view_2.size), config)
    both = _landings(two_view.homography, view_1.size, view_2.size)
    if both is None or two_view.homography is None:
        return measures
    patch = patches.patch_map(*both, config.overlap.patch_size, config.overlap.outside_votes)
    measured = Overlap(
        patch=patch.overlap,
        area=Directed(overlap.area(both[0]), overlap.area(both[1])),
        coverage=_coverage(matches, two_view, view_1.size, view_2.size),
        support=_support(candidates, two_view, view_1, view_2, scale),
        covis=covis,
    )
    return dataclasses.replace(measures, overlap=measured, corr=patch.pairs)


def _stops(
    questions: filters.Questions, view_1: View, view_2: View, measures: EdgeMeasures, config: Config
) -> bool:
    evidence = filters.evidence_of(view_1, view_2, measures)
    return filters.first_failed(questions, evidence, config) is not None


def _geometric_measures(
    measures: EdgeMeasures,
    matches: Matches,
    two_view: TwoView,
    sizes: tuple[Size, Size],
    config: Config,
) -> EdgeMeasures:
    homography, epipolar_inliers = two_view.homography, two_view.epipolar_inliers
    asked = config.verify.epipolar_px is not None
    explained = two_view.homography_inliers | epipolar_inliers
    measures = dataclasses.replace(
        measures,
        inliers=int(two_view.homography_inliers.sum()),
        epipolar_inliers=int(epipolar_inliers.sum()) if asked else None,
        verifier=verifier(matches, two_view, *sizes),
        homography=homography,
        motion_px=_motion_px(subset(matches, explained)),
        dynamic_share=1.0 - float(explained.mean()),
    )
    if homography is None:
        return measures
    xy_1, xy_2 = matches.xy_1[epipolar_inliers], matches.xy_2[epipolar_inliers]
    return dataclasses.replace(
        measures,
        scale_ratio=scale_ratio(homography, sizes[0]),
        rotation_deg=rotation_deg(homography, sizes[0]),
        parallax_px=epipolar.parallax_px(homography, xy_1, xy_2),
    )


def verifier(matches: Matches, two_view: TwoView, size_1: Size, size_2: Size) -> str | None:
    """The model that vouches for the pair.

    "homography" where a possible one explains, to ``EXPLAINED_PX``, at least half of the epipolar
    inliers (or none were asked for), else "epipolar" where a fundamental matrix was found.
    """
    homography, fundamental = two_view.homography, two_view.fundamental
    if homography is not None and sanity(homography, size_1, size_2) > 0:
        explained = (
            transfer_px(homography, matches) < EXPLAINED_PX * min(size_2) / REFERENCE_SHORT_SIDE
        )
        if fundamental is None or explained[two_view.epipolar_inliers].mean() >= 0.5:
            return "homography"
    return None if fundamental is None else "epipolar"


def supporters(
    candidates: Matches, two_view: TwoView, size_2: Size, stored_per_matching_px: float
) -> NDArray[np.bool_]:
    """Which neighbours, ratio test or not, agree with F and, loosely, with the homography (M,)."""
    if two_view.homography is None or not two_view.epipolar_inliers.any():
        return np.zeros(len(candidates), dtype=bool)
    miss_px = transfer_px(two_view.homography, candidates)
    if two_view.fundamental is None:  # a plane: the homography is all there is
        return miss_px < EXPLAINED_PX * min(size_2) / REFERENCE_SHORT_SIDE
    epipolar_px = epipolar.symmetric_px(two_view.fundamental, candidates.xy_1, candidates.xy_2)
    near_line = epipolar_px < SUPPORT_PX * stored_per_matching_px
    return np.asarray(near_line & (miss_px < overlap.SUPPORT_RADIUS * max(size_2)))


def _coverage(matches: Matches, two_view: TwoView, size_1: Size, size_2: Size) -> Directed | None:
    if two_view.fundamental is None:
        return None
    inliers = subset(matches, two_view.epipolar_inliers)
    return Directed(overlap.coverage(inliers.xy_1, size_1), overlap.coverage(inliers.xy_2, size_2))


def _support(
    candidates: Matches, two_view: TwoView, view_1: View, view_2: View, scale: float
) -> Directed | None:
    if two_view.homography is None or not two_view.epipolar_inliers.any():
        return None
    found = subset(candidates, supporters(candidates, two_view, view_2.size, scale))
    backward = np.asarray(np.linalg.inv(two_view.homography))
    return Directed(
        overlap.support(
            two_view.homography, found.xy_1, _positions(view_1), view_1.size, view_2.size
        ),
        overlap.support(backward, found.xy_2, _positions(view_2), view_2.size, view_1.size),
    )


def _positions(view: View) -> NDArray[np.float64]:
    assert view.features is not None
    return view.features.xy.astype(np.float64)


def _landings(
    homography: Matrix | None, size_1: Size, size_2: Size
) -> tuple[patches.Landing, patches.Landing] | None:
    return None if homography is None else patches.landings(homography, size_1, size_2)


def _motion_px(inliers: Matches) -> float | None:
    if len(inliers) == 0:
        return None
    shift = inliers.xy_2 - inliers.xy_1
    return float(np.median(np.hypot(shift[:, 0], shift[:, 1])))
