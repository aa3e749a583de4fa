"""Executors: what goes wrong in one unit costs that unit, whatever it is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_work import Work, is_gone, make_units

from mimic.config import RunConfig
from mimic.errors import StorageError
from mimic.types import WorkUnit
from pipelines.executors import ClusterError, Outcome, make_executor
from pipelines.executors.ray import RayExecutor
from schemas import Failure, UnitReport

RUN = {
    "serial": RunConfig(executor="serial", memory_mb=256, attempts=2),
    "ray": RunConfig(executor="ray", memory_mb=256, attempts=2, lease=4, timeout_s=60),
}


def run_all(
    run: RunConfig,
    units: list[WorkUnit],
    work: Work,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    stop: threading.Event | None = None,
) -> dict[str, UnitReport | Failure]:
    """Final results by item name; each unit may end only once."""
    results: dict[str, UnitReport | Failure] = {}

    def note(outcome: Outcome) -> None:
        if outcome.final:
            assert outcome.result.name not in results
            results[outcome.result.name] = outcome.result
        on_outcome(outcome)

    with make_executor(run) as executor:
        executor.run(units, work, note, stop or threading.Event())
    return results


def work_at(tmp_path: Path, deeds: dict[str, str]) -> Work:
    trace = tmp_path / "trace"
    trace.mkdir()
    return Work(str(trace), deeds)


EVERYWHERE = [
    # deed, reason, attempts
    ("raise", "RuntimeError", 2),
    ("source_error", "truncated", 1),
    ("allocate", "memory", 2),
    ("allocate_in_c", "memory", 2),
]
ISOLATED = [
    ("segfault", "worker_died", 2),
    ("kill", "worker_died", 2),
    ("exit", "worker_died", 2),
]


@pytest.mark.parametrize(
    ("executor", "deed", "reason", "attempts"),
    [("serial", *row) for row in EVERYWHERE] + [("ray", *row) for row in [*EVERYWHERE, *ISOLATED]],
)
def test_a_bad_unit_costs_itself(
    two_cpus: None, tmp_path: Path, executor: str, deed: str, reason: str, attempts: int
) -> None:
    units = make_units(9)
    bad = units[5]
    work = work_at(tmp_path, {bad.item.name: deed})
    results = run_all(RUN[executor], units, work)
    assert set(results) == {unit.item.name for unit in units}
    failed = {name: r for name, r in results.items() if isinstance(r, Failure)}
    assert set(failed) == {bad.item.name}
    failure = failed[bad.item.name]
    assert (failure.reason, failure.attempts) == (reason, attempts)
    assert bad.item.name in failure.message
    assert "\n" not in failure.message
    assert work.tries(bad) == attempts
    assert ("bad luck" in failure.traceback) == (deed == "raise")


@pytest.mark.parametrize("deed", ["sleep", "hold_gil"])
def test_a_hanging_unit_is_killed(two_cpus: None, tmp_path: Path, deed: str) -> None:
    units = make_units(6)
    run = RUN["ray"].model_copy(update={"timeout_s": 1.5, "attempts": 1})
    results = run_all(run, units, work_at(tmp_path, {units[1].item.name: deed}))
    assert len(results) == 6
    failed = [r for r in results.values() if isinstance(r, Failure)]
    assert [(f.name, f.reason) for f in failed] == [(units[1].item.name, "timeout")]


@pytest.mark.parametrize("deed", ["kill once", "raise once", "allocate once"])
def test_what_fails_once_is_done_at_the_second_try(
    two_cpus: None, tmp_path: Path, deed: str
) -> None:
    units = make_units(5)
    seen: list[Outcome] = []
    work = work_at(tmp_path, {units[0].item.name: deed})
    results = run_all(RUN["ray"], units, work, seen.append)
    assert all(isinstance(r, UnitReport) for r in results.values())
    assert len(results) == 5
    assert [o.result.unit_id for o in seen if not o.final] == [units[0].unit_id]


@pytest.mark.parametrize("executor", ["serial", "ray"])
def test_a_store_that_is_down_ends_the_run_and_blames_no_unit(
    two_cpus: None, tmp_path: Path, executor: str
) -> None:
    units = make_units(5)
    failures: list[Outcome] = []
    with pytest.raises(StorageError, match="out of reach"):
        run_all(
            RUN[executor],
            units,
            work_at(tmp_path, {units[2].item.name: "store_down"}),
            lambda o: failures.append(o) if isinstance(o.result, Failure) else None,
        )
    assert not failures


@pytest.mark.parametrize("executor", ["serial", "ray"])
def test_stop_hands_out_no_more_work(two_cpus: None, tmp_path: Path, executor: str) -> None:
    units = make_units(60)
    work = work_at(tmp_path, {unit.item.name: "short_sleep" for unit in units})
    stop = threading.Event()
    results = run_all(RUN[executor], units, work, lambda o: stop.set(), stop)
    assert 1 <= len(results) < len(units) / 2


def test_units_in_flight_are_bounded(two_cpus: None, tmp_path: Path) -> None:
    """Two leases a CPU, so at most 16 units can have begun while the first outcome is handled."""
    units = make_units(200)
    work = work_at(tmp_path, {})
    begun: list[int] = []

    def look(outcome: Outcome) -> None:
        if not begun:
            time.sleep(3)  # the driver does nothing meanwhile; workers run dry
            begun.append(len(list(Path(work.trace).iterdir())))

    assert len(run_all(RUN["ray"], units, work, look)) == 200
    assert begun[0] <= 2 * 2 * 4


def test_a_killed_worker_is_really_gone(two_cpus: None, tmp_path: Path) -> None:
    units = make_units(1)
    pid_file = tmp_path / "pid"
    run = RUN["ray"].model_copy(update={"timeout_s": 1.0, "attempts": 1})

    def work(unit: WorkUnit) -> UnitReport:
        pid_file.write_text(str(os.getpid()))
        signal.sigwait([])
        raise AssertionError

    with make_executor(run) as executor:
        executor.run(units, work, lambda outcome: None, threading.Event())
    assert is_gone(int(pid_file.read_text()))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("ray://127.0.0.1:10001", "ray job submit"),
        ("nonsense", "host:port"),
    ],
)
def test_a_cluster_out_of_reach_is_one_sentence(address: str, says: str) -> None:
    from pipelines.executors.ray import _join

    with pytest.raises(ClusterError, match=says) as caught:
        _join(address)
    assert caught.value.exit_code == 4


def test_a_cluster_of_another_version_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.executors import ray as ours

    def refuse(**_: object) -> None:
        raise RuntimeError(  # word for word what Ray 2.60 says
            "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.4\n"
            "This process on node 10.0.0.2 was started with:\n    Ray: 2.60.0\n"
            "    Python: 3.11.7\n"
        )

    monkeypatch.setattr(ours.ray, "init", refuse)
    monkeypatch.setattr(ours.ray, "shutdown", lambda: None)  # the other tests' Ray stays
    monkeypatch.setattr(ours, "_check_reachable", lambda address: None)
    says = (
        r"10\.0\.0\.1:6379 runs another version of Ray or Python \(Ray 2\.9\.0, Python 3\.10\.4\) "
        r"than this process \(Ray 2\.60\.0, Python 3\.11\.7\)"
    )
    with pytest.raises(ClusterError, match=says) as caught:
        ours._join("10.0.0.1:6379")
    assert "\n" not in str(caught.value)


def test_workers_with_other_packages_are_refused() -> None:
    from pipelines.executors.ray import _check_versions, _versions

    _check_versions(_versions())
    with pytest.raises(ClusterError, match=r"workers have numpy 0\.1"):
        _check_versions({**_versions(), "numpy": "0.1"})


def test_ray_that_was_there_before_stays(two_cpus: None) -> None:
    import ray

    with RayExecutor(RunConfig()):
        pass
    assert ray.is_initialized()
