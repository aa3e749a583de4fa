"""Two Ray CPUs against one, start-up excluded.

    python benchmarks/ray_scaling.py [--source videos/]   (default: videos that the demo renders)

Each run mines the same source in a process of its own. The time is from the first hand-out of work
to the last settled unit, after a few units that warm workers up (their imports are start-up).
Prints the times and their ratio; the target is 1.8. Other load on the machine takes its share of
two CPUs sooner than of one, so the load before each run is printed, and what does not depend on it:
how long the workers had work (``busy``), and the CPU time of the units and of the driver.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mimic.config import Config, load_config
from mimic.types import WorkUnit
from mimic.unit import run_unit
from pipelines.executors import Outcome
from pipelines.executors.ray import RayExecutor
from pipelines.ledger import commit_unit
from pipelines.plan import make_plan


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
        best: dict[int, float] = {}
        for cpus in (1, 2) * args.rounds:
            load = os.getloadavg()[0]
            run = in_a_process(source, args.unit_s, cpus)
            best[cpus] = min(run["wall_s"], best.get(cpus, run["wall_s"]))
            print(
                f"{cpus} CPU: {run['wall_s']:.2f} s, busy {run['busy']:.1%}, "
                f"{run['units']} units of {run['unit_cpu_s']:.2f} CPU s in all, driver "
                f"{run['driver_cpu_s']:.2f} CPU s (load before: {load:.1f})",
                flush=True,
            )
    print(f"ratio of the best: {best[1] / best[2]:.2f} (target 1.8)")


def in_a_process(source: str, unit_s: float, cpus: int) -> dict[str, float]:
    """One measurement in a fresh process."""
    command = [sys.executable, __file__, "--source", source, "--unit-s", str(unit_s)]
    done = subprocess.run(
        [*command, "--cpus", str(cpus)], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(source: str, unit_s: float, cpus: int) -> dict[str, float]:
    """Mine all units with warm workers; seconds, and where they went."""
    config = load_config(
        overrides={
            "run": {"cpus": cpus},
            "source": {"video": {"unit_s": unit_s, "probe_above_mb": 0}},
        }
    )
    units = make_plan(source, config).units
    with RayExecutor(config.run) as executor:
        mine(executor, units[: 2 * cpus], config)
        cpu, began = time.process_time(), time.perf_counter()
        outcomes = mine(executor, units, config)
        wall_s, driver_cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return {
        "wall_s": wall_s,
        "busy": sum(outcome.wall_s for outcome in outcomes) / (cpus * wall_s),
        "units": len(units),
        "unit_cpu_s": sum(outcome.cpu_s for outcome in outcomes),
        "driver_cpu_s": driver_cpu_s,
    }


def mine(executor: RayExecutor, units: Sequence[WorkUnit], config: Config) -> list[Outcome]:
    """Mine and commit units into a folder that is thrown away."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as out:
        work = partial(commit_unit, config=config, out=out, mine_unit=run_unit)
        executor.run(units, work, outcomes.append, threading.Event())
    return outcomes


def render(folder: Path) -> str:
    """Four videos of a camera going round a furnished room."""
    from mimic.demo import frames_along, orbit, write_room
    from mimic.pyav import write_video

    with tempfile.TemporaryDirectory() as elsewhere:  # or the scene would be mined, too
        room = write_room(Path(elsewhere) / "room.glb")
        frames = list(frames_along(room, orbit(240), size=(640, 480)))
    for number in range(4):
        write_video(folder / f"round-{number}.mp4", frames[number * 8 :], fps=10)
    return str(folder)


if __name__ == "__main__":
    main()
