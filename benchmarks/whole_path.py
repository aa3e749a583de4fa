"""The whole path of a unit against its unavoidable parts, in one run, in CPU time.

    python benchmarks/whole_path.py VIDEO [VIDEO ...] [--preset mimic] [--repeats 3]

Unavoidable: decoding the needed frames, one detection for each of them, and JPEG encoding of the
kept. Prints, as markdown, the CPU seconds of both sides, their ratio, and where the rest goes.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
from collections.abc import Callable

from mimic import opencv, sources, views
from mimic.config import Config, load_config
from mimic.sampling import margin_slots
from mimic.types import Part, SourceItem, WorkUnit
from mimic.unit import run_unit


def units_of(video: str, config: Config) -> list[WorkUnit]:
    """All work units of one video."""
    items = [i for i in sources.discover(video, config) if isinstance(i, SourceItem)]
    return [u for i in items for u in sources.split(i, config) if isinstance(u, WorkUnit)]


def unavoidable(units: list[WorkUnit], parts: list[Part], config: Config) -> None:
    """Decode the grid frames, detect once on each, encode what the real run kept."""
    for unit, part in zip(units, parts, strict=True):
        margin = margin_slots("sequence", config.sampling)
        with sources.open_unit(unit, config, margin) as frames:
            for frame in frames:
                view = views.with_features(views.stored_view(frame, config), config)
                if frame.frame_id in part.jpegs:
                    opencv.encode_jpeg(view.stored, config.image.jpeg_quality)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Process CPU time of one call."""
    before = time.process_time()
    work()
    return time.process_time() - before


def compare(video: str, config: Config, repeats: int) -> str:
    """One line of the table; the two sides alternate."""
    units = units_of(video, config)
    parts = [run_unit(unit, config) for unit in units]  # also the warm-up
    path, floor = [], []
    for _ in range(repeats):
        path.append(cpu_seconds(lambda: [run_unit(unit, config) for unit in units]))
        floor.append(cpu_seconds(lambda: unavoidable(units, parts, config)))
    ratios = [a / b for a, b in zip(path, floor, strict=True)]
    edges = sum(len(part.edges) for part in parts)
    frames = sum(len(part.frames) for part in parts)
    return (
        f"| {video.rsplit('/', 1)[-1]} | {frames} | {edges} | {statistics.median(path):.2f} "
        f"| {statistics.median(floor):.2f} | {statistics.median(ratios):.2f} |"
    )


def main() -> None:
    """Print the table, then the profile of the last video."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--preset", default="default", choices=["default", "mimic"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    config = load_config(arguments.preset)
    print("| video | frames | candidates | path CPU s | unavoidable CPU s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for video in arguments.videos:
        print(compare(video, config, arguments.repeats), flush=True)
    if arguments.profile:
        units = units_of(arguments.videos[-1], config)
        profile = cProfile.Profile()
        profile.runcall(lambda: [run_unit(unit, config) for unit in units])
        pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
