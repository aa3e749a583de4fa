"""Run units on Ray: a local one that is started for the run, or an existing cluster.

Core tasks, each a lease of a few units as a streaming generator, so that what a dying worker had
finished counts; a bounded window in flight; our own attempt counts (Ray retries nothing); forced
cancel of what takes too long. Only small reports come back: parts go from worker to storage.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a warning of Ray's

import ray
from ray import exceptions as ray_errors

from mimic.config import RunConfig
from mimic.errors import MimicError
from mimic.shards.versions import versions
from mimic.types import WorkUnit
from pipelines.executors.base import (
    ClusterError,
    OnOutcome,
    Outcome,
    R,
    Stop,
    T,
    Work,
    attempt,
    death_failure,
    memory_failure,
    timeout_failure,
)
from pipelines.executors.leases import Lease, LeaseBook
from pipelines.limits import ONE_THREAD_ENV
from schemas import Failure

LEASES_PER_CPU = 2
"""Leases in flight for each CPU: one in work, one waiting at its side."""
TASKS_IN_WAITING = 2
"""Pure tasks in flight beyond one a CPU; they are seconds long and megabytes large."""
TASK_TRIES = 4
"""Times that a pure task is run before its dying workers or nodes end the run."""
TICK_S = 0.2
"""How often timeouts and the wish to stop are looked at while nothing comes back."""
STREAMS_A_LOOK = 16
"""One in so many streams must have spoken before all are looked at (or a tick has passed)."""
CPU_COUNT_S = 5.0
"""How often the cluster is asked for its size (it may grow and shrink)."""
CONNECT_S = 10.0
ENDING_S = 0.2
"""How long tasks that are about to end are given before what is in flight is killed."""
OBJECT_STORE_BYTES = 100 * 2**20
"""Nothing of size goes through the object store."""

_log = logging.getLogger("mimic")

_NODE_LOST = (
    ray_errors.NodeDiedError,
    ray_errors.ObjectLostError,
    ray_errors.TaskCancelledError,
)
_CLUSTER_LOST = (ray_errors.RaySystemError, ray_errors.LocalRayletDiedError, ConnectionError)


class RayExecutor(contextlib.AbstractContextManager["RayExecutor"]):
    """The Ray executor: connects on entering, shuts down on leaving only what it started."""

    def __init__(self, run: RunConfig) -> None:
        self._run = run
        self._started = False

    def __enter__(self) -> RayExecutor:
        if not ray.is_initialized():
            address = self._run.address or os.environ.get("RAY_ADDRESS")
            if address and address != "local":
                _join(address)
            else:
                _start_local(self._run.cpus)
            self._started = True
            _hush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._started:
            ray.shutdown()
            self._started = False

    def run(self, units: Sequence[WorkUnit], work: Work, on_outcome: OnOutcome, stop: Stop) -> None:
        """See :class:`pipelines.executors.base.Executor`."""
        book = LeaseBook(units, self._run.lease, self._run.attempts)
        _warn_without_gpu(max((_resources(u.resources, self._run)[1] for u in units), default=0))
        flight = _Flight(self._run, book, work, on_outcome)
        try:
            while not stop.is_set() and not book.finished:
                flight.fill()
                flight.collect()
                flight.cancel_overdue()
        except _CLUSTER_LOST as error:
            raise _cluster_lost(error) from error
        finally:
            self._abandon({stream: stream.completed() for stream in flight.streams})

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T], resources: str = "cpu"
    ) -> Iterator[R]:
        """See :class:`pipelines.executors.base.Executor`."""
        waiting = iter(tasks)
        flying: dict[Any, tuple[T, int]] = {}
        num_cpus, num_gpus = _resources(resources, self._run)
        _warn_without_gpu(num_gpus)
        remote = _remote_task(num_cpus, num_gpus)
        try:
            while True:
                room = _cpus() + TASKS_IN_WAITING - len(flying)
                for task in islice(waiting, max(room, 0)):
                    flying[remote(function, task, _versions())] = task, 1
                if not flying:
                    return
                ready, _ = ray.wait(list(flying), timeout=TICK_S)
                for result in ready:
                    task, tries = flying.pop(result)
                    try:
                        done = ray.get(result)
                    except ray_errors.RayTaskError as error:
                        raise _cause_of(error) from error
                    except _CLUSTER_LOST:
                        raise
                    except ray_errors.RayError as error:
                        _check_tries(tries, error)
                        flying[remote(function, task, _versions())] = task, tries + 1
                    else:
                        yield done
        except _CLUSTER_LOST as error:
            raise _cluster_lost(error) from error
        finally:
            self._abandon({result: result for result in flying})

    def _abandon(self, flying: dict[Any, Any]) -> None:
        """Kill tasks in flight, each with what is ready when it ends; what is committed stays.

        Ray 2.60 aborts the whole driver if a task ends just as it is cancelled ("Tried to complete
        task that was not pending"), and what stops one task often ends its neighbours too. So a
        Ray of ours is left to its shutdown, and in another's only what goes on is cancelled.
        """
        if self._started or not flying:
            return
        with contextlib.suppress(*_CLUSTER_LOST, ray_errors.RayError):
            ended, _ = ray.wait(list(flying.values()), num_returns=len(flying), timeout=ENDING_S)
            done = set(ended)
            for task, end in flying.items():
                if end not in done:
                    ray.cancel(task, force=True)


@dataclass(frozen=True, slots=True)
class _Started:
    """First word of a lease: the worker has begun, and these are its packages."""

    versions: dict[str, str]


@dataclass(eq=False, slots=True)
class _Task:
    """A lease in flight. ``since``: when its first unfinished unit began (None: still queued)."""

    lease: Lease
    since: float | None = field(default=None)


class _Flight:
    """The leases in flight: submit, collect, cancel."""

    def __init__(self, run: RunConfig, book: LeaseBook, work: Work, on_outcome: OnOutcome) -> None:
        self._run = run
        self._book = book
        self._work = work
        self._on_outcome = on_outcome
        self._tasks: dict[Any, _Task] = {}
        self._cpus, self._cpus_asked = 1, float("-inf")
        self._looked = float("-inf")

    @property
    def streams(self) -> list[Any]:
        """What is in flight, in the order in which it was handed out."""
        return list(self._tasks)

    def fill(self) -> None:
        """Hand out leases until the window is full."""
        cpus = self._count_cpus()
        while len(self._tasks) < LEASES_PER_CPU * cpus:
            lease = self._book.take(workers=cpus)
            if lease is None:
                return
            remote = _remote_lease(*_resources(lease.units[0].resources, self._run))
            stream = remote(list(lease.units), self._work, self._run.memory_mb)
            self._tasks[stream] = _Task(lease)

    def collect(self) -> None:
        """Take in all that has come back; waits a tick, or until a share of the streams speaks.

        Looking at all streams costs time for each of them, so with many in flight they are looked
        at once for several messages.
        """
        streams = self.streams
        if not streams:
            return
        share = max(1, len(streams) // STREAMS_A_LOOK)
        ray.wait(streams, num_returns=share, timeout=TICK_S, fetch_local=False)
        ready, _ = ray.wait(streams, num_returns=len(streams), timeout=0, fetch_local=False)
        for stream in ready:
            self._take_in(stream)

    def cancel_overdue(self) -> None:
        """Kill the workers whose unit has run out of time."""
        now = time.monotonic()
        if now - self._looked < TICK_S:
            return
        self._looked = now
        for stream, task in list(self._tasks.items()):
            if task.since is None or now - task.since <= self._run.timeout_s:
                continue
            ray.cancel(stream, force=True)
            unit = task.lease.units[0]
            self._break(stream, timeout_failure(unit, self._run.timeout_s))

    def _take_in(self, stream: Any) -> None:
        task = self._tasks[stream]
        try:
            message = ray.get(next(stream))
        except StopIteration:
            del self._tasks[stream]
            self._book.lost(task.lease)  # nothing is left in it, unless Ray lost the rest
        except ray_errors.OutOfMemoryError:
            self._break(stream, memory_failure(task.lease.units[0], self._run.memory_mb))
        except _NODE_LOST:
            del self._tasks[stream]
            self._say(self._book.lost(task.lease))
        except ray_errors.WorkerCrashedError:
            if task.lease.units:
                self._break(stream, death_failure(task.lease.units[0]))
        except ray_errors.RayTaskError as error:
            del self._tasks[stream]
            raise _cause_of(error) from error
        else:
            if isinstance(message, _Started):
                _check_versions(message.versions)
            else:
                self._say(self._book.reported(task.lease, message))
            task.since = time.monotonic() if task.lease.units else None

    def _break(self, stream: Any, blame: Failure) -> None:
        task = self._tasks.pop(stream)
        wall_s = time.monotonic() - task.since if task.since is not None else 0.0
        self._say(self._book.broken(task.lease, blame, wall_s))

    def _say(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            self._on_outcome(outcome)

    def _count_cpus(self) -> int:
        now = time.monotonic()
        if now - self._cpus_asked > CPU_COUNT_S:
            self._cpus = _cpus()
            self._cpus_asked = now
        return self._cpus


def _lease(units: list[WorkUnit], work: Work, memory_mb: int) -> Iterator[_Started | Outcome]:
    """A worker's task: begin, then one outcome a unit, in order."""
    yield _Started(_versions())
    for unit in units:
        yield attempt(work, unit, memory_mb)


def _resources(kind: str, run: RunConfig) -> tuple[float, float]:
    """CPUs and the share of a GPU that a unit or task of a resource class asks of Ray."""
    return 1, run.gpu_share if kind == "gpu" else 0


def _warn_without_gpu(num_gpus: float) -> None:
    """Say why nothing happens; it is no error, because clusters grow when they are asked to."""
    if num_gpus and not _cluster_resources().get("GPU"):
        _log.warning(
            "run.gpu_share is %g and the Ray cluster has no GPU: work waits until it has", num_gpus
        )


@cache
def _remote_lease(num_cpus: float, num_gpus: float) -> Callable[..., Any]:
    task = ray.remote(
        num_returns="streaming",
        max_retries=0,
        runtime_env={"env_vars": ONE_THREAD_ENV},
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )(_lease)
    remote: Callable[..., Any] = task.remote
    return remote


def _task(function: Callable[[T], R], task: T, versions_asked: dict[str, str]) -> R:
    """A worker's pure task, refused where it would make other bytes."""
    _check_versions(_versions(), versions_asked)
    return function(task)


def _check_tries(tries: int, error: Exception) -> None:
    """Give up on a pure task whose worker died once too often."""
    if tries >= TASK_TRIES:
        raise ClusterError(
            f"Ray workers died of one task {tries} times ({_first_line(error)}); is there memory "
            "enough? Run the same command again: what is committed stays"
        ) from error


@cache
def _remote_task(num_cpus: float, num_gpus: float) -> Callable[..., Any]:
    # Ray's own retries are off: with them it aborted the driver once in a while ("Tried to complete
    # task that was not pending", Ray 2.60) when a worker died as it finished.
    task: Any = ray.remote(
        max_retries=0,
        runtime_env={"env_vars": ONE_THREAD_ENV},
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )(_task)
    remote: Callable[..., Any] = task.remote
    return remote


def _cpus() -> int:
    return max(1, int(_cluster_resources().get("CPU", 1)))


def _cluster_resources() -> dict[str, float]:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


@cache
def _versions() -> dict[str, str]:
    """What decides bytes, as installed here; processors may differ from node to node."""
    return {name: found for name, found in versions().items() if name != "cpu"}


def _check_versions(theirs: dict[str, str], ours: dict[str, str] | None = None) -> None:
    ours = _versions() if ours is None else ours
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            raise ClusterError(
                f"the Ray workers have {name} {theirs.get(name, '(none)')}, this process "
                f"{ours.get(name, '(none)')}: install the same versions on every node"
            )


def _cluster_lost(error: Exception) -> ClusterError:
    return ClusterError(
        f"the Ray cluster was lost ({_first_line(error)}); start it again and run the same "
        "command: what is committed stays"
    )


def _cause_of(error: Exception) -> MimicError:
    """What a worker raised past our own handling: a store that is down, or a node without us."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, MimicError):
        return cause
    return ClusterError(
        f"a Ray worker could not do its work ({_last_line(cause or error)}); is the same mimic "
        "installed on every node?"
    )


def _start_local(cpus: int | None) -> None:
    ray.init(
        address="local",
        num_cpus=cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
    )


def _join(address: str) -> None:
    _check_reachable(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except RuntimeError as error:
        ray.shutdown()  # a join that was refused leaves a half of itself behind
        if "ersion mismatch" not in str(error):
            raise ClusterError(
                f"Ray cluster {address}: cannot join it ({_first_line(error)})"
            ) from error
        raise ClusterError(_other_version(address, str(error))) from error
    except (ConnectionError, ValueError, OSError) as error:
        raise ClusterError(
            f"Ray cluster {address}: cannot join it ({_first_line(error)}); check RAY_ADDRESS or "
            "run.address, or unset it to run on this machine"
        ) from error


def _other_version(address: str, said: str) -> str:
    """Ray's page about versions in one sentence; it names the cluster's first, then ours."""
    versions = re.findall(r"(Ray|Python): (\S+)", said)
    named = [f"{name} {version}" for name, version in versions]
    here = ", ".join(named[2:]) or f"Ray {ray.__version__}"
    there = f" ({', '.join(named[:2])})" if named else ""
    return (
        f"Ray cluster {address} runs another version of Ray or Python{there} than this process "
        f"({here}): install the same on both"
    )


def _check_reachable(address: str) -> None:
    """Ray itself tries a wrong address for minutes, and ends the process."""
    if address.startswith("ray://"):
        raise ClusterError(
            f"Ray cluster {address}: the Ray client cannot stream results; start mimic on a node "
            "of the cluster (`ray job submit`) with its address host:6379"
        )
    host, colon, port = address.rpartition(":")
    if not colon:
        if address == "auto":
            return
        raise ClusterError(f"Ray address {address!r} is not host:port, `auto` or `local`")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S):
            pass
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error}); check RAY_ADDRESS or run.address, or "
            "unset it to run on this machine"
        ) from error


def _hush() -> None:
    """Keep Ray's own reports of dead workers off the terminal: ours name the file."""
    with contextlib.suppress(ImportError, AttributeError):
        from ray._private.ray_logging import global_worker_stdstream_dispatcher

        global_worker_stdstream_dispatcher.remove_handler("ray_print_logs")


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _last_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
