"""Samples that cannot be read: skipped and counted, and the run stopped when there are too many."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from train.data.sample import CorruptError
from train.errors import TrainError

_log = logging.getLogger(__name__)

_LOG_EVERY = 1000
_NAMED = 10


class BadSamples:
    """Those that were met, by this process or another of the run; threads may report at once.

    Args:
        total: samples of the data.
        max_share: of them may be bad (at least one, unless it is 0).
    """

    def __init__(self, total: int, max_share: float) -> None:
        self.allowed = max(1, int(total * max_share)) if max_share > 0 else 0
        self.met = 0
        self._keys: dict[int, str] = {}
        self._news: dict[int, str] = {}
        self._lock = threading.Lock()

    @property
    def keys(self) -> tuple[str, ...]:
        """The distinct bad samples so far, sorted."""
        with self._lock:
            return tuple(sorted(self._keys.values()))

    @property
    def has_news(self) -> bool:
        """Whether some were met since :meth:`news`."""
        return bool(self._news)

    def news(self) -> dict[int, str]:
        """Those met here since the last time, by number: what other processes are to be told."""
        with self._lock:
            news, self._news = self._news, {}
        return news

    def add(self, found: Mapping[int, str]) -> None:
        """Count what another process met (or this one: it makes no difference).

        Raises:
            TrainError: there are more than allowed.
        """
        with self._lock:
            self._keys.update(found)
        self._check("met by all processes")

    def __str__(self) -> str:
        """How many, and the first of them."""
        keys = self.keys
        named = ", ".join(keys[:_NAMED]) + (", ..." if len(keys) > _NAMED else "")
        return f"{len(keys)} samples: {named}" if len(keys) > 1 else f"1 sample: {named}"

    def report(self, number: int, error: CorruptError) -> None:
        """One was met. The first is logged, then every thousandth.

        Raises:
            TrainError: there are more than allowed.
        """
        with self._lock:
            self.met += 1
            if number not in self._keys:
                self._keys[number] = self._news[number] = error.key
            met, distinct = self.met, len(self._keys)
        if met % _LOG_EVERY == 1:
            _log.warning("skipped sample %s (%d met so far, %d distinct)", error, met, distinct)
        self._check(f"last: {error}")

    def _check(self, met: str) -> None:
        keys = self.keys
        if len(keys) > self.allowed:
            named = ", ".join(keys[:_NAMED]) + (", ..." if len(keys) > _NAMED else "")
            raise TrainError(
                f"{len(keys)} samples cannot be read and {self.allowed} may be: {named} ({met}); "
                "run `mimic verify` on the shards, or raise data.max_bad_share"
            )
