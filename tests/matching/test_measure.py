"""The path stored_view -> with_features -> measure -> judge on rendered scenes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from textures import frame, looking_at, pair, render

from mimic import filters, views
from mimic.config import load_config
from mimic.geometry import overlap, patches
from mimic.matching.measure import measure
from mimic.types import FrameMeasures

DEFAULT, MIMIC = load_config(), load_config("mimic")
CONFIGS = {"default": DEFAULT, "mimic": MIMIC}
HERE = looking_at(800, 800)
UNVERIFIED = {"few_coarse_matches", "few_matches", "no_epipolar", "no_homography", "few_inliers"}
UNVERIFIED |= {"insane_homography"}


def seen(picture, config):
    return views.with_features(views.stored_view(picture, config), config)


def judged(frames, config):
    view_1, view_2 = (seen(picture, config) for picture in frames)
    measures = measure(view_1, view_2, 0.5, config)
    return measures, filters.judge(view_1, view_2, measures, config)


def true_area(truth, size=(224, 224)):
    forward, backward = patches.landings(truth, size, size)
    return overlap.area(forward), overlap.area(backward)


# Overlap falls from 0.95 to 0.3 by shifts at uneven phases of the patch, some turned or tilted.
WARPS = {
    f"{share:.2f} by {kind}": (share, kind)
    for share in (0.95, 0.84, 0.73, 0.62, 0.5, 0.41, 0.31)
    for kind in ("shift", "shift and turn", "tilt")
}


def warped(share, kind):
    dx, dy = 448 * (1 - share) * 0.97, 448 * 0.03 + 1.37
    if kind == "shift":
        return looking_at(800 + dx, 800 + dy)
    if kind == "shift and turn":
        return looking_at(800 + dx * 0.8, 800 - dy, degrees=9 * share, zoom=1.07)
    return looking_at(800 + dx * 0.9, 800 + dy, tilt=(4e-4, -3e-4))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("warp", WARPS.values(), ids=WARPS)
def test_area_overlap_is_true_within_a_hundredth(warp, config):
    frames, truth = pair(HERE, warped(*warp))
    measures, verdict = judged(frames, config)
    forward, backward = true_area(truth)
    assert measures.overlap.area.forward == pytest.approx(forward, abs=0.01)
    assert measures.overlap.area.backward == pytest.approx(backward, abs=0.01)
    assert measures.verifier == "homography"
    assert verdict.reason in ("kept", "overlap_low", "overlap_high")


@pytest.mark.parametrize("share", [0.55, 0.65, 0.72])
def test_support_of_a_plane_is_its_area(share):
    frames, truth = pair(HERE, warped(share, "shift"))
    measures, verdict = judged(frames, DEFAULT)
    assert measures.overlap.support.smaller == pytest.approx(min(true_area(truth)), abs=0.06)
    assert measures.parallax_px < 1
    assert measures.dynamic_share < 0.2
    assert verdict.kept
    assert verdict.value == measures.overlap.support.smaller


@pytest.mark.parametrize("zoom", [1.4, 1 / 1.4, 1.6])
def test_a_zoom_is_rejected_as_zoom(zoom):
    frames, _ = pair(HERE, looking_at(800, 800, zoom=zoom, degrees=2))
    measures, verdict = judged(frames, DEFAULT)
    assert verdict.reason == "zoom"
    assert measures.scale_ratio == pytest.approx(max(zoom, 1 / zoom), abs=0.02)


def test_views_of_different_scenes_are_rejected_without_a_homography_deciding():
    for seed in range(1, 5):
        frames = (frame(render(HERE)), frame(render(HERE, seed=seed), 1))
        assert judged(frames, DEFAULT)[1].reason in UNVERIFIED


def test_strangers_with_many_keypoints_are_not_compared_in_full():
    config = load_config(assignments=("match.coarse_keypoints=64",))
    measures, verdict = judged((frame(render(HERE)), frame(render(HERE, seed=3), 1)), config)
    assert verdict == filters.Verdict("few_coarse_matches", measures.coarse_matches)
    assert measures.coarse_matches < config.filters.min_coarse_matches
    assert measures.matches is None
    assert min(measures.keypoints) > 64


def test_the_same_frame_twice_is_a_near_duplicate():
    measures, verdict = judged((frame(render(HERE)), frame(render(HERE), 1)), DEFAULT)
    assert verdict == filters.Verdict("near_duplicate", 0.0)
    assert measures.keypoints is None


def test_a_still_camera_in_changing_light_is_unmoved():
    dim = (render(HERE) * 0.6).astype(np.uint8)
    measures, verdict = judged((frame(render(HERE)), frame(dim, 1)), DEFAULT)
    assert verdict.reason == "unmoved"
    assert measures.motion_px == verdict.value < 0.5


def test_the_same_frame_twice_under_mimic_is_full_overlap():
    verdict = judged((frame(render(HERE)), frame(render(HERE), 1)), MIMIC)[1]
    assert verdict == filters.Verdict("overlap_high", 1.0)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_nothing_to_see_ends_in_a_reason(config):
    gray = np.full((224, 224, 3), 90, np.uint8)
    measures, verdict = judged((frame(gray), frame(render(HERE), 1)), config)
    expected = {"default": "few_keypoints", "mimic": "few_matches"}[config.preset]
    assert verdict == filters.Verdict(expected, 0.0)
    assert measures.keypoints[0] == 0
    assert measures.homography is None


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_measuring_twice_gives_the_same_bits(config):
    frames, _ = pair(HERE, warped(0.62, "tilt"))
    first, again = judged(frames, config), judged(frames, config)
    assert repr(first) == repr(again)
    assert first[0].homography.tobytes() == again[0].homography.tobytes()


def test_matching_larger_than_stored_gives_stored_pixels():
    config = load_config(assignments=("image.size=112", "match.short_side=224"))
    frames, truth = pair(HERE, warped(0.62, "shift and turn"))
    measures, _ = judged(frames, config)
    half = np.diag([0.5, 0.5, 1])
    stored = half @ truth @ np.linalg.inv(half)
    corners = np.array([[0, 0, 1], [112, 0, 1], [112, 112, 1], [0, 112, 1]]).T
    got, want = (m @ corners for m in (measures.homography, stored))
    assert np.abs(got[:2] / got[2] - want[:2] / want[2]).max() < 0.6


def test_gated_pairs_need_no_features():
    view_1 = views.stored_view(frame(render(HERE)), DEFAULT)
    view_2 = views.stored_view(frame(render(HERE), 1), DEFAULT)
    assert filters.gate(view_1, view_2, DEFAULT).reason == "near_duplicate"
    assert measure(view_1, view_2, None, DEFAULT).thumb_difference == 0


def test_features_are_asked_for_where_no_gate_answers():
    view_1 = views.stored_view(frame(render(HERE)), MIMIC)
    with pytest.raises(AssertionError, match="needs features"):
        measure(view_1, view_1, None, MIMIC)


def test_a_dark_frame_is_dark():
    frames, _ = pair(HERE, warped(0.6, "shift"))
    view_1, view_2 = (views.stored_view(picture, DEFAULT) for picture in frames)
    night = dataclasses.replace(view_2, measures=FrameMeasures(4.0, 0, 9, 1, 0, "0" * 16))
    assert filters.gate(view_1, night, DEFAULT) == filters.Verdict("dark", 9.0)
    assert filters.gate(view_1, night, MIMIC) is None
