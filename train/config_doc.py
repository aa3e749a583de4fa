"""Writes docs/train-config.md from the config itself: ``python -m train.config_doc``."""

from __future__ import annotations

from pathlib import Path

from mimic.layered_tables import table, tables
from train.config import TrainConfig, recipe_names
from train.methods import METHODS, TASKS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "train-config.md"

_HEAD = f"""# Config of training

Every value of `train.pretrain` and `train.finetune`. Values are laid over each other, later ones
win:

1. a recipe, `--recipe NAME` ({", ".join(recipe_names())}) or a YAML file;
   without it the method's own. What it says under `methods.NAME` holds for that method alone, what
   it says under `phases.head` and `phases.all` for one phase of fine-tuning;
2. options with a name of their own, such as `--batch` and `--where`;
3. single values, `--set optimiser.base_lr=1e-3` (as often as needed).

A key that is not listed here is an error that names the nearest one. A run that goes on must have
the values that it began with, but for those of `hardware`, `report`, `checkpoint`, `data.cache`,
`data.max_bad_share` and `numerics.nan_budget`, which decide nothing that is learnt.

This page is written by `make docs`; do not edit it.
"""


def document() -> str:
    """The page as Markdown."""
    of_methods = [
        table(f"`options` of {name}", method.Options, "options")
        for name, method in {**METHODS, **TASKS}.items()
    ]
    return "\n".join([_HEAD, *tables(TrainConfig), *of_methods])


if __name__ == "__main__":
    TARGET.write_text(document())
