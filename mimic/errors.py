"""Errors that a person reads: one sentence that names the file or option and what to do."""

from __future__ import annotations


class MimicError(Exception):
    """Something the user can mend. The message is the whole story; ``exit_code`` ends the command.

    Exit codes: 0 all done, 1 unexpected, 2 wrong input or option, 3 finished with units in
    quarantine, 4 storage or cluster out of reach, 5 verification found damage,
    130 interrupted and resumable.
    """

    exit_code = 2


class SourceError(MimicError):
    """A source item cannot be read. ``reason`` is the word that is counted for it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[SourceError], tuple[str, str]]:
        return type(self), (self.reason, str(self))


class StorageError(MimicError):
    """A place cannot be read or written (missing, forbidden, full, out of reach)."""

    exit_code = 4


class DamagedError(MimicError):
    """Bytes on disk are not what their marker or manifest says."""

    exit_code = 5
