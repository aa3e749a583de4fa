"""Packing against plain copying of the same bytes, both in one run.

    python benchmarks/pack_speed.py --pairs 8192

Makes parts of random pictures of a real size (about 40 kB), reads and writes them once to warm the
page cache, then measures: copying all parts into one folder with fsync, and packing them. Prints
both times, their ratio, and where packing spends its time.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import factory
import numpy as np

from mimic.geometry import patches
from mimic.ids import seed_of
from mimic.shards.part import write_part
from mimic.storage import Storage
from mimic.types import Correspondences, Part
from pipelines.pack import pack
from schemas import UnitReport

SLOTS = 61
PICTURE_BYTES = 40_000
SIZE = (456, 256)
HOMOGRAPHY = [1.0, 0.01, -150.3, -0.01, 1.0, 4.2, 0.0, 0.0, 1.0]


def parts(pairs: int, keep: bool) -> Iterator[Part]:
    """Units of a minute of video: a frame a second, each with the next in range.

    ``keep``: with their correspondences, as mining makes them.
    """
    for number in range(-(-pairs // (SLOTS - 1))):
        name = f"video {number}"
        work = factory.unit(name)
        frames = tuple(_frame(work, slot) for slot in range(SLOTS))
        edges = tuple(_edge(work, slot) for slot in range(SLOTS - 1))
        rng = np.random.default_rng(seed_of(name))
        jpegs = {row["frame_id"]: rng.bytes(PICTURE_BYTES) for row in frames}
        corr = patches.corr(np.array(HOMOGRAPHY).reshape(3, 3), SIZE, SIZE, 16, False)
        corrs = {(edge["frame_1"], edge["frame_2"]): corr for edge in edges}
        yield Part(work, frames, edges, jpegs, Correspondences(16, False, corrs) if keep else None)


def _frame(work: Any, slot: int) -> dict[str, Any]:
    return factory.frame_row(work, slot) | {"width": SIZE[0], "height": SIZE[1]}


def _edge(work: Any, slot: int) -> dict[str, Any]:
    edge = factory.edge_row(work, slot, slot + 1)
    return edge | {"verdict": "kept", "homography": HOMOGRAPHY}


def copy(reports: list[UnitReport], source: Path, target: Path) -> None:
    """What ``cp`` does, to disk."""
    target.mkdir()
    for report in reports:
        assert report.part is not None
        name = shutil.copyfile(source / report.part.name, target / Path(report.part.name).name)
        with name.open("rb") as file:
            os.fsync(file.fileno())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=8192)
    parser.add_argument("--profile", action="store_true", help="print the dearest functions")
    parser.add_argument(
        "--recompute", action="store_true", help="parts without correspondences: compute them"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = Storage(root / "parts")
        reports = [
            UnitReport(p.unit.unit_id, p.unit.item.name, "done", {}, write_part(p, store, "p"))
            for p in parts(options.pairs, not options.recompute)
        ]
        config = factory.config(pack={"samples_per_shard": 2048, "val_share": 0.05})
        copy(reports, root / "parts", root / "warm")
        began = time.perf_counter()
        copy(reports, root / "parts", root / "copied")
        copied_s = time.perf_counter() - began

        profile = cProfile.Profile()
        began, cpu = time.perf_counter(), time.process_time()
        if options.profile:
            profile.enable()
        manifest = pack(reports, store, Storage(root / "shards"), config)
        profile.disable()
        packed_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        read = sum(report.part.size for report in reports if report.part)
        written = sum(shard.tar.size + shard.index.size for shard in manifest.shards)
        samples = manifest.counts["samples"]
        print(f"parts: {len(reports)}, {read / 1e6:.0f} MB; shards: {written / 1e6:.0f} MB")
        print(f"copying {read / 1e6:.0f} MB: {copied_s:.2f} s, {read / 1e6 / copied_s:.0f} MB/s")
        print(
            f"packing: {packed_s:.2f} s ({cpu_s:.2f} s CPU), {written / 1e6 / packed_s:.0f} MB/s "
            f"written, {samples / packed_s:.0f} pairs/s on one core"
        )
        ratio = (packed_s / written) / (copied_s / read)
        print(f"a packed byte costs {ratio:.1f} x a copied byte")
        if options.profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(18)


if __name__ == "__main__":
    main()
