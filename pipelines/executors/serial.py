"""Run units in this process, in plan order: for debuggers and small jobs.

No isolation: a unit that crashes or hangs takes the run with it (the Ray executor survives both).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from mimic.config import RunConfig
from mimic.types import WorkUnit
from pipelines.executors.base import OnOutcome, R, Stop, T, Work, attempt
from pipelines.executors.leases import LeaseBook


class SerialExecutor(contextlib.AbstractContextManager["SerialExecutor"]):
    """The in-process executor; a context manager like the others, though it holds nothing."""

    def __init__(self, run: RunConfig) -> None:
        self._run = run

    def __exit__(self, *_: object) -> None:
        return None

    def run(self, units: Sequence[WorkUnit], work: Work, on_outcome: OnOutcome, stop: Stop) -> None:
        """See :class:`pipelines.executors.base.Executor`."""
        book = LeaseBook(units, lease_size=1, attempts=self._run.attempts)
        while not stop.is_set() and (lease := book.take(workers=1)) is not None:
            outcome = attempt(work, lease.units[0], self._run.memory_mb)
            on_outcome(book.reported(lease, outcome))

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T], resources: str = "cpu"
    ) -> Iterator[R]:
        """See :class:`pipelines.executors.base.Executor`."""
        return map(function, tasks)
