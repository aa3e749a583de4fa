"""CPU seconds per kept pair of walks through scenes, against the peer's recipe on the same views.

    python benchmarks/walk_cost.py ../shared/data/scenes/vr_gallery.glb [MORE] [--samples 10]

The peer's recipe for one walk: its 24 views are paired 8 by 16; each of the 128 tests detects both
views again (256 detections), matches them by brute force, fits a homography and votes by random
pixels; the smallest overlap in (0.5, 0.75) is kept. It is written from its description
(tests/matching/peer.py) and pays for the same rendering. Its Laplacian gate, which saves tests in
scenes of little texture, is tried, too. Loading a scene and mapping its floor are left out of all,
because they are paid once.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import cv2

from mimic import opencv, sources
from mimic.config import Config, load_config
from mimic.sampling.unseen import Unseen
from mimic.types import Frame, SourceItem, WorkUnit
from mimic.unit import run_unit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.matching import peer

SHARPNESS = 1000.0
LOW, HIGH = 0.5, 0.75
WAYS: dict[str, tuple[str, ...]] = {
    "walk mimic": (),
    "walk mimic, all 128 pairs": ("sampling.walk=smallest",),
    "walk croco": ("source.scene.walk=croco",),
    "walk croco, by depth": ("source.scene.walk=croco", "overlap.measure=covis"),
}


def unit_of(scene: str, config: Config) -> WorkUnit:
    """The first unit of a scene."""
    item = next(iter(sources.discover(scene, config)))
    assert isinstance(item, SourceItem), item
    return sources.split(item, config)[0]


def config_of(samples: int, sets: Iterable[str], preset: str = "default") -> Config:
    """One unit of so many walks."""
    size = (f"source.scene.max_samples={samples}", f"source.scene.unit_samples={samples}")
    base = {"preset": preset, "source": {"scene": {"min_island_m": 0.5}}}
    return load_config(overrides=base, assignments=(*size, *sets))


def ours(scene: str, config: Config) -> tuple[float, int]:
    """CPU seconds and kept pairs of a unit."""
    unit = unit_of(scene, config)
    with sources.open_unit(unit, config, 0) as frames:
        next(frames, None)  # the scene is loaded, its floor mapped
    start = time.process_time()
    part = run_unit(unit, config)
    cpu_s = time.process_time() - start
    return cpu_s, sum(row["verdict"] == "kept" for row in part.edges)


def of_peer(scene: str, samples: int, min_sharpness: float) -> tuple[float, int]:
    """The same of the peer's recipe."""
    config = config_of(samples, (), "mimic")
    start, kept = time.process_time(), 0
    with sources.open_unit(unit_of(scene, config), config, 0) as frames:
        for _, walk in groupby(frames, key=lambda unseen: unseen.slot // 24):
            views = [unseen.look() if isinstance(unseen, Unseen) else unseen for unseen in walk]
            kept += kept_by_peer(views, min_sharpness)
    return time.process_time() - start, kept


def kept_by_peer(views: list[Frame], min_sharpness: float) -> bool:
    """Whether a walk gives a pair; all 128 tests are made, to find the smallest overlap."""
    overlaps = []
    for anchor in views[:8]:
        for other in views[8:]:
            if min(sharpness(anchor), sharpness(other)) < min_sharpness:
                continue
            matrix = peer.homography(anchor.rgb, other.rgb)
            if not isinstance(matrix, str):
                overlaps.append(peer.overlap(matrix, seed=0))
    return any(LOW < value < HIGH for value in overlaps)


def sharpness(frame: Frame) -> float:
    """Variance of the Laplacian: the gate is asked in each test, as the peer does."""
    return opencv.laplacian_variance(opencv.to_gray(frame.rgb))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="+")
    parser.add_argument("--samples", type=int, default=10)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    print("| scene | way | walks | kept | CPU s a walk | CPU s a kept pair | peer / this |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for scene in args.scenes:
        ways = {
            "the peer's recipe": of_peer(scene, args.samples, 0),
            "the same, with its Laplacian gate": of_peer(scene, args.samples, SHARPNESS),
        }
        for way, sets in WAYS.items():
            ways[way] = ours(scene, config_of(args.samples, sets))
        peer_s, peer_kept = ways["the peer's recipe"]
        for way, (cpu_s, kept) in ways.items():
            each = cpu_s / kept if kept else float("nan")
            ratio = (peer_s / peer_kept) / each if peer_kept and kept else float("nan")
            print(
                f"| {Path(scene).stem} | {way} | {args.samples} | {kept} "
                f"| {cpu_s / args.samples:.2f} | {each:.2f} | {ratio:.1f} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
