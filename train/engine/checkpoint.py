"""Checkpoints: written whole or not at all, the newest few kept.

A checkpoint holds all that the run is: weights, their average, the optimiser, the step, the config
and the fingerprint of the data. No state of a random generator: every draw is a function of the
seed, the step and the sample.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import torch

from train.config import CheckpointConfig
from train.errors import TrainError

FORMAT = 1
_PARTIAL = ".partial"
_NAME = re.compile(r"step-(\d{8})\.pt")


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint after so many steps lies."""
    return folder / f"step-{step:08d}.pt"


def steps_in(folder: Path) -> list[int]:
    """The steps of which there are checkpoints, rising."""
    if not folder.is_dir():
        return []
    found = (_NAME.fullmatch(entry.name) for entry in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def latest(folder: Path) -> Path | None:
    """The newest checkpoint, or None."""
    steps = steps_in(folder)
    return path_of(folder, steps[-1]) if steps else None


def save(path: Path, content: dict[str, Any]) -> None:
    """Write to a temporary sibling, flush it to disk, rename, flush the folder's list of names.

    Raises:
        TrainError: it cannot be written (a full disk, say); older checkpoints stay as they are.
    """
    partial = path.with_suffix(_PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save({"format": FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync(path.parent)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise TrainError(
            f"checkpoint {path}: could not be written ({_reason(error)}); older ones are whole: "
            "make room and run the same command again"
        ) from error


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint. Nothing in it is code: ``weights_only``.

    Raises:
        TrainError: it is no checkpoint of this program.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise TrainError(f"checkpoint {path}: not found") from error
    except Exception as error:
        raise TrainError(
            f"checkpoint {path}: cannot be read ({_reason(error)}); remove it to go on from "
            "an older one"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise TrainError(f"checkpoint {path}: not one of `train.pretrain` (format {FORMAT})")
    return content


def purge(folder: Path, config: CheckpointConfig) -> None:
    """Remove all but the newest few and those of the steps that stay, and what a kill left."""
    for partial in folder.glob(f"step-*{_PARTIAL}"):
        partial.unlink(missing_ok=True)
    for step in steps_in(folder)[: -config.keep]:
        if config.keep_every is None or step % config.keep_every:
            path_of(folder, step).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Or a power cut could undo the renaming, and not the removal of an older checkpoint."""
    with contextlib.suppress(OSError):  # some network file systems know no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
