"""Fixed and rotary positions, number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from train.models.positions import (
    cosine_embedding,
    patch_positions,
    rotate,
    rotation,
)


def test_patches_are_counted_row_by_row():
    assert patch_positions(2, 3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([4, 8, 20, 64]))
@settings(max_examples=30, deadline=None)
def test_cosine_positions_have_x_first_then_y_sines_before_cosines(rows, cols, width):
    found = cosine_embedding(rows, cols, width).numpy()
    assert found.shape == (rows * cols, width)
    quarter = width // 4
    for number in range(rows * cols):
        row, col = divmod(number, cols)
        for i in range(quarter):
            omega = 1 / 10000 ** (i / (width / 4))
            wanted = [math.sin(col * omega), math.cos(col * omega)]
            wanted += [math.sin(row * omega), math.cos(row * omega)]
            np.testing.assert_allclose(found[number, i::quarter], wanted, atol=1e-6)


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([4, 8, 32]), st.data())
@settings(max_examples=40, deadline=None)
def test_rope_turns_the_first_half_by_y_and_the_second_by_x(y, x, width, data):
    seed = data.draw(st.integers(0, 1000))
    values = torch.randn(width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    by = rotation(torch.tensor([[[y, x]]]), width, 100.0)
    found = rotate(values[None, None, None], by)[0, 0, 0]
    half = width // 2
    for axis, at in enumerate((y, x)):
        for i in range(half // 2):
            angle = at * 100.0 ** (-2 * i / half)
            a, b = values[axis * half + i], values[axis * half + i + half // 2]
            wanted = a * math.cos(angle) - b * math.sin(angle)
            other = b * math.cos(angle) + a * math.sin(angle)
            assert found[axis * half + i].item() == pytest.approx(wanted.item(), abs=2e-5)
            assert found[axis * half + i + half // 2].item() == pytest.approx(
                other.item(), abs=2e-5
            )


def test_rope_leaves_the_first_patch_and_every_length_alone():
    tokens = torch.randn(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    by = rotation(patch_positions(3, 4)[None], 16, 100.0)
    turned = rotate(tokens, by)
    assert torch.equal(turned[:, :, 0], tokens[:, :, 0])
    torch.testing.assert_close(turned.norm(dim=-1), tokens.norm(dim=-1))
    assert not torch.allclose(turned[:, :, 1:], tokens[:, :, 1:])


def test_rope_of_half_precision_tokens_is_computed_in_single():
    """In bfloat16 the angles of rows 256 and 257 would be the same."""
    tokens = torch.ones(1, 1, 2, 8, dtype=torch.bfloat16)
    turned = rotate(tokens, rotation(torch.tensor([[[256, 0], [257, 0]]]), 8, 100.0))
    assert turned.dtype == torch.bfloat16
    assert not torch.equal(turned[:, :, 0], turned[:, :, 1])
