"""What `mimic plan` promises against what mining takes: CPU time and pairs, file by file.

    python benchmarks/plan_estimates.py --source videos/ [--preset mimic]

The constants of ``mimic/sources/video.py`` come from this table. Files that cannot be mined are
left out.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass

from mimic.config import Config, load_config
from mimic.errors import SourceError
from mimic.types import KEPT, WorkUnit
from mimic.unit import run_unit
from pipelines.estimate import sharpened
from pipelines.plan import make_plan


@dataclass
class Sums:
    """Of a file, or of all."""

    footage_s: float = 0.0
    slots: int = 0
    frames: int = 0
    cpu_s: float = 0.0
    pairs: int = 0
    estimated_s: float = 0.0
    estimated_pairs: float = 0.0

    def add(self, unit: WorkUnit, config: Config) -> None:
        """Mine a unit and count it."""
        began = time.process_time()
        part = run_unit(unit, config)
        self.cpu_s += time.process_time() - began
        self.footage_s += unit.footage_s
        self.slots += round(unit.footage_s / config.source.video.interval_s)
        self.frames += len(part.frames)
        self.pairs += sum(edge["verdict"] == KEPT for edge in part.edges)
        self.estimated_s += unit.estimated_s
        self.estimated_pairs += unit.estimated_pairs

    def row(self, name: str) -> str:
        """A line of the table."""
        return (
            f"| {name} | {self.footage_s:.1f} | {self.slots} | {self.frames} | {self.cpu_s:.2f} "
            f"| {self.estimated_s:.2f} | {self.pairs} | {self.estimated_pairs:.0f} "
            f"| {self.cpu_s / max(self.footage_s, 1e-9):.3f} "
            f"| {60 * self.pairs / max(self.footage_s, 1e-9):.0f} |"
        )


def main() -> None:
    """Print the table, a line a file and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument("--preset", default="default", choices=["default", "mimic"])
    arguments = parser.parse_args()
    config = load_config(arguments.preset, overrides={"source": {"kind": "video"}})
    units = sharpened(make_plan(arguments.source, config), config).units
    print(
        "| file | footage s | slots | frames | CPU s | estimated | pairs | estimated "
        "| CPU s per footage s | pairs a minute |"
    )
    print("| --- " * 10 + "|")
    files: dict[str, Sums] = defaultdict(Sums)
    total = Sums()
    for unit in units:
        try:
            files[unit.item.name].add(unit, config)
        except SourceError as error:
            print(f"({error})")
            files.pop(unit.item.name)
    for name, sums in files.items():
        print(sums.row(name))
        for field in total.__dataclass_fields__:
            setattr(total, field, getattr(total, field) + getattr(sums, field))
    print(total.row("all"))


if __name__ == "__main__":
    main()
