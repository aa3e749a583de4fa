"""Which pixels of a view another view sees too, from depth and pose (Alligat0R section 3.2).

A pixel is back-projected with its depth, moved to the other view and projected there. Its depth is
compared with the other view's own, of which each pixel is a small plane: that is exact for a plane
at any slant. Conventions are those of :mod:`mimic.types`.

What is found is also told as shares, as dense or patch correspondences, and by RUBIK's criteria.
:mod:`mimic.geometry.coarse` scores very many pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimic.geometry.bins import bins_of
from mimic.geometry.coarse import CoarseView, coarse_share
from mimic.geometry.labelling import (
    COVISIBLE,
    OCCLUDED,
    OUTSIDE,
    UNKNOWN,
    Labels,
    Prepared,
    Projected,
    labelled,
    labelled_projected,
    project,
)
from mimic.geometry.patches import Landing
from mimic.geometry.posed_depth import DEFAULT_TOLERANCE, Floats, PosedDepth, Tolerance
from mimic.geometry.surface import normals_from_depth
from mimic.types import Directed

__all__ = [
    "COVISIBLE",
    "DEFAULT_TOLERANCE",
    "OCCLUDED",
    "OUTSIDE",
    "UNKNOWN",
    "CoarseView",
    "Labels",
    "PosedDepth",
    "Projected",
    "Seen",
    "Tolerance",
    "bins_of",
    "coarse_share",
    "correspondences",
    "covisible",
    "covisible_share",
    "labels",
    "labels_of",
    "landing",
    "normals_from_depth",
    "project",
    "scale_and_angle",
    "seen_both",
    "seen_from",
]


def labels(
    view: PosedDepth,
    other: PosedDepth,
    tolerance: Tolerance = DEFAULT_TOLERANCE,
    step: int = 1,
) -> Labels:
    """Per pixel of ``view``: 0 co-visible, 1 occluded, 2 outside the other's field of view.

    255 is unknown: no depth here, none there, or in front of the surface seen there beyond the
    tolerance (an error of depth, or something that moved). A depth that mixes two surfaces is none.
    With ``tolerance.normals`` a surface that the other view sees from behind is occluded.

    Args:
        view: the view whose pixels are labelled.
        other: the view that sees them or not.
        tolerance: how far two depths of one surface may differ.
        step: label each so many-th row and column only, from ``step // 2`` on.
    """
    prepared = Prepared.of(view, tolerance), Prepared.of(other, tolerance)
    return labelled(*prepared, tolerance, step)[1]


def labels_of(projected: Projected, other: PosedDepth, tolerance: Tolerance) -> Labels:
    """:func:`labels` of pixels that are projected already; their normals are not asked for."""
    return labelled_projected(projected, other, tolerance)


def covisible_share(found: Labels) -> float:
    """Co-visible pixels among those whose label is known; 0 where none is."""
    seen = np.count_nonzero(found == COVISIBLE)
    known = found.size - np.count_nonzero(found == UNKNOWN)
    return int(seen) / int(known) if known else 0.0


def covisible(
    view_1: PosedDepth,
    view_2: PosedDepth,
    tolerance: Tolerance = DEFAULT_TOLERANCE,
    step: int = 1,
) -> Directed:
    """The co-visible share of both views; the pair's overlap is the smaller one."""
    one, two = Prepared.of(view_1, tolerance), Prepared.of(view_2, tolerance)
    return Directed(
        covisible_share(labelled(one, two, tolerance, step)[1]),
        covisible_share(labelled(two, one, tolerance, step)[1]),
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """One direction of a pair: where each pixel of a view lies in the other, and its label."""

    projected: Projected
    labels: Labels


def seen_from(
    view: PosedDepth, other: PosedDepth, tolerance: Tolerance = DEFAULT_TOLERANCE
) -> Seen:
    """Every pixel of ``view`` as ``other`` sees it (see :func:`labels`)."""
    prepared = Prepared.of(view, tolerance), Prepared.of(other, tolerance)
    return Seen(*labelled(*prepared, tolerance))


def seen_both(
    view_1: PosedDepth, view_2: PosedDepth, tolerance: Tolerance = DEFAULT_TOLERANCE
) -> tuple[Seen, Seen]:
    """:func:`seen_from` both ways, at less than twice its cost."""
    one, two = Prepared.of(view_1, tolerance), Prepared.of(view_2, tolerance)
    return Seen(*labelled(one, two, tolerance)), Seen(*labelled(two, one, tolerance))


def correspondences(seen: Seen) -> Floats:
    """Where each pixel lands in the other view: (h, w, 2) float32, x and y; NaN if not co-visible.

    Continuous pixels of the other view: 0.5 is the centre of its first.
    """
    where = np.stack([seen.projected.x, seen.projected.y], axis=2)
    where[seen.labels != COVISIBLE] = np.nan
    return where


def landing(seen: Seen, size_other: tuple[int, int]) -> Landing:
    """The pixels that receive the co-visible ones: what patch correspondences are made of."""
    inside = seen.labels == COVISIBLE
    column = np.where(inside, seen.projected.x, 0).astype(np.int32)
    row = np.where(inside, seen.projected.y, 0).astype(np.int32)
    return Landing(column, row, inside, size_other)


def scale_and_angle(view: PosedDepth, other: PosedDepth, seen: Seen) -> tuple[float, float] | None:
    """How differently two cameras see what both see (RUBIK's criteria); None where nothing is.

    Returns:
        The ratio of the distances to both cameras, at least 1, and the angle in degrees between
        the two viewing rays: medians over the co-visible pixels of ``view``.
    """
    row, column = np.nonzero(seen.labels == COVISIBLE)
    if len(row) == 0:
        return None
    pixels = np.stack([column + 0.5, row + 0.5, np.ones(len(row))])
    rays = np.linalg.inv(view.intrinsics) @ pixels * view.depth_m[row, column]
    baseline = (np.linalg.inv(view.cam_to_world) @ other.cam_to_world)[:3, 3]
    other_rays = rays - baseline[:, None]
    near, far = np.linalg.norm(rays, axis=0), np.linalg.norm(other_rays, axis=0)
    ratio = np.maximum(near, far) / np.minimum(near, far)
    cosine = (rays * other_rays).sum(axis=0) / (near * far)
    angle_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return float(np.median(ratio)), float(np.median(angle_deg))
