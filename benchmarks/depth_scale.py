"""What labels lose where depth has a wrong scale, as learned depth has: true depth, made wrong.

    python benchmarks/depth_scale.py ../shared/data

The depth of a recording is multiplied, all frames by one factor (the model's scale is off, or the
unit of the poses), or each frame by its own (the scale flickers), and labels by it are held against
those by the depth as it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mimic import sources
from mimic.config import load_config
from mimic.geometry.covisibility import COVISIBLE, OCCLUDED, UNKNOWN, PosedDepth, labels
from mimic.sources.rgbd import opened

SEQUENCES = ("hololens_000", "icl_livingroom1")
APART = (1, 2, 4, 8)
"""Frames between the two of a pair."""
FACTORS = (0.98, 0.95, 0.9, 1.1)
FLICKERS = (0.005, 0.01, 0.02, 0.05, 0.1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    print(
        "| sequence | depth | co-visible that stay so | become unknown | become occluded "
        "| all labels that agree |\n| --- | --- | --- | --- | --- | --- |"
    )
    for name in SEQUENCES:
        views = views_of(data / "rgbd" / name)
        for factor in FACTORS:
            made = [scaled(view, factor) for view in views]
            print(row(name, f"all times {factor:g}", views, made), flush=True)
        for spread in FLICKERS:
            rng = np.random.default_rng(0)
            made = [scaled(view, float(np.exp(rng.normal(0, spread)))) for view in views]
            print(row(name, f"each off by {spread:.1%} (sigma)", views, made), flush=True)


def views_of(folder: Path) -> list[PosedDepth]:
    """All views of a sequence, at their own size."""
    primesense = "source.rgbd.intrinsics=[525,525,319.5,239.5]"
    config = load_config(assignments=() if (folder / "K.txt").exists() else (primesense,))
    (item,) = sources.discover(str(folder), config)
    sequence = opened(item)  # type: ignore[arg-type]
    frames = (sequence.look(row) for row in range(len(sequence.index)))
    return [PosedDepth(f.depth_m, f.intrinsics, f.cam_to_world) for f in frames]  # type: ignore[arg-type]


def scaled(view: PosedDepth, factor: float) -> PosedDepth:
    """The view with its depth multiplied."""
    return replace(view, depth_m=view.depth_m * np.float32(factor))


def pairs_of(count: int) -> Iterator[tuple[int, int]]:
    """Each view with some of the next ones."""
    for first in range(count):
        yield from ((first, first + apart) for apart in APART if first + apart < count)


def row(name: str, what: str, views: list[PosedDepth], made: list[PosedDepth]) -> str:
    """How labels by the views ``made`` differ from those by the ``views`` as they were."""
    stay, unknown, occluded, seen, same, both = 0, 0, 0, 0, 0, 0
    for one, other in pairs_of(len(views)):
        true, found = labels(views[one], views[other]), labels(made[one], made[other])
        covisible = true == COVISIBLE
        seen += int(covisible.sum())
        stay += int((found[covisible] == COVISIBLE).sum())
        unknown += int((found[covisible] == UNKNOWN).sum())
        occluded += int((found[covisible] == OCCLUDED).sum())
        known = (true != UNKNOWN) & (found != UNKNOWN)
        same, both = same + int((true == found)[known].sum()), both + int(known.sum())
    shares = [stay / seen, unknown / seen, occluded / seen, same / both]
    return f"| {name} | {what} | {' | '.join(f'{share:.1%}' for share in shares)} |"


if __name__ == "__main__":
    main()
