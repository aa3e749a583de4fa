"""Patch correspondences of the homography against those of depth and pose, on the same pairs.

    python benchmarks/two_miners.py --data ../shared/data
    mimic mine --source ../shared/data/rgbd/hololens_000 --out shards --depth
    python benchmarks/two_miners.py --shards shards

The first mines a plain video that is the footage of an RGB-D sequence (see truth.py) and knows
nothing of its depth; the second takes pairs that matching chose among all of a sequence. Of the
patches that the homography gives a partner, those whose pixels have depth are judged: the partner
is that of the depth, a neighbour of it (8 around), another, or depth says that it is not seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from truth import VIDEO_FPS, VIDEO_FRAMES_PER_FILE, load_walk

import mimic
from mimic.geometry import patches
from mimic.geometry.covisibility import UNKNOWN, landing, seen_from
from mimic.geometry.posed_depth import PosedDepth
from mimic.shards.reader import Shards

PARALLAX_PX = (0.0, 1.0, 2.0, 4.0, np.inf)
KNOWN_SHARE = 0.5


class Judged(NamedTuple):
    """A pair with the depth of both views at their stored sizes."""

    meta: dict[str, Any]
    corr: np.ndarray
    posed: tuple[PosedDepth, PosedDepth]


def of_shards(url: str) -> Iterator[Judged]:
    """Pairs that carry their depth."""
    for sample in Shards(url).samples():
        depths_m = [sample.depth(1), sample.depth(2)]
        assert depths_m[0] is not None, "mine with --depth"
        one, two = (
            PosedDepth(depth_m, np.array(view["intrinsics"]), np.array(view["cam_to_world"]))
            for depth_m, view in zip(depths_m, sample.meta["views"], strict=True)
        )
        yield Judged(sample.meta, sample.corr(1, 2), (one, two))


def of_video(data: Path) -> Iterator[Judged]:
    """Pairs mined from a plain video, with the depth of the sequence whose footage it is."""
    walk = load_walk(data / "rgbd" / "hololens_000")
    for pair in mimic.mine_pairs(str(data / "videos" / "office_walk_vp9.webm")):
        files = [view["pts_s"] * VIDEO_FPS / VIDEO_FRAMES_PER_FILE for view in pair.meta["views"]]
        if any(abs(file - round(file)) > 0.1 or round(file) >= len(walk.depth_m) for file in files):
            continue
        one, two = (
            _resized(walk.depth_m[k], walk.intrinsics, walk.cam_to_world[k], tuple(view["size"]))
            for k, view in zip(map(round, files), pair.meta["views"], strict=True)
        )
        yield Judged(pair.meta, pair.corr, (one, two))


def _resized(
    depth_m: np.ndarray, intrinsics: np.ndarray, cam_to_world: np.ndarray, size: tuple[int, int]
) -> PosedDepth:
    """The nearest depth at each pixel of a picture of another size and the same field of view."""
    height, width = depth_m.shape
    scale = np.array([size[0] / width, size[1] / height, 1.0])
    columns = ((np.arange(size[0]) + 0.5) / scale[0]).astype(int)
    rows = ((np.arange(size[1]) + 0.5) / scale[1]).astype(int)
    resized = np.ascontiguousarray(depth_m[np.ix_(rows, columns)])
    return PosedDepth(resized, scale[:, None] * intrinsics, cam_to_world)


def judged(pair: Judged) -> np.ndarray:
    """Counts of the patches of view 1: same, neighbour, other, not seen."""
    sizes = [tuple(view["size"]) for view in pair.meta["views"]]
    size = pair.meta["patch_size"]
    seen = seen_from(*pair.posed)
    there = dict(patches.assign(landing(seen, sizes[1]), size, outside_votes=False).tolist())
    columns, rows = patches.grid(sizes[0], size)
    unknown = (seen.labels == UNKNOWN)[: rows * size, : columns * size]
    known = 1 - unknown.reshape(rows, size, columns, size).mean(axis=(1, 3)).ravel()
    counts = np.zeros(4, int)
    for source, target in pair.corr.tolist():
        if known[source] >= KNOWN_SHARE:
            counts[_place(there.get(source), target, patches.grid(sizes[1], size)[0])] += 1
    return counts


def _place(truth: int | None, target: int, columns: int) -> int:
    if truth is None:
        return 3
    down, right = abs(truth // columns - target // columns), abs(truth % columns - target % columns)
    return 0 if truth == target else 1 if max(down, right) == 1 else 2


def table(pairs: Iterator[Judged]) -> Iterator[str]:
    """Lines of a table by parallax."""
    found = [(pair.meta["edges"][0]["parallax_px"], judged(pair)) for pair in pairs]
    yield "| parallax, px | pairs | patches | same | neighbour | other | not seen |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    ranges = [*pairwise(PARALLAX_PX), (0.0, np.inf)]
    for low, high in ranges:
        inside = [counts for parallax, counts in found if low <= (parallax or 0.0) < high]
        total = np.sum(inside, axis=0) if inside else np.zeros(4, int)
        shares = " | ".join(f"{share:.2f}" for share in total / max(total.sum(), 1))
        yield f"| {low:g} to {high:g} | {len(inside)} | {total.sum()} | {shares} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--shards", help="pairs that carry depth, instead of the video")
    args = parser.parse_args()
    pairs = of_shards(args.shards) if args.shards else of_video(args.data)
    print("\n".join(table(pairs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
