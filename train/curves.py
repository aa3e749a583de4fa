"""Draw what a run measured: curves of ``metrics.jsonl`` as one SVG file.

python -m train.curves --run runs/first --out first.svg
python -m train.curves --run runs/a --run runs/b --series val_loss --out two.svg
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from train.cli import run_command
from train.drawing import Line, chart
from train.errors import TrainError
from train.files import whole

DEFAULT_SERIES = ("loss", "val_loss", "val_loss_shuffled")


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one run measured: for each name its (step, value), by rising step."""

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
            found.setdefault(name, {})[step] = value
    return Metrics(run, {name: tuple(sorted(of.items())) for name, of in found.items()})


def lines_of(runs: list[Metrics], series: tuple[str, ...]) -> list[Line]:
    """The wanted curves of all runs; those of a second run are told apart by its name.

    Raises:
        TrainError: no run has any of them.
    """
    lines = [
        Line(name if len(runs) == 1 else f"{metrics.run.name} {name}", metrics.values[name])
        for metrics in runs
        for name in series
        if name in metrics.values
    ]
    if not lines:
        there = sorted({name for metrics in runs for name in metrics.values})
        raise TrainError(
            f"--series {', '.join(series)}: not measured; there are {', '.join(there) or 'none'}"
        )
    return lines


def curves(
    run: Annotated[list[Path], typer.Option(help="A run's folder; repeatable.")],
    out: Annotated[Path, typer.Option(help="The SVG file to write.")],
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
    drawn = chart(
        lines_of([read_metrics(one) for one in run], tuple(series or DEFAULT_SERIES)), title
    )
    try:
        with whole(out) as file:
            file.write_text(drawn)
    except OSError as error:
        raise TrainError(f"--out {out}: cannot be written ({error.strerror})") from error
    sys.stdout.write(f"wrote {out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(curves, "python -m train.curves"))
