"""Planning many small files, step by step, against a bare walk with one stat a file.

    python benchmarks/plan_speed.py [--files 100000] [--folders 100]

The files are a few hundred bytes with names of videos, so that what is measured is the planner's
own work: listing, recognising, fingerprinting (each file is opened and read), cutting into units,
and writing the plan. Reading is from the page cache; a cold disk or an object store adds its
latency times the number of files over 16 threads. The target is a minute plus the bare walk.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mimic import sources
from mimic.config import Config, load_config
from mimic.storage import Storage
from mimic.types import SourceItem
from pipelines.estimate import sharpened
from pipelines.plan import plan_of, write_plan

_T = TypeVar("_T")
TARGET_S = 60.0


def main() -> None:
    """Print the seconds of each step, and of all against the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folders", type=int, default=100)
    arguments = parser.parse_args()
    config = load_config()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder, "videos")
        timed("(making the files)", lambda: make_files(where, arguments.files, arguments.folders))
        walk_s, _ = timed("bare scandir and stat", lambda: walk(where))
        began = time.perf_counter()
        _, found = timed("recognise", lambda: sources.recognise(str(where), config))
        _, items = timed("discover", lambda: items_of(found, config))
        _, units = timed("split", lambda: [u for i in items for u in sources.split(i, config)])
        _, plan = timed("order", lambda: plan_of(units))
        timed("write", lambda: write_plan(plan, Storage(Path(folder, "out"))))
        whole_s = time.perf_counter() - began
        timed("sharpen estimates (`mimic plan` alone)", lambda: sharpened(plan, config))
    print(f"{len(plan.units)} units in {whole_s:.1f} s; target {TARGET_S + walk_s:.1f} s")


def timed(what: str, step: Callable[[], _T]) -> tuple[float, _T]:
    """Run a step and print its seconds."""
    began = time.perf_counter()
    result = step()
    seconds = time.perf_counter() - began
    print(f"{seconds:8.2f} s  {what}", flush=True)
    return seconds, result


def items_of(found: sources.Recognised, config: Config) -> list[SourceItem]:
    """What will be mined."""
    return [item for item in sources.discover(found, config) if isinstance(item, SourceItem)]


def make_files(where: Path, files: int, folders: int) -> None:
    """Distinct small files, spread over folders."""
    for number in range(folders):
        (where / f"{number:04d}").mkdir(parents=True)
    for number in range(files):
        path = where / f"{number % folders:04d}" / f"{number:07d}.mp4"
        path.write_bytes(f"{number}:".encode() * 40)


def walk(folder: Path) -> int:
    """Bytes below a folder, with one stat a file: what no planner can do without."""
    total = 0
    with os.scandir(folder) as children:
        for child in children:
            total += walk(Path(child.path)) if child.is_dir() else child.stat().st_size
    return total


if __name__ == "__main__":
    main()
