"""This process among those of the run (``torchrun``), and its device."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from train.errors import PeerError, TrainError

_T = TypeVar("_T")
_BACKENDS = ("gloo", "nccl")
"""One is named in each error of a broken collective; gloo's have no type of their own."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among all: of how many, on which device, and how many share its machine."""

    rank: int
    size: int
    device: torch.device
    local_size: int = 1

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
        if self.size == 1:
            return flag  # without asking a device, which would wait for it
        return bool(self.summed(torch.tensor(float(flag), device=self.device)).item() > 0)

    def gathered(self, value: _T) -> list[_T]:
        """The value of each rank (a small plain one), on all. Every rank must ask."""
        if self.size == 1:
            return [value]
        values: list[_T | None] = [None] * self.size
        dist.all_gather_object(values, value)
        return [found for found in values if found is not None]

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device: str) -> Iterator[World]:
    """This process in its group, which ``torchrun`` made known by the environment.

    Args:
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Raises:
        TrainError: there is no such device.
        PeerError: another process ended, or cannot be reached.
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
    try:
        dist.init_process_group("nccl" if on_cuda else "gloo")
        yield World(rank, size, where, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    except RuntimeError as error:
        if not _of_the_group(error):
            raise
        raise PeerError(
            f"rank {rank} of {size}: another process of the run ended or is out of reach "
            f"({_first_line(error)}); its own message is the cause (without one it was killed, "
            "for want of memory perhaps); the same line again goes on from the last checkpoint"
        ) from error
    # Not after an error: with NCCL it would wait for ranks that wait for this one. The process
    # ends, its connections with it, and the others learn of it by that.
    dist.destroy_process_group()


def _of_the_group(error: RuntimeError) -> bool:
    """Whether it is of the connection to the other processes."""
    said = str(error).lower()
    return isinstance(error, dist.DistError) or any(name in said for name in _BACKENDS)


def _first_line(error: RuntimeError) -> str:
    """What went wrong, without where in torch's source it was noticed, nor advice."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"^\[[^\]]*\.(cc|cpp|h|cu):\d+\]\s*", "", line).split(". ")[0].rstrip(".")
