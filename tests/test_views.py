from __future__ import annotations

import cv2
import numpy as np
import pytest

from mimic import views
from mimic.config import load_config
from mimic.types import Frame

DEFAULT, MIMIC = load_config(), load_config("mimic")


def frame(rgb):
    return Frame("f", 0, "0", 0.0, 0, rgb)


def noise(width, height, seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    ("original", "stored"),
    [((640, 480), (341, 256)), ((480, 640), (256, 341)), ((256, 256), (256, 256))],
)
def test_short_side_is_kept_with_the_aspect(original, stored):
    view = views.stored_view(frame(noise(*original)), DEFAULT)
    assert view.size == stored
    corner = view.original_to_stored @ (*original, 1)
    assert corner[:2] == pytest.approx(stored)
    assert view.info.size == original


def test_never_larger_than_the_original():
    config = load_config(assignments=("match.short_side=480",))
    view = views.stored_view(frame(noise(176, 144)), config)
    assert view.size == (176, 144)
    assert view.match_gray.shape == (144, 176)
    assert not np.shares_memory(view.stored, frame(noise(176, 144)).rgb)


def test_a_view_lets_go_of_the_original():
    """At its own size and under a crop alike: a window of views must stay small."""
    for assignments in ((), ("image.crop_bottom=0.2",)):
        picture = noise(300, 200)
        view = views.stored_view(frame(picture), load_config(assignments=assignments))
        assert not np.shares_memory(view.stored, picture)
        assert view.stored.base is None


def test_squash_is_the_peers_call():
    picture = noise(640, 360)
    view = views.stored_view(frame(picture), MIMIC)
    assert np.array_equal(view.stored, cv2.resize(picture, (224, 224)))
    assert np.diag(view.original_to_stored) == pytest.approx([224 / 640, 224 / 360, 1])
    expected = cv2.cvtColor(view.stored, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(view.match_gray, expected)


def test_crop_cuts_below_and_moves_nothing():
    picture = noise(400, 400)
    config = load_config(assignments=("image.crop_bottom=0.2", "image.size=160"))
    view = views.stored_view(frame(picture), config)
    assert view.size == (200, 160)
    expected = cv2.resize(picture[:320], (200, 160), interpolation=cv2.INTER_AREA)
    assert np.array_equal(view.stored, expected)
    assert np.diag(view.original_to_stored) == pytest.approx([0.5, 0.5, 1])


def test_matching_is_made_from_the_original():
    picture = noise(640, 480)
    config = load_config(assignments=("match.short_side=360",))
    view = views.stored_view(frame(picture), config)
    sharp = cv2.resize(picture, (480, 360), interpolation=cv2.INTER_AREA)
    assert np.array_equal(view.match_gray, cv2.cvtColor(sharp, cv2.COLOR_RGB2GRAY))


def test_squashed_matching_is_square_and_never_upscales():
    config = load_config("mimic", assignments=("match.short_side=480",))
    view = views.stored_view(frame(noise(640, 360)), config)
    assert view.match_gray.shape == (360, 360)


@pytest.mark.parametrize("side", [120, 240, 256, 480])
def test_a_blob_is_where_it_is_whatever_the_matching_size(side):
    """A blob at continuous (161, 121) of 640 x 480, found in stored pixels, with its scale.

    The limit tells half a pixel of the matching size (a wrong pixel convention) from noise.
    """
    picture = np.full((480, 640, 3), 40, np.uint8)
    y, x = np.mgrid[:480, :640] + 0.5
    blob = 180 * np.exp(-((x - 161) ** 2 + (y - 121) ** 2) / (2 * 9.0**2))
    picture = np.rint(picture + blob[..., None]).astype(np.uint8)
    config = load_config(assignments=(f"match.short_side={side}", "image.size=240"))
    features = views.with_features(views.stored_view(frame(picture), config), config).features
    miss = np.abs(features.xy - np.array([80.5, 60.5])).max(axis=1)
    assert miss.min() < 0.1 * 240 / side
    assert features.scale[miss.argmin()] == pytest.approx(8, rel=0.12)


class TestMeasures:
    def test_luminance(self):
        gray = np.repeat(np.arange(100, dtype=np.uint8), 4).reshape(20, 20)
        found = views.frame_measures(gray)
        assert found.luminance_mean == gray.mean()
        assert (found.luminance_p05, found.luminance_p95) == (4, 94)

    def test_letterbox(self):
        gray = np.full((100, 200), 90, np.uint8)
        assert views.frame_measures(gray).letterbox == 0
        gray[:10] = gray[-15:] = 3
        assert views.frame_measures(gray).letterbox == pytest.approx(0.25)
        assert views.frame_measures(np.zeros((10, 10), np.uint8)).letterbox == 1

    def test_sharpness_falls_with_blur(self):
        gray = noise(64, 64)[..., 0]
        sharp, soft = (
            views.frame_measures(g).sharpness for g in (gray, cv2.GaussianBlur(gray, (0, 0), 2))
        )
        assert sharp > 2 * soft > 0
        assert sharp == pytest.approx(cv2.Laplacian(gray, cv2.CV_64F).var())

    def test_phash_is_near_for_the_like_and_far_for_the_unlike(self):
        def bits(gray):
            return int(views.frame_measures(gray).phash, 16)

        gray = noise(256, 256)[..., 0]
        like = cv2.GaussianBlur(np.clip(gray * 0.8 + 10, 0, 255).astype(np.uint8), (0, 0), 1)
        assert (bits(gray) ^ bits(like)).bit_count() <= 6
        assert (bits(gray) ^ bits(noise(256, 256, seed=1)[..., 0])).bit_count() > 15
        assert len(views.frame_measures(gray).phash) == 16
        assert bits(np.full((64, 64), 7, np.uint8)) == bits(np.full((64, 64), 200, np.uint8))


def test_thumb_is_a_few_dozen_pixels():
    view = views.stored_view(frame(noise(640, 360)), DEFAULT)
    assert view.thumb.shape == (27, 48)
