"""The command ``python -m train.pretrain`` as processes of its own, without waiting for imports.

One process imports torch and forks for each command: what it forks is a process like any other,
with its own output, exit code, limits and signals.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runs import metrics

TIMEOUT_S = 120
"""A run that is not over by then hangs."""

_SERVER = """
import gc, json, os, resource, runpy, signal, sys
import train.engine.session, train.cli

def become(order):
    for number, path in enumerate(["/dev/null", order["stdout"], order["stderr"]]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644), number)
    if order["file_limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"],) * 2)
    if order["killed"]:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.environ.update(order["env"])
    sys.argv = ["train.pretrain", *order["args"]]

def answer(value):
    os.write(1, (json.dumps(value) + "\\n").encode())

gc.freeze()  # or each child would touch, and so copy, all that is there
answer("ready")
while line := os.read(0, 1 << 16):
    order = json.loads(line)
    if "poll" in order:
        pid, status = os.waitpid(order["poll"], os.WNOHANG)
        answer(os.waitstatus_to_exitcode(status) if pid else None)
    elif (pid := os.fork()):
        answer(pid)
    else:
        become(order)
        runpy.run_module("train.pretrain", run_name="__main__")
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (minus the signal that killed it), and what it said."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """Its error, which has to be the one line of that kind."""
        assert "Traceback" not in self.err, self.err
        found = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(found) == 1, self.err
        assert "unexpected" not in found[0], self.err
        return found[0]


@dataclass(frozen=True)
class Running:
    """A command that runs."""

    pid: int
    poll: Callable[[], int | None]
    stdout: Path
    stderr: Path

    def wait(self) -> Ended:
        """Until it is over."""
        until = time.monotonic() + TIMEOUT_S
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"it hangs; it said: {self.stderr.read_text()}")
            time.sleep(0.02)
        return Ended(code, self.stdout.read_text(), self.stderr.read_text())

    def kill(self) -> None:
        """Nothing goes on after a test."""
        while self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.02)

    def wait_for_step(self, out: Path, step: int) -> None:
        """Until the run in ``out`` told of a step."""
        until = time.monotonic() + TIMEOUT_S
        while last_step(out) < step:
            assert self.stderr.read_text().count("error: ") == 0, self.stderr.read_text()
            assert time.monotonic() < until, f"no progress; it said: {self.stderr.read_text()}"
            time.sleep(0.02)


class Commands:
    """Starts commands; what they say is kept in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._started = folder, []
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert self._answer() == "ready"

    def start(
        self, args: list[str], *, file_limit: int | None = None, killed: bool = False, **env: str
    ) -> Running:
        """``args``: as :func:`runs.command` gives them.

        No file may grow beyond the limit: where one does it is as if the disk were full, or the
        process is ``killed`` in the middle of it.
        """
        assert args[:2] == ["-m", "train.pretrain"]
        paths = [self._folder / f"{len(self._started)}.{name}" for name in ("out", "err")]
        for path in paths:
            path.touch()
        out, err = map(str, paths)
        pid = self._ask(
            args=args[2:], stdout=out, stderr=err, file_limit=file_limit, killed=killed, env=env
        )  # fmt: skip
        self._started.append(Running(pid, self._poller(pid), *paths))
        return self._started[-1]

    def kill(self) -> None:
        """All that still run."""
        for running in self._started:
            running.kill()

    def _poller(self, pid: int) -> Callable[[], int | None]:
        ended: list[int] = []

        def poll() -> int | None:
            if not ended and (code := self._ask(poll=pid)) is not None:
                ended.append(code)
            return ended[0] if ended else None

        return poll

    def run(self, args: list[str], *, file_limit: int | None = None, killed: bool = False) -> Ended:
        """Start it and wait for its end."""
        return self.start(args, file_limit=file_limit, killed=killed).wait()

    def ranks(self, args: list[str], count: int) -> list[Running]:
        """So many processes of one run, without ``torchrun`` to end the others."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        group = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        return [
            self.start(args, RANK=str(rank), LOCAL_RANK=str(rank), **group) for rank in range(count)
        ]

    def close(self) -> None:
        self._server.communicate("")

    def _ask(self, **order: object) -> int | None:
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return self._answer()

    def _answer(self):
        return json.loads(self._server.stdout.readline())


@contextmanager
def torchrun(args: list[str], folder: Path) -> Iterator[Running]:
    """The command under ``torchrun``, two processes, as a user starts it."""
    paths = [folder / f"torchrun-{time.monotonic_ns()}.{name}" for name in ("out", "err")]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with paths[0].open("w") as out, paths[1].open("w") as err:
        process = subprocess.Popen(
            [sys.executable, *launcher, *args],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=out, stderr=err,
        )  # fmt: skip
    running = Running(process.pid, process.poll, *paths)
    try:
        yield running
    finally:
        if running.poll() is None:
            process.terminate()  # which ends its processes
            running.wait()


def process_of_rank(launcher: Running, rank: int) -> int:
    """The process of a rank under ``torchrun``."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    for child in map(int, children):
        if f"RANK={rank}" in Path(f"/proc/{child}/environ").read_text().split("\0"):
            return child
    raise AssertionError(f"no rank {rank} among {children}")


def last_step(out: Path) -> int:
    """The last step that a run told of; 0: none."""
    try:
        lines = metrics(out)
    except (FileNotFoundError, ValueError):  # not there yet, or a line half written
        return 0
    return int(max((line["step"] for line in lines), default=0))
