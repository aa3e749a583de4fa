"""Candidates against all pairs, on rigs whose truth is known and on real sequences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from posed_rigs import SIZE, blind, coarse, corridor, ring, walls

from mimic import opencv
from mimic.geometry.coarse import CoarseView
from mimic.geometry.covisibility import PosedDepth, covisible
from mimic.geometry.frusta import (
    Footprint,
    VoxelIndex,
    candidate_pairs,
    footprint,
    index_of,
    voxel_level,
)


def as_set(pairs):
    return {(int(i), int(j)) for i, j in pairs}


def brute_force(footprints, min_share):
    """All pairs with enough of the points of both in voxels of the other, of a size that suits."""

    def seen(one):
        return {
            int(voxel): (float(share), bool(own))
            for voxel, share, own in zip(one.voxels, one.shares, one.own, strict=True)
        }

    views = [seen(one) for one in footprints]

    def share(one, other):
        return sum(
            part
            for voxel, (part, own) in one.items()
            if voxel in other and (own or other[voxel][1])
        )

    every = [(i, j) for i in range(len(views)) for j in range(i + 1, len(views))]
    return {
        (i, j)
        for i, j in every
        if 0 < min(share(views[i], views[j]), share(views[j], views[i])) >= min_share
    }


@given(
    seen=st.lists(st.dictionaries(st.integers(0, 9), st.booleans(), max_size=6), max_size=9),
    min_share=st.sampled_from([0.0, 0.25, 0.45, 1.0]),
    seed=st.integers(0, 5),
)
def test_with_room_for_all_the_index_finds_what_trying_all_pairs_finds(seen, min_share, seed):
    footprints = []
    for voxels in seen:
        names = np.array(sorted(voxels), dtype=np.int64)
        own = np.array([voxels[int(name)] for name in names], dtype=bool)
        # Powers of two, so that no order of summation rounds.
        shares = ((1 + names % 2) / 8).astype(np.float32)
        footprints.append(Footprint(names * 1000, shares, own))
    index = VoxelIndex.of(footprints, seed)
    found = {
        (i, int(j))
        for i in range(len(footprints))
        for j in index.partners(i, min_share, len(footprints))
    }
    assert found == brute_force(footprints, min_share)


def test_cameras_behind_a_pillar_are_no_candidates_and_those_beside_are():
    views = ring(36, distance=8.0, radius=5.0)
    found = as_set(candidate_pairs(views, 0.05, most=36))
    apart = {pair: min(pair[1] - pair[0], 36 - pair[1] + pair[0]) * 10 for pair in found}
    # Each camera sees the pillar 24.5 degrees to either side of its own direction.
    assert max(apart.values()) < 49 + 20
    beside = {(i, j) for i in range(36) for j in range(i + 1, 36) if min(j - i, 36 - j + i) <= 4}
    assert beside <= found


def test_all_pairs_before_a_wall_that_reach_the_overlap_are_candidates():
    views = walls(40, step_m=0.1)  # each sees 2.4 m of it
    found = as_set(candidate_pairs(views, 0.3, most=40))
    assert {
        (i, j) for i in range(40) for j in range(i + 1, 40) if (j - i) * 0.1 <= 0.7 * 2.4
    } <= found
    assert max(j - i for i, j in found) * 0.1 < 2.4


def test_what_a_frame_is_held_against_does_not_grow_with_the_corridor():
    count = 120
    short, long = (candidate_pairs(corridor(n)) for n in (count, 2 * count))
    assert (long[:, 1] - long[:, 0]).max() * 0.5 <= 10.5
    middle = range(30, 60)
    assert [p for p in short.tolist() if p[0] in middle] == [
        p for p in long.tolist() if p[0] in middle
    ]


def test_where_all_see_the_same_frames_have_at_most_so_many_partners_and_all_their_turn():
    views = walls(1, 0.1) * 300
    pairs = candidate_pairs(views, 0.5, most=10)
    later = np.bincount(pairs[:, 0], minlength=300)
    total = later + np.bincount(pairs[:, 1], minlength=300)
    assert later.max() == 10
    assert np.median(later) >= 8
    assert total.min() >= 2
    assert total.max() <= 40, "no frame may be everybody's partner"
    strides = pairs[:, 1] - pairs[:, 0]
    assert 60 < np.median(strides) < 140, "over the whole sequence, not the neighbours"


def test_the_sample_is_the_seeds():
    views = walls(1, 0.1) * 100
    one, again, other = (candidate_pairs(views, 0.5, 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_larger_sample_holds_the_smaller_one():
    views = walls(1, 0.1) * 80
    few, more = (as_set(candidate_pairs(views, 0.5, most)) for most in (3, 9))
    assert few < more


def test_one_frame_none_and_frames_without_depth_have_no_candidates():
    assert candidate_pairs([]).shape == (0, 2)
    assert candidate_pairs(walls(1, 0.1)).shape == (0, 2)
    assert candidate_pairs([blind(), blind()]).shape == (0, 2)
    seen = walls(1, 0.1)[0]
    assert candidate_pairs([seen, blind(), None, seen]).tolist() == [[0, 3]]
    assert candidate_pairs([seen, seen], min_overlap=0.0).tolist() == [[0, 1]]
    assert candidate_pairs([*walls(1, 0.1), *corridor(1)], 0.0, most=0).shape == (0, 2)


def test_in_each_size_shares_add_up_to_one_and_sizes_follow_the_distance():
    near, far = walls(1, 0.1, 2.0)[0], walls(1, 0.1, 8.0)[0]
    assert voxel_level(far) == voxel_level(near) + 2
    one = footprint(near)
    size = one.voxels // 2**57
    assert len(np.unique(size)) == 6
    for level in np.unique(size):
        assert one.shares[size == level].sum() == pytest.approx(1)
    assert set(size[one.own]) == {size.min()}
    assert one.own.sum() == (size == size.min()).sum()
    assert one.own.sum() == footprint(far).own.sum(), "scaled by four, all is as before"


def test_a_voxel_holds_eight_of_the_size_below():
    view = corridor(4)[3]
    one = footprint(view)
    cells = np.floor(view.points_world / 2.0 ** voxel_level(view)).astype(int)
    for doublings in range(6):
        counts = np.unique(cells >> doublings, axis=0, return_counts=True)[1] / len(cells)
        of_size = one.voxels // 2**57 == one.voxels.min() // 2**57 + doublings
        assert np.sort(one.shares[of_size]) == pytest.approx(np.sort(counts))


def test_frames_of_very_different_distance_meet_in_the_larger_voxels():
    # 1 m from a wall and 4 m: the far one sees all of the near one's, and that is 1/16 of its own.
    near, far = walls(1, 0.1, 1.0)[0], np.eye(4)
    far[2, 3] = -3.0
    views = [near, coarse(np.full((SIZE, SIZE), 4.0), far)]
    assert candidate_pairs(views, 0.06).tolist() == [[0, 1]]
    assert candidate_pairs(views[::-1], 0.06).tolist() == [[0, 1]]
    assert candidate_pairs(views, 0.5).tolist() == []


def test_points_out_of_all_measure_are_put_at_the_border():
    near, far = walls(1, 0.1, 2.0)[0], walls(1, 0.1, 1e15)[0]
    assert footprint(far).voxels.min() >= 0
    assert len(index_of([near, far]).partners(0, 0.01, 5)) == 0
    lost = dataclasses.replace(near, cam_to_world=np.full((4, 4), np.nan))
    assert len(footprint(lost).voxels) == 0


@pytest.mark.data
@pytest.mark.parametrize(("name", "frames"), [("hololens_000", 75), ("icl_livingroom1", 34)])
def test_on_real_sequences_no_pair_with_overlap_is_missed(real_data, name, frames):
    views = _real(real_data / "rgbd" / name)
    assert len(views) == frames
    prepared = [CoarseView.of(view) for view in views]
    found = as_set(candidate_pairs(prepared, 0.05, most=frames))
    wanted = {
        (i, j)
        for i in range(frames)
        for j in range(i + 1, frames)
        if covisible(views[i], views[j]).smaller >= 0.05
    }
    assert len(wanted) > 500
    assert wanted <= found
    assert len(found) < frames * (frames - 1) / 2 or name != "hololens_000"


def _real(folder, width=64):
    poses = np.loadtxt(folder / "poses.txt")[:, -16:].reshape(-1, 4, 4)
    stated = folder / "K.txt"
    camera = (
        np.loadtxt(stated)
        if stated.exists()
        else np.array([[525.0, 0, 320], [0, 525, 240], [0, 0, 1]])
    )
    views = []
    for path, pose in zip(sorted((folder / "depth").glob("*.png")), poses, strict=True):
        depth = opencv.decode_png(path.read_bytes()).astype(np.float32) / 1000
        step = depth.shape[1] // width
        intrinsics = np.diag([1 / step, 1 / step, 1]) @ camera
        views.append(PosedDepth(depth[step // 2 :: step, step // 2 :: step], intrinsics, pose))
    return views
