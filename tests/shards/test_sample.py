"""The correspondence of a sample is that of the smaller direction."""

from __future__ import annotations

import factory
import numpy as np
import pytest

from mimic.geometry import patches
from mimic.shards.sample import Context, corr_of

WORK = factory.unit("a")


@pytest.mark.parametrize("outside_votes", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_map_of_the_smaller_direction(seed: int, outside_votes: bool) -> None:
    rng = np.random.default_rng(seed)
    sizes = ((232, 177), (160, 224))
    angle, zoom = rng.uniform(-0.3, 0.3), rng.uniform(0.8, 1.25)
    homography = np.array(
        [
            [zoom * np.cos(angle), -np.sin(angle), rng.uniform(-80, 60)],
            [np.sin(angle), zoom * np.cos(angle), rng.uniform(-60, 60)],
            [rng.uniform(-3e-4, 3e-4), rng.uniform(-3e-4, 3e-4), 1.0],
        ]
    )
    both = patches.landings(homography, *sizes)
    assert both is not None
    overlap = patches.patch_map(*both, 16, outside_votes).overlap
    edge = factory.edge_row(
        WORK,
        0,
        2,
        homography=homography.ravel().tolist(),
        overlap_patch_12=overlap.forward,
        overlap_patch_21=overlap.backward,
    )
    frames = tuple(
        factory.frame_row(WORK, slot) | {"width": size[0], "height": size[1]}
        for slot, size in enumerate(sizes)
    )
    context = Context("f", "default", 0, 16, outside_votes)
    expected = patches.corr(homography, *sizes, 16, outside_votes)
    assert len(expected) > 5
    found = corr_of(edge, (frames[0], frames[1]), context)
    assert found is not None
    np.testing.assert_array_equal(found, expected)
    forward = overlap.forward < overlap.backward
    shares = patches.assign(both[not forward], 16, outside_votes)[:, :: 1 if forward else -1]
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, shares.tolist()))


def test_of_equal_directions_the_second_is_stored() -> None:
    tie = [1.05, -0.1, -4.0, 0.1, 1.05, 3.0, 0.0, 0.0, 1.0]  # 19 patches either way
    edge = factory.edge_row(WORK, 0, 2, homography=tie)
    frames = (factory.frame_row(WORK, 0), factory.frame_row(WORK, 2))
    homography = np.array(edge["homography"]).reshape(3, 3)
    both = patches.landings(homography, factory.SIZE, factory.SIZE)
    assert both is not None
    found = corr_of(edge, frames, Context("f", "default", 0, 16, False))
    assert found is not None
    back = patches.assign(both[1], 16, False)
    assert len(back) == len(patches.assign(both[0], 16, False)) == 19
    assert sorted(map(tuple, found.tolist())) == sorted((b, a) for a, b in back.tolist())
    assert found.tolist() != patches.assign(both[0], 16, False).tolist()


def test_without_homography_there_is_none() -> None:
    edge = factory.edge_row(WORK, 0, 2, homography=None)
    frames = (factory.frame_row(WORK, 0), factory.frame_row(WORK, 2))
    assert corr_of(edge, frames, Context("f", "default", 0, 16, False)) is None
