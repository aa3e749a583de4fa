from __future__ import annotations

import math

import numpy as np
import pytest

from mimic.geometry import homography as h

SIZE = (320, 240)
CENTRE = np.array([160.0, 120.0])


def about_centre(linear, tilt=(0.0, 0.0)):
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[2, :2] = tilt
    shift = np.eye(3)
    shift[:2, 2] = -CENTRE
    return np.linalg.inv(shift) @ matrix @ shift


def turn(degrees, zoom=1.0):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return about_centre(zoom * np.array([[c, -s], [s, c]]))


@pytest.mark.parametrize("degrees", [-179, -90, -30, 0, 12.5, 90, 180])
def test_rotation_and_its_sign(degrees):
    assert h.rotation_deg(turn(degrees, 1.3), SIZE) == pytest.approx(degrees, abs=1e-9)
    assert h.rotation_deg(-2 * turn(degrees), SIZE) == pytest.approx(degrees, abs=1e-9)


def test_rotation_by_minus_180_is_180():
    assert h.rotation_deg(about_centre(np.diag([-1.0, -1.0])), SIZE) == 180.0


@pytest.mark.parametrize("zoom", [0.5, 1 / 1.4, 1.0, 1.4, 2.0])
def test_scale_ratio_is_at_least_one(zoom):
    assert h.scale_ratio(turn(33, zoom), SIZE) == pytest.approx(max(zoom, 1 / zoom))


def test_apply_and_the_horizon():
    matrix = np.array([[2, 0, 1], [0, 2, 0], [-0.01, 0, 1.0]])
    mapped = h.apply(matrix, np.array([[0, 0], [50, 10], [100, 10], [150, 10.0]]))
    assert mapped[0].tolist() == [1, 0]
    assert mapped[1].tolist() == [202, 40]
    assert np.isnan(mapped[2:]).all()


def test_in_other_pixels_commutes_with_scaling():
    matrix = turn(20, 1.1) + np.array([[0, 0, 5], [0, 0, 2], [1e-4, 0, 0]])
    double, half = np.diag([2.0, 2, 1]), np.diag([0.5, 0.25, 1])
    points = np.array([[10.0, 20], [200, 100]])
    there = h.apply(h.in_other_pixels(matrix, double, half), points * 2)
    assert np.allclose(there, h.apply(matrix, points) * [0.5, 0.25])


def test_jacobian_is_the_derivative():
    matrix = h.oriented(turn(20, 1.1) + np.array([[0, 0, 5], [0, 0, 2], [1e-3, -5e-4, 0]]), SIZE)
    point, step = np.array([[70.0, 90.0]]), 1e-5
    numeric = [
        (h.apply(matrix, point + d) - h.apply(matrix, point - d))[0] / (2 * step)
        for d in ([step, 0], [0, step])
    ]
    assert np.allclose(h.jacobian(matrix, 70, 90), np.transpose(numeric), atol=1e-5)


class TestSanity:
    def test_rigid_motions_are_perfectly_sane(self):
        assert h.sanity(turn(77), SIZE, SIZE) == pytest.approx(1)

    def test_sizes_are_relative(self):
        assert h.sanity(np.diag([8.0, 8, 1]), (40, 30), SIZE) == pytest.approx(1)

    @pytest.mark.parametrize("zoom", [1.4, 1 / 1.4, 2.0])
    def test_zoom_lowers_it_alike_both_ways(self, zoom):
        assert h.sanity(turn(5, zoom), SIZE, SIZE) == pytest.approx(min(zoom, 1 / zoom))

    def test_a_mirror_is_impossible(self):
        assert h.sanity(about_centre(np.diag([-1.0, 1.0])), SIZE, SIZE) == 0

    @pytest.mark.parametrize("degrees", [10, 30, 60, -60])
    def test_a_camera_that_turns_is_sane_though_a_part_of_its_view_goes_behind_it(self, degrees):
        """70 degrees wide: at 60, the horizon lies inside the view."""
        to_rays = np.array(
            [[1 / 230, 0, -CENTRE[0] / 230], [0, 1 / 230, -CENTRE[1] / 230], [0, 0, 1]]
        )
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turned = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        matrix = np.linalg.inv(to_rays) @ turned @ to_rays
        assert h.sanity(matrix, SIZE, SIZE) > 2 * h.MIN_SANITY

    def test_what_lands_nowhere_is_impossible(self):
        aside = np.array([[1.0, 0, 400], [0, 1, 0], [0, 0, 1]])
        assert h.sanity(aside, SIZE, SIZE) == 0

    def test_a_crease_in_the_shared_part_is_insane(self):
        assert h.sanity(about_centre(np.eye(2), tilt=(1 / 40, 0)), SIZE, SIZE) < h.MIN_SANITY

    def test_a_collapse_is_insane(self):
        thin = h.sanity(about_centre(np.diag([1.0, 0.05])), SIZE, SIZE)
        assert 0 < thin < h.MIN_SANITY

    @pytest.mark.parametrize("matrix", [np.zeros((3, 3)), np.full((3, 3), np.inf), np.ones((3, 3))])
    def test_degenerate_is_impossible_not_an_error(self, matrix):
        assert h.sanity(matrix, SIZE, SIZE) == 0


def test_oriented_makes_w_one_at_the_centre():
    matrix = h.oriented(-3 * about_centre(np.eye(2), (1e-3, 0)), SIZE)
    assert matrix[2] @ (*CENTRE, 1) == pytest.approx(1)


def refined_row_by_row(matrix, xy_1, xy_2, scale_px):
    """One round of ``refined`` from its definition: the whole design matrix, and its null space."""
    to_1, to_2 = h._normalising(xy_1), h._normalising(xy_2)
    rows, depths = [], np.array([matrix[2] @ (*p, 1) for p in xy_1])
    for p, q, w in zip(xy_1, xy_2, depths / np.median(depths), strict=True):
        a, b, none = to_1 @ (*p, 1), to_2 @ (*q, 1), np.zeros(3)
        miss = np.linalg.norm(h.apply(matrix, p[None])[0] - q) / scale_px
        weight = 1 / (1 + miss**2) / max(w, 0.05) if w > 0 else 0.0
        rows += [weight * np.hstack([a, none, -b[0] * a]), weight * np.hstack([none, a, -b[1] * a])]
    smallest = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
    return h.oriented(np.linalg.inv(to_2) @ smallest @ to_1, SIZE)


@pytest.mark.parametrize("count", [30, 31])
def test_refined_is_the_reweighted_linear_transform(count):
    rng = np.random.default_rng(count)
    truth = h.oriented(about_centre([[1.1, 0.3], [-0.2, 0.9]], (2e-4, 1e-3)), SIZE)
    xy_1 = rng.uniform((0, 0), SIZE, (count, 2))
    xy_2 = h.apply(truth, xy_1) + rng.normal(0, 2, (count, 2))
    xy_2[:5] += 60
    found = h.oriented(h.refined(truth, xy_1, xy_2, 5.0, rounds=1), SIZE)
    assert np.allclose(found, refined_row_by_row(truth, xy_1, xy_2, 5.0), atol=1e-8)


def test_refined_is_drawn_to_the_many_not_to_the_far():
    rng = np.random.default_rng(3)
    truth = h.oriented(turn(5), SIZE)
    xy_1 = rng.uniform((0, 0), SIZE, (60, 2))
    xy_2 = h.apply(truth, xy_1)
    xy_2[:12] += rng.uniform(40, 90, (12, 2))
    found = h.refined(turn(7), xy_1, xy_2, 5.0)
    assert np.abs(h.apply(h.oriented(found, SIZE), xy_1) - h.apply(truth, xy_1)).max() < 1.0
