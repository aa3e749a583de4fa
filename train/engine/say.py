"""What a person follows while a run goes on; or, for a program, JSON lines."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field

from train.engine.metrics import json_values


@dataclass
class Progress:
    """Prints a line each time something is measured; notes go to standard error."""

    total: int
    first: int = 0
    as_json: bool = False
    quiet: bool = False
    _since: float = field(default_factory=time.perf_counter)

    def __call__(self, step: int, values: dict[str, float]) -> None:
        """The values after ``step`` steps."""
        if self.as_json:
            _print(json.dumps({"step": step, **json_values(values)}))
        elif not self.quiet:
            _print(self._line(step, values))

    def note(self, text: str) -> None:
        """A sentence about the run."""
        if not self.quiet and not self.as_json:
            sys.stderr.write(text + "\n")

    def _line(self, step: int, values: dict[str, float]) -> str:
        words = [f"step {step:>{len(str(self.total))}}/{self.total}"]
        first = [name for name in ("loss", "lr") if name in values]
        words += [
            _said(name, values[name]) for name in [*first, *(n for n in values if n not in first)]
        ]
        if "lr" in values and step < self.total:
            words.append(f"left {_clock(self._left_s(step))}")
        return "  ".join(words)

    def _left_s(self, step: int) -> float:
        done = max(step - self.first, 1)
        return (time.perf_counter() - self._since) / done * (self.total - step)


def _said(name: str, value: float) -> str:
    if name == "data_wait_share":
        return f"waiting {value:.0%}"
    if name == "mfu":
        return f"mfu {value:.0%}"
    if name == "samples_per_s":
        return f"{value:.1f} samples/s"
    return (
        f"{name} {value:.3g}" if name in {"lr", "grad_norm", "memory_gb"} else f"{name} {value:.4f}"
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
