"""Real Ray clusters: a node that is lost costs no unit an attempt, and no byte; other versions;
what is in work when a run stops."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import ray
from fake_work import Mine, files_of, is_gone, make_units, report_of
from ray.cluster_utils import Cluster

from mimic.config import RunConfig, load_config
from mimic.types import WorkUnit
from pipelines.executors import ClusterError, make_executor
from pipelines.mine import mine
from schemas import UnitReport

SERIAL = {"run": {"executor": "serial"}}


def test_a_node_lost_in_the_middle(importable_here: None, photos: Path, tmp_path: Path) -> None:
    """Two Ray nodes on this machine, one killed while units are in work on both."""
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    mine(str(photos), str(undisturbed), load_config(overrides=SERIAL), mine_unit=Mine())
    assert not ray.is_initialized()
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    second = cluster.add_node(**node)
    work = Mine(deeds=dict.fromkeys([f"group-{n:02d}" for n in range(6)], "short_sleep"))
    config = load_config(overrides={"run": {"address": cluster.address, "attempts": 1, "lease": 1}})

    def kill_when_busy() -> None:
        while len(list(out.rglob("done/*.json"))) < 2:
            time.sleep(0.02)
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill_when_busy)
    killer.start()
    try:
        result = mine(str(photos), str(out), config, mine_unit=work)
        killer.join()
    finally:
        cluster.shutdown()
    assert result.exit_code == 0
    assert result.failed == ()
    assert files_of(out) == files_of(undisturbed)


def test_a_cluster_of_another_version(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real cluster, joined by a process that takes itself for another version of Ray."""
    assert not ray.is_initialized()
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    theirs = ray.__version__
    monkeypatch.setattr(ray, "__version__", "2.0.1")
    config = load_config(overrides={"run": {"address": cluster.address}})
    try:
        with pytest.raises(ClusterError, match=rf"Ray {theirs}, .* \(Ray 2\.0\.1, ") as caught:
            mine(str(photos), str(tmp_path / "out"), config, mine_unit=Mine())
    finally:
        cluster.shutdown()
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("whose", ["our own", "a cluster that stays", "one joined before"])
def test_leaving_ends_what_is_in_work(importable_here: None, tmp_path: Path, whose: str) -> None:
    """A unit that hangs while another stops the run: its worker is gone with our leaving."""
    assert not ray.is_initialized()
    pid_file, stop = tmp_path / "pid", threading.Event()

    def work(unit: WorkUnit) -> UnitReport:
        if unit.item.name == "item-0000.mp4":
            pid_file.write_text(str(os.getpid()))
            signal.sigwait([])
        while not pid_file.exists():
            time.sleep(0.01)
        return report_of(unit)

    run = RunConfig(executor="ray", cpus=2)
    with ExitStack() as stack:
        if whose == "a cluster that stays":
            node = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
            cluster = Cluster(initialize_head=True, head_node_args=node)
            stack.callback(cluster.shutdown)
            run = RunConfig(executor="ray", address=cluster.address)
        if whose == "one joined before":
            stack.enter_context(make_executor(run))
        with make_executor(run) as executor:
            executor.run(make_units(2), work, lambda outcome: stop.set(), stop)
        assert is_gone(int(pid_file.read_text()))
