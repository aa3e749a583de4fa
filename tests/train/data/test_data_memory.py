"""Memory that is used again: never while anything can still see it."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from train.data.memory import Memory

SHAPE = (2, 3, 5)


def address(tensor: torch.Tensor) -> int:
    return int(tensor.data_ptr())


def test_what_nothing_refers_to_is_used_again() -> None:
    memory = Memory()
    first = memory.bytes(SHAPE)
    where = address(first)
    del first
    assert address(memory.bytes((30,))) == where


@pytest.mark.parametrize(
    "look",
    [
        lambda tensor: tensor,
        lambda tensor: tensor[0],
        lambda tensor: tensor.permute(2, 0, 1)[1:],
        lambda tensor: tensor.numpy(),
        lambda tensor: tensor.numpy()[0, 1:],
        lambda tensor: tensor.untyped_storage(),
        lambda tensor: torch.from_numpy(tensor.numpy()),
        lambda tensor: memoryview(tensor.numpy()),
    ],
)
def test_whatever_still_looks_at_it_keeps_it(look) -> None:
    memory = Memory()
    tensor = memory.bytes(SHAPE)
    where = address(tensor)
    kept = look(tensor)
    del tensor
    gc.collect()
    others = [memory.bytes(SHAPE) for _ in range(3)]
    assert where not in map(address, others)
    del kept
    gc.collect()
    assert address(memory.bytes(SHAPE)) == where


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40))
def test_no_two_that_are_alive_share_memory(moves: list[int]) -> None:
    memory, alive = Memory(), {}
    for number, slot in enumerate(moves):
        alive.pop(slot, None)
        alive[slot] = (memory.bytes((7,)).fill_(number % 251), number % 251)
        for tensor, value in alive.values():
            assert np.array_equal(tensor.numpy(), np.full(7, value))
    assert len({address(tensor) for tensor, _ in alive.values()}) == len(alive)
