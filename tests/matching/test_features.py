from __future__ import annotations

import numpy as np
import pytest
from textures import looking_at, render

from mimic import opencv
from mimic.config import MatchConfig
from mimic.layered import ConfigError
from mimic.matching.features import ROOT_SCALE, extract, root

GRAY = opencv.to_gray(render(looking_at(800, 800)))


def test_descriptors_are_exact_integers():
    for config in (MatchConfig(), MatchConfig(root=True)):
        words = extract(GRAY, config).descriptors
        assert len(words) > 100
        assert (words == np.rint(words)).all()
        assert (words.astype(np.float64) ** 2).sum(axis=1).max() < 2**22


def test_root_compares_histograms():
    words = np.random.default_rng(0).integers(0, 200, (5, 128)).astype(np.float32)
    shares = words / words.sum(axis=1, keepdims=True)
    hellinger = np.sqrt(shares) @ np.sqrt(shares).T
    rooted = root(words).astype(np.float64) / ROOT_SCALE
    assert rooted @ rooted.T == pytest.approx(hellinger, abs=0.01)
    assert (root(np.zeros((1, 128), np.float32)) == 0).all()


def test_the_strongest_are_kept_in_their_order():
    everything = extract(GRAY, MatchConfig())
    some = extract(GRAY, MatchConfig(max_keypoints=50))
    assert len(some) == 50
    rows = [np.flatnonzero((everything.descriptors == d).all(axis=1))[0] for d in some.descriptors]
    assert rows == sorted(rows)
    assert len(extract(GRAY, MatchConfig(max_keypoints=10**6))) == len(everything)


def test_nothing_to_see_is_no_features():
    blank = extract(np.full((64, 64), 128, np.uint8), MatchConfig())
    assert len(blank) == 0
    assert blank.descriptors.shape == (0, 128)


def test_a_lower_contrast_threshold_finds_more():
    few = extract(GRAY, MatchConfig(contrast_threshold=0.08))
    many = extract(GRAY, MatchConfig(contrast_threshold=0.01))
    assert len(few) < len(many)


def test_an_unknown_extractor_is_named():
    with pytest.raises(ConfigError, match=r"match\.features: 'surf' is unknown, use sift"):
        extract(GRAY, MatchConfig(features="surf"))
