"""Progress for people: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines.events import (
    Attempted,
    Event,
    Finished,
    Note,
    OnEvent,
    Packing,
    Planned,
    counted,
)
from schemas import Failure, UnitReport

PLAIN_EVERY_S = 10.0
SKIPPED_SHOWN = 20


@contextlib.contextmanager
def show(console: Console | None = None) -> Iterator[OnEvent]:
    """A consumer of events that shows them on ``console`` (default: stderr)."""
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield _Plain(console)
        return
    with _bar(console) as progress:
        yield _Bar(console, progress)


@dataclass
class Tally:
    """Sums over a run: ``units`` settled of ``todo``, ``kept`` pairs, ``failed`` units."""

    todo: int = 0
    units: int = 0
    kept: int = 0
    failed: int = 0
    _clock: Callable[[], float] = time.monotonic
    _began: float = field(default=0.0)

    def begin(self, todo: int) -> None:
        """Start counting."""
        self.todo = todo
        self._began = self._clock()

    def add(self, event: Attempted) -> None:
        """Count a settled unit; an attempt that will be repeated counts nothing."""
        if not event.outcome.final:
            return
        self.units += 1
        result = event.outcome.result
        if isinstance(result, UnitReport):
            self.kept += result.counts.get("kept", 0)
        else:
            self.failed += 1

    @property
    def units_per_s(self) -> float:
        """Settled units a second since the beginning."""
        return self.units / max(self._clock() - self._began, 1e-9)

    @property
    def pairs_per_s(self) -> float:
        """Pairs kept a second since the beginning."""
        return self.kept / max(self._clock() - self._began, 1e-9)

    @property
    def left_s(self) -> float | None:
        """Seconds left at this rate; None before the first unit."""
        return (self.todo - self.units) / self.units_per_s if self.units else None


class _Lines:
    """The sentences that both displays print."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tally = Tally()
        self._said: set[str] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                self._tally.begin(event.todo)
                self._planned(event)
            case Attempted():
                self._tally.add(event)
                self._attempted(event)
            case Packing():
                self._say(f"packing {counted(event.units, 'unit')} into shards")
            case Note():
                self._say(event.text)
            case Finished():
                self._say(event.message)

    def _planned(self, event: Planned) -> None:
        parts = [counted(event.units, "unit"), f"{event.todo:,} to mine"]
        if event.done:
            parts.append(f"{event.done} done before")
        if event.quarantined:
            parts.append(f"{event.quarantined} in quarantine")
        self._say(", ".join(parts))
        for skipped in event.skipped[:SKIPPED_SHOWN]:
            self._say(f"skipped ({skipped.reason}): {skipped.message}")
        if len(event.skipped) > SKIPPED_SHOWN:
            self._say(f"... and {len(event.skipped) - SKIPPED_SHOWN} more skipped (see the log)")

    def _attempted(self, event: Attempted) -> None:
        result = event.outcome.result
        if isinstance(result, Failure):
            what = "failed" if event.outcome.final else "will be tried again"
            self._say_once(f"{what} ({result.reason}): {result.message}")

    def _say_once(self, text: str) -> None:
        """All units of a bad file may fail for the same reason: one line is enough."""
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


class _Plain(_Lines):
    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._last = time.monotonic()

    def _attempted(self, event: Attempted) -> None:
        super()._attempted(event)
        now, tally = time.monotonic(), self._tally
        if now - self._last < PLAIN_EVERY_S and tally.units != tally.todo:
            return
        if not event.outcome.final:
            return
        self._last = now
        left = f", {_clock_of(tally.left_s)} left" if tally.left_s else ""
        self._say(
            f"{tally.units}/{counted(tally.todo, 'unit')}, {counted(tally.kept, 'pair')} "
            f"({tally.pairs_per_s:.1f} a second), {tally.failed} failed{left}"
        )


class _Bar(_Lines):
    def __init__(self, console: Console, progress: Progress) -> None:
        super().__init__(console)
        self._progress = progress
        self._task = progress.add_task("planning", total=None, pairs=0, rate=0.0, failed=0)

    def _planned(self, event: Planned) -> None:
        super()._planned(event)
        self._progress.update(self._task, description="mining", total=event.todo)

    def _attempted(self, event: Attempted) -> None:
        super()._attempted(event)
        tally = self._tally
        self._progress.update(
            self._task,
            completed=tally.units,
            pairs=tally.kept,
            rate=tally.pairs_per_s,
            failed=tally.failed,
        )


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("units  {task.fields[pairs]} pairs  {task.fields[rate]:.1f}/s"),
        TextColumn("{task.fields[failed]} failed"),
        TimeRemainingColumn(),
        console=console,
    )


def _clock_of(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
