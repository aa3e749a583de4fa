"""The patch correspondence against its definition, written out pixel by pixel."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimic.geometry import patches
from mimic.geometry.homography import oriented

OUTSIDE = math.inf  # after every patch, so that it loses ties


def by_definition(matrix, size, size_other, patch, outside_votes):
    """DESIGN section 6, with loops."""
    columns, rows = size[0] // patch, size[1] // patch
    columns_other, rows_other = size_other[0] // patch, size_other[1] // patch
    taken, pairs = set(), []
    for source in range(columns * rows):
        left, top = source % columns * patch, source // columns * patch
        votes = Counter()
        for y in range(top, top + patch):
            for x in range(left, left + patch):
                px, py = x + 0.5, y + 0.5
                w = matrix[2, 0] * px + (matrix[2, 1] * py + matrix[2, 2])
                target = OUTSIDE
                if w > 0:
                    u = (matrix[0, 0] * px + (matrix[0, 1] * py + matrix[0, 2])) / w
                    v = (matrix[1, 0] * px + (matrix[1, 1] * py + matrix[1, 2])) / w
                    column, row = math.floor(u / patch), math.floor(v / patch)
                    if 0 <= column < columns_other and 0 <= row < rows_other:
                        target = row * columns_other + column
                votes[target] += 1
        if not outside_votes:
            votes.pop(OUTSIDE, None)
        if not votes:
            continue
        winner = min(votes, key=lambda target: (-votes[target], target))
        if winner != OUTSIDE and winner not in taken:
            taken.add(winner)
            pairs.append((source, winner))
    return pairs


def similarity(zoom, degrees, shift_x, shift_y, tilt_x, tilt_y, size):
    """Zoom, turn and tilt about the centre of a view, then shift."""
    centre = np.array([[1, 0, -size[0] / 2], [0, 1, -size[1] / 2], [0, 0, 1.0]])
    back = np.array([[1, 0, size[0] / 2 + shift_x], [0, 1, size[1] / 2 + shift_y], [0, 0, 1.0]])
    c, s = zoom * math.cos(math.radians(degrees)), zoom * math.sin(math.radians(degrees))
    return back @ np.array([[c, -s, 0], [s, c, 0], [tilt_x, tilt_y, 1.0]]) @ centre


SIZES = st.tuples(st.integers(20, 70), st.integers(20, 70))
WARPS = st.tuples(
    st.floats(0.4, 2.5),
    st.floats(-180, 180),
    st.floats(-40, 40),
    st.floats(-40, 40),
    st.floats(-0.04, 0.04),  # strong enough to put the horizon inside the view
    st.floats(-0.04, 0.04),
)


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, WARPS, st.sampled_from([4, 7, 8, 16]), st.booleans())
def test_equals_the_definition(size, size_other, warp, patch, outside_votes):
    matrix = oriented(similarity(*warp, size), size)
    if matrix is None:
        return
    landing = patches.land(matrix, size, size_other)
    found = patches.assign(landing, patch, outside_votes)
    expected = by_definition(matrix, size, size_other, patch, outside_votes)
    assert [tuple(pair) for pair in found] == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(-64, 64), st.integers(-64, 64), st.sampled_from([0, 0.25, 0.5]), st.booleans())
def test_equals_the_definition_where_votes_tie(dx, dy, phase, outside_votes):
    """Shifts by half a patch and by whole pixels: every vote is a tie or nearly one."""
    matrix = np.array([[1, 0, dx / 2 + phase], [0, 1, dy / 2 - phase], [0, 0, 1.0]])
    landing = patches.land(matrix, (50, 41), (48, 45))
    found = patches.assign(landing, 8, outside_votes)
    expected = by_definition(matrix, (50, 41), (48, 45), 8, outside_votes)
    assert [tuple(pair) for pair in found] == expected


def test_bands_of_a_large_grid_change_nothing(monkeypatch):
    matrix = similarity(1.1, 10, 13, -7, 1e-4, -2e-4, (180, 120))
    landing = patches.land(matrix, (180, 120), (160, 140))
    whole = patches.assign(landing, 8, outside_votes=True)
    monkeypatch.setattr(patches, "_VOTES_AT_ONCE", 1)
    assert np.array_equal(patches.assign(landing, 8, outside_votes=True), whole)


@settings(max_examples=50, deadline=None)
@given(SIZES, SIZES, WARPS, st.booleans())
def test_corr_is_one_to_one_sorted_and_the_smaller_direction(size_1, size_2, warp, outside_votes):
    matrix = similarity(*warp, size_1)
    pairs = patches.corr(matrix, size_1, size_2, 8, outside_votes)
    assert pairs.dtype == np.int32
    assert pairs.shape[1:] == (2,)
    assert (np.diff(pairs[:, 0]) > 0).all()
    assert len(np.unique(pairs[:, 1])) == len(pairs)
    both = patches.landings(matrix, size_1, size_2)
    if both is None:
        assert len(pairs) == 0
        return
    mapped = patches.patch_map(*both, 8, outside_votes)
    counts = [(size_1[0] // 8) * (size_1[1] // 8), (size_2[0] // 8) * (size_2[1] // 8)]
    there = len(patches.assign(both[0], 8, outside_votes)) / counts[0]
    back = len(patches.assign(both[1], 8, outside_votes)) / counts[1]
    assert (mapped.overlap.forward, mapped.overlap.backward) == (there, back)
    assert len(pairs) / counts[0 if there < back else 1] == mapped.overlap.smaller


def test_of_equal_directions_the_map_is_of_two_to_one():
    size, telling = (64, 64), 0
    rng = np.random.default_rng(0)
    for _ in range(60):
        matrix = similarity(1.0, rng.uniform(-20, 20), *rng.uniform(-20, 20, 2), 0, 0, size)
        forward, backward = patches.landings(matrix, size, size)
        there = patches.assign(forward, 8, outside_votes=True).tolist()
        back = patches.assign(backward, 8, outside_votes=True).tolist()
        inverted = sorted([first, second] for second, first in back)
        if len(there) == len(back) and there != inverted:
            telling += 1
            assert patches.corr(matrix, size, size, 8, True).tolist() == inverted
    assert telling > 3


@pytest.mark.parametrize("sign", [1.0, -1.0, 1e-3])
def test_the_scale_of_a_homography_is_nothing(sign):
    matrix = similarity(1.2, 20, 5, 3, 1e-4, 0, (64, 64))
    expected = patches.corr(matrix, (64, 64), (64, 64), 8, True)
    assert np.array_equal(patches.corr(sign * matrix, (64, 64), (64, 64), 8, True), expected)


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((3, 3)), np.full((3, 3), np.nan), np.diag([1.0, 1.0, 0.0]), np.diag([1.0, 0, 1.0])],
    ids=["zero", "nan", "w zero at the centre", "singular"],
)
def test_no_inverse_no_correspondence(matrix):
    assert patches.corr(matrix, (64, 64), (64, 64), 8, True).shape == (0, 2)


def test_a_view_smaller_than_a_patch_has_none():
    assert patches.corr(np.eye(3), (12, 64), (64, 64), 16, False).shape == (0, 2)


def test_behind_the_horizon_is_outside():
    """Without the test of w, the far half would wrap round and land inside again."""
    matrix = np.array([[1, 0, 0], [0, 1, 0], [-1 / 40, 0, 1.0]])  # w = 0 at x = 40
    landing = patches.land(matrix, (64, 64), (10_000, 10_000))
    assert landing.inside[:, :39].all()
    assert not landing.inside[:, 40:].any()


def test_what_lies_behind_does_not_come_round_to_the_front():
    """Left of x = 40 all three coordinates are negative: divided, the points would land inside."""
    matrix = np.array([[1, 0, -70.0], [0, 1, -70.0], [1 / 40, 0, -1]])
    assert not patches.land(matrix, (64, 64), (10_000, 10_000)).inside.any()
