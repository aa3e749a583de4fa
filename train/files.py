"""Files that are written whole or not at all, and what is said when they cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from train.errors import TrainError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary sibling to fill: it becomes ``path`` at the end, or is gone after an error.

    The folder is made if it is absent. What goes wrong (OSError) is for the caller to put in words.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def written_to(out: Path) -> Iterator[None]:
    """What a command writes to its ``--out``: where it cannot, a sentence (TrainError) says so."""
    try:
        yield
    except OSError as error:
        raise TrainError(
            f"--out {out}: cannot be written ({error.strerror}); make room or give another"
        ) from error
