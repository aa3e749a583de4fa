"""Nearest-neighbour matching, exact in any order of summation.

Descriptors hold integers whose dot products and squared lengths stay below 2^24, so float32 holds
every partial sum exactly: distances depend neither on the BLAS nor on its threads, and are those of
``cv2.BFMatcher`` to the bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimic.config import MatchConfig
from mimic.opencv import dot_products
from mimic.types import Features, Matches

Descriptors = NDArray[np.float32]

_DISTANCES_AT_ONCE = 1 << 23
"""Entries of the distance matrix held at a time (32 MB)."""


class Nearest(NamedTuple):
    """For each query, its two nearest neighbours.

    ``row`` of the nearest (ties to the lowest), and the squared distances to it and to the second
    nearest (inf where there is none).
    """

    row: NDArray[np.intp]
    squared: NDArray[np.float32]
    squared_second: NDArray[np.float32]


def match(features_1: Features, features_2: Features, config: MatchConfig) -> Matches:
    """Putative correspondences by the ratio test, in order of the first view's features.

    A feature of view 1 is matched to its nearest neighbour in view 2 when that is nearer than
    ``ratio`` times the second nearest (Lowe, IJCV 2004), and, if ``mutual``, when the neighbour's
    own nearest is the feature itself. With fewer than two features in view 2 nothing is matched.
    """
    candidates, passed = neighbours(features_1, features_2, config)
    return subset(candidates, passed)


def neighbours(
    features_1: Features, features_2: Features, config: MatchConfig
) -> tuple[Matches, NDArray[np.bool_]]:
    """The (mutual) nearest neighbours, and which of them pass the ratio test."""
    if len(features_1) == 0 or len(features_2) < 2:
        none = np.zeros(0, np.intp)
        return _gather(features_1, features_2, none, none), np.zeros(0, bool)
    found = nearest(features_1.descriptors, features_2.descriptors)
    # Square roots in float32 and the product in float64: the arithmetic of a BFMatcher script.
    distance = np.sqrt(found.squared).astype(np.float64)
    second = np.sqrt(found.squared_second).astype(np.float64)
    passed = distance < config.ratio * second
    first = np.arange(len(features_1))
    if config.mutual:
        asked, place = np.unique(found.row, return_inverse=True)
        back = nearest(features_2.descriptors[asked], features_1.descriptors)
        first = first[back.row[place] == first]
    return _gather(features_1, features_2, first, found.row[first]), passed[first]


def subset(matches: Matches, chosen: NDArray[np.bool_]) -> Matches:
    """The matches where a mask (M,) is true."""
    return Matches(matches.index[chosen], matches.xy_1[chosen], matches.xy_2[chosen])


def nearest(queries: Descriptors, base: Descriptors) -> Nearest:
    """The two nearest rows of ``base`` (M, D) for each row of ``queries`` (N, D); N, M >= 1."""
    base_squared = np.einsum("md,md->m", base, base)
    rows = max(1, _DISTANCES_AT_ONCE // len(base))
    parts = [
        _nearest_of(queries[start : start + rows], base, base_squared)
        for start in range(0, len(queries), rows)
    ]
    return Nearest(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _nearest_of(queries: Descriptors, base: Descriptors, base_squared: Descriptors) -> Nearest:
    squared = dot_products(queries * np.float32(-2), base)
    squared += base_squared
    own = np.einsum("nd,nd->n", queries, queries)
    every = np.arange(len(queries))
    row = squared.argmin(axis=1)
    best = squared[every, row]
    squared[every, row] = np.inf
    return Nearest(row, best + own, squared.min(axis=1) + own)


def _gather(
    features_1: Features,
    features_2: Features,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
) -> Matches:
    return Matches(
        index=np.column_stack([first, second]).astype(np.int32),
        xy_1=features_1.xy[first].astype(np.float64),
        xy_2=features_2.xy[second].astype(np.float64),
    )
