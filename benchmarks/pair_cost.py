"""CPU time of a candidate pair at 224 px under preset mimic, as a ratio to one SIFT detection.

    python benchmarks/pair_cost.py ../shared/data/videos/gopro_path_walk.mp4

Decoding is excluded. A candidate pair brings one new frame: it is stored, measured and detected
once, then matched with the frame before. Each stage is the best of several runs; the sum over all
pairs of a video is compared with the sum of the detections, in one run, so the machine cancels out.
"""

from __future__ import annotations

import functools
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from mimic import filters, views
from mimic.config import load_config
from mimic.geometry import overlap, patches
from mimic.matching.match import match
from mimic.matching.measure import measure
from mimic.matching.robust import estimate
from mimic.pyav import open_video
from mimic.types import Frame, View

EVERY_S = 0.5
ROUNDS = 7
CONFIG = load_config("mimic")
T = TypeVar("T")


def frames_of(path: str) -> list[Frame]:
    """A frame each half second."""
    frames: list[Frame] = []
    with open(path, "rb") as file, open_video(file, path) as video:  # noqa: PTH123
        for decoded in video.decode():
            time_s = float(decoded.time_s)
            if time_s >= len(frames) * EVERY_S:
                slot = len(frames)
                frames.append(Frame(str(slot), slot, f"{time_s:.3f}", time_s, 0, decoded.rgb()))
    return frames


def timed(stage: list[float], work: Callable[[], T]) -> T:
    """Run several times; note the best CPU time in milliseconds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        result = work()
        best = min(best, (time.process_time_ns() - start) / 1e6)
    stage.append(best)
    return result


def prepared(frame: Frame, stages: dict[str, list[float]]) -> View:
    """Store and detect a frame."""
    view = timed(stages["store and measure the frame"], lambda: views.stored_view(frame, CONFIG))
    return timed(stages["detect (SIFT)"], lambda: views.with_features(view, CONFIG))


def stages_of(view_1: View, view_2: View, stages: dict[str, list[float]]) -> None:
    """The stages inside a pair, for the breakdown only."""
    one, two = view_1.features, view_2.features
    assert one is not None
    assert two is not None
    matches = timed(stages["- match"], lambda: match(one, two, CONFIG.match))
    if len(matches) < CONFIG.filters.min_matches:
        return
    sizes = view_1.size, view_2.size
    found = timed(stages["- RANSAC"], lambda: estimate(matches, *sizes, CONFIG.verify))
    homography = found.homography
    if homography is None:
        return
    both = timed(stages["- map pixels"], lambda: patches.landings(homography, *sizes))
    assert both is not None
    patch_size = CONFIG.overlap.patch_size
    timed(stages["- patch vote"], lambda: patches.patch_map(*both, patch_size, True))
    timed(stages["- area"], lambda: [overlap.area(landing) for landing in both])


def main() -> None:
    """Print the table."""
    path = sys.argv[1] if len(sys.argv) > 1 else "../shared/data/videos/gopro_path_walk.mp4"
    stages: dict[str, list[float]] = defaultdict(list)
    seen = [prepared(frame, stages) for frame in frames_of(path)]
    homographies = 0
    for view_1, view_2 in itertools.pairwise(seen):
        measures = timed(stages["pair"], functools.partial(measure, view_1, view_2, 0.5, CONFIG))
        timed(stages["judge"], functools.partial(filters.judge, view_1, view_2, measures, CONFIG))
        homographies += measures.homography is not None
        stages_of(view_1, view_2, stages)
    means = {name: sum(times) / len(times) for name, times in stages.items()}
    detect = means["detect (SIFT)"]
    total = sum(value for name, value in means.items() if not name.startswith("- "))
    keypoints = sum(len(view.features or ()) for view in seen) / len(seen)
    print(
        f"{len(seen)} frames, {keypoints:.0f} keypoints, {homographies} pairs with a homography\n"
    )
    print("| stage | CPU ms | x one detection |\n| --- | --- | --- |")
    for name, value in means.items():
        print(f"| {name} | {value:.2f} | {value / detect:.3f} |")
    print(f"| **a candidate pair** | {total:.2f} | **{total / detect:.2f}** |")


if __name__ == "__main__":
    main()
