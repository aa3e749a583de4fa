"""CPU time of the driver for one unit on a real Ray, by the number of leases in flight.

    python benchmarks/driver_load.py [--units 4000]

Workers do nothing, so that the driver is what is measured. ``--window`` stands for 2 leases a CPU
of a cluster: the driver keeps that many streams open whatever this machine has.
"""

from __future__ import annotations

import argparse
import threading
import time

from mimic.config import RunConfig
from mimic.ids import stable_id
from mimic.types import SourceItem, Span, WorkUnit
from pipelines.executors import ray as ours
from schemas import UnitReport


def main() -> None:
    """Print one line a window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=4000)
    parser.add_argument("--window", type=int, nargs="*", default=[4, 64, 512])
    args = parser.parse_args()
    with ours.RayExecutor(RunConfig(cpus=2)) as executor:
        executor.run(units_of(8), nothing, lambda outcome: None, threading.Event())
        for window in args.window:
            ours._Flight._count_cpus = lambda self, w=window: w // ours.LEASES_PER_CPU  # type: ignore[method-assign,misc]
            cpu, wall = time.process_time(), time.perf_counter()
            executor.run(units_of(args.units), nothing, lambda outcome: None, threading.Event())
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            print(
                f"{window} leases in flight: {1000 * cpu / args.units:.2f} ms of driver CPU a "
                f"unit, {args.units / wall:.0f} units/s in all",
                flush=True,
            )


def nothing(unit: WorkUnit) -> UnitReport:
    """The report of a unit that did nothing."""
    counts = {"candidates": 180, "frames": 180, "kept": 100, "overlap_low": 80, "stored": 200}
    return UnitReport(unit.unit_id, unit.item.name, "done", counts)


def units_of(count: int) -> list[WorkUnit]:
    """As many units, each an item of its own."""
    names = [f"folder/video-{number:07d}.mp4" for number in range(count)]
    return [
        WorkUnit(
            stable_id(name),
            SourceItem("video", f"s3://bucket/{name}", name, stable_id(name), 10**8, name),
            Span(0, None),
            0,
            60.0,
            25.0,
            100.0,
        )
        for name in names
    ]


if __name__ == "__main__":
    main()
