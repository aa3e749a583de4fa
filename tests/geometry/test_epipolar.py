from __future__ import annotations

import numpy as np
import pytest

from mimic.geometry import epipolar

# A camera that moves along x: the epipolar lines are the rows.
SIDEWAYS = np.array([[0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])


def test_distances_to_horizontal_lines():
    xy_1 = np.array([[10.0, 20], [30, 40]])
    xy_2 = np.array([[90.0, 20], [5, 43]])
    assert epipolar.symmetric_px(SIDEWAYS, xy_1, xy_2) == pytest.approx([0, 3])
    # The smallest move of both points: half of the gap each, 3 / sqrt(2) in all.
    assert epipolar.sampson_px(SIDEWAYS, xy_1, xy_2) == pytest.approx([0, 3 / np.sqrt(2)])


def test_the_scale_of_a_fundamental_matrix_is_nothing():
    xy_1, xy_2 = np.random.default_rng(0).uniform(0, 100, (2, 20, 2))
    matrix = np.random.default_rng(1).normal(size=(3, 3))
    for distance in (epipolar.sampson_px, epipolar.symmetric_px):
        assert distance(-7 * matrix, xy_1, xy_2) == pytest.approx(distance(matrix, xy_1, xy_2))


def test_symmetric_is_the_larger_of_both_sides():
    matrix = np.diag([1.0, 2.0, -30.0])
    xy_1, xy_2 = np.array([[3.0, 4]]), np.array([[5.0, 1]])
    product = abs(3 * 5 + 2 * 4 * 1 - 30)
    sides = product / np.hypot(3, 8), product / np.hypot(5, 2)
    assert epipolar.symmetric_px(matrix, xy_1, xy_2)[0] == pytest.approx(max(sides))
    assert epipolar.symmetric_px(matrix.T, xy_2, xy_1)[0] == pytest.approx(max(sides))


def test_no_line_no_distance():
    assert np.isnan(epipolar.sampson_px(np.zeros((3, 3)), np.ones((1, 2)), np.ones((1, 2)))).all()


class TestParallax:
    def test_is_the_median_miss(self):
        xy = np.array([[0.0, 0], [10, 0], [20, 0]])
        miss = np.array([[1.0, 0], [3, 4], [0, 50]])
        assert epipolar.parallax_px(np.eye(3), xy, xy + miss) == 5

    def test_none_without_points_or_in_front_of_the_horizon(self):
        assert epipolar.parallax_px(np.eye(3), np.zeros((0, 2)), np.zeros((0, 2))) is None
        behind = np.array([[1, 0, 0], [0, 1, 0], [-1.0, 0, 1]])
        assert epipolar.parallax_px(behind, np.full((3, 2), 5.0), np.zeros((3, 2))) is None
