"""The error that a user can mend."""

from __future__ import annotations

from mimic.errors import MimicError


class TrainError(MimicError):
    """One sentence that names the file or option and says what to do; shown without a traceback."""


class PeerError(TrainError):
    """Another process of the run is gone, so this one cannot go on. It is never the cause."""

    exit_code = 4
