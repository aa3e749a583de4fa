"""What a run tells while it goes: JSON lines always, TensorBoard or W&B by choice."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from train.config import ReportConfig
from train.engine.world import World
from train.errors import TrainError

Sums = dict[str, tuple[float, float]]
"""By name: a sum, and of how many."""


class Sink(Protocol):
    """A place for scalars."""

    def write(self, step: int, values: dict[str, float]) -> None:
        """The values after ``step`` steps; NaN where there was nothing to measure."""

    def close(self) -> None:
        """Flush and let go."""


class JsonLines:
    """``metrics.jsonl``: one object a line; what is past the step of resumption is cut.

    Raises:
        TrainError: it cannot be written (a full disk, say); what it held is still there.
    """

    def __init__(self, path: Path, first_step: int) -> None:
        self._path, kept = path, []
        partial = path.with_suffix(".partial")
        with self._named():
            if path.exists():
                lines = path.read_text().splitlines()
                kept = [line for line in lines if _step_of(line) <= first_step]
            # Without a buffer: one that cannot be written would fail again when it is closed.
            self._file = partial.open("wb", buffering=0)
            try:
                self._append("".join(f"{line}\n" for line in kept))
                partial.replace(path)
            except OSError:
                self._file.close()
                partial.unlink(missing_ok=True)
                raise

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append a line."""
        with self._named():
            whole = self._file.tell()
            try:
                self._append(json.dumps({"step": step, **json_values(values)}) + "\n")
            except OSError:
                self._file.truncate(whole)
                raise

    def _append(self, text: str) -> None:
        data = memoryview(text.encode())
        while data:
            data = data[self._file.write(data) :]

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainError(
                f"{self._path}: could not be written ({error.strerror}); checkpoints are whole: "
                "make room and run the same command again"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _TensorBoard:
    """Events past the step of resumption are dropped by whoever reads them (``purge_step``)."""

    def __init__(self, folder: Path, first_step: int) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise TrainError(
                "report.tensorboard: the package tensorboard is missing: pip install tensorboard"
            ) from error
        self._writer: Any = SummaryWriter(str(folder), purge_step=first_step + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    """One run there for one folder here: its name there lies beside the metrics.

    Weights & Biases takes steps in rising order only. What it was told before a kill it keeps: a
    run that goes on tells it again nothing of those steps.
    """

    def __init__(self, project: str, folder: Path, config: dict[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise TrainError(
                "report.wandb: the package wandb is missing: pip install wandb"
            ) from error
        name = folder / "wandb-id.txt"
        if not (name.exists() and name.read_text().strip()):
            name.write_text(secrets.token_hex(4))
        try:
            self._run: Any = wandb.init(
                project=project,
                dir=str(folder),
                config=config,
                id=name.read_text().strip(),
                resume="allow",
            )
        except wandb.Error as error:
            why = " ".join(str(error).split())
            raise TrainError(
                f"report.wandb: cannot begin ({why}); run `wandb login`, set WANDB_MODE=offline, "
                "or leave report.wandb out"
            ) from error

    def write(self, step: int, values: dict[str, float]) -> None:
        if step >= self._run.step:
            self._run.log({n: v for n, v in values.items() if math.isfinite(v)}, step=step)

    def close(self) -> None:
        self._run.finish()


def sinks(out: Path, report: ReportConfig, first_step: int, config: dict[str, Any]) -> list[Sink]:
    """All places that the config names."""
    found: list[Sink] = [JsonLines(out / "metrics.jsonl", first_step)]
    if report.tensorboard:
        found.append(_TensorBoard(out / "tensorboard", first_step))
    if report.wandb is not None:
        found.append(_Wandb(report.wandb, out, config))
    return found


def json_values(values: dict[str, float]) -> dict[str, float | None]:
    """JSON knows no number that is not finite: null stands for it."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


@dataclass
class Meter:
    """Means since the last reading, and what the time went into.

    What is not finite is left out: the loop counts and names it, and one such step says nothing of
    the others.
    """

    device: torch.device
    flops_per_sample: float = 0.0
    """Of forward and backward."""
    peak_flops_per_s: float | None = None
    """Measured, of one device; None where it was not."""
    _sums: Sums = field(default_factory=dict)
    _samples: int = 0
    _since: float = field(default_factory=time.perf_counter)
    _waited_s: float = 0.0

    def add(self, sums: Sums, samples: int, waited_s: float) -> None:
        """One step: what was measured, this rank's samples, and seconds without data."""
        for name, (value, count) in sums.items():
            before, of = self._sums.get(name, (0.0, 0.0))
            found = (before + value, of + count) if math.isfinite(value) else (before, of)
            self._sums[name] = found
        self._samples += samples
        self._waited_s += waited_s

    def read(self, world: World) -> dict[str, float]:
        """The means over all ranks, and rates; starts anew. Every rank must ask."""
        passed_s = max(time.perf_counter() - self._since, 1e-9)
        names = sorted(self._sums)
        sums = torch.tensor([self._sums[name] for name in names], dtype=torch.float64)
        values = dict(zip(names, means(world, sums.to(self.device)), strict=True))
        per_rank = self._samples / passed_s
        values["samples_per_s"] = per_rank * world.size
        values["data_wait_share"] = min(1.0, self._waited_s / passed_s)
        if self.peak_flops_per_s:
            values["mfu"] = per_rank * self.flops_per_sample / self.peak_flops_per_s
        if self.device.type == "cuda":
            values["memory_gb"] = torch.cuda.max_memory_allocated(self.device) / 1e9
        self._sums, self._samples, self._waited_s = {}, 0, 0.0
        self._since = time.perf_counter()
        return values


def means(world: World, sums: Tensor) -> list[float]:
    """N means over all ranks, NaN where there is nothing; of this rank's sums and counts [N, 2]."""
    totals = world.summed(sums)
    found: list[float] = (totals[:, 0] / totals[:, 1]).tolist()
    return found


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 1 << 62  # a line that a kill cut short
