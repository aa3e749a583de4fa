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
from mimic.types import Features, Matches

Descriptors = NDArray[np.float32]

_DISTANCES_AT_ONCE = 1 << 21
"""Entries of the distance matrix held at a time (8 MB): large for the BLAS, small for a cache."""


class Nearest(NamedTuple):
    """Nearest rows of a base for N queries.

    ``row`` of the nearest (N,), ties to the lowest; the squared distances to it and to the second
    nearest (inf where there is none); ``mutual`` (N,), whether no other query is nearer to that
    row (of equally near ones that share it, the lowest).
    """

    row: NDArray[np.intp]
    squared: NDArray[np.float32]
    squared_second: NDArray[np.float32]
    mutual: NDArray[np.bool_]


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
        first = first[found.mutual]
    return _gather(features_1, features_2, first, found.row[first]), passed[first]


def coarse_matches(features_1: Features, features_2: Features, config: MatchConfig) -> int | None:
    """Number of matches among the ``coarse_keypoints`` largest of each view.

    Soon counted, and hardly any in views of different things: large keypoints are found again from
    afar and in a blur.

    None where it is switched off, or where both views have no more than that.
    """
    count = config.coarse_keypoints
    if count is None or max(len(features_1), len(features_2)) <= count:
        return None
    _, passed = neighbours(_largest(features_1, count), _largest(features_2, count), config)
    return int(passed.sum())


def subset(matches: Matches, chosen: NDArray[np.bool_]) -> Matches:
    """The matches where a mask (M,) is true."""
    return Matches(matches.index[chosen], matches.xy_1[chosen], matches.xy_2[chosen])


def nearest(queries: Descriptors, base: Descriptors) -> Nearest:
    """The two nearest rows of ``base`` (M, D) for each row of ``queries`` (N, D); N, M >= 1.

    One matrix of squared distances, a band of queries at a time, serves both directions; with the
    squared lengths as two more columns the product itself is that matrix: |q|^2 - 2 q.b + |b|^2.
    """
    long_queries = np.column_stack([queries * np.float32(-2), _squared(queries), _ones(queries)])
    long_base = np.column_stack([base, _ones(base), _squared(base)]).T
    row = np.empty(len(queries), np.intp)
    best, second = np.empty((2, len(queries)), np.float32)
    nearest_query = np.full(len(base), np.inf, np.float32)
    band = min(max(1, _DISTANCES_AT_ONCE // len(base)), len(queries))
    distances = np.empty((band, len(base)), np.float32)
    for start in range(0, len(queries), band):
        at = slice(start, start + band)
        squared = np.matmul(long_queries[at], long_base, out=distances[: len(queries) - start])
        np.minimum(nearest_query, squared.min(axis=0), out=nearest_query)
        every = np.arange(len(squared))
        row[at] = squared.argmin(axis=1)
        best[at] = squared[every, row[at]]
        squared[every, row[at]] = np.inf
        second[at] = squared.min(axis=1)
    return Nearest(row, best, second, _first_of_equals(row, best == nearest_query[row]))


def _largest(features: Features, count: int) -> Features:
    """The ``count`` keypoints with the largest scale, of equal ones the first."""
    rows = np.argsort(-features.scale, kind="stable")[:count]
    return Features(
        features.xy[rows],
        features.scale[rows],
        features.angle_deg[rows],
        features.descriptors[rows],
    )


def _first_of_equals(row: NDArray[np.intp], nearest_to_it: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of the queries (N,) that are as near as any to the row they chose, the first of each row."""
    candidates = np.flatnonzero(nearest_to_it)
    mutual = np.zeros(len(row), bool)
    mutual[candidates[np.unique(row[candidates], return_index=True)[1]]] = True
    return mutual


def _squared(descriptors: Descriptors) -> Descriptors:
    return np.asarray(np.einsum("nd,nd->n", descriptors, descriptors))


def _ones(descriptors: Descriptors) -> Descriptors:
    return np.ones(len(descriptors), np.float32)


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
