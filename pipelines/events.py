"""What a run says while it goes: small values for progress displays and the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mimic.types import Skipped
from pipelines.executors.base import Outcome


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made. ``units`` are all of it; ``todo`` of them will be mined now."""

    units: int
    todo: int
    done: int
    quarantined: int
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt at a unit ended (see :class:`pipelines.executors.base.Outcome`)."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Packing:
    """Mining is over; the parts of so many units become shards."""

    units: int


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for people: something that was found and what was done about it."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over."""

    exit_code: int
    message: str


def counted(count: int, noun: str) -> str:
    """``1 unit``, ``2 units``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


Event = Planned | Attempted | Packing | Note | Finished
OnEvent = Callable[[Event], None]
