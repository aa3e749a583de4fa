"""Draw what a run measured: curves of ``metrics.jsonl`` as one SVG file.

python -m train.curves --run runs/first --out first.svg
python -m train.curves --run runs/a --run runs/b --series val_loss --out two.svg
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from train.cli import local_path, run_command
from train.drawing import Line, chart
from train.errors import TrainError
from train.files import whole, written_to

DEFAULT_SERIES = ("loss", "val_loss", "val_loss_shuffled")


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one run measured: for each name its (step, value), by rising step; null is NaN."""

    run: Path
    values: dict[str, tuple[tuple[int, float], ...]]


def read_metrics(run: Path) -> Metrics:
    """The metrics in a run's folder; a last line that a kill cut short is left out.

    Raises:
        TrainError: there are none.
    """
    path = run / "metrics.jsonl"
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise TrainError(
            f"--run {run}: no metrics there ({path.name}: {error.strerror}); give a folder that "
            "`train.pretrain --out` wrote"
        ) from error
    found: dict[str, dict[int, float]] = {}
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            continue
        step = values.pop("step")
        for name, value in values.items():
            found.setdefault(name, {})[step] = math.nan if value is None else value
    return Metrics(run, {name: tuple(sorted(of.items())) for name, of in found.items()})


def names_of(runs: Sequence[Path]) -> list[str]:
    """Each run by its last folder, with as many of those above as tell it from the others."""
    parts = [run.absolute().parts for run in runs]
    return [_name(one, [other for other in parts if other != one]) for one in parts]


def _name(parts: tuple[str, ...], others: list[tuple[str, ...]]) -> str:
    taken = next(
        (k for k in range(1, len(parts)) if all(other[-k:] != parts[-k:] for other in others)),
        len(parts),
    )
    return str(Path(*parts[-taken:]))


def lines_of(runs: Sequence[Metrics], series: tuple[str, ...]) -> list[Line]:
    """The wanted curves of all runs; those of several runs are told apart by their names.

    Raises:
        TrainError: no run has any of them, or none that is finite anywhere.
    """
    names = names_of([metrics.run for metrics in runs])
    lines = [
        Line(name if len(runs) == 1 else f"{run} {name}", metrics.values[name])
        for run, metrics in zip(names, runs, strict=True)
        for name in series
        if name in metrics.values
    ]
    if not lines:
        there = sorted({name for metrics in runs for name in metrics.values})
        raise TrainError(
            f"--series {', '.join(series)}: not measured; there are {', '.join(there) or 'none'}"
        )
    if all(map(_is_empty, lines)):
        raise TrainError(
            f"--run {', '.join(str(metrics.run) for metrics in runs)}: no value of "
            f"{', '.join(line.name for line in lines)} is finite, so there is nothing to draw; "
            "give another --series"
        )
    return lines


def _is_empty(line: Line) -> bool:
    return not any(math.isfinite(value) for _, value in line.points)


def curves(
    run: Annotated[
        list[Path],
        typer.Option(parser=local_path, metavar="PATH", help="A run's folder; repeatable."),
    ],
    out: Annotated[
        Path,
        typer.Option(parser=local_path, metavar="PATH", help="The file to write, .svg."),
    ],
    series: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Names in metrics.jsonl; repeatable [default: {', '.join(DEFAULT_SERIES)}]."
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Above the curves.")] = "",
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> int:
    """Draw what runs measured, against the step, as an SVG file."""
    del debug  # read where errors are said
    if out.suffix.lower() != ".svg":
        raise TrainError(f"--out {out}: SVG is what is drawn; give a name that ends in .svg")
    once = {one.resolve(): one for one in run}.values()
    lines = lines_of([read_metrics(one) for one in once], tuple(series or DEFAULT_SERIES))
    drawn = chart(lines, title)
    with written_to(out), whole(out) as file:
        file.write_text(drawn)
    sys.stdout.write(f"wrote {out}\n")
    if empty := [line.name for line in lines if _is_empty(line)]:
        sys.stdout.write(f"left out, as no value is finite: {', '.join(empty)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(curves, "python -m train.curves"))
