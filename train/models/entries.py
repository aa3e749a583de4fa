"""Frozen dataclasses from plain dicts, strictly: an error names the entry and what would do."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from train.errors import TrainError

T = TypeVar("T")

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "whole number"),
    "float": ((int, float), "number"),
    "bool": ((bool,), "true or false"),
}


def built(config: type[T], entries: Mapping[str, Any], part: str) -> T:
    """``config(**entries)``; ``part`` names it in messages.

    Raises:
        TrainError: an entry is unknown, of the wrong kind, or missing.
    """
    fields = {known.name: known for known in dataclasses.fields(config)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in entries.items():
        if name not in fields:
            raise TrainError(f"{part}.{name} is not known{_hint(name, fields)}")
        values[name] = _checked(value, str(fields[name].type), f"{part}.{name}")
    missing = [name for name, known in fields.items() if name not in values and _required(known)]
    if missing:
        raise TrainError(f"{part} lacks {', '.join(missing)}")
    return config(**values)


def named(table: Mapping[str, T], name: object, what: str) -> T:
    """A row of a table.

    Raises:
        TrainError: there is none of that name.
    """
    if not isinstance(name, str) or name not in table:
        raise TrainError(f"{what} {name!r} is not known; there are {', '.join(table)}")
    return table[name]


def plain(value: Any) -> Any:
    """With lists for tuples, as YAML and JSON hold them."""
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _checked(value: Any, kind: str, name: str) -> Any:
    """The value of a field annotated with ``kind``; a list of two whole numbers as a tuple."""
    if kind == "tuple[int, int]":
        if not isinstance(value, (list, tuple)) or [type(side) for side in value] != [int, int]:
            raise TrainError(f"{name} is {value!r}; give [height, width] in pixels")
        return tuple(value)
    if kind not in _KINDS:
        return value
    types, words = _KINDS[kind]
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "bool"):
        raise TrainError(f"{name} is {value!r}; give a {words}")
    return float(value) if isinstance(value, int) and kind == "float" else value


def _required(known: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return known.default is missing and known.default_factory is missing


def _hint(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
