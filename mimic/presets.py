"""The presets: what each changes of the config's defaults."""

from __future__ import annotations

from typing import Any, Literal

PresetName = Literal["default", "mimic"]

PRESETS: dict[PresetName, dict[str, Any]] = {
    "default": {},
    # MIMIC's published constants (its datasets/constants.py and utils.py).
    "mimic": {
        "source": {"video": {"interval_s": 1.0}},
        "sampling": {
            "sequence": "retry",
            "strides": [1, 2],
            "skip_after_pair": True,
            "group": "smallest",
        },
        "image": {"resize": "squash", "size": 224},
        "match": {
            "short_side": None,
            "max_keypoints": 0,
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
            "min_keypoints": None,
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
