"""The config of a training run: strict, frozen, from a recipe, ``--set a.b=c`` and its fingerprint.

A recipe is a YAML file of such values. What it says under ``methods.NAME`` holds for that method
alone, so that one file can serve several; under ``phases.NAME`` for one phase of fine-tuning.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from mimic.layered import Strict, merged, parse_assignment, read_yaml, validated
from train.data.config import DataConfig
from train.errors import TrainError

RECIPES = resources.files("train") / "recipes"
PHASES = ("head", "all")
"""Of fine-tuning: the new head alone, then all."""


class OptimiserConfig(Strict):
    """AdamW."""

    base_lr: float = Field(
        1.5e-4, gt=0, description="rate for a batch of 256; the rate is base_lr * batch / 256"
    )
    betas: tuple[float, float] = Field((0.9, 0.95), description="of the two moments")
    weight_decay: float = Field(0.05, ge=0, description="not of biases and other 1-D parameters")
    clip_norm: float | None = Field(None, gt=0, description="of the whole gradient; null: none")


class ScheduleConfig(Strict):
    """Linear warm-up, then half a cosine to ``min_lr``."""

    unit: Literal["epochs", "steps"] = Field("epochs", description="of the three lengths below")
    length: float = Field(400, gt=0, description="of the run")
    warmup: float = Field(40, ge=0, description="in which the rate rises from 0")
    horizon: float | None = Field(
        None,
        gt=0,
        description="where the cosine ends (CroCo stops at half of it); null: length",
    )
    min_lr: float = Field(0.0, ge=0, description="where the cosine leads")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.warmup > (self.horizon or self.length):
            raise ValueError(f"warmup ({self.warmup}) must not be longer than the schedule")
        return self


class NumericsConfig(Strict):
    """How a step is computed."""

    precision: Literal["fp32", "tf32", "bf16", "fp16"] = Field(
        "bf16", description="of the forward pass; tf32: fp32 whose products a GPU rounds (CroCo v2)"
    )
    accumulate: int = Field(1, ge=1, description="parts in which a rank's batch is computed")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="average of the weights beside them, from the first ones on (felt for "
        "some 1 / (1 - decay) steps); null: none",
    )
    nan_budget: int = Field(
        3, ge=0, description="steps whose loss or gradient is not finite are skipped, so many a run"
    )


class HardwareConfig(Strict):
    """Where it runs. Nothing here changes what is learned, but for rounding."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA if there is any")
    compile: bool = Field(False, description="torch.compile the network")
    parallel: Literal["ddp", "fsdp"] = Field("ddp", description="with several processes")
    decode_threads: int = Field(
        0, ge=0, description="threads of a process that decode; 0: its share of the cores"
    )
    prefetch: int = Field(4, ge=1, description="batches decoded ahead")
    compute_threads: int | None = Field(None, ge=1, description="of torch on the CPU")


class ReportConfig(Strict):
    """What is written while it runs."""

    log_every: int = Field(10, ge=1, description="steps")
    validate_every: int = Field(1000, ge=1, description="steps; also at the end")
    validate_batches: int = Field(8, ge=0, description="of held-out pairs; 0: no validation")
    pictures: int = Field(8, ge=0, description="held-out pairs drawn at each validation")
    tensorboard: bool = Field(False, description="also there; needs the package")
    wandb: str | None = Field(None, description="Weights & Biases: a project's name; null: off")


class CheckpointConfig(Strict):
    """When the run is saved."""

    every: int = Field(1000, ge=1, description="steps; also at the end and on SIGTERM")
    keep: int = Field(2, ge=1, description="the newest so many stay")
    keep_every: int | None = Field(None, ge=1, description="steps of which all stay; null: none")


class TrainConfig(Strict):
    """All of a run."""

    method: str = Field(description="what is learnt, `--method`")
    recipe: str = Field("?", description="where the values come from, `--recipe`")
    seed: int = Field(0, ge=0, description="of every draw")
    batch: int = Field(256, ge=1, description="samples a step, over all ranks")
    data: DataConfig
    options: dict[str, Any] = Field(
        default_factory=dict, description="the method's own: its network, masks and views"
    )
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    numerics: NumericsConfig = NumericsConfig()
    hardware: HardwareConfig = HardwareConfig()
    report: ReportConfig = ReportConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()

    def decisive(self) -> dict[str, Any]:
        """The values that decide what is learned, as plain JSON values."""
        where_it_runs = {"hardware": True, "report": True, "checkpoint": True, "recipe": True}
        when_it_stops = {"numerics": {"nan_budget": True}}
        of_data = {"cache": True, "max_bad_share": True}
        return self.model_dump(
            mode="json", exclude={**where_it_runs, **when_it_stops, "data": of_data}
        )

    def fingerprint(self) -> str:
        """12 hex digits over what decides."""
        text = json.dumps(self.decisive(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_train_config(
    method: str,
    recipe: str | None,
    overrides: dict[str, Any],
    assignments: tuple[str, ...] = (),
    phase: str | None = None,
) -> TrainConfig:
    """A recipe, then ``overrides``, then ``a.b=c`` assignments.

    Args:
        method: which method's part of the recipe holds.
        recipe: a name that comes with the package or a YAML file; null: the method's own.
        overrides: nested values of the command's options.
        assignments: the ``--set`` options; those of ``phases`` come last.
        phase: of fine-tuning; null: pretraining, which has none.

    Raises:
        TrainError: there is no such recipe, or it says nothing of the method or the phase.
        ConfigError: a key or value is wrong; one sentence names it.
    """
    name = recipe or method
    values = recipe_values(name)
    of_methods = values.pop("methods", {})
    if of_methods and method not in of_methods:
        raise TrainError(
            f"--recipe {name}: says nothing of method {method} (but of {', '.join(of_methods)})"
        )
    values = _of_phase(merged(values, of_methods.get(method) or {}), phase)
    values = merged(values, {"method": method, "recipe": name, **overrides})
    said: dict[str, Any] = {}
    for assignment in assignments:
        said = merged(said, parse_assignment(assignment))
    return validated(TrainConfig, merged(values, _of_phase(said, phase)))


def _of_phase(values: dict[str, Any], phase: str | None) -> dict[str, Any]:
    """Values with those that they have for a phase, which go before."""
    if phase is None or "phases" not in values:
        return values
    rest = {name: value for name, value in values.items() if name != "phases"}
    of_phases = values["phases"] or {}
    if unknown := sorted(set(of_phases) - set(PHASES)):
        raise TrainError(f"phases.{unknown[0]}: use phases.{' or phases.'.join(PHASES)}")
    return merged(rest, of_phases.get(phase) or {})


def recipe_values(name: str) -> dict[str, Any]:
    """The plain values of a recipe by name or file."""
    packaged = RECIPES / f"{name}.yaml"
    if packaged.is_file():
        with resources.as_file(packaged) as file:
            return read_yaml(file)
    if Path(name).suffix in (".yaml", ".yml"):
        return read_yaml(Path(name))
    raise TrainError(f"--recipe {name}: use one of {', '.join(recipe_names())}, or a YAML file")


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in RECIPES.iterdir()
        if entry.name.endswith(".yaml")
    )
