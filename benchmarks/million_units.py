"""A plan of a million units through the lease bookkeeping and the ledger, with fake work.

    python benchmarks/million_units.py [--units 1000000] [--markers 100000]

No Ray: leases are dealt out and settled in this process, so that what is measured is the driver's
own part: memory, leases a second, writing and reading the plan, and loading a ledger of markers
(written to a temporary folder). Figures for docs/scale.md.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mimic.ids import seed_of, stable_id
from mimic.storage import Storage
from mimic.types import SourceItem, Span, WorkUnit
from pipelines.executors.base import Outcome, death_failure
from pipelines.executors.leases import Lease, LeaseBook
from pipelines.ledger import DONE, Ledger
from pipelines.plan import PLAN_NAME, Plan, plan_of, read_plan, write_plan
from schemas import PartFile, UnitReport
from schemas.marker import dump

UNITS_PER_ITEM = 10
CPUS = 32_000
DEATHS = 0.001
REASONS = ("kept", "few_matches", "overlap_low", "overlap_high", "cut", "static", "not_chosen")


def main() -> None:
    """Run it all and print one line a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=1_000_000)
    parser.add_argument("--markers", type=int, default=100_000)
    args = parser.parse_args()
    say("start", 0.0)
    plan = timed("make the plan", lambda: plan_of(units_of(args.units)))
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(folder)
        timed("write the plan", lambda: write_plan(plan, storage))
        size = storage.size(PLAN_NAME) / args.units
        print(f"  plan.parquet: {size:.0f} bytes a unit")
        plan = timed("read the plan", lambda: read_plan(storage))
    timed("deal out and settle all leases", lambda: simulate(plan))
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(folder)
        write_markers(storage, plan, args.markers)
        state = timed(f"load a ledger of {args.markers} markers", lambda: Ledger(storage).load())
        assert len(state.reports) == args.markers


def units_of(count: int) -> list[WorkUnit]:
    """Units as videos of ten minutes give them."""
    units = []
    for number in range(count):
        video, place = divmod(number, UNITS_PER_ITEM)
        if place == 0:
            name = f"folder-{video % 1000:03d}/video-{video:07d}.mp4"
            item = SourceItem("video", f"s3://bucket/{name}", name, stable_id(name), 10**8, name)
        unit_id = stable_id(item.fingerprint, place)
        span = Span(place * 180, (place + 1) * 180)
        units.append(WorkUnit(unit_id, item, span, seed_of(unit_id), 60.0, 25.0, 100.0))
    return units


def simulate(plan: Plan) -> None:
    """32,000 workers, two leases each in flight, one attempt in a thousand kills its worker."""
    draw = random.Random(0)  # noqa: S311  # a simulation keeps no secrets
    book = LeaseBook(plan.units, lease_size=4, attempts=2)
    flight: deque[Lease] = deque()
    leases = reports = failures = 0
    while not book.finished:
        while len(flight) < 2 * CPUS and (lease := book.take(CPUS)) is not None:
            flight.append(lease)
            leases += 1
        lease = flight.popleft()
        while lease.units:
            unit = lease.units[0]
            if draw.random() < DEATHS:
                outcome = book.broken(lease, death_failure(unit))
                failures += outcome is not None and outcome.final
                break
            book.reported(lease, Outcome(report_of(unit), True, 60.0, 25.0))
            reports += 1
    print(f"  {leases} leases, {reports} reports, {failures} units failed")
    assert reports + failures == len(plan.units)


def report_of(unit: WorkUnit) -> UnitReport:
    """A report of the usual size."""
    counts = {"candidates": 180, "frames": 180, "stored": 200} | dict.fromkeys(REASONS, 25)
    part = PartFile(f".mimic/parts/{unit.unit_id}.tar", 10**7, "0" * 64, (1, 2), (3, 4))
    return UnitReport(unit.unit_id, unit.item.name, "done", counts, part)


def write_markers(storage: Storage, plan: Plan, count: int) -> None:
    """Markers as a run leaves them, and sparse parts of the size that they say."""
    root = storage.local_path()
    assert root is not None
    for unit in plan.units[:count]:
        report = report_of(unit)
        assert report.part is not None
        for name, text, size in (
            (f"{DONE}/{unit.unit_id}.json", dump(report), None),
            (report.part.name, "", report.part.size),
        ):
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w") as file:
                file.write(text)
                if size is not None:
                    file.truncate(size)
    print(f"  a marker has {len(dump(report).encode())} bytes")


def timed(what: str, call: Callable[[], Any]) -> Any:
    """Call it and say how long it took."""
    began = time.perf_counter()
    result = call()
    say(what, time.perf_counter() - began)
    return result


def say(what: str, seconds: float) -> None:
    """Print a step with the memory that the process now holds."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    held = int(found[1]) // 1024 if found else 0
    print(f"{what}: {seconds:.1f} s; resident {held} MB", flush=True)


if __name__ == "__main__":
    main()
