"""The presets: what each changes of the config's defaults."""

from __future__ import annotations

import math
from typing import Any, Literal

PresetName = Literal["default", "mimic"]

PRESETS: dict[PresetName, dict[str, Any]] = {
    "default": {},
    # MIMIC's published constants (its datasets/constants.py and utils.py).
    "mimic": {
        "source": {
            "video": {"interval_s": 1.0},
            # The middle 224 x 224 of 256 x 256 at 90 degrees, as the peer crops them.
            "scene": {
                "size": [224, 224],
                "hfov_deg": math.degrees(2 * math.atan(112 / 128)),
                "max_samples": 3000,
                "min_island_m": 6.0,
            },
        },
        "sampling": {
            "sequence": "retry",
            "strides": [1, 2],
            "skip_after_pair": True,
            "group": "smallest",
            "walk": "smallest",
        },
        "image": {"resize": "squash", "size": 224},
        "match": {
            "short_side": None,
            "max_keypoints": 0,
            "coarse_keypoints": None,
            "contrast_threshold": 0.04,
            "ratio": 0.7,
            "mutual": False,
            "root": False,
        },
        "verify": {
            "homography": "ransac",
            "homography_px": 5.0,
            "epipolar_px": None,
            "iterations": 2000,
            "confidence": 0.995,
        },
        "overlap": {"measure": "patch", "low": 0.5, "high": 0.75, "outside_votes": True},
        "filters": {
            "duplicate_difference": None,
            "static_share": None,
            "cut": False,
            "min_luminance": None,
            "min_valid_share": None,
            "min_sharpness": 1000.0,
            "min_covis": None,
            "min_keypoints": None,
            "min_coarse_matches": None,
            "min_matches": 11,
            "sane_homography": False,
            "min_inliers": None,
            "min_inlier_ratio": None,
            "max_scale_ratio": None,
            "min_motion_px": None,
            "max_dynamic_share": None,
            "max_area": None,
        },
    },
}
