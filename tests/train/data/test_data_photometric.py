"""Colours: what jitter does, and what its factors depend on."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.data.config import ColourConfig
from train.data.photometric import Photometric, jittered

IMAGES = torch.from_numpy(
    np.random.default_rng(0).integers(0, 256, (4, 2, 3, 9, 11), dtype=np.uint8)
)
NUMBERS = torch.tensor([5, 7, 11, 2**40])


def reference(picture: np.ndarray, kinds: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """One view (H, W, 3) in [0, 1], from the definitions."""
    weights = np.array([0.299, 0.587, 0.114])
    for kind, f in zip(kinds, factors, strict=True):
        grey = (picture @ weights)[..., None]
        if kind == 0:
            picture = f * picture
        elif kind == 1:
            picture = f * picture + (1 - f) * grey.mean()
        else:
            picture = f * picture + (1 - f) * grey
        picture = picture.clip(0, 1)
    return picture


def test_it_is_the_three_changes_in_their_order_then_normalised() -> None:
    photometric = Photometric(ColourConfig(), 3)
    found = photometric(IMAGES, NUMBERS, 17)
    kinds, factors = photometric.draws(NUMBERS.numpy(), 2, 17)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for sample in range(4):
        for view in range(2):
            picture = IMAGES[sample, view].permute(1, 2, 0).numpy() / 255
            expected = reference(picture, kinds[sample, view], factors[sample, view])
            got = found[sample, view].permute(1, 2, 0).numpy() * std + mean
            assert np.allclose(got, expected, atol=1e-5)


def test_factors_are_in_their_ranges_and_all_orders_come() -> None:
    config = ColourConfig(brightness=(0.1, 0.2), contrast=(0.5, 0.6), saturation=(1.0, 1.9))
    kinds, factors = Photometric(config, 0).draws(np.arange(2000), 2, 0)
    ranges = np.array([config.brightness, config.contrast, config.saturation])
    low, high = ranges[kinds, 0], ranges[kinds, 1]
    position = (factors - low) / (high - low)
    assert position.min() > -1e-5
    assert position.max() < 1 + 1e-5
    assert position.mean(axis=(0, 1)) == pytest.approx(0.5, abs=0.03)
    assert len(np.unique(kinds.reshape(-1, 3), axis=0)) == 6
    flat = position.reshape(2000, -1)
    off_diagonal = np.corrcoef(flat.T) - np.eye(6)
    assert np.abs(off_diagonal).max() < 0.1, "views and changes are independent"


def test_draws_are_of_seed_step_number_and_view_alone() -> None:
    draws = Photometric(ColourConfig(), 3).draws
    whole = draws(NUMBERS.numpy(), 2, 4)
    part = draws(NUMBERS.numpy()[2:], 2, 4)
    assert all(np.array_equal(a[2:], b) for a, b in zip(whole, part, strict=True))
    assert not np.array_equal(whole[1], draws(NUMBERS.numpy(), 2, 5)[1])
    assert not np.array_equal(
        whole[1], Photometric(ColourConfig(), 4).draws(NUMBERS.numpy(), 2, 4)[1]
    )


def test_views_differ_as_often_as_asked() -> None:
    for asymmetric in (0.0, 0.3, 1.0):
        _, factors = Photometric(ColourConfig(asymmetric=asymmetric), 0).draws(
            np.arange(1000), 2, 0
        )
        differ = (factors[:, 0] != factors[:, 1]).any(1).mean()
        assert differ == pytest.approx(asymmetric, abs=0.05)


def test_parts_of_a_batch_come_out_as_in_the_whole() -> None:
    photometric = Photometric(ColourConfig(), 3)
    whole = photometric(IMAGES, NUMBERS, 17)
    assert torch.equal(photometric(IMAGES[1:3], NUMBERS[1:3], 17), whole[1:3])


@pytest.mark.parametrize("how", ["augment", "jitter"])
def test_without_jitter_it_is_normalised_only(how: str) -> None:
    photometric = Photometric(ColourConfig(jitter=how != "jitter"), 3)
    found = photometric(IMAGES, NUMBERS, 17, augment=how != "augment")
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    assert torch.allclose(found, (IMAGES / 255 - mean) / std)
    assert found.is_contiguous()
    assert found.dtype == torch.float32


def test_pictures_that_lie_as_rows_of_pixels_give_the_same() -> None:
    rows = IMAGES.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    photometric = Photometric(ColourConfig(), 3)
    found = photometric(rows, NUMBERS, 17)
    assert found.is_contiguous()
    assert torch.equal(found, photometric(IMAGES, NUMBERS, 17))
    assert torch.equal(rows, IMAGES), "what is given is not changed"


def test_factors_of_one_change_nothing() -> None:
    pixels = IMAGES.float() / 255
    kinds = torch.arange(3).expand(4, 2, 3)
    assert torch.allclose(jittered(pixels, kinds, torch.ones(4, 2, 3)), pixels)
