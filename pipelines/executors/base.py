"""What every executor does: run units, each attempt ending in an :class:`Outcome`."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mimic.errors import MimicError, SourceError, StorageError
from mimic.types import WorkUnit
from pipelines.limits import is_out_of_memory, memory_limit
from schemas import Failure, UnitReport

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[WorkUnit], UnitReport]
"""Mines one unit and commits it; must be picklable."""

MEMORY = "memory"
TIMEOUT = "timeout"
WORKER_DIED = "worker_died"
NODE_LOST = "node_lost"


class ClusterError(MimicError):
    """The Ray cluster is out of reach, or cannot do this work."""

    exit_code = 4


class Stop(Protocol):
    """Anything that can say that the run shall end (a ``threading.Event``, say)."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt at a unit ended.

    ``final``: the unit is settled; otherwise it will be tried again. ``wall_s`` and ``cpu_s`` are
    those of the attempt, for the log.
    """

    result: UnitReport | Failure
    final: bool
    wall_s: float
    cpu_s: float


OnOutcome = Callable[[Outcome], None]


class Executor(Protocol):
    """A way to run units. How it ran cannot be seen in what was made (law 3)."""

    def run(self, units: Sequence[WorkUnit], work: Work, on_outcome: OnOutcome, stop: Stop) -> None:
        """Run all units; returns when each is settled, or soon after ``stop`` is set.

        Raises:
            StorageError: a worker could not commit; the run must end, nothing is quarantined.
            ClusterError: the cluster went away.
        """
        ...

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T], resources: str = "cpu"
    ) -> Iterator[R]:
        """The results of pure tasks, in any order; ``function`` and tasks must be picklable.

        ``resources``: the resource class of the tasks, as work units have one. A task may be run
        twice (its worker may die), so it must be one that can be. Tasks are taken from the iterable
        as there is room. What a task raises ends it all.

        Raises:
            ClusterError: the cluster went away, or a worker dies of a task again and again.
        """
        ...


def attempt(work: Work, unit: WorkUnit, memory_mb: int) -> Outcome:
    """Run one unit in this process; what it raises becomes a :class:`Failure`.

    A :class:`SourceError` is final, because the same bytes fail again. A :class:`StorageError` is
    raised: when the store is down, no unit is to blame.
    """
    wall, cpu = time.monotonic(), time.process_time()
    final = True
    result: UnitReport | Failure
    try:
        with memory_limit(memory_mb):
            result = work(unit)
    except StorageError:
        raise
    except SourceError as error:
        if is_out_of_memory(error):
            result, final = memory_failure(unit, memory_mb), False
        else:
            result = failure(unit, error.reason, str(error))
    except Exception as error:
        final = False
        if is_out_of_memory(error):
            result = memory_failure(unit, memory_mb)
        else:
            kind = type(error).__name__
            message = f"{unit.item.name}: {kind}: {error}".replace("\n", " ")
            result = failure(unit, kind, message, traceback.format_exc())
    return Outcome(result, final, time.monotonic() - wall, time.process_time() - cpu)


def failure(unit: WorkUnit, reason: str, message: str, trace: str = "") -> Failure:
    """A failed first attempt."""
    return Failure(unit.unit_id, unit.item.name, reason, message, 1, trace)


def memory_failure(unit: WorkUnit, memory_mb: int) -> Failure:
    """The unit asked for more memory than it may."""
    return failure(
        unit,
        MEMORY,
        f"{unit.item.name}: mining it needs more than run.memory_mb ({memory_mb} MB); raise it "
        f"(--set run.memory_mb={2 * memory_mb}) and run `mimic retry --reason memory`",
    )


def timeout_failure(unit: WorkUnit, timeout_s: float) -> Failure:
    """The unit took too long, or hangs."""
    return failure(
        unit,
        TIMEOUT,
        f"{unit.item.name}: not mined within run.timeout_s ({timeout_s:g} s); if it only is slow, "
        f"raise it (--set run.timeout_s={2 * timeout_s:g}) and run `mimic retry --reason timeout`",
    )


def death_failure(unit: WorkUnit) -> Failure:
    """The worker died of it."""
    return failure(
        unit,
        WORKER_DIED,
        f"{unit.item.name}: its worker process died (a crash in a decoder or library, or killed "
        "from outside); the file is probably damaged",
    )
