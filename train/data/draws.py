"""Random numbers as functions of what they are for: never of rank, thread, device or order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

VIEWS, COLOUR, ORDER, SPARE, MASKS = range(1, 6)
"""Purposes, so that draws for one say nothing of those for another."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_LOW_64 = (1 << 64) - 1
_STEP, _FACTOR_1, _FACTOR_2 = int(_GOLDEN), int(_MIX_1), int(_MIX_2)


def mixed(values: Hashes) -> Hashes:
    """A bijection of 64-bit words that looks random.

    The finaliser of SplitMix64 (Steele et al., Fast splittable pseudorandom number generators,
    OOPSLA 2014).
    """
    z = values + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def hashed(*parts: int | NDArray[np.int64]) -> Hashes:
    """A 64-bit word of integers, as an array (N,) or (1,); where they differ, so does the word."""
    state = np.zeros(1, np.uint64)
    for part in parts:
        words = (
            part.astype(np.uint64)
            if isinstance(part, np.ndarray)
            else np.array([part & _LOW_64], np.uint64)
        )
        state = mixed(mixed(state) ^ words)
    return state


def uniforms(words: Hashes, count: int) -> NDArray[np.float64]:
    """(N, count) numbers in [0, 1), independent for each word (N,)."""
    streams = mixed(words[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)
    return np.asarray((streams >> np.uint64(11)) * 2.0**-53, np.float64)


class Stream:
    """The numbers of ``uniforms(hashed(*parts), ...)``, one after the other, for one word.

    Plain integers: for the handful of draws that a sample takes, ten times as fast as NumPy.
    """

    __slots__ = ("_state",)

    def __init__(self, *parts: int) -> None:
        word = 0
        for part in parts:
            word = _mixed(_mixed(word) ^ (part & _LOW_64))
        self._state = word

    def random(self) -> float:
        """The next number in [0, 1)."""
        self._state = (self._state + _STEP) & _LOW_64
        return (_mixed(self._state) >> 11) * 2.0**-53


def of_views(seed: int, step: int, number: int) -> Stream:
    """All draws of what happens to a sample's views at a step."""
    return Stream(seed, VIEWS, step, number)


def _mixed(value: int) -> int:
    """:func:`mixed`, of one word."""
    z = (value + _STEP) & _LOW_64
    z = ((z ^ (z >> 30)) * _FACTOR_1) & _LOW_64
    z = ((z ^ (z >> 27)) * _FACTOR_2) & _LOW_64
    return z ^ (z >> 31)
