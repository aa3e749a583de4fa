"""Strict config trees in layers: plain values merged, then checked, with errors in one sentence.

Both configs, that of mining and that of training, are trees of :class:`Strict` models.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mimic.errors import MimicError


class ConfigError(MimicError):
    """A config value or key is wrong; the message names it and what would do.

    ``path`` leads to it through the tree; empty: it is not one value.
    """

    def __init__(self, message: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


class Strict(BaseModel):
    """A frozen node of a config tree; an unknown key is an error, and so is a number not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Tree = TypeVar("Tree", bound=Strict)


def validated(model: type[Tree], values: dict[str, Any]) -> Tree:
    """The tree of nested plain values.

    Raises:
        ConfigError: it names the key (and the nearest known one) or the value that does not fit.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        path = tuple(str(part) for part in error.errors()[0]["loc"])
        raise ConfigError(_sentence(error, model), path) from error


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file; nothing where it is empty."""
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"config {file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"config {file}: is not UTF-8 text; give a YAML file") from error
    except (yaml.YAMLError, ValueError) as error:  # the latter of a date such as 2020-13-01
        raise ConfigError(f"config {file}: not valid YAML ({error})".replace("\n", " ")) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"config {file}: must be a mapping of keys to values")
    return values


def parse_assignment(assignment: str) -> dict[str, Any]:
    """``a.b=c`` as nested values; c is YAML."""
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {assignment}: write it as key.subkey=value")
    try:
        value: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"--set {assignment}: the value is not valid YAML") from error
    for name in reversed(key.strip().split(".")):
        value = {name: value}
    return value  # type: ignore[no-any-return]  # key is not empty, so this is a dict


def merged(base: dict[str, Any], layer: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``layer``, mapping by mapping."""
    result = dict(base)
    for key, value in layer.items():
        old = result.get(key)
        result[key] = (
            merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return result


def flattened(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested plain values as one level, ``{"overlap.low": 0.45, ...}``: to compare key by key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _sentence(error: ValidationError, model: type[Strict]) -> str:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    where = ".".join(path)
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = (
            f"did you mean {'.'.join([*path[:-1], near[0]])}?"
            if near
            else f"known: {', '.join(known)}"
        )
        return f"config key {where} is unknown: {hint}"
    reason = first["msg"].removeprefix("Value error, ")
    return (
        f"config {where}: {reason} (got {first['input']!r})"
        if first["type"] != "value_error"
        else (f"config {where}: {reason}")
    )


def _keys_at(model: Any, path: list[str]) -> list[str]:
    for name in path:
        if get_origin(model) is tuple:  # a list of tables: the name is a place in it
            model = get_args(model)[0]
            continue
        field = getattr(model, "model_fields", {}).get(name)
        model = field.annotation if field else None
    return list(getattr(model, "model_fields", {}))
