"""Pure tasks through an executor: all results, whatever dies, with few tasks in flight."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mimic.config import RunConfig
from mimic.errors import DamagedError
from pipelines import executors
from pipelines.executors import ClusterError, LazyExecutor, make_executor
from pipelines.executors import ray as ray_executor

RUNS = [RunConfig(executor="serial"), RunConfig(executor="ray")]


def square(number: int) -> int:
    return number * number


def die_at_first(folder: str, number: int) -> int:
    """Kill this worker at the first try of each even number."""
    flag = Path(folder, str(number))
    if number % 2 == 0 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def damaged(number: int) -> int:
    raise DamagedError(f"part-{number}.tar: damaged")


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.executor)
def test_every_task_gives_its_result(two_cpus: None, run: RunConfig) -> None:
    with make_executor(run) as executor:
        assert sorted(executor.map(square, range(20))) == [n * n for n in range(20)]
        assert list(executor.map(square, [])) == []


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.executor)
def test_what_a_task_raises_ends_it(two_cpus: None, run: RunConfig) -> None:
    with (
        make_executor(run) as executor,
        pytest.raises(DamagedError, match=r"part-3\.tar: damaged$"),
    ):
        list(executor.map(damaged, [3]))


def test_a_task_whose_worker_dies_is_done_again(two_cpus: None, tmp_path: Path) -> None:
    with make_executor(RunConfig()) as executor:
        results = executor.map(partial(die_at_first, str(tmp_path)), range(6))
        assert sorted(results) == list(range(6))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "2", "4"]


def test_a_task_that_kills_every_worker_ends_it(two_cpus: None) -> None:
    with make_executor(RunConfig()) as executor, pytest.raises(ClusterError, match="4 times"):
        list(executor.map(die, [1]))


def test_tasks_are_taken_as_there_is_room(two_cpus: None) -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for number in itertools.count():
            taken = number + 1
            yield number

    with make_executor(RunConfig()) as executor:
        results = executor.map(square, tasks())
        for done in range(10):
            next(results)
            assert taken <= done + 2 + ray_executor.TASKS_IN_WAITING + 3
        results.close()  # type: ignore[attr-defined]
    assert taken >= 10


def test_a_worker_with_other_packages_is_refused(
    two_cpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "_versions", lambda: {"numpy": "0.1"})
    with (
        make_executor(RunConfig()) as executor,
        pytest.raises(ClusterError, match="install the same versions"),
    ):
        list(executor.map(square, [1]))


def test_a_few_tasks_do_not_start_an_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def start(run: RunConfig) -> object:
        started.append(run)
        return make_executor(run)

    monkeypatch.setattr(executors, "make_executor", start)
    run = RunConfig(executor="serial")
    with LazyExecutor(run) as executor:
        few = range(executors.WORTH_STARTING - 1)
        assert list(executor.map(square, few)) == [n * n for n in few]
        assert started == []
        many = range(executors.WORTH_STARTING)
        assert list(executor.map(square, many)) == [n * n for n in many]
        assert started == [run]
        assert list(executor.map(square, [2])) == [4]
        assert executor.started() is executor.started()
    assert started == [run]
