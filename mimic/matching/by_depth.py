"""What is measured of a pair from depth and pose."""

from __future__ import annotations

import dataclasses

from mimic import filters
from mimic.config import Config
from mimic.geometry import patches
from mimic.geometry.coarse import CoarseView, coarse_share
from mimic.geometry.covisibility import (
    covisible_share,
    landing,
    scale_and_angle,
    seen_both,
)
from mimic.matching.thumbs import thumb_measures
from mimic.types import Directed, EdgeMeasures, Overlap, View
from mimic.views import posed_depth


def coarse_covis(view_1: View, view_2: View) -> Directed | None:
    """Co-visible shares on a coarse grid; None where depth or pose is missing."""
    posed_1, posed_2 = posed_depth(view_1), posed_depth(view_2)
    if posed_1 is None or posed_2 is None:
        return None
    one, two = CoarseView.of(posed_1), CoarseView.of(posed_2)
    return Directed(coarse_share(one, two), coarse_share(two, one))


def measure_by_depth(
    view_1: View, view_2: View, interval_s: float | None, config: Config
) -> EdgeMeasures:
    """Measure a pair without matching its pictures (``overlap.measure: covis``).

    The patch correspondence is that of the co-visible pixels; there is no homography.
    """
    measures = thumb_measures(view_1, view_2, interval_s)
    evidence = filters.evidence_of(view_1, view_2, measures)
    posed_1, posed_2 = posed_depth(view_1), posed_depth(view_2)
    stopped = filters.first_failed(filters.GATES, evidence, config) is not None
    if stopped or posed_1 is None or posed_2 is None:
        return measures
    forward, backward = seen_both(posed_1, posed_2)
    patch = patches.patch_map(
        landing(forward, view_2.size),
        landing(backward, view_1.size),
        config.overlap.patch_size,
        config.overlap.outside_votes,
    )
    scale_ratio, angle_deg = scale_and_angle(posed_1, posed_2, forward) or (None, None)
    covis = Directed(covisible_share(forward.labels), covisible_share(backward.labels))
    return dataclasses.replace(
        measures,
        verifier="depth",
        overlap=Overlap(patch=patch.overlap, covis=covis),
        scale_ratio=scale_ratio,
        viewpoint_angle_deg=angle_deg,
        corr=patch.pairs,
    )
