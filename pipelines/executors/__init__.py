"""The two ways to run units: in this process, and on Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain, islice

from mimic.config import RunConfig
from pipelines.executors.base import ClusterError, Executor, Outcome, R, Stop, T, Work

__all__ = ["ClusterError", "Executor", "LazyExecutor", "Outcome", "Stop", "Work", "make_executor"]

WORTH_STARTING = 8
"""Fewer pure tasks than this are done here before an executor is started for them."""


def make_executor(run: RunConfig) -> AbstractContextManager[Executor]:
    """The executor that the config names; on entering it connects, on leaving it lets go.

    Ray is imported only when it is asked for.
    """
    if run.executor == "serial":
        from pipelines.executors.serial import SerialExecutor

        return SerialExecutor(run)
    from pipelines.executors.ray import RayExecutor

    return RayExecutor(run)


class LazyExecutor(AbstractContextManager["LazyExecutor"]):
    """The executor that the config names, entered when it is first needed, once for all uses."""

    def __init__(self, run: RunConfig) -> None:
        self._run = run
        self._stack = contextlib.ExitStack()
        self._executor: Executor | None = None

    def __exit__(self, *_: object) -> None:
        self._executor = None
        self._stack.close()

    def started(self) -> Executor:
        """The executor, connected."""
        if self._executor is None:
            self._executor = self._stack.enter_context(make_executor(self._run))
        return self._executor

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T], resources: str = "cpu"
    ) -> Iterator[R]:
        """See :meth:`Executor.map`; a few tasks do not start an executor, but are done here."""
        waiting = iter(tasks)
        if self._executor is None:
            few = list(islice(waiting, WORTH_STARTING))
            if len(few) < WORTH_STARTING:
                return map(function, few)
            waiting = chain(few, waiting)
        return self.started().map(function, waiting, resources)
