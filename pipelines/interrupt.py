"""Ctrl-C and SIGTERM: the first asks the run to stop in a resumable state, the next kills."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def interruptible(stop: threading.Event, *, at_once: bool) -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM set ``stop``; the second one has its usual effect.

    ``at_once`` also raises KeyboardInterrupt where the block is: for work in this very process,
    which cannot be cancelled otherwise. Outside the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if at_once:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
