"""Views that are rendered only if somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mimic.geometry.covisibility import PosedDepth
from mimic.types import Frame


@dataclass(frozen=True, slots=True)
class Unseen:
    """A place in a source's order whose frame costs something to make.

    ``look`` makes the frame. ``probe`` tells the geometry there, coarse and cheap; None where the
    frame is wanted in any case.
    """

    slot: int
    look: Callable[[], Frame]
    probe: Callable[[], PosedDepth] | None = None
