"""Memory of the driver as it packs: a graph of synthetic units, and no pictures at all.

    python benchmarks/pack_memory.py --pairs 200000

Takes in units of a minute of video as packing does, lays the pairs out, and makes every shard's
task without running it. Prints the resident memory that this added to the process (without mapped
files, which the kernel may drop at any time) and its peak, both per pair, and what lay on disk.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import factory
import numpy as np
import pyarrow as pa
from pack_speed import SLOTS, _edge, _frame

from mimic.ids import stable_id
from mimic.shards.graph import PLACE, UnitGraph, nowhere
from mimic.shards.layout import ID_TYPE, lay_out
from mimic.shards.part import UnitSource
from mimic.shards.tables import table_of
from pipelines.chosen import Chosen
from schemas import EDGES, FRAMES

PAIRS_A_UNIT = SLOTS - 1


def units(pairs: int) -> Iterator[UnitGraph]:
    """The same tables over and over, with other ids."""
    work = factory.unit("video")
    frames = table_of([_frame(work, slot) for slot in range(SLOTS)], FRAMES)
    edges = table_of([_edge(work, slot) for slot in range(PAIRS_A_UNIT)], EDGES)
    for number in range(-(-pairs // PAIRS_A_UNIT)):
        unit_id = stable_id("unit", number)
        ids = [stable_id("frame", number, slot) for slot in range(SLOTS)]
        name = f".mimic/parts/{unit_id}.tar"
        source = UnitSource(unit_id, "video", None, f"walk-{number:06d}.mp4", f"walk-{number}")
        yield UnitGraph(
            source,
            _with(frames, frame_id=ids),
            _with(edges, frame_1=ids[:-1], frame_2=ids[1:]),
            _places(name, SLOTS),
            nowhere(SLOTS),
            _places(name, PAIRS_A_UNIT),
            (nowhere(PAIRS_A_UNIT), nowhere(PAIRS_A_UNIT)),
        )


def _with(table: pa.Table, **columns: list[str]) -> pa.Table:
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values))
    return table


def _places(name: str, count: int) -> pa.Table:
    rows = [
        {"place_name": name, "place_offset": n * 40_960, "place_size": 40_000, "place_crc32": n}
        for n in range(count)
    ]
    return table_of(rows, PLACE)


def memory(field: str) -> int:
    """A figure of /proc/self/status in bytes (Linux)."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200_000)
    pairs = parser.parse_args().pairs
    before, began = memory("RssAnon"), time.perf_counter()
    peak = before
    with Chosen(np.zeros(0, ID_TYPE)) as chosen:
        for unit in units(pairs):
            chosen.add(unit)
        peak = max(peak, memory("RssAnon"))
        chosen.settle()
        settled = memory("RssAnon")
        count = len(chosen.keys)
        plans = lay_out(
            (key.decode() for key in chosen.keys),
            chosen.scenes,
            seed=0,
            val_share=0.05,
            samples_per_shard=4096,
            first={},
        )
        peak = max(peak, memory("RssAnon"))
        taken_in_s = time.perf_counter() - began
        began = time.perf_counter()
        for plan in plans:
            chosen.pairs(plan)
            peak = max(peak, memory("RssAnon"))
        tasks_s = time.perf_counter() - began
        disk = sum(rows.size for rows in (chosen._edges, chosen._frames))
    print(f"{count} pairs; {taken_in_s:.0f} s to take in, {tasks_s:.0f} s to make all tasks")
    print(
        f"held: {(settled - before) / count:.0f} bytes a pair ({(settled - before) / 1e6:.0f} MB)"
    )
    print(f"peak: {(peak - before) / count:.0f} bytes a pair ({(peak - before) / 1e6:.0f} MB)")
    print(f"on disk: {disk / count:.0f} bytes a pair")


if __name__ == "__main__":
    main()
