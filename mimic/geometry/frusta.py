"""Which frames of a sequence may see the same things, found without trying all pairs.

The points that a frame sees fall into voxels of the world. Two frames with voxels in common are
candidates: the share of a frame's points that lie in voxels of the other estimates its overlap,
from above where something stands between. Voxels are as large as a frame is far from what it sees,
and two frames are held together in voxels that suit the farther one. An index from voxels to frames
makes the cost of a frame independent of the length of the sequence: where many frames look at one
place, a frame is held against a sample of them that is uniform, its own, and the same whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.geometry.coarse import CoarseView

VOXEL = 0.15
"""Side of a voxel, at least, as a share of a frame's distance (then rounded up to a power of two
metres): several times the distance between points, of which a frame should have some 24 x 24."""

DISTANCE = 75.0
"""The percentile of its points' distances that is a frame's: beyond it points lie sparsely."""

MARGIN = 0.4
"""Of the overlap that is asked for, so much in voxels is enough to be a candidate: points of one
surface may lie in neighbouring voxels."""

_COARSER = 5
"""Doublings of a frame's voxels: what a camera close to a wall sees beside it, others see, too."""

_REACH = 2**18  # voxels in each direction; what lies beyond counts as lying at the border
_LEVELS = 32  # doublings of a metre, either way

Views = Sequence[CoarseView | None]
"""A sequence in its order; None: a frame of which nothing is known."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Footprint:
    """The voxels a frame sees, in sizes of its own and larger; empty for a frame without depth.

    ``voxels`` (n,) int64, ``shares`` (n,) float32: of the frame's points in each, 1 in each size.
    ``own`` (n,): whether the voxel is of the frame's own size, the smallest it has.
    """

    voxels: Indices
    shares: NDArray[np.float32]
    own: NDArray[np.bool_]


def voxel_level(view: CoarseView) -> int:
    """The size of voxels that suits a frame, as a power of two metres."""
    distance_m = float(np.percentile(np.linalg.norm(view.offsets_m, axis=1), DISTANCE))
    level = math.ceil(math.log2(max(VOXEL * distance_m, 2.0**-_LEVELS)))
    return min(level, _LEVELS - 1 - _COARSER)


def footprint(view: CoarseView | None) -> Footprint:
    """The voxels that the points of a frame lie in."""
    if view is None or not np.isfinite(view.offsets_m.sum() + view.cam_to_world.sum()):
        return _NOTHING
    if len(view.offsets_m) == 0:
        return _NOTHING
    level = voxel_level(view)
    cells = np.clip(np.floor(view.points_world / 2.0**level), -_REACH, _REACH - 1).astype(np.int64)
    shares = np.full(len(cells), 1 / len(cells))
    found: list[tuple[Indices, NDArray[np.float64]]] = []
    for coarser in range(_COARSER + 1):
        voxels, place = np.unique(_packed(cells, level + coarser), return_inverse=True)
        shares = np.bincount(place, shares).astype(np.float64)
        found.append((voxels, shares))
        cells = _unpacked(voxels) >> 1
    return Footprint(
        voxels=np.concatenate([voxels for voxels, _ in found]),
        shares=np.concatenate([shares for _, shares in found]).astype(np.float32),
        own=np.arange(sum(len(voxels) for voxels, _ in found)) < len(found[0][0]),
    )


_NOTHING = Footprint(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.bool_))


def _packed(cells: Indices, level: int) -> Indices:
    x, y, z = cells.T + _REACH
    side = 2 * _REACH
    return np.asarray((((level + _LEVELS) * side + x) * side + y) * side + z, dtype=np.int64)


def _unpacked(voxels: Indices) -> Indices:
    side = 2 * _REACH
    return (
        np.stack([voxels // side**2 % side, voxels // side % side, voxels % side], axis=1) - _REACH
    )


@dataclass(frozen=True, slots=True)
class VoxelIndex:
    """The frames that see each voxel, and the voxels that each frame sees.

    ``turns`` (F,) place the F frames on a circle, in a random order. Entries say who sees what: by
    voxel and then by turn, their key (voxel * F + turn), the frame, its share of points there, and
    whether the voxel is of its own size. ``company`` and ``own_company``: how many frames see a
    voxel, and how many of those as one of their own size. Frame f has ``footprints[f]``, in which
    voxels are numbers.
    """

    turns: Indices
    entry_keys: Indices
    entry_frames: Indices
    entry_shares: NDArray[np.float32]
    entry_own: NDArray[np.bool_]
    company: Indices
    own_company: Indices
    footprints: tuple[Footprint, ...]

    @classmethod
    def of(cls, footprints: Sequence[Footprint], seed: int = 0) -> VoxelIndex:
        """Index the frames, which are named by their place in ``footprints``."""
        count = len(footprints)
        turns = np.random.Generator(np.random.PCG64(seed)).permutation(count).astype(np.int64)
        every = [*footprints, _NOTHING]
        sizes = [len(one.voxels) for one in footprints]
        shares = np.concatenate([one.shares for one in every])
        own = np.concatenate([one.own for one in every])
        frames = np.repeat(np.arange(count), sizes)
        _, voxels = np.unique(np.concatenate([one.voxels for one in every]), return_inverse=True)
        keys = voxels * count + turns[frames]
        order = np.argsort(keys)
        numbers = np.split(voxels, np.cumsum(sizes, dtype=np.int64))
        return cls(
            turns=turns,
            entry_keys=keys[order],
            entry_frames=frames[order],
            entry_shares=shares[order],
            entry_own=own[order],
            company=np.bincount(voxels),
            own_company=np.bincount(voxels, own).astype(np.int64),
            footprints=tuple(
                Footprint(number, one.shares, one.own)
                for number, one in zip(numbers, footprints, strict=False)
            ),
        )

    def partners(self, frame: int, min_share: float, most: int) -> Indices:
        """The later frames, ascending, that share their view with ``frame``; at most ``most``.

        Both frames have at least ``min_share`` of their points in voxels of the other. Where the
        place is seen by so many frames that there may be more partners than ``most``, these are a
        sample of them: those next on the circle, which are others for each frame.
        """
        count = len(self.turns)
        entries, shares = self._on_arc(frame, self._arc(frame, most))
        others = self.entry_frames[entries]
        forward = np.bincount(others, shares, count)[frame + 1 :]
        backward = np.bincount(others, self.entry_shares[entries], count)[frame + 1 :]
        mutual = np.minimum(forward, backward)
        found = np.flatnonzero((mutual >= min_share) & (mutual > 0)) + frame + 1
        ahead = (self.turns[found] - self.turns[frame]) % count
        return np.sort(found[np.argsort(ahead)[:most]])

    def _arc(self, frame: int, most: int) -> int:
        """How much of the circle has about twice ``most`` partners: half of them come earlier."""
        one, count = self.footprints[frame], len(self.turns)
        seen_by = np.where(one.own, self.company[one.voxels], self.own_company[one.voxels])
        # What the shares that all frames have in what this one sees come to: so many whole frames.
        company = float((one.shares * seen_by).sum())
        return count if company <= 2 * most else int(np.ceil(2 * most / company * count))

    def _on_arc(self, frame: int, arc: int) -> tuple[Indices, NDArray[np.float32]]:
        """Entries of the frame's voxels on the arc that starts at it, with the frame's shares.

        Of the sizes that two frames have in common it is the smallest: the own one of either.
        """
        one, count, start = self.footprints[frame], len(self.turns), int(self.turns[frame])
        keys = one.voxels * count
        pieces = [(start, min(start + arc, count)), (0, max(start + arc - count, 0))]
        low, high = (
            np.searchsorted(
                self.entry_keys, np.concatenate([keys + piece[end] for piece in pieces])
            )
            for end in (0, 1)
        )
        sizes = high - low
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        entries = within + np.repeat(low, sizes)
        kept = np.repeat(np.tile(one.own, 2), sizes) | self.entry_own[entries]
        return entries[kept], np.repeat(np.tile(one.shares, 2), sizes)[kept]


def index_of(views: Views, seed: int = 0) -> VoxelIndex:
    """The index of a sequence."""
    return VoxelIndex.of([footprint(view) for view in views], seed)


def candidate_pairs(
    views: Views, min_overlap: float = 0.05, most: int = 128, seed: int = 0
) -> Indices:
    """Pairs (M, 2) of a sequence, earlier frame first, that may reach an overlap; ascending.

    Args:
        views: the frames in the order of the sequence.
        min_overlap: the smaller co-visible share that a pair must be able to reach.
        most: partners a frame may have among those that follow it.
        seed: decides which of its partners a frame is held against where there are more.
    """
    index = index_of(views, seed)
    found = [index.partners(i, MARGIN * min_overlap, most) for i in range(len(views))]
    first = np.repeat(np.arange(len(views)), [len(one) for one in found])
    second = np.concatenate([np.zeros(0, dtype=np.int64), *found])
    return np.stack([first, second], axis=1).astype(np.int64)
