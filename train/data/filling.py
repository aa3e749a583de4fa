"""A batch while it is filled: each thread writes its samples in their places."""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch import Tensor

from train.data.batch import Batch
from train.data.decode import UNKNOWN
from train.data.memory import Memory
from train.data.sample import Sample

_UNKNOWN = torch.tensor(UNKNOWN, dtype=torch.uint8)


class Filling:
    """A batch to be.

    Pictures lie in memory as rows of pixels, as decoders give them (so writing one is a copy of
    rows), and look like [B, V, 3, H, W].

    Args:
        step: whose batch it is.
        shape: (B, V, H, W).
        memory: where to take it from; None: memory that a GPU copies from without blocking.
    """

    def __init__(self, step: int, shape: tuple[int, int, int, int], memory: Memory | None) -> None:
        count, views = shape[:2]
        self.step = step
        self._shape, self._memory = shape, memory
        self._images = self._bytes((*shape, 3))
        self._covis: Tensor | None = None
        self._keys = [""] * count
        self._numbers = np.zeros(count, np.int64)
        self._intrinsics = np.full((count, views, 3, 3), np.nan, np.float32)
        self._cam_to_world = np.full((count, views, 4, 4), np.nan, np.float64)
        self._homography = np.full((count, 3, 3), np.nan, np.float32)
        self._corr = [np.zeros((0, 2), np.int64)] * count
        self._left = count
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._done = threading.Event()

    def put(self, slot: int, number: int, sample: Sample) -> None:
        """Write a sample in its place."""
        pictures = self._images[slot].permute(0, 3, 1, 2)
        for view, image in enumerate(sample.images):
            pictures[view].copy_(image)
        for view, labels in enumerate(sample.covis or ()):
            self._labels()[slot, view].copy_(labels)
        if sample.geometry is not None:
            self._intrinsics[slot] = sample.geometry.intrinsics
            self._cam_to_world[slot] = sample.geometry.cam_to_world
            self._homography[slot] = sample.geometry.homography
        if sample.corr is not None:
            self._corr[slot] = sample.corr
        self._keys[slot], self._numbers[slot] = sample.key, number
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._done.set()

    def _labels(self) -> Tensor:
        """Memory for the labels, taken when there are some."""
        with self._lock:
            if self._covis is None:
                self._covis = self._bytes(self._shape).fill_(UNKNOWN)
            return self._covis

    def _bytes(self, shape: tuple[int, ...]) -> Tensor:
        if self._memory is None:
            return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        return self._memory.bytes(shape)

    def fail(self, error: BaseException) -> None:
        """Whoever waits gets the first such error."""
        with self._lock:
            self._error = self._error or error
        self._done.set()

    def wait(self) -> Batch:
        """The whole batch, when it is."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return Batch(
            step=self.step,
            keys=tuple(self._keys),
            numbers=torch.from_numpy(self._numbers),
            images=self._images.permute(0, 1, 4, 2, 3),
            intrinsics=torch.from_numpy(self._intrinsics),
            cam_to_world=torch.from_numpy(self._cam_to_world),
            homography=torch.from_numpy(self._homography),
            covis=_UNKNOWN.expand(self._shape) if self._covis is None else self._covis,
            corr=tuple(torch.from_numpy(np.ascontiguousarray(corr)) for corr in self._corr),
        )
