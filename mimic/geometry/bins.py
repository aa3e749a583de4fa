"""RUBIK's boxes: how hard a pair is, by overlap, scale and viewpoint (Alligat0R table 2)."""

from __future__ import annotations

from bisect import bisect_right

OVERLAP_EDGES = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)
SCALE_EDGES = (1.0, 1.5, 2.5, 4.0, 6.0)
ANGLE_EDGES_DEG = (0.0, 30.0, 60.0, 120.0, 180.0)
SHAPE = (len(OVERLAP_EDGES) - 1, len(SCALE_EDGES) - 1, len(ANGLE_EDGES_DEG) - 1)
"""5 x 4 x 4 = 80 boxes."""


def bins_of(overlap: float, scale_ratio: float, angle_deg: float) -> tuple[int, int, int] | None:
    """The box of a pair, each number from 0 by rising value; None outside all boxes.

    A bin holds its lower edge, the last one its upper edge too.

    Args:
        overlap: the smaller co-visible share, 0..1.
        scale_ratio: of the distances to both cameras, at least 1.
        angle_deg: between the two viewing rays, degrees.
    """
    at_overlap = _bin(overlap, OVERLAP_EDGES)
    at_scale = _bin(scale_ratio, SCALE_EDGES)
    at_angle = _bin(angle_deg, ANGLE_EDGES_DEG)
    if at_overlap is None or at_scale is None or at_angle is None:
        return None
    return at_overlap, at_scale, at_angle


def _bin(value: float, edges: tuple[float, ...]) -> int | None:
    if not edges[0] <= value <= edges[-1]:
        return None
    return min(bisect_right(edges, value), len(edges) - 1) - 1
