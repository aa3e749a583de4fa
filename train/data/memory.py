"""Memory of batches, used again as soon as nothing refers to it any more.

Fresh memory costs a page fault for every 4 kB that is written: a tenth of what it takes to decode
the pictures that go there. Memory that is pinned needs none of this: torch keeps it by itself.
"""

from __future__ import annotations

import math
import weakref
from collections import defaultdict, deque

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Memory:
    """Buffers by size. Any thread may ask, and any may be the one that lets go."""

    def __init__(self) -> None:
        # Not under a lock: whoever drops the last reference may hold it. Both ends are atomic.
        self._free: defaultdict[int, deque[NDArray[np.uint8]]] = defaultdict(deque)

    def bytes(self, shape: tuple[int, ...]) -> Tensor:
        """An uint8 tensor with whatever was there.

        Its memory comes back when the tensor, all its views and all arrays made of it are gone.
        """
        size = math.prod(shape)
        free = self._free[size]
        try:
            buffer = free.pop()
        except IndexError:
            buffer = np.empty(size, np.uint8)
        lease = buffer.view()  # torch keeps this object as long as anything looks at the memory
        weakref.finalize(lease, free.append, buffer).atexit = False
        return torch.from_numpy(lease).view(shape)
