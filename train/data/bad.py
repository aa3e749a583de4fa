"""Samples that cannot be read: skipped and counted, and the run stopped when there are too many."""

from __future__ import annotations

import logging
import threading

from train.data.sample import CorruptError
from train.errors import TrainError

_log = logging.getLogger(__name__)

_LOG_EVERY = 1000
_NAMED = 10


class BadSamples:
    """Those that were met; threads may report at once.

    Args:
        total: samples of the data.
        max_share: of them may be bad (at least one, unless it is 0).
    """

    def __init__(self, total: int, max_share: float) -> None:
        self.allowed = max(1, int(total * max_share)) if max_share > 0 else 0
        self.met = 0
        self._keys: dict[int, str] = {}
        self._lock = threading.Lock()

    @property
    def keys(self) -> tuple[str, ...]:
        """The distinct bad samples so far, sorted."""
        with self._lock:
            return tuple(sorted(self._keys.values()))

    def report(self, number: int, error: CorruptError) -> None:
        """One was met. The first is logged, then every thousandth.

        Raises:
            TrainError: there are more than allowed.
        """
        with self._lock:
            self.met += 1
            self._keys[number] = error.key
            met, distinct = self.met, len(self._keys)
        if met % _LOG_EVERY == 1:
            _log.warning("skipped sample %s (%d met so far, %d distinct)", error, met, distinct)
        if distinct > self.allowed:
            keys = self.keys
            named = ", ".join(keys[:_NAMED]) + (", ..." if len(keys) > _NAMED else "")
            raise TrainError(
                f"{distinct} samples cannot be read and {self.allowed} may be: {named} (last: "
                f"{error}); run `mimic verify` on the shards, or raise data.max_bad_share"
            )
