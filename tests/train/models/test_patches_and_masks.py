"""Patches, targets, masks and how many patches are kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from train.errors import TrainError
from train.models import (
    mask_from_noise,
    normalised,
    num_kept,
    patchify,
    random_mask,
    unpatchify,
)
from train.models.patches import at


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_patches_hold_row_column_channel_and_go_back(rows, cols, patch, channels):
    count = 2 * channels * rows * cols * patch**2
    images = torch.arange(count).reshape(2, channels, rows * patch, cols * patch)
    patches = patchify(images, patch)
    assert patches.shape == (2, rows * cols, patch**2 * channels)
    number, p, q, c = rows * cols - 1, patch - 1, 0, channels - 1
    row, col = divmod(number, cols)
    pixel = images[1, c, row * patch + p, col * patch + q]
    assert patches[1, number, (p * patch + q) * channels + c] == pixel
    assert torch.equal(unpatchify(patches, patch, rows, cols), images)
    assert torch.equal(patchify(images[None], patch)[0], patches)


def test_the_target_has_mean_0_and_unbiased_variance_1():
    patches = 5 + 3 * torch.randn(2, 6, 48, generator=torch.Generator().manual_seed(0))
    target = normalised(patches)
    assert target.mean(-1).abs().max() < 1e-6
    torch.testing.assert_close(target.var(-1, unbiased=True), torch.ones(2, 6))
    assert torch.equal(normalised(torch.ones(1, 1, 48)), torch.zeros(1, 1, 48))
    assert normalised(patches.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    ("ratio", "rounding", "kept"),
    [(0.9, "croco", 20), (0.9, "mae", 19), (0.75, "mae", 49), (0.75, "croco", 49)],
)
def test_how_many_of_196_patches_are_kept(ratio, rounding, kept):
    assert num_kept(196, ratio, rounding) == kept


@pytest.mark.parametrize("ratio", [0.0, 0.999, 1.0])
def test_a_ratio_that_leaves_nothing_to_do_is_refused(ratio):
    with pytest.raises(TrainError, match="masking ratio"):
        num_kept(196, ratio, "mae")


@given(st.integers(1, 5), st.integers(2, 40), st.data())
@settings(max_examples=60, deadline=None)
def test_a_mask_parts_the_patches_by_noise(batch, patches, data):
    kept = data.draw(st.integers(1, patches - 1))
    noise = torch.tensor(
        data.draw(
            st.lists(
                st.lists(
                    st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=patches, max_size=patches
                ),
                min_size=batch,
                max_size=batch,
            )
        )
    )
    mask = mask_from_noise(noise, kept)
    assert mask.kept.shape == (batch, kept)
    assert mask.masked.shape == (batch, patches - kept)
    for row, (seen, hidden) in enumerate(zip(*mask, strict=True)):
        assert sorted([*seen.tolist(), *hidden.tolist()]) == list(range(patches))
        assert seen.tolist() == sorted(seen.tolist())
        ranked = sorted(range(patches), key=lambda i, row=row: (noise[row, i].item(), i))
        assert set(seen.tolist()) == set(ranked[:kept])


def test_a_samples_mask_does_not_depend_on_its_batch():
    noise = torch.rand(8, 196, generator=torch.Generator().manual_seed(0))
    whole = mask_from_noise(noise, 20)
    parts = [mask_from_noise(noise[i : i + 2], 20) for i in range(0, 8, 2)]
    assert torch.equal(whole.kept, torch.cat([part.kept for part in parts]))


def test_masks_of_a_generator_repeat_and_differ():
    first, second = (random_mask(4, 196, 20, torch.Generator().manual_seed(s)) for s in (0, 0))
    assert torch.equal(first.kept, second.kept)
    assert not torch.equal(first.kept[0], first.kept[1])
    share = random_mask(2000, 10, 3, torch.Generator().manual_seed(1)).kept.flatten().bincount()
    assert share.min() > 500  # 600 each, deviation 20.5
    assert share.max() < 700


def test_rows_are_gathered_for_each_sample():
    tokens = torch.arange(24).reshape(2, 4, 3)
    chosen = at(tokens, torch.tensor([[3, 0], [1, 1]]))
    assert chosen.tolist() == [[[9, 10, 11], [0, 1, 2]], [[15, 16, 17], [15, 16, 17]]]
