"""Batches, decoded ahead by threads: batch k is a function of the config and of k alone.

There is no state to save. A run that resumes at step k asks for the batches from k on; what had
been decoded ahead when it stopped is decoded again. Threads suffice, for decoding and resizing
release the interpreter's lock, and they share one index and one set of open files.

Shape legend: B batch (of this rank), V views, H and W pixels.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import torch

from train.data.bad import BadSamples
from train.data.batch import Batch
from train.data.draws import of_views
from train.data.filling import Filling
from train.data.memory import Memory
from train.data.opening import DataSets
from train.data.order import Order
from train.data.sample import CorruptError, Sample
from train.data.transforms import Transform
from train.errors import TrainError

_ATTEMPTS = 100
"""Stand-ins tried for one unreadable sample."""


class Loader:
    """The batches of one rank.

    Args:
        data: where samples come from.
        order: which samples a step sees, over all ranks.
        transform: what is done to their views.
        rank: of this process, from 0.
        world: number of processes; it divides the batch.
        threads: that decode.
        prefetch: batches decoded ahead of the one that is given out.
        pin: put batches where a GPU can copy them from without blocking.
        max_bad_share: of all samples may be unreadable.

    Attributes:
        wait_s: seconds that the caller of :meth:`batches` has waited so far.
        bad: the unreadable samples that were met.

    Raises:
        TrainError: the batch cannot be split evenly over the ranks.
    """

    def __init__(
        self,
        data: DataSets,
        order: Order,
        transform: Transform,
        *,
        rank: int = 0,
        world: int = 1,
        threads: int = 1,
        prefetch: int = 2,
        pin: bool = False,
        max_bad_share: float = 0.001,
    ) -> None:
        order.of_rank(0, rank, world)
        self.data, self.order, self.transform = data, order, transform
        self._rank, self._world = rank, world
        self._memory = None if pin else Memory()
        self._threads = threads
        self._prefetch = prefetch
        self.wait_s = 0.0
        self.bad = BadSamples(len(data), max_bad_share)

    def batches(self, first_step: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """The batches of steps from ``first_step`` on, below ``stop`` or for ever.

        Closing the iterator, or leaving it, stops its threads.

        Raises:
            TrainError: a shard is not what it was, or too many samples cannot be read.
        """
        steps = itertools.count(first_step) if stop is None else iter(range(first_step, stop))
        ahead: deque[Filling] = deque()
        with _Threads(self._threads) as threads:
            for step in steps:
                ahead.append(self._begin(step, threads.put))
                if len(ahead) > self._prefetch:
                    yield self._finished(ahead.popleft())
            while ahead:
                yield self._finished(ahead.popleft())

    def load(self, step: int, number: int) -> tuple[int, Sample]:
        """A sample as the step sees it, with its number; a stand-in where it cannot be read."""
        wanted = number
        for attempt in range(_ATTEMPTS):
            part, within = self.data.locate(number)
            try:
                stored = part.load(within)
            except CorruptError as error:
                self.bad.report(number, error)
                number = self.order.spare(step, wanted, attempt)
            else:
                return number, self.transform(stored, of_views(self.order.seed, step, number))
        raise TrainError(
            f"sample {self.data.key(wanted)} cannot be read, nor can {_ATTEMPTS} that might stand "
            "in for it; run `mimic verify` on the shards"
        )

    def _begin(self, step: int, put: Callable[[Callable[[], None]], None]) -> Filling:
        numbers = self.order.of_rank(step, self._rank, self._world).tolist()
        shape = (len(numbers), self.data.views, *self.transform.size[::-1])
        filling = Filling(step, shape, self._memory)
        for slot, number in enumerate(numbers):
            put(self._filler(filling, slot, number))
        return filling

    def _filler(self, filling: Filling, slot: int, number: int) -> Callable[[], None]:
        def fill() -> None:
            try:
                filling.put(slot, *self.load(filling.step, number))
            except BaseException as error:  # it belongs to whoever waits for the batch
                filling.fail(error)

        return fill

    def _finished(self, filling: Filling) -> Batch:
        start = time.perf_counter()
        try:
            return filling.wait()
        finally:
            self.wait_s += time.perf_counter() - start


class _Threads:
    """Threads that do what is put, in order; on leaving, what has not begun is dropped.

    Torch computes on one core in each of them, and as before everywhere else: many small pictures
    are decoded side by side, and a team of threads for each would stand in the others' way.
    """

    def __init__(self, count: int) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = threading.Barrier(count + 1)
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"loader-{n}", daemon=True)
            for n in range(count)
        ]
        self.put = self._tasks.put

    def __enter__(self) -> _Threads:
        before = torch.get_num_threads()
        for thread in self._threads:
            thread.start()
        self._started.wait()
        torch.set_num_threads(before)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        for _thread in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        torch.get_num_threads()  # a thread takes over the setting of others when it first asks
        torch.set_num_threads(1)
        self._started.wait()
        while (task := self._tasks.get()) is not None:
            if not self._stopped:
                task()
