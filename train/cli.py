"""What the commands of ``train`` share: errors as one sentence, options by name."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from mimic.errors import MimicError
from train.errors import PeerError

_UNEXPECTED = 1


def run_command(command: Callable[..., int], name: str, args: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors are printed, never raised.

    Args:
        command: a function whose annotations are typer's.
        name: how it is called, for its help.
        args: null: those of this process.
    """
    args = sys.argv[1:] if args is None else args
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    app.command()(command)
    try:
        result = typer.main.get_command(app).main(args=args, prog_name=name, standalone_mode=False)
    except Exception as error:  # the one place where every error becomes a sentence
        if "--debug" in args:
            traceback.print_exception(error)
        message, code = _sentence_and_code(error)
        sys.stderr.write(f"error: {message}\n")
        sys.stderr.flush()
        if not isinstance(error, PeerError):
            _tell_torchrun(message)
        return code
    return result if isinstance(result, int) else 0


def local_path(text: str) -> Path:
    """A path of this machine: ``typer.Option(parser=local_path, metavar="PATH")``.

    Typer's own ``Path`` would make the folder ``s3:`` of an address.
    """
    if "://" in text:
        raise typer.BadParameter(f"{text} is an address; give a path of this machine")
    return Path(text)


def _tell_torchrun(message: str) -> None:
    """``torchrun`` ends with a table of the ranks that failed: there it shows this as the cause."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        said = {"message": message, "extraInfo": {"timestamp": str(int(time.time()))}}
        with contextlib.suppress(OSError):
            Path(path).write_text(json.dumps({"message": said}))


def _sentence_and_code(error: Any) -> tuple[str, int]:
    if isinstance(error, MimicError):
        return str(error), error.exit_code
    if hasattr(error, "format_message"):  # a wrong option, found by typer
        return " ".join(error.format_message().split()) + " (see: --help)", error.exit_code
    kind, text = type(error).__name__, " ".join(str(error).split())
    return f"unexpected {kind}: {text} (run it again with --debug for the traceback)", _UNEXPECTED
