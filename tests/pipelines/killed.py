"""The command line in a process of its own that SIGKILL ends: ``killed.py NAME COUNT WORDS...``.

It dies just before it commits a file whose name starts with NAME for the COUNT-th time: the file is
whole, under its temporary name. Nothing is cleaned up, as with any real SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from mimic.storage._local import LocalFolder
from pipelines.cli import run


def kill_before(name: str, count: int) -> None:
    commit = LocalFolder.commit
    seen = 0

    def killing(self: LocalFolder, staged: Path, committed: str) -> None:
        nonlocal seen
        seen += committed.startswith(name)
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(self, staged, committed)

    LocalFolder.commit = killing  # type: ignore[method-assign]


if __name__ == "__main__":
    kill_before(sys.argv[1], int(sys.argv[2]))
    sys.exit(run(sys.argv[3:]))
