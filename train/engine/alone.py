"""One job at a time in a run's folder: two would write each other's checkpoints and metrics."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from train.engine.world import World
from train.errors import TrainError
from train.files import written_to

_log = logging.getLogger(__name__)

NAME = ".lock"
"""The file that is held. It says by whom, and stays: what counts is that it is held."""


@contextmanager
def alone(world: World, out: Path) -> Iterator[None]:
    """Hold a run's folder, on the main rank; the system lets go of it however the process ends.

    Raises:
        TrainError: another job holds it, or the folder cannot be written.
    """
    if not world.is_main:
        yield
        return
    with written_to(out):
        out.mkdir(parents=True, exist_ok=True)
        file = FileIO(out / NAME, "a+")
    with file:
        _hold(file, out)
        with written_to(out):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield


def _hold(file: FileIO, out: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().decode(errors="replace")
        raise TrainError(
            f"--out {out}: another job is at work there ({holder}); wait for it, stop it, or give "
            "another --out"
        ) from error
    except OSError as error:  # some network file systems know no locks
        _log.warning(
            "--out %s: cannot be locked (%s): see to it that one job works there at a time",
            out,
            error.strerror,
        )
