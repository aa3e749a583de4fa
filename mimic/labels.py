"""The labels of a pair: what is stored of its co-visibility, from depth and pose."""

from __future__ import annotations

from dataclasses import dataclass

from mimic import opencv
from mimic.geometry.covisibility import PosedDepth, covisible_share, scale_and_angle, seen_both
from mimic.types import Directed


@dataclass(frozen=True, slots=True)
class PairLabels:
    """What is known of a pair with depth and pose.

    ``maps``: its label maps as PNG (view 1 as view 2 sees it, and the reverse). ``covis``: the
    co-visible shares. ``scale_ratio`` and ``viewpoint_angle_deg`` are None where nothing is seen
    by both (see :func:`mimic.geometry.covisibility.scale_and_angle`).
    """

    maps: tuple[bytes, bytes]
    covis: Directed
    scale_ratio: float | None
    viewpoint_angle_deg: float | None


def label_pair(view_1: PosedDepth, view_2: PosedDepth) -> PairLabels:
    """Label both views of a pair (:func:`mimic.geometry.covisibility.labels`)."""
    forward, backward = seen_both(view_1, view_2)
    scale_ratio, angle_deg = scale_and_angle(view_1, view_2, forward) or (None, None)
    return PairLabels(
        maps=(opencv.encode_png(forward.labels), opencv.encode_png(backward.labels)),
        covis=Directed(covisible_share(forward.labels), covisible_share(backward.labels)),
        scale_ratio=scale_ratio,
        viewpoint_angle_deg=angle_deg,
    )
