"""Pairs of a posed sequence by how much they share, and from how different places they see it.

Candidates (:mod:`mimic.geometry.frusta`) are scored on coarse depth, before anything is labelled,
and sampled to a wished distribution over RUBIK's bins of overlap, scale ratio and viewpoint angle:
of a whole sequence (:func:`select`), or of the pairs that a unit owns (:func:`partners_of`). Every
draw is a hash of the seed and the pair, so that no order of arrival can be seen.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.geometry.coarse import CoarseView, coarse_share
from mimic.geometry.frusta import MARGIN, Views, VoxelIndex, index_of

OVERLAP_EDGES = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)
SCALE_EDGES = (1.0, 1.5, 2.5, 4.0, 6.0)
ANGLE_EDGES_DEG = (0.0, 30.0, 60.0, 120.0, 180.0)
BINS = (5, 4, 4)

_FEW = 512  # points are enough for a median
_CELLS = 32  # a sequence has so many stretches; pairs are spread over pairs of them
_PILOT = 64  # frames whose pairs tell what a sequence has to give
_HARDLY_ANY = 0.01  # the supply of a bin in which those frames have no pair

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Wish:
    """What pairs are wanted.

    ``min_overlap`` to ``max_overlap``, both included, of the smaller co-visible share. ``balance``:
    1 takes as many pairs from each bin as far as the supply goes, 0 takes them in proportion to the
    supply, what is between bends the supply by that power. ``frame_limit``: pairs a frame may be
    in. ``pairs_per_frame``: how many are aimed at, as pairs over frames. ``candidates``: partners
    a frame is held against.
    """

    min_overlap: float
    max_overlap: float = 1.0
    balance: float = 0.0
    frame_limit: int = 16
    pairs_per_frame: float = 4.0
    candidates: int = 128


WISHES = {
    "cub3-50": Wish(min_overlap=0.5),
    "cub3-all": Wish(min_overlap=0.05),
    "croco": Wish(min_overlap=0.5, frame_limit=1, pairs_per_frame=0.5),
    "rubik": Wish(min_overlap=0.05, balance=1.0),
}
"""Presets by name.

``cub3-50``, ``cub3-all`` (Alligat0R section 4.1): of all pairs of a scene those with an overlap of
at least 0.5 or 0.05. How 2.5 million of them were drawn is not said; the published distribution is
that of its supply, skewed to hard pairs, so nothing is balanced here. ``croco`` (CroCo section
3.3): co-visibility of at least 0.5 in both directions, and as each of its views is made for one
pair, a frame is in one pair only. ``rubik``: all bins alike, as that benchmark's boxes.
"""


@dataclass(frozen=True, slots=True)
class PairScores:
    """What is known of M pairs before they are labelled.

    ``pairs`` (M, 2), earlier frame first; ``overlap_12``, ``overlap_21`` (M,): the co-visible
    shares; ``scale_ratio`` (M,) at least 1 and ``angle_deg`` (M,): medians over the points of the
    earlier frame that both see, NaN where they share too little for any bin.
    """

    pairs: Indices
    overlap_12: NDArray[np.float64]
    overlap_21: NDArray[np.float64]
    scale_ratio: NDArray[np.float64]
    angle_deg: NDArray[np.float64]

    @property
    def overlap(self) -> NDArray[np.float64]:
        """The pairs' own: the smaller share."""
        return np.minimum(self.overlap_12, self.overlap_21)

    @property
    def bins(self) -> Indices:
        """The number (M,) of each pair's bin, below 80; -1 outside all of them."""
        criteria = (self.overlap, self.scale_ratio, self.angle_deg)
        places = [
            _place(values, edges)
            for values, edges in zip(
                criteria, (OVERLAP_EDGES, SCALE_EDGES, ANGLE_EDGES_DEG), strict=True
            )
        ]
        number = (places[0] * BINS[1] + places[1]) * BINS[2] + places[2]
        return np.where(np.minimum.reduce(places) < 0, -1, number)


def score(views: Views, pairs: Indices) -> PairScores:
    """Score pairs (M, 2) of frames on their coarse depth; a frame that is None shares nothing."""
    rows = np.array([_scored(views[i], views[j]) for i, j in pairs.tolist()]).reshape(-1, 4)
    return PairScores(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), *rows.T)


def select(scores: PairScores, wish: Wish, seed: int, limit: int | None = None) -> Indices:
    """Choose pairs: rows of ``scores``, ascending, at most ``limit`` of them.

    The bin that is furthest behind its due gives the next pair, and a bin that is used up leaves
    its due to the others. Within a bin pairs are spread over the sequence: one for each stretch
    of it with each other before any gives a second. No frame is in more pairs than the wish allows.
    """
    bins = np.where(_wanted(scores, wish), scores.bins, -1)
    queues = _queues(bins, _spread(scores, bins, seed))
    dues = {number: float(len(queue)) ** (1 - wish.balance) for number, queue in queues.items()}
    used = np.zeros(int(scores.pairs.max(initial=-1)) + 1, dtype=np.int64)
    waiting = [(0.5 / due, number, 1) for number, due in dues.items()]
    heapq.heapify(waiting)
    chosen: list[int] = []
    most = len(bins) if limit is None else limit
    while waiting and len(chosen) < most:
        _, number, nth = heapq.heappop(waiting)
        row = _next_free(queues[number], scores.pairs, used, wish.frame_limit)
        if row is not None:
            used[scores.pairs[row]] += 1
            chosen.append(row)
            heapq.heappush(waiting, ((nth + 0.5) / dues[number], number, nth + 1))
    return np.sort(np.array(chosen, dtype=np.int64))


def partners_of(
    unit_frames: Iterable[int], all_views: Views, wish: Wish, seed: int
) -> list[tuple[int, int]]:
    """The pairs whose earlier frame a unit owns, ascending: :func:`select` for one who sees a part.

    Each frame's partners are a function of the sequence, the wish and the seed, whoever asks: it
    does not matter how a sequence is cut into units. What there is to choose from, bin by bin, is
    estimated from a few frames; a pair is then accepted if its hash is below its bin's due over
    that supply. A frame is the earlier one in at most ``frame_limit`` pairs, and the later one in
    as many on average.
    """
    index = index_of(all_views, seed)
    accept = _acceptance(index, all_views, wish)
    found: list[tuple[int, int]] = []
    for frame in sorted(unit_frames):
        scores = _scored_partners(index, all_views, frame, wish)
        bins = scores.bins
        draw = _draws(scores.pairs, seed)
        rows = np.flatnonzero(_wanted(scores, wish) & (draw < accept[bins]))
        best = rows[np.argsort(draw[rows] / accept[bins[rows]], kind="stable")]
        partners = scores.pairs[np.sort(best[: wish.frame_limit]), 1]
        found += [(frame, int(other)) for other in partners]
    return found


def quotas(
    supply: NDArray[np.float64], weights: NDArray[np.float64], total: float
) -> NDArray[np.float64]:
    """Share out ``total`` by ``weights``, none more than its ``supply``; what is left goes on."""
    given = np.zeros(len(supply))
    open_ = (supply > 0) & (weights > 0)
    while open_.any() and total > given.sum():
        level = (total - given[~open_].sum()) / weights[open_].sum()
        full = open_ & (weights * level >= supply)
        given[open_] = np.minimum(weights * level, supply)[open_]
        if not full.any():
            break
        open_ &= ~full
    return given


def _scored(view: CoarseView | None, other: CoarseView | None) -> tuple[float, ...]:
    if view is None or other is None:
        return 0.0, 0.0, np.nan, np.nan
    forward, backward = coarse_share(view, other), coarse_share(other, view)
    if min(forward, backward) < OVERLAP_EDGES[0]:
        return forward, backward, np.nan, np.nan
    return forward, backward, *_scale_and_angle(view, other)


def _scale_and_angle(view: CoarseView, other: CoarseView) -> tuple[float, float]:
    """Medians, over points of ``view`` that ``other`` sees, of what RUBIK asks; NaN without any."""
    rays = view.offsets_m[:: max(1, len(view.offsets_m) // _FEW)]
    shift = (view.cam_to_world[:3, 3] - other.cam_to_world[:3, 3]).astype(np.float32)
    other_rays = rays + shift
    seen = _seen(other_rays, other)
    rays, other_rays = rays[seen], other_rays[seen]
    if len(rays) == 0:
        return np.nan, np.nan
    square, other_square = (rays * rays).sum(axis=1), (other_rays * other_rays).sum(axis=1)
    zoom = _middle(np.maximum(square / other_square, other_square / square))
    cosine = _middle((rays * other_rays).sum(axis=1) / np.sqrt(square * other_square))
    return math.sqrt(zoom), math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def _middle(values: NDArray[np.float32]) -> float:
    """The median of (N,), the larger one of two."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def _seen(rays: NDArray[np.float32], camera: CoarseView) -> NDArray[np.bool_]:
    """Which points (N, 3), in world axes from the camera's centre, are surfaces that it sees."""
    x, y, z = camera.to_pixels.astype(np.float32) @ rays.T
    z = np.maximum(z, np.float32(1e-6))
    width, height = camera.size
    column = np.clip(x / z, 0, width + 1).astype(np.int64)
    row = np.clip(y / z, 0, height + 1).astype(np.int64)
    cell = row * (width + 2) + column
    seen = (z >= camera.nearest_m[cell]) & (z <= camera.farthest_m[cell])
    return np.asarray(seen, dtype=np.bool_)


def _place(values: NDArray[np.float64], edges: tuple[float, ...]) -> Indices:
    """The interval each value lies in, the last one closed; -1 outside and for NaN."""
    place = np.searchsorted(edges, values, side="right") - 1
    place = np.where(values == edges[-1], len(edges) - 2, place)
    return np.where((values >= edges[0]) & (values <= edges[-1]), place, -1)


def _wanted(scores: PairScores, wish: Wish) -> NDArray[np.bool_]:
    overlap = scores.overlap
    return (overlap >= wish.min_overlap) & (overlap <= wish.max_overlap) & (scores.bins >= 0)


def _spread(scores: PairScores, bins: Indices, seed: int) -> Indices:
    """All rows, in the order in which a bin gives its pairs."""
    count = int(scores.pairs.max(initial=0)) + 1
    cell = scores.pairs * _CELLS // count @ np.array([_CELLS, 1])
    draw = _draws(scores.pairs, seed)
    order = np.lexsort((draw, cell, bins))
    starts = np.flatnonzero(np.diff(bins[order] * _CELLS**2 + cell[order], prepend=-(_CELLS**4)))
    turn = np.empty(len(order), dtype=np.int64)
    turn[order] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return np.lexsort((draw, turn))


def _queues(bins: Indices, order: Indices) -> dict[int, list[int]]:
    """The rows of each bin that has any, the next one last."""
    queues: dict[int, list[int]] = {}
    for row in order[::-1].tolist():
        if bins[row] >= 0:
            queues.setdefault(int(bins[row]), []).append(row)
    return dict(sorted(queues.items()))


def _next_free(queue: list[int], pairs: Indices, used: Indices, frame_limit: int) -> int | None:
    while queue:
        row = queue.pop()
        if (used[pairs[row]] < frame_limit).all():
            return row
    return None


def _scored_partners(index: VoxelIndex, views: Views, frame: int, wish: Wish) -> PairScores:
    others = index.partners(frame, MARGIN * wish.min_overlap, wish.candidates)
    return score(views, np.stack([np.full(len(others), frame), others], axis=1))


def _acceptance(index: VoxelIndex, views: Views, wish: Wish) -> NDArray[np.float64]:
    """The share (80,) of each bin's pairs that are accepted, from what a few frames have."""
    pilot = np.argsort(index.turns)[:_PILOT].tolist()
    supply = np.full(int(np.prod(BINS)), _HARDLY_ANY)
    for frame in pilot:
        scores = _scored_partners(index, views, frame, wish)
        supply += np.bincount(scores.bins[_wanted(scores, wish)], minlength=len(supply))
    given = quotas(supply, supply ** (1 - wish.balance), wish.pairs_per_frame * len(pilot))
    return np.asarray(given / supply, dtype=np.float64)


def _draws(pairs: Indices, seed: int) -> NDArray[np.float64]:
    """A number (M,) in [0, 1) for each pair, by hashing (the finalizer of SplitMix64)."""
    state = np.full(len(pairs), seed, dtype=np.uint64)
    for part in (pairs[:, 0], pairs[:, 1]):
        state = state + part.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
