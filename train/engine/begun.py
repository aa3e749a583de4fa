"""What a run was begun with beside its config: in its checkpoints, compared when it goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from train.errors import TrainError


@dataclass(frozen=True, slots=True)
class Begun:
    """What decides what is learned and is no value of the config.

    Attributes:
        init: name of the file of the first weights; None: drawn.
        init_sha256: of its bytes; None also where it is not there any more.
        overfit_batches: number of the few batches that are seen again and again; None: all.
    """

    init: str | None = None
    init_sha256: str | None = None
    overfit_batches: int | None = None

    @classmethod
    def of(cls, init: Path | None, overfit_batches: int | None) -> Begun:
        """What a command asks for now; the file is read where it is there."""
        if init is None:
            return cls(overfit_batches=overfit_batches)
        return cls(init.name, _sha256(init), overfit_batches)

    def changes(self, state: Mapping[str, Any]) -> list[str]:
        """How this differs from what a checkpoint's run was begun with, a phrase each.

        A run that goes on has its weights: ``--init`` may be left out then, and its file be gone.
        """
        if (then := _then(state)) is None:
            return []
        found = []
        if self.init_sha256 is not None and self.init_sha256 != then.init_sha256:
            found.append(f"--init ({then._init_said()} -> {self._init_said()})")
        if self.overfit_batches != then.overfit_batches:
            found.append(f"--overfit-batches ({then.overfit_batches} -> {self.overfit_batches})")
        return found

    def gone_on(self, state: Mapping[str, Any]) -> Begun:
        """The record of a run that goes on from a checkpoint: its first weights stay the same."""
        if (then := _then(state)) is None:
            return self
        return replace(self, init=then.init, init_sha256=then.init_sha256)

    def plain(self) -> dict[str, Any]:
        """As a checkpoint holds it."""
        return asdict(self)

    def _init_said(self) -> str:
        return "None" if self.init_sha256 is None else f"{self.init} {self.init_sha256[:12]}"


def _then(state: Mapping[str, Any]) -> Begun | None:
    return Begun(**state["begun"]) if "begun" in state else None


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrainError(f"--init {path}: cannot be read ({error.strerror})") from error
