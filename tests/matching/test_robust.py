from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from mimic.config import VerifyConfig, load_config
from mimic.geometry import homography as h
from mimic.geometry.epipolar import sampson_px
from mimic.matching.robust import estimate
from mimic.types import Matches

SIZE = (224, 224)
TRUE = np.array([[1.05, -0.1, 12], [0.08, 0.97, -20], [2e-4, -1e-4, 1]])
CONFIGS = {
    "magsac": VerifyConfig(),
    "ransac": load_config("mimic").verify,
    "magsac alone": VerifyConfig(epipolar_px=None),
}


def matches(xy_1, xy_2):
    count = len(xy_1)
    index = np.column_stack([np.arange(count)] * 2).astype(np.int32)
    return Matches(index, np.asarray(xy_1, np.float64), np.asarray(xy_2, np.float64))


def planar(count=200, outliers=0.3, noise_px=0.3, seed=0):
    rng = np.random.default_rng(seed)
    xy_1 = rng.uniform(0, 224, (count, 2))
    xy_2 = h.apply(TRUE, xy_1) + rng.normal(0, noise_px, (count, 2))
    wrong = rng.random(count) < outliers
    xy_2[wrong] = rng.uniform(0, 224, (int(wrong.sum()), 2))
    return matches(xy_1, xy_2), ~wrong


def solid(count=200, outliers=0.3, seed=0):
    """Points at depths 2 to 6 seen by a camera that moves sideways and turns."""
    rng = np.random.default_rng(seed)
    focal, points = 200.0, rng.uniform([-2, -2, 2], [2, 2, 6], (count, 3))
    c, s = np.cos(0.1), np.sin(0.1)
    moved = points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T + [0.8, 0.1, 0]
    xy = [112 + focal * p[:, :2] / p[:, 2:] for p in (points, moved)]
    xy[1] += rng.normal(0, 0.2, (count, 2))
    wrong = rng.random(count) < outliers
    xy[1][wrong] = rng.uniform(0, 224, (int(wrong.sum()), 2))
    return matches(*xy), ~wrong


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_finds_a_plane_among_outliers(config):
    given, right = planar()
    found = estimate(given, SIZE, SIZE, config)
    corners = h.corners(SIZE)
    assert np.abs(h.apply(found.homography, corners) - h.apply(TRUE, corners)).max() < 1
    assert (found.homography_inliers & right).sum() > 0.95 * right.sum()
    assert (found.fundamental is None) == (config.epipolar_px is None)


def test_a_plane_has_an_epipolar_geometry_too():
    given, right = planar(outliers=0.2)
    found = estimate(given, SIZE, SIZE, VerifyConfig())
    assert (found.epipolar_inliers & right).sum() > 0.9 * right.sum()


def test_finds_the_epipolar_geometry_of_a_solid_scene():
    given, right = solid()
    found = estimate(given, SIZE, SIZE, VerifyConfig(homography_px=3))
    assert (found.epipolar_inliers & right).sum() > 0.9 * right.sum()
    assert np.median(sampson_px(found.fundamental, given.xy_1, given.xy_2)[right]) < 0.5
    assert found.homography_inliers.sum() < 0.8 * right.sum()
    assert not (found.homography_inliers & ~found.epipolar_inliers).any()


def test_thresholds_follow_the_size():
    """The same scene stored twice as large has the same inliers."""
    given, _ = solid(outliers=0)
    config = VerifyConfig(homography_px=6, epipolar_px=0.6)
    tenfold = matches(given.xy_1 * 10, given.xy_2 * 10)
    small = estimate(given, SIZE, SIZE, config)
    large = estimate(tenfold, (2240, 2240), (2240, 2240), config, stored_per_matching_px=10)
    wrong = estimate(tenfold, SIZE, SIZE, config)
    for mask in ("homography_inliers", "epipolar_inliers"):
        counts = [getattr(found, mask).sum() for found in (small, large, wrong)]
        assert counts[1] == pytest.approx(counts[0], rel=0.1)
        assert counts[2] < 0.5 * counts[0]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_does_not_depend_on_what_ran_before(config):
    given, _ = planar(outliers=0.6, seed=3)
    first = estimate(given, SIZE, SIZE, config)
    cv2.setRNGSeed(12345)
    estimate(planar(seed=9)[0], SIZE, SIZE, config)
    again = estimate(given, SIZE, SIZE, config)
    assert first.homography.tobytes() == again.homography.tobytes()
    assert np.array_equal(first.homography_inliers, again.homography_inliers)
    assert np.array_equal(first.epipolar_inliers, again.epipolar_inliers)


LINE = np.column_stack([np.linspace(0, 200, 40), np.linspace(10, 110, 40)])
DEGENERATE = {
    "nothing": (np.zeros((0, 2)), np.zeros((0, 2))),
    "one match": (np.ones((1, 2)), np.ones((1, 2))),
    "three": (LINE[:3], LINE[:3]),
    "seven": (np.random.default_rng(0).uniform(0, 224, (7, 2)),) * 2,
    "one point many times": (np.full((40, 2), 7.0), np.full((40, 2), 9.0)),
    "many to one": (np.random.default_rng(0).uniform(0, 224, (40, 2)), np.full((40, 2), 9.0)),
    "a line": (LINE, LINE + 5),
    "two points": (np.repeat(LINE[:2], 20, axis=0), np.repeat(LINE[:2], 20, axis=0)),
    "chance": tuple(np.random.default_rng(1).uniform(0, 224, (2, 40, 2))),
    "identical": (np.random.default_rng(0).uniform(0, 224, (40, 2)),) * 2,
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_input_is_a_value_not_an_error(case, config):
    xy_1, xy_2 = DEGENERATE[case]
    found = estimate(matches(xy_1, xy_2), SIZE, SIZE, config)
    assert found.homography_inliers.shape == found.epipolar_inliers.shape == (len(xy_1),)
    if found.homography is None:
        assert not found.homography_inliers.any()
    if case in ("nothing", "one match", "three"):
        assert found.homography is None
        assert found.fundamental is None
    if case == "identical":
        mapped = h.apply(found.homography, h.corners(SIZE))
        assert np.abs(mapped - h.corners(SIZE)).max() < 1e-3


def test_results_do_not_depend_on_the_number_of_threads():
    """Matching and estimation in fresh processes, with BLAS and OpenMP at 1 and 2 threads."""
    code = (
        "import hashlib, numpy as np\n"
        "from mimic.config import load_config\n"
        "from mimic.matching.match import match\n"
        "from mimic.matching.robust import estimate\n"
        "from mimic.types import Features\n"
        "rng = np.random.default_rng(0)\n"
        "words = rng.integers(0, 256, (900, 128)).astype(np.float32)\n"
        "other = np.clip(words + rng.integers(-9, 10, words.shape), 0, 255).astype(np.float32)\n"
        "xy = rng.uniform(0, 224, (900, 2)).astype(np.float32); zero = xy[:, 0]\n"
        "config = load_config()\n"
        "found = match(Features(xy, zero, zero, words), Features(xy + 9, zero, zero, other),"
        " config.match)\n"
        "two = estimate(found, (224, 224), (224, 224), config.verify)\n"
        "print(hashlib.sha256(found.index.tobytes() + two.homography.tobytes()"
        " + two.epipolar_inliers.tobytes()).hexdigest(), len(found))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(outputs) == 1
    assert int(outputs.pop().split()[1]) > 500
