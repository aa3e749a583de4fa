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

from mimic.layered import (
    ConfigError,
    Strict,
    merged,
    parse_assignment,
    read_yaml,
    validated,
)
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
    betas: tuple[float, float] = Field((0.9, 0.95), description="of the two moments, in [0, 1)")
    weight_decay: float = Field(0.05, ge=0, description="not of biases and other 1-D parameters")
    clip_norm: float | None = Field(None, gt=0, description="of the whole gradient; null: none")

    @model_validator(mode="after")
    def _averages(self) -> Self:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), not {self.betas}")
        return self


class ScheduleConfig(Strict):
    """Linear warm-up, then half a cosine to ``min_lr``."""

    unit: Literal["epochs", "steps"] = Field("epochs", description="of the three lengths below")
    length: float = Field(400, gt=0, le=1e9, description="of the run")
    warmup: float = Field(40, ge=0, description="in which the rate rises from 0")
    horizon: float | None = Field(
        None,
        gt=0,
        le=1e9,
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
    validate_batches: int = Field(
        8, ge=0, description="of held-out pairs, one pass at most; 0: no validation"
    )
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
    seed: int = Field(0, ge=0, lt=2**63, description="of every draw")
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
        TrainError: there is no such recipe, it is of another method, or data sets are named in
            two places or nowhere.
        ConfigError: a key or value is wrong; one sentence names it.
    """
    name = recipe or method
    option = "--method" if phase is None else "--task"
    values = _of_method(recipe_values(name), method, name, option)
    values = _of_phase(values, phase, f"--recipe {name}:")
    said = _of_phase(_said(assignments, option), phase, "--set")
    _check_sets(values, overrides, said, name)
    layers = merged({"method": method, "recipe": name, **overrides}, said)
    try:
        return validated(TrainConfig, merged(values, layers))
    except ConfigError as error:
        if _holds(values, error.path) and not _holds(layers, error.path):
            raise ConfigError(f"--recipe {name}: {error}", error.path) from error
        raise


def method_of_recipe(name: str) -> str | None:
    """The method that a recipe says, or the only one that it tells of; None: it leaves it open."""
    values = recipe_values(name)
    if values.get("method") is not None:
        return str(values["method"])
    told = list(_mapping(values, "methods", f"--recipe {name}:"))
    return str(told[0]) if len(told) == 1 else None


def _of_method(values: dict[str, Any], method: str, name: str, option: str) -> dict[str, Any]:
    """Values of a recipe with those that it has for a method, which go before."""
    says = values.get("method")
    if says not in (None, method):
        raise TrainError(
            f"{option} {method}: --recipe {name} says method: {says}; the two must be the same"
        )
    of_methods = _mapping(values, "methods", f"--recipe {name}:")
    if of_methods and method not in of_methods:
        known = ", ".join(map(str, of_methods))
        raise TrainError(f"--recipe {name}: says nothing of method {method} (but of {known})")
    rest = {key: value for key, value in values.items() if key != "methods"}
    return merged(rest, _mapping(of_methods, method, f"--recipe {name}:", "methods."))


def _of_phase(values: dict[str, Any], phase: str | None, where: str) -> dict[str, Any]:
    """Values with those that they have for a phase, which go before."""
    if phase is None or "phases" not in values:
        return values
    rest = {name: value for name, value in values.items() if name != "phases"}
    of_phases = _mapping(values, "phases", where)
    if unknown := sorted(set(map(str, of_phases)) - set(PHASES)):
        raise TrainError(f"{where} phases.{unknown[0]}: use phases.{' or phases.'.join(PHASES)}")
    return merged(rest, _mapping(of_phases, phase, where, "phases."))


def _said(assignments: tuple[str, ...], option: str) -> dict[str, Any]:
    """What ``--set`` says, the last word on each key."""
    said: dict[str, Any] = {}
    for assignment in assignments:
        parsed = parse_assignment(assignment)
        for key, way in (("method", option), ("recipe", "--recipe")):
            if key in parsed:
                raise TrainError(f"--set {assignment}: a {key} is chosen with {way}")
        said = merged(said, parsed)
    return said


def _check_sets(
    values: dict[str, Any], overrides: dict[str, Any], said: dict[str, Any], name: str
) -> None:
    """Data sets are named in one place: ``overrides`` are those of ``--shards``."""
    if _sets(overrides) and _sets(said) is not None:
        raise TrainError("--shards and --set data.sets both name data sets: leave one out")
    if _sets(overrides) and _sets(values):
        raise TrainError(
            f"--shards and data.sets of --recipe {name} both name data sets: leave --shards out, "
            "or data.sets in the recipe"
        )
    everything = merged(merged(values, overrides), said)
    if isinstance(everything.get("data", {}), dict) and not _sets(everything):
        raise TrainError("nothing to train on: give --shards, or data.sets in the recipe")


def _sets(values: dict[str, Any]) -> Any:
    data = values.get("data")
    return data.get("sets") if isinstance(data, dict) else None


def _mapping(values: dict[str, Any], key: str, where: str, above: str = "") -> dict[str, Any]:
    """The mapping at a key; nothing where it is empty or missing."""
    value = values.get(key)
    if value is not None and not isinstance(value, dict):
        raise TrainError(f"{where} {above}{key} must be a mapping of keys to values, not {value}")
    return value or {}


def _holds(values: Any, path: tuple[str, ...]) -> bool:
    """Whether nested values say something at a path, if only within a list."""
    for key in path:
        if not isinstance(values, dict):
            return True
        if key not in values:
            return False
        values = values[key]
    return True


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
