"""``python -m train.finetune --task pose``: fine-tune what was pretrained, and measure it.

    python -m train.finetune --task pose --shards shards/ --init checkpoint.pt --out runs/pose

On several GPUs: ``torchrun --nproc-per-node 8 -m train.finetune ...``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mimic.layered import merged, parse_assignment
from train.cli import local_path, run_command
from train.config import TrainConfig, load_train_config
from train.data import NoSamplesError
from train.engine import checkpoint
from train.engine.measure import measured, write_result
from train.engine.metrics import json_values
from train.engine.phases import ALL, HEAD, Phase, network_of, run_phases, with_network
from train.engine.say import Progress
from train.engine.session import Asked
from train.engine.world import World, joined
from train.errors import TrainError
from train.methods import TASKS
from train.methods.pose_result import PoseResult
from train.pretrain import (
    STOPPED,
    AsJson,
    Assignments,
    BatchSize,
    Debug,
    Device,
    ForceResume,
    Init,
    LimitSteps,
    Quiet,
    Recipe,
    Seed,
    Shards,
    WhereText,
    overrides_of,
)

TaskName = Annotated[str, typer.Option(help=f"What for: {', '.join(TASKS)}.")]
Out = Annotated[
    Path,
    typer.Option(
        parser=local_path,
        metavar="PATH",
        help="The folder of both phases; the same line again goes on.",
    ),
]
OnlyEvaluate = Annotated[
    bool, typer.Option("--evaluate", help="Only measure the last checkpoint of OUT once more.")
]


def finetune(
    task: TaskName,
    out: Out,
    shards: Shards = None,
    recipe: Recipe = None,
    assignments: Assignments = None,
    where: WhereText = None,
    batch: BatchSize = None,
    seed: Seed = None,
    init: Init = None,
    limit_steps: LimitSteps = None,
    device: Device = None,
    force_resume: ForceResume = False,
    evaluate: OnlyEvaluate = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Fine-tune for a task in two phases (the head, then all), and measure it on held-out pairs.

    Stopped or killed, the same line again goes on. --limit-steps holds for each phase.

    python -m train.finetune --task pose --shards shards/ --recipe tiny --out runs/pose
    """
    del debug  # read where errors are said
    if task not in TASKS:
        raise TrainError(f"--task {task}: use one of {', '.join(TASKS)}")
    sets = tuple(assignments or ())
    overrides = overrides_of(shards, where, batch, seed, device)
    configs = {phase: _config(task, recipe, overrides, sets, phase) for phase in (HEAD, ALL)}
    asked = Asked(out, init, limit_steps, None, force_resume)
    with joined(configs[ALL].hardware.device) as world:
        told = _Told(world, as_json, quiet)
        if evaluate:
            last: Path | None = _last(out)
        else:
            net = network_of(configs[HEAD], asked, _sizes_said(sets))
            fitted = {phase: with_network(config, net) for phase, config in configs.items()}
            last = run_phases(world, fitted, asked, told.of)
        if last is None:
            return STOPPED
        _measure(world, last, configs[ALL], out, told, must=evaluate)
    return 0


def _config(
    task: str, recipe: str | None, overrides: dict[str, Any], sets: tuple[str, ...], phase: Phase
) -> TrainConfig:
    values = merged(overrides, {"options": {"frozen": phase is HEAD}})
    return load_train_config(task, recipe, values, sets, phase.name)


def _sizes_said(assignments: tuple[str, ...]) -> str | None:
    """The first that says a size of the network."""
    for assignment in assignments:
        options = parse_assignment(assignment).get("options") or {}
        if {"encoder", "decoder"} & set(options):
            return assignment
    return None


def _last(out: Path) -> Path:
    path = checkpoint.latest(out / ALL.folder / "checkpoints")
    if path is None:
        raise TrainError(
            f"--evaluate: there is no checkpoint in {out / ALL.folder}; leave it out to train first"
        )
    return path


def _measure(
    world: World, path: Path, config: TrainConfig, out: Path, told: _Told, *, must: bool
) -> None:
    """Measure, say and write it; where nothing is held out that is said, if it need not be done."""
    try:
        result = measured(world, path, config)
    except NoSamplesError as error:
        if must:
            raise
        told.note(f"not measured, for nothing is held out: {error}")
        return
    if world.is_main:
        of = {
            "checkpoint": str(path.relative_to(out)),
            "shards": [part.url for part in config.data.sets],
            "where": [part.where or config.data.where for part in config.data.sets],
        }
        told.result(result, write_result(out / "result.json", result, of))


@dataclass(frozen=True, slots=True)
class _Told:
    """What is said on this rank: all by the main one."""

    world: World
    as_json: bool
    quiet: bool

    def of(self, phase: Phase) -> Progress:
        """Progress of a phase."""
        is_quiet = self.quiet or not self.world.is_main
        return _OfPhase(0, as_json=self.as_json and self.world.is_main, quiet=is_quiet, phase=phase)

    def note(self, text: str) -> None:
        """A sentence, for people."""
        self.of(ALL).note(text)

    def result(self, result: PoseResult, plain: dict[str, Any]) -> None:
        """The figures."""
        if self.as_json:
            sys.stdout.write(json.dumps({"result": plain}) + "\n")
        elif not self.quiet:
            sys.stdout.write(f"{result}\n")


@dataclass
class _OfPhase(Progress):
    """Whose JSON lines name their phase."""

    phase: Phase = HEAD

    def __call__(self, step: int, values: dict[str, Any]) -> None:
        """The values after ``step`` steps."""
        if self.as_json:
            line = {"phase": self.phase.folder, "step": step, **json_values(values)}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        else:
            super().__call__(step, values)


if __name__ == "__main__":
    sys.exit(run_command(finetune, "python -m train.finetune"))
