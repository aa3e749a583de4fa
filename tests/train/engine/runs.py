"""Very small runs: two dozen pictures of 32 pixels, a network of one block each way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import factory
import torch

from mimic.storage import Storage
from pipelines.pack import pack
from train.config import TrainConfig, load_train_config
from train.engine import checkpoint
from train.engine.say import Progress
from train.engine.session import Asked, run_session

NET = {
    "encoder": {"size": "tiny", "width": 24, "depth": 1, "heads": 2, "patch": 8,
                "image_size": [32, 32]},
    "decoder": {"size": "tiny", "width": 16, "depth": 1, "heads": 2},
}  # fmt: skip
SMALL = {
    "batch": 4,
    "seed": 3,
    "options": NET,
    "schedule": {"unit": "steps", "length": 6, "warmup": 2},
    "optimiser": {"base_lr": 0.1},
    "numerics": {"precision": "fp32", "ema_decay": 0.9},
    "hardware": {"device": "cpu", "decode_threads": 2, "compute_threads": 1},
    "report": {"log_every": 1, "validate_every": 3, "validate_batches": 1, "pictures": 2},
    "checkpoint": {"every": 2, "keep": 10},
}
VIEWS = {"crop": "squash", "size": [32, 32], "swap": 0.5}


def make_shards(
    out: Path,
    names: str = "abcd",
    labelled: bool = True,
    val_share: float = 0.4,
    deep: bool = False,
) -> Path:
    """Ten labelled pairs an item, some items held out; ``deep``: with depth."""
    storage = Storage(out)
    parts = [factory.with_poses(factory.make_part(name)) for name in names]
    if labelled:
        parts = [factory.with_labels(part) for part in parts]
    if deep:
        parts = [factory.with_depth(part) for part in parts]
    config = factory.config(pack={"val_share": val_share})
    pack([factory.report(part, storage) for part in parts], storage, storage, config)
    return out


def config_of(shards: Path, method: str = "croco", **changes: Any) -> TrainConfig:
    data = {"sets": [{"url": str(shards)}], "views": VIEWS}
    values = {**SMALL, "data": data}
    for key, value in changes.items():
        old = values.get(key)
        values[key] = {**old, **value} if isinstance(old, dict) else value
    return load_train_config(method, "tiny", values)


def run(config: TrainConfig, out: Path, **asked: Any) -> bool:
    return run_session(config, Asked(out, **asked), lambda _world: Progress(0, quiet=True))


def state_after(out: Path, steps: int) -> dict[str, Any]:
    return checkpoint.load(checkpoint.path_of(out / "checkpoints", steps))


def same_state(one: Any, two: Any) -> bool:
    """Equal to the bit, all the way down."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same_state(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same_state, one, two))
    return bool(one == two)


def metrics(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def command(shards: Path, out: Path, *more: str, method: str = "croco") -> list[str]:
    """The command line of such a run, its recipe written beside it."""
    recipe = out.with_suffix(".yaml")
    values = {**SMALL, "data": {"views": VIEWS}}
    recipe.write_text(json.dumps(values))  # JSON is YAML
    return ["-m", "train.pretrain", "--shards", str(shards), "--method", method, "--recipe",
            str(recipe), "--out", str(out), *more]  # fmt: skip


def spawn(args: list[str], **environment: str) -> subprocess.Popen[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, *args], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
