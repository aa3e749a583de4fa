"""What a run tells while it goes: JSON lines always, TensorBoard or W&B by choice."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from train.config import ReportConfig
from train.engine.world import World
from train.errors import TrainError


class Sink(Protocol):
    """A place for scalars."""

    def write(self, step: int, values: dict[str, float]) -> None:
        """The values after ``step`` steps."""

    def close(self) -> None:
        """Flush and let go."""


class JsonLines:
    """``metrics.jsonl``: one object a line; what is past the step of resumption is cut."""

    def __init__(self, path: Path, first_step: int) -> None:
        kept = []
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _step_of(line) <= first_step]
        self._file = path.with_suffix(".partial").open("w")
        self._file.writelines(f"{line}\n" for line in kept)
        self._file.flush()
        path.with_suffix(".partial").replace(path)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append a line."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise TrainError(
                "report.tensorboard: the package tensorboard is missing: pip install tensorboard"
            ) from error
        self._writer: Any = SummaryWriter(str(folder))

    def write(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, project: str, folder: Path, config: dict[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise TrainError(
                "report.wandb: the package wandb is missing: pip install wandb"
            ) from error
        self._run: Any = wandb.init(project=project, dir=str(folder), config=config, resume="allow")

    def write(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def close(self) -> None:
        self._run.finish()


def sinks(out: Path, report: ReportConfig, first_step: int, config: dict[str, Any]) -> list[Sink]:
    """All places that the config names."""
    found: list[Sink] = [JsonLines(out / "metrics.jsonl", first_step)]
    if report.tensorboard:
        found.append(_TensorBoard(out / "tensorboard"))
    if report.wandb is not None:
        found.append(_Wandb(report.wandb, out, config))
    return found


@dataclass
class Meter:
    """Means since the last reading, and what the time went into."""

    device: torch.device
    flops_per_sample: float = 0.0
    """Of forward and backward."""
    peak_flops_per_s: float | None = None
    """Measured, of one device; None where it was not."""
    _sums: dict[str, float] = field(default_factory=dict)
    _steps: int = 0
    _samples: int = 0
    _since: float = field(default_factory=time.perf_counter)
    _waited_s: float = 0.0

    def add(self, values: dict[str, float], samples: int, waited_s: float) -> None:
        """One step: its scalars, this rank's samples, and seconds without data."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._steps += 1
        self._samples += samples
        self._waited_s += waited_s

    def read(self, world: World) -> dict[str, float]:
        """The means over all ranks, and rates; starts anew. Every rank must ask."""
        passed_s = max(time.perf_counter() - self._since, 1e-9)
        names = sorted(self._sums)
        steps = max(self._steps, 1)
        means = torch.tensor([self._sums[name] / steps for name in names], dtype=torch.float64)
        over_ranks = world.summed(means.to(self.device)) / world.size
        values = dict(zip(names, over_ranks.tolist(), strict=True))
        per_rank = self._samples / passed_s
        values["samples_per_s"] = per_rank * world.size
        values["data_wait_share"] = min(1.0, self._waited_s / passed_s)
        if self.peak_flops_per_s:
            values["mfu"] = per_rank * self.flops_per_sample / self.peak_flops_per_s
        if self.device.type == "cuda":
            values["memory_gb"] = torch.cuda.max_memory_allocated(self.device) / 1e9
        self._sums, self._steps, self._samples, self._waited_s = {}, 0, 0, 0.0
        self._since = time.perf_counter()
        return values


def measured_peak(device: torch.device, dtype: torch.dtype, size: int = 8192) -> float:
    """Floating-point operations a second of one large matrix product on a CUDA device."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize(device)
    start, rounds = time.perf_counter(), 10
    for _ in range(rounds):
        a @ b
    torch.cuda.synchronize(device)
    return 2.0 * size**3 * rounds / (time.perf_counter() - start)


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 1 << 62  # a line that a kill cut short
