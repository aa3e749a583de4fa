"""What a worker may use, and where tests may kill it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

ONE_THREAD_ENV = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
    ),
    "1",
)
"""Environment of a worker: a unit uses one core, so that workers do not fight over cores."""

CRASH_VARIABLE = "MIMIC_TEST_CRASH_AT"
_CV_OUT_OF_MEMORY = -4
"""``cv::Error::StsNoMem``: OpenCV reports a failed allocation with its own exception."""


def crash_point(name: str) -> None:
    """Die here by SIGKILL, once, if ``MIMIC_TEST_CRASH_AT`` says ``<name>@<file>`` (tests only).

    The file records that it has happened; while it exists, nothing happens.
    """
    wanted, _, file = os.environ.get(CRASH_VARIABLE, "").partition("@")
    if wanted == name and file:
        with contextlib.suppress(FileExistsError):
            Path(file).touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def memory_limit(memory_mb: int) -> Iterator[None]:
    """Let the block take at most ``memory_mb`` more of private memory than the process holds now.

    The kernel enforces it (``RLIMIT_DATA``, Linux): an allocation past it fails, whichever library
    asks and whoever holds the interpreter lock, and the machine never notices. Elsewhere there is
    no such limit and the block runs without one.
    """
    held = _data_bytes()
    if held is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held + memory_mb * 2**20
    caps = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *caps]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or one that it came from, says that an allocation failed."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, MemoryError) or getattr(link, "code", None) == _CV_OUT_OF_MEMORY:
            return True
        link = link.__cause__ or link.__context__
    return False


def _data_bytes() -> int | None:
    """Private writable memory of this process, as the kernel counts it; None where unknown."""
    if not sys.platform.startswith("linux"):
        return None
    found = re.search(r"^VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None
