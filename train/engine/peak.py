"""What a device can do: the rate of one large matrix product, to which a step is compared."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

_SIDE = {"cuda": 8192, "cpu": 1536}
_ROUNDS = 10


def measured_peak(device: torch.device, dtype: torch.dtype, side: int | None = None) -> float:
    """Floating-point operations a second of the fastest of a few products of two square matrices.

    Args:
        device: measured as it is now: with the threads that torch has, and beside other work.
        dtype: of the matrices.
        side: of them; null: what fills a large GPU (8192) or takes a CPU some tens of ms (1536).
    """
    side = side or _SIDE.get(device.type, _SIDE["cpu"])
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    a @ b
    return 2.0 * side**3 / min(seconds(device, lambda: a @ b) for _ in range(_ROUNDS))


def seconds(device: torch.device, work: Callable[[], object]) -> float:
    """How long a piece of work takes, to its end on the device."""
    finish(device)
    start = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - start


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
