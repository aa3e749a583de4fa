from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimic.geometry import overlap, patches

SIZE = (224, 224)


def shift(dx, dy):
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.0]])


@given(st.floats(-150, 150), st.floats(-150, 150))
def test_area_of_a_shift_is_analytic(dx, dy):
    true = (1 - abs(dx) / 224) * (1 - abs(dy) / 224)
    for landing in patches.landings(shift(dx, dy), SIZE, SIZE):
        assert overlap.area(landing) == pytest.approx(true, abs=0.005)


@pytest.mark.parametrize("zoom", [1.0, 1.2, 1.5, 2.0])
def test_area_of_a_zoom_is_analytic(zoom):
    centred = shift(112, 112) @ np.diag([zoom, zoom, 1]) @ shift(-112, -112)
    forward, backward = patches.landings(centred, SIZE, SIZE)
    assert overlap.area(forward) == pytest.approx(1 / zoom**2, abs=0.01)
    assert overlap.area(backward) == 1


class TestSupport:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 224, (2000, 2))

    def test_is_the_area_where_every_visible_keypoint_found_its_like(self):
        seen = self.keypoints[self.keypoints[:, 0] < 112]
        value = overlap.support(shift(112, 0), seen, self.keypoints, SIZE, SIZE)
        assert value == pytest.approx(0.5, abs=0.03)

    def test_loses_what_keypoints_contradict(self):
        """The homography says all is seen, but nothing in the right third found its like."""
        seen = self.keypoints[self.keypoints[:, 0] < 150]
        value = overlap.support(np.eye(3), seen, self.keypoints, SIZE, SIZE)
        assert value == pytest.approx(150 / 224, abs=0.06)

    def test_a_blank_wall_is_not_contradicted(self):
        textured = self.keypoints[self.keypoints[:, 0] < 112]
        assert overlap.support(np.eye(3), textured, textured, SIZE, SIZE) == 1

    def test_nothing_to_go_by(self):
        none = np.zeros((0, 2))
        assert overlap.support(shift(112, 0), none, none, SIZE, SIZE) == 0.5

    def test_points_on_the_far_border_belong_to_the_last_cell(self):
        corner = np.array([[224.0, 224.0]])
        assert overlap.support(np.eye(3), corner, corner, SIZE, SIZE) == 1

    def test_portrait_and_landscape_agree(self):
        points = self.keypoints * [1.5, 1]
        wide = overlap.support(shift(100, 0), points[:900], points, (336, 224), (336, 224))
        tall = overlap.support(
            shift(0, 100), points[:900, ::-1], points[:, ::-1], (224, 336), (224, 336)
        )
        assert wide == tall


class TestCoverage:
    def test_one_inlier_covers_five_by_five_cells(self):
        assert overlap.coverage(np.array([[112.0, 112.0]]), SIZE) == 25 / (36 * 24)

    def test_the_border_cuts_what_an_inlier_covers(self):
        assert overlap.coverage(np.array([[0.0, 0.0]]), SIZE) == 9 / (36 * 24)

    def test_nothing_covers_nothing_and_everything_covers_all(self):
        assert overlap.coverage(np.zeros((0, 2)), SIZE) == 0
        everywhere = np.random.default_rng(0).uniform(0, 224, (5000, 2))
        assert overlap.coverage(everywhere, SIZE) == 1
