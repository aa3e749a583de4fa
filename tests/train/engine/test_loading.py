"""How a process takes its part of a machine."""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch")

from train.engine.loading import share_of_cores
from train.engine.world import World, joined

CPU = torch.device("cpu")


@pytest.mark.parametrize(("cores", "local_size", "threads"), [(16, 1, 16), (128, 8, 16), (2, 4, 1)])
def test_the_processes_of_a_machine_share_its_cores(monkeypatch, cores, local_size, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    assert share_of_cores(World(0, 8, CPU, local_size)) == threads


def test_torchrun_says_how_many_there_are(monkeypatch):
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda _backend: None)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    for name, value in {"WORLD_SIZE": "16", "RANK": "9", "LOCAL_WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    with joined("cpu") as world:
        assert (world.rank, world.size, world.local_size) == (9, 16, 8)
