"""The numbers that are drawn as histograms: their names, units and fixed bins.

Bins are the same for every data set, so that two reports can be laid side by side. What lies
beyond the ends is counted in the first and last bin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from schemas import OVERLAP_MEASURES


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of a table.

    ``unit`` is for axes ("" for shares and ratios), ``digits`` the decimals worth showing, and
    ``edges`` the n + 1 bounds of the bins.
    """

    column: str
    title: str
    unit: str
    edges: tuple[float, ...]
    meaning: str
    digits: int = 2


def _linear(low: float, high: float, bins: int) -> tuple[float, ...]:
    return tuple(round(float(edge), 9) for edge in np.linspace(low, high, bins + 1))


_OVERLAP_MEANING = {
    "patch": "share of patches with a partner in the other view, under the homography",
    "area": "share of pixels that land inside the other view, under the homography",
    "coverage": "share of the view that lies near a match verified by epipolar geometry",
    "support": "area overlap less the places that the keypoints contradict",
    "covis": "share of pixels truly seen by the other view, from depth and pose",
}

OVERLAPS = tuple(
    Measure(f"overlap_{name}", f"{name} overlap", "", _linear(0.0, 1.0, 20), _OVERLAP_MEANING[name])
    for name in OVERLAP_MEASURES
)

GEOMETRY = (
    Measure("scale_ratio", "scale ratio", "", _linear(1.0, 3.0, 20), "zoom between the views"),
    Measure("rotation_deg", "rotation", "deg", _linear(-60, 60, 24), "roll between the views", 1),
    Measure(
        "parallax_px",
        "parallax",
        "px",
        _linear(0, 20, 20),
        "how far matches lie from where a homography puts them: above a few pixels there is depth",
        1,
    ),
    Measure(
        "viewpoint_angle_deg",
        "viewpoint change",
        "deg",
        _linear(0, 180, 18),
        "angle between the viewing rays",
        0,
    ),
    Measure("interval_s", "interval", "s", _linear(0, 10, 20), "time between the two frames"),
)

CRITERIA = (
    Measure(
        "overlap_covis",
        "co-visibility",
        "",
        (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0),
        "share of pixels truly seen by the other view, of the view that shares less",
    ),
    Measure(
        "scale_ratio",
        "scale ratio",
        "",
        (1.0, 1.5, 2.5, 4.0, 6.0),
        "ratio of the distances to both cameras (or the zoom of the homography); the last bin is "
        "open",
        1,
    ),
    Measure(
        "viewpoint_angle_deg",
        "viewpoint change",
        "deg",
        (0.0, 30.0, 60.0, 120.0, 180.0),
        "angle between the viewing rays",
        0,
    ),
)
"""How hard a pair with depth and pose is, in the bins of RUBIK."""

FRAMES = (
    Measure(
        "luminance_mean", "luminance", "", _linear(0, 255, 15), "mean grey, 0 black to 255 white", 0
    ),
    Measure(
        "sharpness",
        "sharpness",
        "",
        tuple(float(edge) for edge in np.round(np.geomspace(1, 10_000, 17), 3)),
        "variance of the Laplacian; below about 50 a frame is blurred",
        0,
    ),
    Measure(
        "letterbox", "letterbox", "", _linear(0, 1, 20), "share of the picture in black borders"
    ),
)

PAIRS = OVERLAPS + GEOMETRY
