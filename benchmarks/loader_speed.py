"""Images a second and core of the training loader, against bare JPEG decoding of the same bytes.

And against the same decoding and the same resizing of bytes in memory, which is what a way cannot
do without; what is between is reading, indexing, other members, and making batches.

    python benchmarks/loader_speed.py --shards shards/ [--into docs/results.md]

Without --shards, the demo's are mined first. Rounds go over all ways in turn, so that load hits all
alike; the best round counts. CPU time is that of the whole process, wall time that of a caller who
does nothing else.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from document import fill

from mimic.shards.reader import Shards
from train.data import DataConfig, Loader, SetConfig, Transform, Wanted, open_sets
from train.data.config import ViewsConfig
from train.data.decode import decode_picture
from train.data.draws import of_views
from train.data.windows import _picture

Stored = list[bytearray]
"""The JPEGs of a sample."""
IMAGES = 1024
BATCH = 32
NOTHING = Wanted(geometry=False, covis=False, corr=False)
WAYS = {
    "CroCo: pictures, crops of 224": (ViewsConfig(), NOTHING, False),
    "MAE: single views, resized crops of 224, mirrored": (
        ViewsConfig(crop="resized", flip=0.5), NOTHING, True
    ),
    "everything: crops of 224, matrices, correspondences": (
        ViewsConfig(), Wanted(covis=False), False
    ),
    "Alligat0R: pictures and labels (where there are), squashed to 224": (
        ViewsConfig(crop="squash"), Wanted(geometry=False, corr=False), False
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Rates:
    """Images a second of CPU time, and of wall time."""

    cpu: float
    wall: float


def measured(work: Callable[[], int]) -> Rates:
    """Of work that says how many images it made."""
    cpu, wall = time.process_time(), time.perf_counter()
    images = work()
    return Rates(images / (time.process_time() - cpu), images / (time.perf_counter() - wall))


def bare(pictures: list[bytearray], threads: int) -> int:
    """Decode pictures that are in memory, each thread its part, and let go of them."""
    chosen = list(itertools.islice(itertools.cycle(pictures), IMAGES))

    def part(first: int) -> None:
        for picture in chosen[first::threads]:
            decode_picture(picture)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, range(threads)))
    return IMAGES


def bare_views(loader: Loader, samples: list[Stored], alone: bool) -> int:
    """Decode and resize pictures that are in memory, as the loader does, and let go of them."""
    transform = loader.transform
    for number, sample in zip(range(IMAGES // 2), itertools.cycle(samples), strict=False):
        for group in [[view] for view in sample] if alone else [sample]:
            images = [decode_picture(view) for view in group]
            sizes = tuple((image.shape[2], image.shape[1]) for image in images)
            plan = transform.plan(sizes, of_views(0, 0, number))
            for image, window in zip(images, plan.windows, strict=True):
                _picture(image, window, plan)
    return IMAGES


def loaded(loader: Loader, images_a_sample: int) -> int:
    """Take batches."""
    steps = IMAGES // (loader.order.batch * images_a_sample)
    return sum(len(batch) * images_a_sample for batch in loader.batches(0, steps))


def rows(url: str, threads: int, rounds: int) -> Iterator[str]:
    """The table."""
    samples = list(Shards(url).samples("train"))[: IMAGES // 2]
    stored = [[bytearray(sample.view_bytes(view)) for view in (1, 2)] for sample in samples]
    pictures = [view for views in stored for view in views]
    plain = "bare JPEG decoding"
    ways: dict[str, Callable[[], int]] = {plain: lambda: bare(pictures, threads)}
    for name, (views, wanted, singles) in WAYS.items():
        data = open_sets(DataConfig(sets=(SetConfig(url=url),)), "train", wanted)
        data = data.singles() if singles else data
        order = data.order(0, min(BATCH, len(data)))
        loader = Loader(data, order, Transform(views), threads=threads)
        ways[name] = partial(loaded, loader, data.views)
        ways[f"{name}: bare"] = partial(bare_views, loader, stored, singles)
    best = dict.fromkeys(ways, Rates(0, 0))
    for _ in range(rounds):
        for name, work in ways.items():
            found = measured(work)
            best[name] = Rates(max(best[name].cpu, found.cpu), max(best[name].wall, found.wall))
    size = sum(map(len, pictures)) / len(pictures) / 1000
    yield (
        f"{len(samples)} pairs of {url.rstrip('/').rpartition('/')[2]}, pictures of {size:.0f} kB; "
        f"{threads} thread{'s' if threads > 1 else ''}; batches of {BATCH} at most."
    )
    yield (
        "\n| way | images a CPU second | of bare decoding | of decoding and resizing "
        "| images a second |\n" + "| --- " * 5 + "|"
    )
    for name in (plain, *WAYS):
        rates, least = best[name], best.get(f"{name}: bare", best[plain])
        yield (
            f"| {name} | {rates.cpu:.0f} | {rates.cpu / best[plain].cpu:.2f} "
            f"| {rates.cpu / least.cpu:.2f} | {rates.wall:.0f} |"
        )


def demo(folder: Path) -> str:
    """The demo's shards, made there."""
    from pipelines.cli import run

    if run(["demo", "--out", str(folder)]) != 0:
        raise SystemExit("the demo failed")
    return str(folder / "shards")


def main() -> None:
    """Print the table; ``--into`` a page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shards", help="mined shards; default: the demo's, mined now")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--into", type=Path, help="a page with the markers of loader_speed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    threads = arguments.threads or len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.shards or demo(Path(folder))
        lines = []
        for line in rows(url, threads, arguments.rounds):
            print(line, flush=True)
            lines.append(line)
    if arguments.into:
        fill(arguments.into, "loader_speed", "\n".join(lines))


if __name__ == "__main__":
    main()
