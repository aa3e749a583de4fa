"""The command line ``mimic``. Each command is a small module here; the work lives elsewhere.

Whatever goes wrong ends as one sentence on stderr and an exit code (:mod:`mimic.errors`).
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from mimic.errors import MimicError
from pipelines.cli.app import app

_UNEXPECTED = 1


def main() -> None:
    """Entry point of the ``mimic`` command."""
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are printed, never raised."""
    try:
        result = typer.main.get_command(app).main(
            args=list(args), prog_name="mimic", standalone_mode=False
        )
    except Exception as error:  # the one place where every error becomes a sentence
        return _say(error, debug="--debug" in args)
    return result if isinstance(result, int) else 0


def _say(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    message, code = _sentence_and_code(error)
    if message:  # a bare `mimic` prints the help and has nothing to add
        sys.stderr.write(f"error: {message}\n")
    return code


def _sentence_and_code(error: Any) -> tuple[str, int]:
    if isinstance(error, MimicError):
        return str(error), error.exit_code
    if hasattr(error, "format_message"):  # a wrong option or command, found by typer
        return _with_help(error), error.exit_code
    kind, text = type(error).__name__, " ".join(str(error).split())
    return (
        f"unexpected {kind}: {text} (this is a bug; run it again with --debug and report "
        "the traceback)",
        _UNEXPECTED,
    )


def _with_help(error: Any) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    hint = f" (see: {context.command_path} --help)" if message and context else ""
    return message + hint
