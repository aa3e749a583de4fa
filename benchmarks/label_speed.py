"""CPU time of co-visibility on a real pair, as a ratio to CroCo's recipe, side by side in one run.

    python benchmarks/label_speed.py [--data ../shared/data] [--into docs/results.md]

CroCo asks of every 3-D point whether the other view has one within 5 cm (kd-trees, both ways). All
on one thread, 256 x 256 pixels; each the best of several rounds in turn, decoding excluded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from document import print_tables
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from mimic import opencv
from mimic.geometry.coarse import CoarseView, coarse_share
from mimic.geometry.covisibility import (
    PosedDepth,
    Tolerance,
    covisible,
    covisible_share,
    labels,
    scale_and_angle,
    seen_both,
    seen_from,
)
from mimic.geometry.poses import back_projected

SIZE = (256, 256)
PAIR = (53, 55)  # of the kept frames of hololens_000: 0.6 of each is seen by the other
CROCO_M = 0.05
ROUNDS = 15


def frames(folder: Path) -> list[PosedDepth]:
    """Depth and pose of a recording, squashed to 256 x 256."""
    poses = np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)
    intrinsics = np.loadtxt(folder / "K.txt")
    views = []
    for file, pose in zip(sorted((folder / "depth").iterdir()), poses, strict=True):
        depth_m = (opencv.decode_png(file.read_bytes()) / 1000).astype(np.float32)
        height, width = depth_m.shape
        squash = np.diag([SIZE[0] / width, SIZE[1] / height, 1.0])
        views.append(PosedDepth(opencv.resize_depth(depth_m, SIZE), squash @ intrinsics, pose))
    return views


def nearest_neighbours(view: PosedDepth, other: PosedDepth) -> tuple[float, float]:
    """CroCo's recipe: the share of points with a point of the other view within 5 cm."""
    one, two = (back_projected(v.depth_m, v.intrinsics, v.cam_to_world) for v in (view, other))
    shares = []
    for points, others in ((one, two), (two, one)):
        distance, _ = cKDTree(others).query(points, workers=1)
        shares.append(float((distance < CROCO_M).mean()))
    return shares[0], shares[1]


def best_ms(stages: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least CPU time of each stage; rounds go over all of them, so that load hits all alike."""
    best = dict.fromkeys(stages, float("inf"))
    for _ in range(ROUNDS):
        for name, work in stages.items():
            start = time.process_time_ns()
            work()
            best[name] = min(best[name], (time.process_time_ns() - start) / 1e6)
    return best


def rows(data: Path) -> Iterator[str]:
    """The tables."""
    views = frames(data / "rgbd" / "hololens_000")
    one, two = views[PAIR[0]], views[PAIR[1]]
    seen = seen_from(one, two)
    coarse = [CoarseView.of(view) for view in views]
    pairs = [(i, j) for i in range(0, len(views), 2) for j in range(len(views)) if i != j]
    slow = "CroCo's recipe, both ways"
    many = f"{len(pairs)} directed pairs, coarse"
    stages: dict[str, Callable[[], object]] = {
        slow: lambda: nearest_neighbours(one, two),
        "co-visible shares, both ways": lambda: covisible(one, two),
        "the same, depth alone": lambda: covisible(one, two, Tolerance(normals=False)),
        "label maps, both ways": lambda: seen_both(one, two),
        "one label map": lambda: labels(one, two),
        "scale ratio and viewpoint angle": lambda: scale_and_angle(one, two, seen),
        "a frame prepared for coarse shares": lambda: CoarseView.of(one),
        many: lambda: [coarse_share(coarse[i], coarse[j]) for i, j in pairs],
    }
    times = best_ms(stages)
    times["a directed pair, coarse"] = times.pop(many) / len(pairs)
    yield "| stage | CPU ms | times faster than CroCo's recipe |\n| --- | --- | --- |"
    for name, value in times.items():
        yield f"| {name} | {value:.3f} | {times[slow] / value:.0f} |"
    yield ""
    shares, theirs = covisible(one, two), nearest_neighbours(one, two)
    yield f"The pair: {shares.forward:.3f} and {shares.backward:.3f} of what is known, "
    yield f"{theirs[0]:.3f} and {theirs[1]:.3f} by CroCo's recipe."
    yield ""
    full = np.array([covisible_share(labels(views[i], views[j])) for i, j in pairs[::5]])
    error = np.abs([coarse_share(coarse[i], coarse[j]) for i, j in pairs[::5]] - full)
    yield "| coarse shares against full ones | directed pairs | mean error | 95 % | largest |"
    yield "| --- " * 5 + "|"
    for name, which in (("all", full >= 0), ("that overlap", full > 0.02)):
        far = np.percentile(error[which], 95)
        yield (
            f"| {name} | {which.sum()} | {error[which].mean():.4f} | {far:.3f} "
            f"| {error[which].max():.3f} |"
        )


def tables(data: Path) -> Iterator[str]:
    """The tables, on one thread."""
    with threadpool_limits(limits=1):
        yield from rows(data)


if __name__ == "__main__":
    print_tables(__doc__ or "", "label_speed", tables)
