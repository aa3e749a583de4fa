"""This process among those of the run (``torchrun``), and its device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from train.errors import TrainError


@dataclass(frozen=True, slots=True)
class World:
    """Rank of this process, number of processes, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all ranks, on each."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether any rank says so: all then act as one."""
        return bool(self.summed(torch.tensor(float(flag), device=self.device)).item() > 0)

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device: str) -> Iterator[World]:
    """This process in its group, which ``torchrun`` made known by the environment.

    Args:
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainError("hardware.device cuda: no CUDA device is visible; use auto or cpu")
    on_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    where = torch.device("cpu")
    if on_cuda:
        where = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(where)
    if size == 1:
        yield World(0, 1, where)
        return
    dist.init_process_group("nccl" if on_cuda else "gloo")
    try:
        yield World(rank, size, where)
    finally:
        dist.destroy_process_group()
