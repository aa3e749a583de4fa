"""The ordered questions asked of a pair: the first one it fails names the reason and the value.

Each question is a tiny pure function of the evidence: it returns the value that decided against the
pair, or None. A threshold that is null switches its question off. Nothing here needs pictures or
OpenCV, so a graph read from disk can be judged again with other thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mimic.config import Config
from mimic.geometry.homography import MIN_SANITY, sanity
from mimic.geometry.overlap import SUPPORT_RADIUS
from mimic.layered import ConfigError
from mimic.matching.thumbs import thumb_measures
from mimic.types import KEPT, Directed, EdgeMeasures, Verdict, View


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the questions look at: stored (width, height), 95th percentile of luminance.

    ``sharpness`` and ``valid_share``, the share of pixels with a depth, are of both views; the
    latter is None where a source has no depth.
    """

    measures: EdgeMeasures
    sizes: tuple[tuple[int, int], tuple[int, int]]
    shots: tuple[int, int]
    luminance: tuple[float, float]
    sharpness: tuple[float, float] = (0.0, 0.0)
    valid_share: tuple[float | None, float | None] = (None, None)


FORWARD_SCALE = 1.1
"""A zoom between the views from which the camera did move, however little the far scene did."""

STILL_BACKGROUND = 0.3
"""Share of unchanged thumbnail from which a camera may be standing still before moving things."""

Question = Callable[[Evidence, Config], float | None]
Questions = tuple[tuple[str, Question], ...]


def gate(view_1: View, view_2: View, config: Config) -> Verdict | None:
    """The first cheap question that fails; None where features are worth detecting."""
    return first_failed(GATES, evidence_of(view_1, view_2, thumb_measures(view_1, view_2)), config)


def judge(view_1: View, view_2: View, measures: EdgeMeasures, config: Config) -> Verdict:
    """Kept (with the overlap as value), or the first question that failed and why."""
    return judge_evidence(evidence_of(view_1, view_2, measures), config)


def judge_evidence(evidence: Evidence, config: Config) -> Verdict:
    """:func:`judge` without views: what a graph on disk is selected by."""
    failed = first_failed(questions(config), evidence, config)
    return failed or Verdict(KEPT, deciding_overlap(evidence, config).smaller)


def first_failed(questions: Questions, evidence: Evidence, config: Config) -> Verdict | None:
    """Ask in order; the verdict of the first that fails."""
    for reason, question in questions:
        value = question(evidence, config)
        if value is not None:
            return Verdict(reason, float(value))
    return None


def evidence_of(view_1: View, view_2: View, measures: EdgeMeasures) -> Evidence:
    """What the questions need of two views and their measures."""
    return Evidence(
        measures=measures,
        sizes=(view_1.size, view_2.size),
        shots=(view_1.info.shot, view_2.info.shot),
        luminance=(view_1.measures.luminance_p95, view_2.measures.luminance_p95),
        sharpness=(view_1.measures.sharpness, view_2.measures.sharpness),
        valid_share=(view_1.measures.valid_share, view_2.measures.valid_share),
    )


def deciding_overlap(evidence: Evidence, config: Config) -> Directed:
    """The overlap that ``overlap.measure`` names.

    Raises:
        ConfigError: it is coverage or support, but epipolar geometry is switched off, or covis, but
            the source has no depth and pose.
    """
    name = config.overlap.measure
    value: Directed | None = getattr(evidence.measures.overlap, name)
    if value is None and name == "covis":
        raise ConfigError(
            "config overlap.measure: covis needs depth and pose, which this source does not have; "
            "use support, or another measure of matched pictures"
        )
    if value is None:
        raise ConfigError(
            f"config overlap.measure: {name} was not measured; with verify.epipolar_px null use "
            "patch or area"
        )
    return value


def _below(value: float | None, threshold: float | None) -> float | None:
    return value if value is not None and threshold is not None and value < threshold else None


def _near_duplicate(evidence: Evidence, config: Config) -> float | None:
    return _below(evidence.measures.thumb_difference, config.filters.duplicate_difference)


def _static(evidence: Evidence, config: Config) -> float | None:
    share, limit = evidence.measures.static_share, config.filters.static_share
    return share if share is not None and limit is not None and share > limit else None


def _cut(evidence: Evidence, config: Config) -> float | None:
    shot_1, shot_2 = evidence.shots
    return abs(shot_2 - shot_1) if config.filters.cut and shot_1 != shot_2 else None


def _dark(evidence: Evidence, config: Config) -> float | None:
    return _below(min(evidence.luminance), config.filters.min_luminance)


def _hole(evidence: Evidence, config: Config) -> float | None:
    shares = [share for share in evidence.valid_share if share is not None]
    return _below(min(shares), config.filters.min_valid_share) if shares else None


def _blank(evidence: Evidence, config: Config) -> float | None:
    if None in evidence.valid_share:  # a photo or a video frame: its texture tells later
        return None
    return _below(min(evidence.sharpness), config.filters.min_sharpness)


def _apart(evidence: Evidence, config: Config) -> float | None:
    seen = evidence.measures.overlap.covis
    return _below(seen.smaller, config.filters.min_covis) if seen is not None else None


def _few_keypoints(evidence: Evidence, config: Config) -> float | None:
    keypoints = evidence.measures.keypoints
    return _below(min(keypoints) if keypoints else 0, config.filters.min_keypoints)


def _few_coarse_matches(evidence: Evidence, config: Config) -> float | None:
    return _below(evidence.measures.coarse_matches, config.filters.min_coarse_matches)


def _few_matches(evidence: Evidence, config: Config) -> float | None:
    return _below(evidence.measures.matches or 0, config.filters.min_matches)


def _no_homography(evidence: Evidence, _config: Config) -> float | None:
    """None was found, or one that most of the verified matches have nothing to do with.

    Parallax alone must not reject a pair, but where most of its matches cannot be supporters, its
    overlap would be that of a few accidental ones.
    """
    measures = evidence.measures
    if measures.homography is None:
        return 0.0
    miss_px, reach_px = measures.parallax_px, SUPPORT_RADIUS * max(evidence.sizes[1])
    return miss_px if miss_px is not None and miss_px > reach_px else None


def _insane_homography(evidence: Evidence, config: Config) -> float | None:
    homography = evidence.measures.homography
    if not config.filters.sane_homography or homography is None:
        return None
    return _below(sanity(homography, *evidence.sizes), MIN_SANITY)


def _no_epipolar(evidence: Evidence, config: Config) -> float | None:
    none_found = evidence.measures.epipolar_inliers == 0
    return 0.0 if config.verify.epipolar_px is not None and none_found else None


def _few_inliers(evidence: Evidence, config: Config) -> float | None:
    return _below(_verified(evidence), config.filters.min_inliers)


def _low_inlier_ratio(evidence: Evidence, config: Config) -> float | None:
    ratio = _verified(evidence) / max(evidence.measures.matches or 0, 1)
    return _below(ratio, config.filters.min_inlier_ratio)


def _verified(evidence: Evidence) -> int:
    """Matches that the model of a rigid scene explains: F where it was asked for, else H.

    Parallax alone must not reject a pair.
    """
    measures = evidence.measures
    if measures.epipolar_inliers is not None:
        return measures.epipolar_inliers
    return measures.inliers or 0


def _unmoved(evidence: Evidence, config: Config) -> float | None:
    """A camera that stands still before moving things or changing light; in pixels at 224.

    One that goes forward leaves what is far where it was, too, but sees it grow.
    """
    motion_px, ratio = evidence.measures.motion_px, evidence.measures.scale_ratio
    if motion_px is None or (ratio is not None and ratio >= FORWARD_SCALE):
        return None
    return _below(motion_px * 224 / min(evidence.sizes[1]), config.filters.min_motion_px)


def _moving_foreground(evidence: Evidence, config: Config) -> float | None:
    """A still camera before something large that moves as one and then passes for the scene.

    The background stands still, and what could be matched there contradicts the geometry found.
    """
    measures, limit = evidence.measures, config.filters.max_dynamic_share
    if limit is None or measures.static_share is None or measures.dynamic_share is None:
        return None
    stands_still = measures.static_share > STILL_BACKGROUND
    return measures.dynamic_share if stands_still and measures.dynamic_share > limit else None


def _zoom(evidence: Evidence, config: Config) -> float | None:
    ratio, limit = evidence.measures.scale_ratio, config.filters.max_scale_ratio
    return ratio if ratio is not None and limit is not None and ratio >= limit else None


def _overlap_low(evidence: Evidence, config: Config) -> float | None:
    value = deciding_overlap(evidence, config).smaller
    return value if value <= config.overlap.low else None


def _overlap_high(evidence: Evidence, config: Config) -> float | None:
    value = deciding_overlap(evidence, config).smaller
    area, limit = evidence.measures.overlap.area, config.filters.max_area
    if area is not None and limit is not None and area.smaller > limit:
        return area.smaller
    return value if value >= config.overlap.high else None


GATES: Questions = (
    ("hole", _hole),
    ("blank", _blank),
    ("near_duplicate", _near_duplicate),
    ("static", _static),
    ("cut", _cut),
    ("dark", _dark),
)
"""Answered from each view's measures, thumbnails and shot numbers."""

BEFORE_FEATURES: Questions = (*GATES, ("apart", _apart))

BEFORE_MATCHING: Questions = (*BEFORE_FEATURES, ("few_keypoints", _few_keypoints))

BEFORE_ALL_MATCHES: Questions = (*BEFORE_MATCHING, ("few_coarse_matches", _few_coarse_matches))

BEFORE_GEOMETRY: Questions = (*BEFORE_ALL_MATCHES, ("few_matches", _few_matches))

QUESTIONS: Questions = (
    *BEFORE_GEOMETRY,
    ("no_epipolar", _no_epipolar),
    ("no_homography", _no_homography),
    ("insane_homography", _insane_homography),
    ("few_inliers", _few_inliers),
    ("low_inlier_ratio", _low_inlier_ratio),
    ("unmoved", _unmoved),
    ("moving_foreground", _moving_foreground),
    ("zoom", _zoom),
    ("overlap_low", _overlap_low),
    ("overlap_high", _overlap_high),
)
"""All questions asked of a pair that is matched, in the order in which they are asked."""

BY_DEPTH: Questions = (*GATES, ("overlap_low", _overlap_low), ("overlap_high", _overlap_high))
"""All questions where depth and pose decide alone."""


def questions(config: Config) -> Questions:
    """What is asked under a config: by depth alone, or of matches."""
    return BY_DEPTH if config.overlap.measure == "covis" else QUESTIONS
