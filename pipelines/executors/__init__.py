"""The two ways to run units: in this process, and on Ray."""

from __future__ import annotations

from contextlib import AbstractContextManager

from mimic.config import RunConfig
from pipelines.executors.base import ClusterError, Executor, Outcome, Stop, Work

__all__ = ["ClusterError", "Executor", "Outcome", "Stop", "Work", "make_executor"]


def make_executor(run: RunConfig) -> AbstractContextManager[Executor]:
    """The executor that the config names; on entering it connects, on leaving it lets go.

    Ray is imported only when it is asked for.
    """
    if run.executor == "serial":
        from pipelines.executors.serial import SerialExecutor

        return SerialExecutor(run)
    from pipelines.executors.ray import RayExecutor

    return RayExecutor(run)
