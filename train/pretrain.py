"""``python -m train.pretrain``: pretrain on shards.

On several GPUs: ``torchrun --nproc-per-node 8 -m train.pretrain --shards shards/ ...``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from train.cli import local_path, run_command
from train.config import load_train_config, method_of_recipe, recipe_names
from train.engine.say import Progress
from train.engine.session import Asked, run_session
from train.engine.world import World
from train.errors import TrainError
from train.methods import METHODS, method_of

STOPPED = 130
"""Exit code of a run that was asked to stop and can go on."""

_METHOD = "croco"
"""What is learned where nothing says it."""

Shards = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PLACE",
        help="A folder or address that `mimic mine` wrote; repeatable [default: the recipe's "
        "data.sets].",
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        parser=local_path, metavar="PATH", help="The run's folder; the same line again goes on."
    ),
]
MethodName = Annotated[
    str | None,
    typer.Option(
        help=f"What is learned: {', '.join(METHODS)} [default: the recipe's, or {_METHOD}]."
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(help=f"{', '.join(recipe_names())}, or a YAML file [default: the method's]."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any value of the recipe; repeatable."),
]
WhereText = Annotated[
    str | None, typer.Option("--where", help='Which pairs, by index columns: "overlap < 0.7".')
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Samples a step, over all ranks.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Of every draw.")]
Init = Annotated[
    Path | None,
    typer.Option(
        parser=local_path,
        metavar="PATH",
        help="First weights: a checkpoint of ours, CroCo, MAE or MIMIC.",
    ),
]
LimitSteps = Annotated[
    int | None, typer.Option(min=1, help="Stop after so many; the schedule stays as it is.")
]
OverfitBatches = Annotated[
    int | None, typer.Option(min=1, help="See the same few batches again and again.")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]
ForceResume = Annotated[
    bool, typer.Option("--force-resume", help="Go on although the config or the data changed.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Only errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def pretrain(
    out: Out,
    shards: Shards = None,
    method: MethodName = None,
    recipe: Recipe = None,
    assignments: Assignments = None,
    where: WhereText = None,
    batch: BatchSize = None,
    seed: Seed = None,
    init: Init = None,
    limit_steps: LimitSteps = None,
    overfit_batches: OverfitBatches = None,
    device: Device = None,
    force_resume: ForceResume = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Pretrain on the pairs of shards.

    Interrupted or killed, the same line again goes on from the last checkpoint, and ends with the
    weights that an undisturbed run would have.

    python -m train.pretrain --shards shards/ --method croco --recipe tiny --out runs/first
    """
    del debug  # read where errors are said
    overrides = overrides_of(shards, where, batch, seed, device)
    name = _method_of_run(method, recipe)
    config = load_train_config(name, recipe, overrides, tuple(assignments or ()))
    asked = Asked(out, init, limit_steps, overfit_batches, force_resume)

    def progress(world: World) -> Progress:
        return Progress(0, as_json=as_json and world.is_main, quiet=quiet or not world.is_main)

    return 0 if run_session(config, asked, progress) else STOPPED


def _method_of_run(asked: str | None, recipe: str | None) -> str:
    """The method that was asked for, or that of the recipe."""
    if asked is not None:
        return method_of(asked, METHODS).name
    told = _METHOD if recipe is None else method_of_recipe(recipe) or _METHOD
    if told not in METHODS:
        raise TrainError(
            f"--recipe {recipe}: its method is {told}; pretraining knows {', '.join(METHODS)}"
        )
    return told


def overrides_of(
    shards: list[str] | None,
    where: str | None,
    batch: int | None,
    seed: int | None,
    device: str | None,
) -> dict[str, Any]:
    """What the options say, as values of the config; those not given say nothing."""
    data = _given({"sets": [{"url": url} for url in shards or ()] or None, "where": where})
    values = {"data": data or None, "batch": batch, "seed": seed}
    return _given(values) | ({} if device is None else {"hardware": {"device": device}})


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


if __name__ == "__main__":
    sys.exit(run_command(pretrain, "python -m train.pretrain"))
