"""RUBIK's boxes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimic.geometry.bins import ANGLE_EDGES_DEG, OVERLAP_EDGES, SCALE_EDGES, SHAPE, bins_of


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ((0.05, 1.0, 0.0), (0, 0, 0)),
        ((0.2, 1.5, 30.0), (1, 1, 1)),
        ((0.19999, 1.49999, 29.999), (0, 0, 0)),
        ((0.5, 2.5, 60.0), (2, 2, 2)),
        ((0.79, 3.9, 119.0), (3, 2, 2)),
        ((1.0, 6.0, 180.0), (4, 3, 3)),
        ((0.0499, 1.0, 0.0), None),
        ((0.5, 6.01, 0.0), None),
        ((0.5, 0.99, 0.0), None),
        ((0.5, 1.0, 180.5), None),
        ((0.5, 1.0, -1.0), None),
        ((math.nan, 1.0, 0.0), None),
    ],
)
def test_edges_belong_to_the_bin_above_and_the_last_to_the_last(measures, expected):
    assert bins_of(*measures) == expected


def test_there_are_eighty_boxes():
    assert math.prod(SHAPE) == 80


@given(st.floats(0.05, 1), st.floats(1, 6), st.floats(0, 180))
def test_a_measure_lies_in_its_bin(overlap, scale_ratio, angle_deg):
    found = bins_of(overlap, scale_ratio, angle_deg)
    assert found is not None
    edges_of = OVERLAP_EDGES, SCALE_EDGES, ANGLE_EDGES_DEG
    for value, edges, bin_ in zip((overlap, scale_ratio, angle_deg), edges_of, found, strict=True):
        assert edges[bin_] <= value <= edges[bin_ + 1]
        assert value < edges[bin_ + 1] or bin_ == len(edges) - 2
