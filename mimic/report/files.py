"""Writing a report: whole or not at all."""

from __future__ import annotations

from pathlib import Path

from mimic.storage import Storage


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` at a local path atomically (StorageError in one sentence where it cannot)."""
    path = path.expanduser().absolute()
    Storage(path.parent).write(path.name, data)
