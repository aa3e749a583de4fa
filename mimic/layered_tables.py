"""Tables of a config in Markdown, from its own fields, bounds and descriptions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_WORDS = {
    float: "number", int: "integer", str: "text", bool: "true or false", dict: "mapping",
    Path: "path", Any: "anything",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column beside the usual ones: its title, and what stands in it for a key."""

    title: str
    cell: Callable[[str], str]


def tables(model: type[BaseModel], columns: tuple[Column, ...] = ()) -> list[str]:
    """A section for the top level, then one for each part below it."""
    parts = [_table("Top level", "", model, "", columns)]
    for path, part in _parts(model, ""):
        parts.append(_table(f"`{path}`", _about(part), part, f"{path}.", columns))
    return parts


def table(title: str, model: type[BaseModel], path: str) -> str:
    """The section of one model whose keys stand below ``path``."""
    return _table(title, _about(model), model, f"{path}.", ())


def plain(value: Any) -> str:
    """A value as one writes it in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(plain(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {plain(item)}" for key, item in value.items()) + "}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _about(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "").replace("``", "`")


def _parts(model: type[BaseModel], above: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Models below a model, each with its path; of a list of them ``name[]``."""
    for name, field in model.model_fields.items():
        part, path = _model_of(field.annotation), f"{above}{name}"
        if part is None and get_origin(field.annotation) is tuple:
            part, path = _model_of(get_args(field.annotation)[0]), f"{path}[]"
        if part is not None:
            yield path, part
            yield from _parts(part, f"{path}.")


def _model_of(annotation: Any) -> type[BaseModel] | None:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model else None


def _table(
    title: str, about: str, model: type[BaseModel], above: str, columns: tuple[Column, ...]
) -> str:
    lines = [f"## {title}", "", *([about, ""] if about else [])]
    rows = [
        _row(f"{above}{name}", field, columns)
        for name, field in model.model_fields.items()
        if _model_of(field.annotation) is None
    ]
    if not rows:
        return "\n".join(lines)
    titles = ["key", "values", "default", *(column.title for column in columns), "meaning"]
    header = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join([*lines, *header, *rows, ""])


def _row(key: str, field: FieldInfo, columns: tuple[Column, ...]) -> str:
    cells = (
        f"`{key}`",
        _values(field),
        "required"
        if field.is_required()
        else f"`{plain(field.get_default(call_default_factory=True))}`",
        *(column.cell(key) for column in columns),
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
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in get_args(annotation))
    if origin is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    if _model_of(annotation) is not None:
        return "tables, see below"
    if (origin or annotation) in _WORDS:
        return _WORDS[origin or annotation]
    known = [_type(choice) for choice in get_args(annotation) if choice is not NoneType]
    return " or ".join([*known, "null"])
