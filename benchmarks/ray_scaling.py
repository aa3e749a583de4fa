"""Two Ray CPUs against one, start-up excluded.

    python benchmarks/ray_scaling.py [--source videos/]   (default: videos that the demo renders)

Each run mines the same source in a process of its own. The time is from the first hand-out of work
to the last settled unit, in the second of two rounds: the first one warms workers up (their imports
are start-up). Prints the times and their ratio; the target is 1.8.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

from mimic.config import load_config


def main() -> None:
    """Measure both, in turn, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default=None)
    parser.add_argument("--unit-s", type=float, default=8.0, help="seconds of footage in a unit")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=None, help="(one measurement, for itself)")
    args = parser.parse_args()
    if args.cpus is not None:
        print(json.dumps(measure(args.source, args.unit_s, args.cpus)))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = args.source or render(Path(folder))
        best = {}
        for cpus in (1, 2) * args.rounds:
            seconds = in_a_process(source, args.unit_s, cpus)
            best[cpus] = min(seconds, best.get(cpus, seconds))
            print(f"{cpus} CPU: {seconds:.2f} s", flush=True)
    print(f"ratio of the best: {best[1] / best[2]:.2f} (target 1.8)")


def in_a_process(source: str, unit_s: float, cpus: int) -> float:
    """One measurement in a fresh process."""
    command = [sys.executable, __file__, "--source", source, "--unit-s", str(unit_s)]
    done = subprocess.run(
        [*command, "--cpus", str(cpus)], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds: float = json.loads(done.stdout.splitlines()[-1])
    return seconds


def measure(source: str, unit_s: float, cpus: int) -> float:
    """Seconds to mine all units; workers are warm."""
    from mimic.unit import run_unit
    from pipelines.executors.ray import RayExecutor
    from pipelines.ledger import commit_unit
    from pipelines.plan import make_plan

    config = load_config(
        overrides={
            "run": {"cpus": cpus},
            "source": {"video": {"unit_s": unit_s, "probe_above_mb": 0}},
        }
    )
    units = make_plan(source, config).units
    with RayExecutor(config.run) as executor:
        for _ in range(2):
            with tempfile.TemporaryDirectory() as out:
                work = partial(commit_unit, config=config, out=out, mine_unit=run_unit)
                began = time.perf_counter()
                executor.run(units, work, lambda outcome: None, threading.Event())
                seconds = time.perf_counter() - began
    return seconds


def render(folder: Path) -> str:
    """Four videos of a camera going round a furnished room."""
    from mimic.demo import frames_along, furnished_room, orbit
    from mimic.pyav import write_video

    frames = list(frames_along(furnished_room(), orbit(240), size=(640, 480)))
    for number in range(4):
        write_video(folder / f"round-{number}.mp4", frames[number * 8 :], fps=10)
    return str(folder)


if __name__ == "__main__":
    main()
