"""Recovered against true homographies on real photographs (benchmarks/homography_truth.py)."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path

import pytest

from mimic.config import load_config

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def truth():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "homography_truth.py"
    spec = importlib.util.spec_from_file_location("homography_truth", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["homography_truth"] = module
    spec.loader.exec_module(module)
    return module


# Pairs whose ground truth and texture are good; errors in pixels at a short side of 224.
CASES = [
    ("graf1-3", "mimic", 1.5),
    ("graf1-3", "default", 1.5),
    ("Boston", "mimic", 5.0),
    ("Boston", "default", 1.5),
    ("city", "mimic", 2.0),
    ("city", "default", 1.5),
    ("adam", "default", 4.5),
]


@pytest.mark.parametrize(("name", "preset", "limit_px"), CASES)
def test_corner_error_is_small(truth, real_data, name, preset, limit_px):
    pair = truth.true_pairs(real_data)[name]
    result = truth.judged(*pair, load_config(preset))
    assert result.corner_error_px < limit_px
    assert result.measures.overlap.area.smaller == pytest.approx(result.true_area, abs=0.02)


@pytest.mark.parametrize("name", ["CapitalRegion", "LePoint1", "WhiteBoard", "BruggeSquare"])
@pytest.mark.parametrize("preset", ["default", "mimic"])
def test_hard_pairs_are_not_kept(truth, real_data, name, preset):
    """True overlaps of 0.2 to 0.4, few matches: whatever is estimated must not pass."""
    assert not truth.judged(*truth.true_pairs(real_data)[name], load_config(preset)).verdict.kept


@pytest.mark.parametrize("preset", ["default", "mimic"])
def test_pictures_of_different_places_are_not_kept(truth, real_data, preset):
    pairs = truth.true_pairs(real_data)
    names = sorted(pairs)
    for first, second in itertools.pairwise(names):
        mixed = (pairs[first][0], pairs[second][1], pairs[first][2])
        assert not truth.judged(*mixed, load_config(preset)).verdict.kept
