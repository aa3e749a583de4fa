"""Truth and yield: every mined pair of a real walk judged by co-visibility from depth and pose.

    python benchmarks/truth.py [--data ../shared/data] [--into docs/overlap.md]

The video ``videos/office_walk_vp9.webm`` is the footage of ``rgbd/hololens_000``: frame 5k of the
video is the k-th file of the folder. Prints, as markdown: precision, yield and recall of both
presets and of the peer's plain procedure; and the rank correlation of each overlap measure with the
true overlap, by parallax.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from document import print_tables

from mimic import sources
from mimic.config import Config, load_config
from mimic.opencv import decode_png
from mimic.types import SourceItem, WorkUnit
from mimic.unit import run_unit

VIDEO_FPS = 15
VIDEO_FRAMES_PER_FILE = 5
RIGHT = (0.4, 0.85)
WANTED = (0.5, 0.75)
WITHIN_FILES = 6  # two seconds at three files a second
TOLERANCE = 0.05


@dataclass(frozen=True)
class Walk:
    """Depth (n, h, w) in metres (0 = none), intrinsics (3, 3), camera-to-world (n, 4, 4)."""

    depth_m: np.ndarray
    intrinsics: np.ndarray
    cam_to_world: np.ndarray


def load_walk(folder: Path) -> Walk:
    """The RGB-D sequence in its plain layout."""
    files = sorted((folder / "depth").glob("*.png"))
    depth = np.stack([decode_png(f.read_bytes()).astype(np.float32) / 1000 for f in files])
    poses = np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)
    return Walk(depth, np.loadtxt(folder / "K.txt").reshape(3, 3), poses)


def covisible_share(walk: Walk, i: int, j: int, holes_count: bool, step: int = 2) -> float:
    """Share of view i's valid pixels that view j sees too, within 5 % in depth.

    A pixel that lands where view j has no depth is unknown: left out of the share, or, with
    ``holes_count``, counted as not seen (the pessimist's truth).
    """
    depth_i, depth_j = walk.depth_m[i], walk.depth_m[j]
    height, width = depth_i.shape
    v, u = np.mgrid[0:height:step, 0:width:step]
    z = depth_i[v, u]
    v, u, z = v[z > 0], u[z > 0], z[z > 0]
    rays = np.linalg.inv(walk.intrinsics) @ np.stack([u + 0.5, v + 0.5, np.ones_like(u)])
    i_to_j = np.linalg.inv(walk.cam_to_world[j]) @ walk.cam_to_world[i]
    points = i_to_j[:3, :3] @ (rays * z) + i_to_j[:3, 3:]
    front = points[2] > 0.05
    projected = walk.intrinsics @ points[:, front]
    x = np.floor(projected[0] / projected[2]).astype(int)
    y = np.floor(projected[1] / projected[2]).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    seen = depth_j[y[inside], x[inside]]
    expected = points[2, front][inside]
    covisible = (seen > 0) & (np.abs(seen - expected) <= TOLERANCE * expected)
    unknown = 0 if holes_count else (seen == 0).sum()
    return float(covisible.sum() / max(len(z) - unknown, 1))


class Truth:
    """True overlap of two files of the walk, computed once each."""

    def __init__(self, walk: Walk, holes_count: bool = False) -> None:
        self._walk = walk
        self._holes_count = holes_count
        self._known: dict[tuple[int, int], float] = {}

    def overlap(self, i: int, j: int) -> float:
        """The smaller of the two directions."""
        if (i, j) not in self._known:
            self._known[i, j] = min(
                covisible_share(self._walk, a, b, self._holes_count) for a, b in ((i, j), (j, i))
            )
        return self._known[i, j]

    def anchors(self, both_ways: bool) -> set[int]:
        """Files for which one with a wanted overlap exists within two seconds."""
        n = len(self._walk.depth_m)
        found = set()
        for i in range(n):
            first = max(0, i - WITHIN_FILES) if both_ways else i + 1
            others = (j for j in range(first, min(n, i + WITHIN_FILES + 1)) if j != i)
            if any(WANTED[0] <= self.overlap(min(i, j), max(i, j)) <= WANTED[1] for j in others):
                found.add(i)
        return found


def mined_edges(video: Path, config: Config) -> Iterator[dict[str, object]]:
    """Rows of the edges table, with ``file_1`` and ``file_2`` on the walk's grid."""
    for item in sources.discover(str(video), config):
        assert isinstance(item, SourceItem), item
        for unit in sources.split(item, config):
            assert isinstance(unit, WorkUnit), unit
            part = run_unit(unit, config)
            pts = {row["frame_id"]: row["pts_s"] for row in part.frames}
            for row in part.edges:
                files = [pts[row[f"frame_{k}"]] * VIDEO_FPS / VIDEO_FRAMES_PER_FILE for k in (1, 2)]
                if all(
                    abs(f - round(f)) < 0.05 for f in files
                ):  # the last slot may lie off the grid
                    yield {**row, "file_1": round(files[0]), "file_2": round(files[1])}


def yield_row(name: str, edges: list[dict], truth: Truth, minutes: float) -> str:
    """One line of the table of precision, yield and recall."""
    kept = [e for e in edges if e["verdict"] == "kept"]
    right = [e for e in kept if RIGHT[0] <= truth.overlap(e["file_1"], e["file_2"]) <= RIGHT[1]]
    forward, both = truth.anchors(False), truth.anchors(True)
    found = {e["file_1"] for e in right}
    found_both = found | {e["file_2"] for e in right}
    precision = f"{len(right) / len(kept):.3f}" if kept else "-"
    return (
        f"| {name} | {len(edges)} | {len(kept)} | {len(kept) / minutes:.0f} | {precision} "
        f"| {len(found & forward)}/{len(forward)} = {len(found & forward) / len(forward):.3f} "
        f"| {len(found_both & both)}/{len(both)} = {len(found_both & both) / len(both):.3f} |"
    )


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, with ties at their mean rank."""

    def ranks(x: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def correlation_table(edges: list[dict], truth: Truth) -> Iterator[str]:
    """Rank correlation and mean error of each measure, by parallax, over verified pairs.

    Verified: at least 30 matches and half of them agree with the epipolar geometry.
    """
    verified = [
        e
        for e in edges
        if e["parallax_px"] is not None and e["epipolar_inliers"] >= max(30, e["matches"] / 2)
    ]
    true = np.array([truth.overlap(e["file_1"], e["file_2"]) for e in verified])
    parallax = np.array([e["parallax_px"] for e in verified])
    edges_px = [0, *np.quantile(parallax, [1 / 3, 2 / 3]), np.inf]
    yield "| parallax px | pairs | " + " | ".join(f"{m}: rank, error" for m in MEASURES) + " |"
    yield "| --- | --- | " + " | ".join("---" for _ in MEASURES) + " |"
    for low, high in [(0, np.inf), *itertools.pairwise(edges_px)]:
        chosen = (parallax >= low) & (parallax < high)
        cells = []
        for name in MEASURES:
            values = np.array([e[f"overlap_{name}"] or 0.0 for e in verified])[chosen]
            error = np.abs(values - true[chosen]).mean()
            cells.append(f"{rank_correlation(values, true[chosen]):.2f}, {error:.3f}")
        yield f"| {low:.1f} to {high:.1f} | {chosen.sum()} | " + " | ".join(cells) + " |"


MEASURES = ("patch", "area", "coverage", "support")


def tables(data: Path) -> Iterator[str]:
    """The lines of both tables."""
    video = data / "videos" / "office_walk_vp9.webm"
    walk = load_walk(data / "rgbd" / "hololens_000")
    truth, pessimist = Truth(walk), Truth(walk, holes_count=True)
    minutes = 373 / VIDEO_FPS / 60

    yield "| run | candidates | kept | kept a minute | precision | recall, forward | recall |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, config in RUNS.items():
        edges = list(mined_edges(video, config))
        yield yield_row(name, edges, truth, minutes)
        yield yield_row(f"{name}, holes count against", edges, pessimist, minutes)

    # Every pair within two seconds, whatever its verdict: what is each measure worth?
    exhaustive: list[dict] = []
    for stride in range(1, WITHIN_FILES + 1):
        config = load_config(assignments=(f"sampling.strides=[{stride}]",))
        exhaustive += mined_edges(video, config)
    yield ""
    yield from correlation_table(exhaustive, truth)


MEASURES = ("patch", "area", "coverage", "support")
NEIGHBOURS = "sampling.strides=[1]"
THREE_A_SECOND = "source.video.interval_s=0.3333333333333333"
RUNS = {
    "default": load_config(),
    "mimic": load_config("mimic"),
    "mimic, a frame every 1/3 s": load_config("mimic", assignments=(THREE_A_SECOND,)),
    "the peer's plain procedure (1 s neighbours)": load_config("mimic", assignments=(NEIGHBOURS,)),
    "the same, 1/3 s neighbours": load_config("mimic", assignments=(NEIGHBOURS, THREE_A_SECOND)),
}


if __name__ == "__main__":
    print_tables(__doc__, "truth", tables)
