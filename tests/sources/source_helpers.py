"""What several tests of sources do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from mimic import sources
from mimic.config import Config, load_config
from mimic.types import Skipped, SourceItem, Span, WorkUnit


@dataclass(frozen=True)
class Seen:
    """A frame without its pixels."""

    slot: int
    frame_id: str
    label: str
    size: tuple[int, int]
    pixels: str
    shot: int


def config_with(*assignments: str) -> Config:
    return load_config(assignments=assignments)


def only_item(where: Path | str, config: Config) -> SourceItem:
    items = [i for i in sources.discover(str(where), config) if isinstance(i, SourceItem)]
    assert len(items) == 1
    return items[0]


def skipped(where: Path | str, config: Config) -> list[Skipped]:
    return [i for i in sources.discover(str(where), config) if isinstance(i, Skipped)]


def unit_over(item: SourceItem, span: Span, config: Config) -> WorkUnit:
    """The unit that owns a span of a video."""
    return replace(sources.split(item, config)[0], span=span)


def read(unit: WorkUnit, config: Config, margin: int = 0) -> list[Seen]:
    with sources.open_unit(unit, config, margin) as frames:
        return [
            Seen(
                frame.slot,
                frame.frame_id,
                frame.label,
                frame.size,
                hashlib.sha256(frame.rgb.tobytes()).hexdigest(),
                frame.shot,
            )
            for frame in frames
        ]


def without_shots(frames: list[Seen]) -> list[Seen]:
    """Frames with their shots counted from their own first one: only equality has a meaning."""
    return [replace(frame, shot=frame.shot - frames[0].shot) for frame in frames]
