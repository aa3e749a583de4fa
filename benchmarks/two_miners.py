"""Patch correspondences of the homography against those of depth and pose, on the same pairs.

    mimic mine --source ../shared/data/rgbd/hololens_000 --out shards --depth
    python benchmarks/two_miners.py shards [--into docs/labels.md]

The pairs are those that matching keeps (preset default), chosen among all of the sequence. Of the
patches that the homography gives a partner, those whose pixels have depth are judged: the partner
is that of the depth, a neighbour of it (8 around), another, or depth says that it is not seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from document import fill

from mimic.geometry import patches
from mimic.geometry.covisibility import UNKNOWN, landing, seen_from
from mimic.geometry.posed_depth import PosedDepth
from mimic.shards.reader import Shards
from mimic.shards.sample import Sample

PARALLAX_PX = (0.0, 1.0, 2.0, 4.0, np.inf)
KNOWN_SHARE = 0.5


def judged(sample: Sample) -> np.ndarray:
    """Counts of the patches of view 1: same, neighbour, other, not seen."""
    views = sample.meta["views"]
    posed = []
    for number, view in enumerate(views, start=1):
        depth_m = sample.depth(number)
        assert depth_m is not None, "mine with --depth"
        lens, pose = np.array(view["intrinsics"]), np.array(view["cam_to_world"])
        posed.append(PosedDepth(depth_m, lens, pose))
    sizes = [tuple(view["size"]) for view in views]
    size = sample.meta["patch_size"]
    seen = seen_from(*posed)
    there = dict(patches.assign(landing(seen, sizes[1]), size, outside_votes=False).tolist())
    columns, rows = patches.grid(sizes[0], size)
    unknown = (seen.labels == UNKNOWN)[: rows * size, : columns * size]
    known = 1 - unknown.reshape(rows, size, columns, size).mean(axis=(1, 3)).ravel()
    counts = np.zeros(4, int)
    for source, target in sample.corr(1, 2).tolist():
        if known[source] >= KNOWN_SHARE:
            counts[_place(there.get(source), target, patches.grid(sizes[1], size)[0])] += 1
    return counts


def _place(truth: int | None, target: int, columns: int) -> int:
    if truth is None:
        return 3
    down, right = abs(truth // columns - target // columns), abs(truth % columns - target % columns)
    return 0 if truth == target else 1 if max(down, right) == 1 else 2


def table(shards: Shards) -> Iterator[str]:
    """Lines of a table by parallax."""
    found = [(s.meta["edges"][0]["parallax_px"], judged(s)) for s in shards.samples()]
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
    parser.add_argument("shards")
    parser.add_argument("--into", type=Path, help="a page with the markers of two_miners")
    args = parser.parse_args()
    lines = list(table(Shards(args.shards)))
    print("\n".join(lines))
    if args.into:
        fill(args.into, "two_miners", "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
