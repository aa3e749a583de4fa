"""Scores against closed forms; what is chosen against what was wished for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from posed_rigs import FOCAL, SIZE, blind, coarse, corridor, ring, walls

from mimic.geometry.frusta import candidate_pairs
from mimic.sampling.by_geometry import (
    WISHES,
    PairScores,
    Wish,
    partners_of,
    quotas,
    score,
    select,
)

ALL = Wish(min_overlap=0.05, frame_limit=10**6)


def made_up(pairs, overlap, scale=1.2, angle=10.0):
    count = len(pairs)
    overlap = np.broadcast_to(np.asarray(overlap, float), count)
    return PairScores(
        np.asarray(pairs, dtype=np.int64).reshape(-1, 2),
        overlap,
        np.minimum(1, overlap + 0.1),
        np.broadcast_to(np.asarray(scale, float), count),
        np.broadcast_to(np.asarray(angle, float), count),
    )


def every_pair(count):
    return np.array([(i, j) for i in range(count) for j in range(i + 1, count)])


def chain(count):
    """Pairs of which no two have a frame in common."""
    return np.arange(2 * count).reshape(-1, 2)


# Scores


def test_side_by_side_before_a_wall_the_share_falls_linearly():
    views = walls(25, step_m=0.1)
    pairs = np.array([(0, j) for j in range(1, 25)])
    found = score(views, pairs)
    width_m = SIZE / FOCAL * 2.0
    assert np.abs(found.overlap - (1 - pairs[:, 1] * 0.1 / width_m).clip(0)).max() < 0.03
    assert np.array_equal(found.pairs, pairs)


def test_scale_and_angle_before_a_wall():
    near, far = walls(1, 0.1, distance_m=1.0)[0], walls(1, 0.1, distance_m=1.0)[0]
    away = np.eye(4)
    away[2, 3] = -1.0
    far = coarse(np.full((SIZE, SIZE), 2.0), away)
    found = score([near, far], np.array([[0, 1]]))
    assert found.overlap_12[0] == pytest.approx(1, abs=0.01)
    assert found.overlap_21[0] == pytest.approx(0.25, abs=0.03)
    assert found.overlap[0] == found.overlap_21[0]
    at = (np.arange(SIZE) + 0.5 - SIZE / 2) / FOCAL
    square = (at[:, None] ** 2 + at[None] ** 2).ravel()  # of the distance from the axis at 1 m
    assert found.scale_ratio[0] == pytest.approx(
        np.median(np.sqrt((4 + square) / (1 + square))), abs=0.02
    )
    cosine = (2 + square) / np.sqrt((1 + square) * (4 + square))
    assert found.angle_deg[0] == pytest.approx(np.median(np.degrees(np.arccos(cosine))), abs=0.5)


def test_scale_and_angle_are_those_of_what_both_see():
    found = score(walls(15, step_m=0.1), np.array([(0, 14)]))
    at = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) * SIZE / FOCAL * 2.0
    x, y = np.meshgrid(at[at > 1.4 - SIZE / FOCAL], at)
    near, far = np.sqrt(x**2 + y**2 + 4), np.sqrt((x - 1.4) ** 2 + y**2 + 4)
    angle_deg = np.degrees(np.arccos((x * (x - 1.4) + y**2 + 4) / (near * far)))
    assert found.scale_ratio[0] == pytest.approx(
        np.median(np.maximum(near / far, far / near)), abs=0.01
    )
    assert found.angle_deg[0] == pytest.approx(np.median(angle_deg), abs=0.2)


def test_around_a_pillar_the_angle_grows_and_the_other_side_shares_nothing():
    views = ring(24)
    found = score(views, np.array([(0, j) for j in range(1, 24)]))
    near = found.angle_deg[[0, 1, 2, 3]]
    half = np.radians([15, 30, 45, 60]) / 2
    # Seen from its axis, and from the point of its surface halfway between: 4 m and 3 m away.
    assert (near > np.degrees(2 * half)).all()
    assert (near < np.degrees(2 * np.arctan(4 * np.sin(half) / (4 * np.cos(half) - 1)))).all()
    assert found.overlap[11] == 0
    assert np.isnan(found.angle_deg[11])
    assert found.bins[11] == -1


def test_frames_that_are_missing_or_blind_share_nothing():
    found = score([None, blind(), *walls(1, 0.1)], np.array([(0, 1), (0, 2), (1, 2)]))
    assert not found.overlap.any()
    assert (found.bins == -1).all()
    assert len(score([], np.zeros((0, 2), int)).bins) == 0


def test_identical_poses_are_the_easiest_bin():
    found = score(walls(1, 0.1) * 2, np.array([(0, 1)]))
    assert found.overlap[0] == 1
    assert found.bins[0] == 4 * 16


@pytest.mark.parametrize(
    ("overlap", "scale", "angle", "place"),
    [
        (0.05, 1.0, 0.0, (0, 0, 0)),
        (0.2, 1.5, 30.0, (1, 1, 1)),
        (1.0, 6.0, 180.0, (4, 3, 3)),
        (0.79, 3.9, 119.0, (3, 2, 2)),
        (0.5, 1.4, 70.0, (2, 0, 2)),
    ],
)
def test_bins_are_rubiks(overlap, scale, angle, place):
    assert (
        made_up([(0, 1)], overlap, scale, angle).bins[0] == place[0] * 16 + place[1] * 4 + place[2]
    )


@pytest.mark.parametrize(("overlap", "scale"), [(0.049, 1.0), (0.5, 6.1), (0.5, np.nan)])
def test_what_lies_outside_has_no_bin(overlap, scale):
    scores = made_up([(0, 1)], overlap, scale)
    assert scores.bins[0] == -1
    assert len(select(scores, ALL, 0)) == 0


# Shares


@given(
    supply=st.lists(st.integers(0, 50), min_size=1, max_size=8),
    total=st.integers(1, 200),
    data=st.data(),
)
def test_quotas_give_all_there_is_and_to_all_alike_but_for_those_used_up(supply, total, data):
    weights = np.array(
        data.draw(st.lists(st.integers(1, 5), min_size=len(supply), max_size=len(supply))), float
    )
    given_ = quotas(np.array(supply, float), weights, total)
    assert given_.sum() == pytest.approx(min(total, sum(supply)))
    assert (given_ <= np.array(supply) + 1e-9).all()
    short = given_ < np.array(supply) - 1e-9
    if short.any():
        levels = given_[short] / weights[short]
        assert levels == pytest.approx(levels[0])
        assert (given_[~short] <= weights[~short] * levels[0] + 1e-9).all()


@given(
    supply=st.lists(st.integers(0, 30), min_size=5, max_size=5),
    limit=st.integers(1, 100),
    seed=st.integers(0, 9),
)
def test_balanced_bins_are_filled_alike_as_far_as_the_supply_goes(supply, limit, seed):
    overlap = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], supply)
    scores = made_up(chain(len(overlap)), overlap)
    rows = select(scores, dataclasses.replace(ALL, balance=1.0), seed, limit)
    got = np.bincount(scores.bins[rows] // 16, minlength=5)
    due = quotas(np.array(supply, float), np.ones(5), limit)
    assert len(rows) == min(limit, sum(supply))
    assert np.abs(got - due).max() < 1


@given(supply=st.lists(st.integers(1, 40), min_size=5, max_size=5), part=st.floats(0.1, 1))
@example(supply=[1, 1, 1, 1, 6], part=0.5)
def test_without_balance_bins_are_filled_as_supplied(supply, part):
    overlap = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], supply)
    scores = made_up(chain(len(overlap)), overlap)
    limit = max(1, int(part * len(overlap)))
    got = np.bincount(scores.bins[select(scores, ALL, 3, limit)] // 16, minlength=5)
    assert np.abs(got - limit * np.array(supply) / sum(supply)).max() < 2


@given(frames=st.integers(2, 25), limit=st.integers(1, 6), balance=st.sampled_from([0.0, 0.5, 1.0]))
def test_no_frame_is_in_more_pairs_than_allowed_and_no_pair_could_be_added(frames, limit, balance):
    pairs = every_pair(frames)
    rng = np.random.default_rng(frames)
    scores = made_up(pairs, rng.uniform(0.05, 1, len(pairs)))
    wish = dataclasses.replace(ALL, frame_limit=limit, balance=balance)
    rows = select(scores, wish, 0)
    used = np.bincount(pairs[rows].ravel(), minlength=frames)
    assert used.max() <= limit
    left = np.setdiff1d(np.arange(len(pairs)), rows)
    assert not ((used[pairs[left]] < limit).all(axis=1)).any()


def test_a_rare_bin_is_not_crowded_out_by_the_frame_limit():
    pairs = every_pair(30)
    overlap = np.where((pairs == [3, 17]).all(axis=1), 0.1, 0.9)
    rows = select(made_up(pairs, overlap), Wish(0.05, balance=1.0, frame_limit=1), 0)
    assert [3, 17] in pairs[rows].tolist()
    assert len(rows) == 15


@pytest.mark.parametrize(("name", "low"), [("cub3-50", 0.5), ("cub3-all", 0.05), ("croco", 0.5)])
def test_presets_keep_their_range(name, low):
    pairs = chain(400)
    scores = made_up(pairs, np.linspace(0, 1, 400))
    rows = select(scores, WISHES[name], 0)
    assert set(rows) == set(np.flatnonzero(scores.overlap >= low))


def test_croco_has_one_partner_a_frame():
    pairs = every_pair(20)
    rows = select(made_up(pairs, 0.7), WISHES["croco"], 0)
    assert np.bincount(pairs[rows].ravel()).tolist() == [1] * 20


def test_an_upper_bound_is_kept():
    scores = made_up(chain(100), np.linspace(0.05, 1, 100))
    rows = select(scores, dataclasses.replace(ALL, max_overlap=0.8), 0)
    assert scores.overlap[rows].max() <= 0.8
    assert len(rows) == (scores.overlap <= 0.8).sum()


def test_few_pairs_of_many_come_from_the_whole_sequence():
    # A camera that stands still for a tenth of the time has most of the pairs.
    pairs = np.concatenate([every_pair(100), chain(900) // 2 + 100 + [0, 1]])
    scores = made_up(pairs[pairs[:, 0] < pairs[:, 1]], 0.9)
    rows = select(scores, ALL, 0, limit=40)
    first = scores.pairs[rows, 0]
    assert (first > 100).sum() > 20
    assert len(set(first * 32 // 1000)) > 20


def test_the_choice_is_the_seeds_and_not_the_orders():
    pairs = every_pair(40)
    overlap = np.random.default_rng(0).uniform(0.05, 1, len(pairs))
    scores = made_up(pairs, overlap)
    wish = Wish(0.05, balance=1.0, frame_limit=4)
    one, again, other = (select(scores, wish, seed, 60) for seed in (5, 5, 6))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    shuffled = np.random.default_rng(1).permutation(len(pairs))
    moved = select(made_up(pairs[shuffled], overlap[shuffled]), wish, 5, 60)
    assert {tuple(p) for p in pairs[one].tolist()} == {
        tuple(p) for p in pairs[shuffled][moved].tolist()
    }


def test_nothing_to_choose_from():
    assert len(select(made_up(np.zeros((0, 2)), 0.5), ALL, 0)) == 0
    assert len(select(made_up(chain(3), 0.5), ALL, 0, limit=0)) == 0


# What a unit owns


def test_however_a_sequence_is_cut_units_find_the_same_pairs():
    views = [*ring(24), *corridor(20)]
    wish = Wish(0.05, balance=1.0, frame_limit=3, pairs_per_frame=2)
    whole = partners_of(range(44), views, wish, 4)
    for cut in (13, 43):
        parts = partners_of(range(cut), views, wish, 4) + partners_of(
            range(cut, 44), views, wish, 4
        )
        assert parts == whole
    assert partners_of(reversed(range(44)), views, wish, 4) == whole
    assert len(whole) > 44
    assert all(i < j for i, j in whole)
    assert whole == sorted(set(whole))
    assert np.bincount([i for i, _ in whole]).max() <= 3
    assert partners_of(range(44), views, wish, 5) != whole


def test_what_units_find_is_in_the_wished_range_and_amount():
    views = walls(100, step_m=0.1)
    wish = Wish(0.5, pairs_per_frame=4, frame_limit=12)
    pairs = np.array(partners_of(range(100), views, wish, 0))
    assert score(views, pairs).overlap.min() >= 0.5
    assert 3 <= len(pairs) / 100 <= 5
    assert np.bincount(pairs[:, 1]).max() <= 20


def test_units_together_balance_the_bins():
    views = walls(90, step_m=0.1)  # overlap falls linearly: all bins alike in supply but 5..20 %
    candidates = score(views, candidate_pairs(views))
    skewed = Wish(0.05, pairs_per_frame=3, frame_limit=50)
    flat = dataclasses.replace(skewed, balance=1.0)

    def by_overlap(wish):
        pairs = np.array(partners_of(range(90), views, wish, 1))
        return np.bincount(score(views, pairs).bins // 16, minlength=5)

    supply = np.bincount(candidates.bins[candidates.bins >= 0] // 16, minlength=5)
    assert supply.min() / supply.max() < 0.85
    as_supplied, balanced = by_overlap(skewed), by_overlap(flat)
    share = supply / supply.sum()
    assert np.abs(as_supplied / as_supplied.sum() - share).max() < 0.06
    bins = [candidates.bins[candidates.bins // 16 == i] for i in range(5)]
    kinds = np.array([len(np.unique(one)) for one in bins])
    assert np.abs(balanced / balanced.sum() - kinds / kinds.sum()).max() < 0.06


def test_units_with_nothing_to_pair():
    wish = WISHES["cub3-all"]
    assert partners_of([], [], wish, 0) == []
    assert partners_of([0], walls(1, 0.1), wish, 0) == []
    assert partners_of([0, 1], [blind(), None], wish, 0) == []
    assert partners_of([1], walls(1, 0.1) * 2, wish, 0) == [], "the other unit owns it"
