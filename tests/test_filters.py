"""Each question at, just above and just below its threshold."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mimic import filters
from mimic.config import load_config
from mimic.layered import ConfigError
from mimic.types import KEPT, Directed, EdgeMeasures, Overlap, Verdict

DEFAULT, MIMIC = load_config(), load_config("mimic")
SIZES = ((256, 256), (256, 256))


def both(value):
    return Directed(value, value + 0.05)


def evidence(
    config=DEFAULT, overlap=None, sizes=SIZES, shots=(0, 0), luminance=(90.0, 90.0), **changes
):
    """A pair that passes everything, but for the changes."""
    middle = (config.overlap.low + config.overlap.high) / 2
    every = dict.fromkeys(("patch", "area", "coverage", "support"), both(middle))
    values = overlap or Overlap(**every)
    measures = EdgeMeasures(
        keypoints=(400, 500),
        matches=100,
        inliers=80,
        epipolar_inliers=90,
        homography=np.array([[1, 0, 30.0], [0, 1, 0], [0, 0, 1]]),
        overlap=values,
        scale_ratio=1.1,
        motion_px=40.0,
        thumb_difference=30.0,
        static_share=0.2,
    )
    measures = dataclasses.replace(measures, **changes)
    return filters.Evidence(measures, sizes, shots, luminance)


def test_a_good_pair_is_kept_with_its_overlap():
    for config in (DEFAULT, MIMIC):
        verdict = filters.judge_evidence(evidence(config), config)
        assert verdict == Verdict(KEPT, (config.overlap.low + config.overlap.high) / 2)


MIRROR = np.diag([-1.0, 1, 1])
F = DEFAULT.filters
CASES = [
    (
        "near_duplicate",
        {"thumb_difference": F.duplicate_difference - 0.01},
        F.duplicate_difference - 0.01,
    ),
    ("static", {"static_share": F.static_share + 0.01}, F.static_share + 0.01),
    ("cut", {"shots": (3, 5)}, 2),
    ("dark", {"luminance": (90.0, F.min_luminance - 1)}, F.min_luminance - 1),
    ("few_keypoints", {"keypoints": (400, F.min_keypoints - 1)}, F.min_keypoints - 1),
    (
        "few_coarse_matches",
        {"coarse_matches": F.min_coarse_matches - 1},
        F.min_coarse_matches - 1,
    ),
    ("few_matches", {"matches": F.min_matches - 1}, F.min_matches - 1),
    ("no_epipolar", {"epipolar_inliers": 0}, 0),
    ("no_homography", {"homography": None}, 0),
    ("no_homography", {"parallax_px": 61.0}, 61.0),  # of a view 384 wide or less
    ("insane_homography", {"homography": MIRROR}, 0),
    ("few_inliers", {"epipolar_inliers": F.min_inliers - 1}, F.min_inliers - 1),
    ("low_inlier_ratio", {"matches": 1000}, 0.09),
    (
        "unmoved",
        {"motion_px": (F.min_motion_px - 0.1) * 256 / 224, "scale_ratio": 1.05},
        F.min_motion_px - 0.1,
    ),
    (
        "moving_foreground",
        {"static_share": filters.STILL_BACKGROUND + 0.01, "dynamic_share": 0.26},
        0.26,
    ),
    ("zoom", {"scale_ratio": F.max_scale_ratio}, F.max_scale_ratio),
]


@pytest.mark.parametrize(("reason", "changes", "value"), CASES)
def test_each_question_names_its_reason_and_value(reason, changes, value):
    verdict = filters.judge_evidence(evidence(**changes), DEFAULT)
    assert verdict.reason == reason
    assert verdict.value == pytest.approx(value)


PASSING = [
    {"thumb_difference": F.duplicate_difference},
    {"thumb_difference": None, "static_share": None},
    {"static_share": F.static_share},
    {"static_share": F.static_share, "dynamic_share": F.max_dynamic_share},  # a far scene
    {"static_share": filters.STILL_BACKGROUND, "dynamic_share": 0.9},  # a crowd, seen in passing
    {"luminance": (F.min_luminance, 90.0)},
    {"keypoints": (F.min_keypoints, 400)},
    {"motion_px": F.min_motion_px * 256 / 224},
    {"motion_px": 0.5, "scale_ratio": filters.FORWARD_SCALE},  # a walk towards a far scene
    {"scale_ratio": F.max_scale_ratio - 0.001},
    {"inliers": 4},  # parallax: what the homography does not explain, F does
]


@pytest.mark.parametrize("changes", PASSING)
def test_thresholds_themselves_pass(changes):
    assert filters.judge_evidence(evidence(**changes), DEFAULT).kept


@pytest.mark.parametrize("name", ["patch", "area", "coverage", "support"])
@pytest.mark.parametrize(("at", "reason"), [("low", "overlap_low"), ("high", "overlap_high")])
def test_the_overlap_range_is_strict_and_of_the_configured_measure(name, at, reason):
    config = load_config(assignments=(f"overlap.measure={name}", "filters.max_area=null"))
    bound = getattr(config.overlap, at)
    middle = both((config.overlap.low + config.overlap.high) / 2)
    fine = Overlap(patch=middle, area=middle, coverage=middle, support=middle)
    on_bound = dataclasses.replace(fine, **{name: Directed(1.0, bound)})
    assert filters.judge_evidence(evidence(config, on_bound), config) == Verdict(reason, bound)
    inside = bound + (1e-6 if at == "low" else -1e-6)
    within = dataclasses.replace(fine, **{name: Directed(inside, 1.0)})
    assert filters.judge_evidence(evidence(config, within), config).kept


def test_too_much_area_is_too_much_overlap():
    much = dataclasses.replace(evidence().measures.overlap, area=Directed(0.9, 0.95))
    assert filters.judge_evidence(evidence(overlap=much), DEFAULT) == Verdict("overlap_high", 0.9)


def test_the_first_question_that_fails_decides():
    everything_wrong = evidence(**CASES[0][1], shots=(0, 1), keypoints=(0, 0), homography=None)
    assert filters.judge_evidence(everything_wrong, DEFAULT).reason == "near_duplicate"


def test_null_switches_off():
    names = (
        "duplicate_difference",
        "static_share",
        "min_luminance",
        "min_keypoints",
        "min_inliers",
        "min_inlier_ratio",
        "max_scale_ratio",
        "min_motion_px",
        "max_dynamic_share",
        "max_area",
    )
    config = load_config(
        assignments=(
            *(f"filters.{n}=null" for n in names),
            "filters.cut=false",
            "filters.sane_homography=false",
        )
    )
    wrong = evidence(
        thumb_difference=0.0,
        static_share=1.0,
        dynamic_share=0.9,
        shots=(0, 1),
        luminance=(0.0, 0.0),
        keypoints=(0, 0),
        homography=MIRROR,
        epipolar_inliers=1,
        scale_ratio=9.0,
        motion_px=0.0,
    )
    assert filters.judge_evidence(wrong, config).kept


class TestMimicPreset:
    """The peer asks three questions only."""

    def test_eleven_matches(self):
        assert filters.judge_evidence(evidence(MIMIC, matches=11), MIMIC).kept
        assert filters.judge_evidence(evidence(MIMIC, matches=10), MIMIC) == Verdict(
            "few_matches", 10
        )

    def test_a_homography_of_any_kind(self):
        strange = evidence(
            MIMIC, homography=MIRROR, inliers=6, epipolar_inliers=None, scale_ratio=5.0
        )
        assert filters.judge_evidence(strange, MIMIC).kept
        none = evidence(MIMIC, homography=None, epipolar_inliers=None)
        assert filters.judge_evidence(none, MIMIC).reason == "no_homography"

    @pytest.mark.parametrize(
        ("matched", "reason"), [(98, "overlap_low"), (99, KEPT), (146, KEPT), (147, "overlap_high")]
    )
    def test_the_range_is_open(self, matched, reason):
        overlap = Overlap(patch=Directed(matched / 196, 1.0), area=Directed(1.0, 1.0))
        assert filters.judge_evidence(evidence(MIMIC, overlap), MIMIC).reason == reason


def test_a_measure_that_the_graph_lacks_is_a_config_error():
    unmeasured = dataclasses.replace(evidence().measures.overlap, support=None)
    with pytest.raises(ConfigError, match="support was not measured"):
        filters.judge_evidence(evidence(overlap=unmeasured), DEFAULT)


def test_judging_needs_no_opencv():
    tree = ast.parse(Path(filters.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {"mimic.opencv", "mimic.views"} & modules
