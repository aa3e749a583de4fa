"""Small blocking reads of many files at once, results in the order of the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

THREADS = 16
BATCH = 1024
"""Results in flight: what bounds memory on a source of millions of files."""

_A = TypeVar("_A")
_B = TypeVar("_B")


def in_order(call: Callable[[_A], _B], inputs: Sequence[_A]) -> Iterator[_B]:
    """``map`` with threads; the order of results is the order of inputs."""
    if len(inputs) < 2:
        yield from map(call, inputs)
        return
    rest = iter(inputs)
    with ThreadPoolExecutor(THREADS) as pool:
        while batch := list(islice(rest, BATCH)):
            yield from pool.map(call, batch)
