"""What is put on the device does not make the host wait, and is the same there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.overrides import TorchFunctionMode

from train.data.config import ColourConfig
from train.data.device import constant, to_device
from train.data.photometric import Photometric

CPU = torch.device("cpu")
IMAGES = torch.from_numpy(
    np.random.default_rng(0).integers(0, 256, (4, 2, 3, 9, 11), dtype=np.uint8)
)
NUMBERS = torch.arange(4)


class Host:
    """Stands for a tensor of the host's, and says what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def pin_memory(self) -> Host:
        self.asked.append("pinned")
        return self

    def to(self, device: object, non_blocking: bool = False) -> Host:
        self.asked.append((device, non_blocking))
        return self


class Called(TorchFunctionMode):
    """Notes which functions of torch are called."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: list[object] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.functions.append(func)
        return func(*args, **(kwargs or {}))


def test_a_copy_to_a_gpu_is_from_pinned_memory_and_does_not_block() -> None:
    gpu, host = torch.device("cuda", 0), Host()
    assert to_device(host, gpu) is host
    assert host.asked == ["pinned", (gpu, True)]


def test_on_a_cpu_nothing_is_copied() -> None:
    numbers = torch.arange(3)
    assert to_device(numbers, CPU) is numbers


def test_constants_are_made_once() -> None:
    made = constant((0.1, 0.2), CPU)
    assert torch.equal(made, torch.tensor([0.1, 0.2]))
    assert constant((0.1, 0.2), torch.device("cpu")) is made
    assert not torch.equal(constant((0.1, 0.3), CPU), made)


def test_a_second_batch_makes_no_constants_and_leaves_them_as_they_are() -> None:
    photometric = Photometric(ColourConfig(), 3)
    first = photometric(IMAGES, NUMBERS, 0)
    with Called() as called:
        second = photometric(IMAGES, NUMBERS, 0)
    assert torch.lerp in called.functions
    assert torch.tensor not in called.functions
    assert torch.equal(first, second)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_the_host_never_waits() -> None:
    photometric, images = Photometric(ColourConfig(), 3), IMAGES.cuda()
    photometric(images, NUMBERS, 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = photometric(images, NUMBERS, 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(found.cpu(), photometric(IMAGES, NUMBERS, 0))
