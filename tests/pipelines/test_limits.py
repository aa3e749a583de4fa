from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.limits import CRASH_VARIABLE, is_out_of_memory, memory_limit

CRASH = "from pipelines.limits import crash_point as c; c('a'); print('lived'); c('b')"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's limit is Linux's")
def test_memory_past_the_limit_is_refused_and_given_back() -> None:
    with memory_limit(64):
        with pytest.raises(MemoryError):
            np.ones(200 << 20, np.uint8)
        np.ones(16 << 20, np.uint8)
    np.ones(200 << 20, np.uint8)


def test_what_counts_as_out_of_memory() -> None:
    cv_like = Exception("Insufficient memory")
    cv_like.code = -4  # type: ignore[attr-defined]
    assert is_out_of_memory(cv_like)
    assert not is_out_of_memory(ValueError("memory"))
    decoder = RuntimeError("decoder failed")
    decoder.__cause__ = MemoryError()
    assert is_out_of_memory(decoder)


def test_a_crash_point_kills_once_and_only_there(tmp_path: Path) -> None:
    def status(point: str) -> tuple[int, str]:
        env = {**os.environ, CRASH_VARIABLE: point}
        done = subprocess.run([sys.executable, "-c", CRASH], env=env, capture_output=True)
        return done.returncode, done.stdout.decode().strip()

    flag = tmp_path / "flag"
    assert status("") == (0, "lived")
    assert status(f"a@{flag}") == (-signal.SIGKILL, "")
    assert status(f"a@{flag}") == (0, "lived")
    assert status(f"c@{tmp_path}/other") == (0, "lived")
