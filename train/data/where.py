"""Which samples: comparisons of index columns, joined by and, or, not. Parsed, never run."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import SAMPLES
from train.errors import TrainError

Mask = NDArray[np.bool_]

_OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
}

COLUMNS = tuple(field.name for field in SAMPLES if not pa.types.is_list(field.type))
"""The columns that can be compared; beside them there are these names:"""
OVERLAP, SOURCE, LABELLED = "overlap", "source", "labelled"
"""The overlap that decided when the data set was mined; what was mined (``item``); and, a condition
by itself, whether there are label maps."""


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on index rows. Make it with :func:`parse`.

    ``text`` is canonical: equal conditions that differ in spaces or quotes have the same.
    """

    text: str
    columns: frozenset[str]
    tree: ast.expr

    def mask(self, table: pa.Table) -> Mask:
        """Which rows (N,) of a table with :attr:`columns` it chooses.

        A comparison with a value that a row does not have chooses nothing, like its negation.
        """
        chosen = _value(self.tree, table)
        return np.asarray(pc.fill_null(chosen, False).to_numpy(zero_copy_only=False), np.bool_)


def parse(text: str, measure: str) -> Where:
    """Read a condition like ``0.5 < overlap < 0.7 and kind == "video"``.

    Args:
        text: names of index columns, numbers, words in quotes; ``< <= > >= == !=``, ``and``,
            ``or``, ``not``, brackets.
        measure: the overlap that decided, for the name ``overlap``.

    Raises:
        TrainError: it is anything else, or names a column that there is not.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _wrong(text, "it cannot be read") from error
    names = {OVERLAP: f"overlap_{measure}", SOURCE: "item", LABELLED: "labels_12"}
    columns = frozenset(_checked(tree, text, names))
    return Where(ast.unparse(tree), columns, tree)


def _checked(node: ast.expr, text: str, names: dict[str, str]) -> Iterator[str]:
    """The columns that a condition reads; it is a condition, not just an expression."""
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                yield from _checked(value, text, names)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _checked(operand, text, names)
        case ast.Compare(left=left, ops=ops, comparators=others):
            if strange := [op for op in ops if type(op) not in _OPERATORS]:
                raise _wrong(text, f"{type(strange[0]).__name__} is no comparison here")
            for operand in (left, *others):
                yield from _operand(operand, text, names)
        case ast.Name(id=name) if name == LABELLED:
            yield from _operand(node, text, names)
        case _:
            raise _wrong(text, f"{ast.unparse(node)!r} is no comparison")


def _operand(node: ast.expr, text: str, names: dict[str, str]) -> Iterator[str]:
    match node:
        case ast.Name(id=name):
            node.id = _column(name, text, names)
            yield node.id
        case ast.Constant(value=value) if isinstance(value, (int, float, str)):
            return
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if isinstance(
            value, (int, float)
        ):
            return
        case _:
            raise _wrong(text, f"{ast.unparse(node)!r} is neither a column nor a number or word")


def _column(name: str, text: str, names: dict[str, str]) -> str:
    if name in names:
        return names[name]
    if name in COLUMNS:
        return name
    known: Collection[str] = (*names, *COLUMNS)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise TrainError(f"--where {text!r}: there is no column {name}; {hint}")


def _wrong(text: str, why: str) -> TrainError:
    return TrainError(
        f'--where {text!r}: {why}; write comparisons like "overlap < 0.7 and scale_ratio < 1.5"'
    )


def _value(node: ast.expr, table: pa.Table) -> Any:
    match node:
        case ast.BoolOp(op=op, values=values):
            join = pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene
            result = _value(values[0], table)
            for value in values[1:]:
                result = join(result, _value(value, table))
            return result
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return pc.invert(_value(operand, table))
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compared(left, ops, others, table)
        case ast.UnaryOp(operand=ast.Constant(value=value)):
            return pa.scalar(-value)  # type: ignore[operator]  # checked to be a number
        case ast.Constant(value=value):
            return pa.scalar(value)
        case ast.Name(id=name):
            column = table[name]
            return pc.is_valid(column) if pa.types.is_list(column.type) else column
    raise AssertionError(f"not checked: {ast.dump(node)}")


def _compared(left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr], table: pa.Table) -> Any:
    result, before = None, _value(left, table)
    for op, other in zip(ops, others, strict=True):
        after = _value(other, table)
        try:
            found = _OPERATORS[type(op)](before, after)
        except pa.ArrowException as error:
            raise TrainError(
                f"--where: {ast.unparse(left)} {ast.unparse(other)}: a number is compared with a "
                "word; put words, and only words, in quotes"
            ) from error
        result = found if result is None else pc.and_kleene(result, found)
        before = after
    return result
