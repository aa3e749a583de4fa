"""Writes docs/config.md from the config itself: ``python -m pipelines.cli.config_doc``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mimic.config import Config
from mimic.presets import PRESETS

TARGET = Path(__file__).resolve().parents[2] / "docs" / "config.md"

_HEAD = """# Config

Every constant of the miner is a config value. Values are laid over each other, later ones win:

1. the preset, `--preset default` or `--preset mimic` (the constants of the MIMIC paper);
2. a YAML file, `--config my.yaml`;
3. options with a name of their own, such as `--size` and `--overlap`;
4. single values, `--set filters.min_matches=20` (as often as needed).

A key that is not listed here is an error that names the nearest one. `null` switches a filter off
where that is allowed. All values but those under `run` enter the fingerprint that is stored with
the shards: `run` says how the work is executed, and never changes a byte of what comes out.

```yaml
# my.yaml
preset: default
overlap: {low: 0.4, high: 0.8}
filters:
  max_scale_ratio: null
```

This page is written by `make docs`; do not edit it.
"""


def document() -> str:
    """The page as Markdown."""
    sections = [_HEAD, _table("Top level", Config, ())]
    sections += [_table(f"`{'.'.join(path)}`", model, path) for path, model in _models(Config, ())]
    return "\n".join(sections)


def _models(
    model: type[BaseModel], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    for name, field in model.model_fields.items():
        if _is_model(field):
            assert isinstance(field.annotation, type)
            yield (*path, name), field.annotation
            yield from _models(field.annotation, (*path, name))


def _is_model(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _table(title: str, model: type[BaseModel], path: tuple[str, ...]) -> str:
    about = inspect.cleandoc(model.__doc__ or "").replace("``", "`") if path else ""
    lines = [f"## {title}", "", *([about, ""] if about else [])]
    rows = [
        _row(".".join((*path, name)), field)
        for name, field in model.model_fields.items()
        if not _is_model(field)
    ]
    if not rows:
        return "\n".join(lines)
    header = ["| key | values | default | preset mimic | meaning |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *header, *rows, ""])


def _row(key: str, field: FieldInfo) -> str:
    cells = (
        f"`{key}`",
        _values(field),
        f"`{_plain(field.default)}`",
        _in_mimic(key),
        field.description or "",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(rule, word)}"
        for rule in field.metadata
        for word, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
        if getattr(rule, word, None) is not None
    ]
    return ", ".join([_type(field.annotation), *bounds])


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    if isinstance(annotation, type):
        return {float: "number", int: "integer", str: "text", bool: "true or false"}[annotation]
    known = [_type(choice) for choice in get_args(annotation) if choice is not NoneType]
    return " or ".join([*known, "null"])


def _in_mimic(key: str) -> str:
    value: Any = PRESETS["mimic"]
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            return ""
        value = value[name]
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    """A value as one writes it in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    TARGET.write_text(document())
