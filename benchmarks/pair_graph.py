"""A graph of pairs by geometry: candidates, scores, selection; CPU time and recall.

    python benchmarks/pair_graph.py ../shared/data [--frames 1000] [--scene vr_gallery.glb]

One thread. The recall of candidates is taken against all pairs of the real sequences, and of a walk
through each scene. The graph, all pairs that share anything, is that of a random walk through a
scene, seen at 64 px by casting rays; the last table makes candidates, at most ``--most`` a frame,
for ten times as many frames of the same walk, going on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from mimic import opencv
from mimic.geometry.coarse import CoarseView, coarse_share
from mimic.geometry.covisibility import PosedDepth, covisible
from mimic.geometry.frusta import candidate_pairs, index_of
from mimic.geometry.poses import heading, look
from mimic.sampling.by_geometry import WISHES, partners_of, score, select
from mimic.simulators.base import Camera
from mimic.simulators.raycast import RaycastSimulator

T = TypeVar("T")
EYE = np.array([0, 1.5, 0])
CAMERA = Camera.pinhole((64, 48), 70.0)
SEQUENCES = ("hololens_000", "icl_livingroom1")
SCENES = ("vr_gallery.glb", "hololens_scan.glb", "sponza_512.glb")
PRIMESENSE = np.array([[525.0, 0, 320], [0, 525, 240], [0, 0, 1]])
ALL_PAIRS = 150  # frames of which all pairs are tried


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def real(folder: Path) -> list[PosedDepth]:
    """A real sequence at about 64 px."""
    poses = np.loadtxt(folder / "poses.txt")[:, -16:].reshape(-1, 4, 4)
    stated = folder / "K.txt"
    camera = np.loadtxt(stated) if stated.exists() else PRIMESENSE
    views = []
    for path, pose in zip(sorted((folder / "depth").glob("*.png")), poses, strict=True):
        depth = opencv.decode_png(path.read_bytes()).astype(np.float32) / np.float32(1000)
        step = depth.shape[1] // 64
        intrinsics = np.diag([1 / step, 1 / step, 1]) @ camera
        views.append(PosedDepth(depth[step // 2 :: step, step // 2 :: step], intrinsics, pose))
    return views


def walk(scene: Path, frames: int, step_m: float, turn_deg: float) -> list[PosedDepth]:
    """A random walk through a scene: ahead as far as the floor goes, turning as it likes."""
    simulator = RaycastSimulator(scene, scene.name, "y", agent_radius_m=0.1, agent_height_m=1.5)
    rng = np.random.default_rng(0)
    place, yaw_deg, turning = simulator.random_point(rng), 0.0, 0.0
    views: list[PosedDepth] = []
    while len(views) < frames:
        turning = 0.9 * turning + rng.normal(0, turn_deg)
        yaw_deg += turning
        ahead = simulator.step(place, place + step_m * heading(yaw_deg), slide=True)
        if np.linalg.norm(ahead - place) < step_m / 4:
            yaw_deg += 15.0
        place = ahead
        pose = look(place + EYE, yaw_deg, rng.normal(0, 4))
        depth = simulator.depth(CAMERA, pose)
        if (depth > 0).mean() > 0.3:
            views.append(PosedDepth(depth, CAMERA.intrinsics, pose))
        else:
            place = simulator.random_point(rng)
    return views


def recall_rows(name: str, views: list[PosedDepth]) -> None:
    """Rows of the first table: candidates against all pairs."""
    prepared = [CoarseView.of(view) for view in views]
    count = len(views)
    every = np.stack(np.triu_indices(count, 1), axis=1)
    truth_s, truth = timed(
        lambda: np.array([covisible(views[i], views[j]).smaller for i, j in every.tolist()])
    )
    for low in (0.05, 0.5):
        cpu_s, found = timed(partial(candidate_pairs, prepared, low, most=count))
        is_found = np.zeros((count, count), dtype=bool)
        is_found[tuple(found.T)] = True
        hit, wanted = is_found[tuple(every.T)], truth >= low
        print(
            f"| {name} | {count} | {low} | {len(every)} | {wanted.sum()} | {len(found)} "
            f"| **{hit[wanted].mean():.4f}** | {wanted[hit].mean():.2f} "
            f"| {1000 * cpu_s / count:.2f} | {1000 * truth_s / len(every) / 2:.3f} |",
            flush=True,
        )


def graph(views: list[CoarseView], most: int) -> None:
    """The second table: a graph and what is chosen from it."""
    count = len(views)
    cpu_s, pairs = timed(lambda: candidate_pairs(views, 0.05, most))
    total_s = cpu_s
    print(f"| candidates, {most} a frame at most | {len(pairs)} | {cpu_s:.2f} | ", end="")
    print(f"{1000 * cpu_s / count:.2f} ms a frame |")
    few = pairs[:: max(1, len(pairs) // 20_000)].tolist()
    cpu_s, _ = timed(lambda: [coarse_share(views[i], views[j]) for i, j in few])
    print(f"| share alone | {len(few)} | {cpu_s:.2f} | {1000 * cpu_s / len(few):.4f} ms ", end="")
    print("a directed pair |")
    cpu_s, scores = timed(lambda: score(views, pairs))
    total_s += cpu_s
    print(f"| scores: both shares, scale, angle | {len(pairs)} | {cpu_s:.2f} ", end="")
    print(f"| **{1000 * cpu_s / len(pairs) / 2:.4f} ms a directed pair** |", flush=True)
    for name, wish in WISHES.items():
        limit = int(wish.pairs_per_frame * count)
        cpu_s, rows = timed(partial(select, scores, wish, 0, limit))
        overlaps = np.bincount(scores.bins[rows] // 16, minlength=5)
        print(f"| select {name}, at most {limit} | {len(rows)} | {cpu_s:.2f} ", end="")
        print(f"| by overlap {overlaps.tolist()}, {len(set(scores.bins[rows].tolist()))} bins |")
    supply = np.bincount(scores.bins[scores.bins >= 0] // 16, minlength=5)
    print(f"| graph in all | {len(pairs)} | **{total_s:.1f}** | supply {supply.tolist()} |")
    unit = range(count // 2, count // 2 + 100)
    for name in ("cub3-all", "rubik"):
        cpu_s, found = timed(partial(partners_of, unit, views, WISHES[name], 0))
        print(f"| a unit of 100 frames, {name} | {len(found)} | {cpu_s:.2f} | index included |")


def growth(views: list[CoarseView], most: int) -> None:
    """The third table: candidates for more and more frames."""
    for count in (1000, 2000, 5000, 10_000):
        if count > len(views):
            break
        index_s, _ = timed(partial(index_of, views[:count]))
        cpu_s, pairs = timed(partial(candidate_pairs, views[:count], 0.05, most))
        print(
            f"| {count} | {index_s:.2f} | {cpu_s:.2f} | {1000 * cpu_s / count:.2f} "
            f"| {len(pairs)} | {len(pairs) / count:.0f} |",
            flush=True,
        )


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--most", type=int, default=128)
    parser.add_argument("--scene", default="vr_gallery.glb")
    args = parser.parse_args()
    print(
        "| sequence | frames | overlap | pairs | with it | candidates | recall | precision ", end=""
    )
    print("| candidates, CPU ms a frame | the full share, ms a directed pair |")
    print("| --- " * 10 + "|")
    for name in SEQUENCES:
        recall_rows(name, real(args.data / "rgbd" / name))
    for name in SCENES:
        recall_rows(f"walk in {name}", walk(args.data / "scenes" / name, ALL_PAIRS, 0.4, 8.0))
    depths = walk(args.data / "scenes" / args.scene, 10 * args.frames, 0.1, 2.0)
    cpu_s, views = timed(lambda: [CoarseView.of(depth) for depth in depths])
    print(f"\nprepared: {1000 * cpu_s / len(views):.2f} CPU ms a frame\n")
    print(f"| step ({args.frames} frames) | pairs | CPU s | |\n| --- | --- | --- | --- |")
    graph(views[: args.frames], args.frames)
    print("\n| frames | index, CPU s | candidates, CPU s | ms a frame | pairs | a frame |")
    print("| --- " * 6 + "|")
    growth(views, args.most)
    return 0


if __name__ == "__main__":
    with threadpool_limits(1):
        sys.exit(main())
