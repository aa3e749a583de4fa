"""Matching is BFMatcher's, to the bit."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimic.config import MatchConfig
from mimic.matching import match as matching
from mimic.types import Features


def features(descriptors):
    count = len(descriptors)
    xy = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    zero = np.zeros(count, np.float32)
    return Features(xy, zero, zero, np.asarray(descriptors, np.float32))


def by_bfmatcher(words_1, words_2, ratio, mutual):
    """OpenCV's matcher; mutual: no query is nearer to the row, and none before chose it as near."""
    found = cv2.BFMatcher().knnMatch(words_1, words_2, k=2)
    nearest_of_row = {m.trainIdx: m.distance for m in _turned(words_2, words_1)}
    pairs, taken = [], set()
    for best, second in found:
        row = best.trainIdx
        first_choice = best.distance <= nearest_of_row[row] and row not in taken
        if first_choice:
            taken.add(row)
        if best.distance < ratio * second.distance and (first_choice or not mutual):
            pairs.append((best.queryIdx, row))
    return pairs


def _turned(words_2, words_1):
    matches = cv2.BFMatcher().match(words_2, words_1)
    for match in matches:
        match.queryIdx, match.trainIdx = match.trainIdx, match.queryIdx
    return matches


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(2, 40),
    st.sampled_from([1, 3, 255]),  # few levels: many exact ties
    st.sampled_from([0.5, 0.7, 0.8, 0.99]),
    st.booleans(),
)
def test_equals_bfmatcher(seed, count_1, count_2, levels, ratio, mutual):
    rng = np.random.default_rng(seed)
    dimensions = 128 if levels == 255 else 5
    words_1 = rng.integers(0, levels + 1, (count_1, dimensions)).astype(np.float32)
    words_2 = rng.integers(0, levels + 1, (count_2, dimensions)).astype(np.float32)
    near = rng.integers(0, count_2, count_1)
    close = rng.random(count_1) < 0.7
    words_1[close] = words_2[near[close]]
    words_1[:, 0] = rng.integers(0, 3, count_1)
    config = MatchConfig(ratio=ratio, mutual=mutual)
    found = matching.match(features(words_1), features(words_2), config)
    assert [tuple(row) for row in found.index] == by_bfmatcher(words_1, words_2, ratio, mutual)


def test_positions_follow_the_index():
    words = np.eye(6, dtype=np.float32) * 100
    found = matching.match(features(words), features(words[::-1]), MatchConfig())
    assert found.index.tolist() == [[i, 5 - i] for i in range(6)]
    assert found.xy_1.tolist() == [[2 * i, 2 * i + 1] for i in range(6)]
    assert found.xy_2.tolist() == found.xy_1[::-1].tolist()


def test_largest_descriptors_stay_exact():
    """128 times 255 squared is the most that 8-bit descriptors reach: below 2^24."""
    base = np.full((3, 128), 255, np.float32)
    base[1, 7] = 254
    base[2, :] = 0
    found = matching.nearest(np.full((1, 128), 255, np.float32), base)
    assert (found.row[0], found.squared[0], found.squared_second[0]) == (0, 0, 1)
    far = matching.nearest(np.zeros((1, 128), np.float32), base)
    assert (far.row[0], far.squared_second[0]) == (2, 127 * 255**2 + 254**2)


def test_rows_in_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    first, second = (features(rng.integers(0, 256, (90, 128))) for _ in range(2))
    config = MatchConfig(ratio=0.99)
    whole = matching.match(first, second, config)
    assert len(whole) > 0
    monkeypatch.setattr(matching, "_DISTANCES_AT_ONCE", 200)
    assert np.array_equal(matching.match(first, second, config).index, whole.index)


@pytest.mark.parametrize(("count_1", "count_2"), [(0, 0), (0, 9), (9, 0), (9, 1), (1, 9)])
@pytest.mark.parametrize("mutual", [True, False])
def test_too_few_features_match_nothing_or_little(count_1, count_2, mutual):
    rng = np.random.default_rng(0)
    first, second = (features(rng.integers(0, 256, (n, 128))) for n in (count_1, count_2))
    found = matching.match(first, second, MatchConfig(mutual=mutual))
    assert found.index.shape == (len(found), 2)
    assert len(found) <= (1 if (count_1, count_2) == (1, 9) else 0)


def test_a_twin_in_the_second_view_is_ambiguous():
    words = np.array([[10, 0], [0, 10]], np.float32)
    found = matching.match(features(words), features(words[[0, 0, 1]]), MatchConfig())
    assert found.index.tolist() == [[1, 2]]


def test_coarse_matches_are_those_among_the_largest_keypoints():
    rng = np.random.default_rng(3)
    words = rng.integers(0, 256, (40, 128)).astype(np.float32)
    size = rng.permutation(40).astype(np.float32)
    first = dataclasses.replace(features(words), scale=size)
    small = dataclasses.replace(features(words), scale=40 - size)  # the other half is the largest
    config = MatchConfig(coarse_keypoints=20)
    assert matching.coarse_matches(first, first, config) == 20
    assert matching.coarse_matches(first, small, config) == 0


def test_nothing_is_coarse_where_all_are_few_or_it_is_switched_off():
    words = np.random.default_rng(4).integers(0, 256, (20, 128))
    assert matching.coarse_matches(features(words), features(words), MatchConfig()) is None
    off = MatchConfig(coarse_keypoints=None)
    many = features(np.random.default_rng(5).integers(0, 256, (600, 128)))
    assert matching.coarse_matches(many, many, off) is None
    assert matching.coarse_matches(many, features(words), MatchConfig()) == 0
