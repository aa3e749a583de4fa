"""Where frames come from: discover -> split -> open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

from mimic.config import Config
from mimic.errors import MimicError
from mimic.sampling.unseen import Unseen
from mimic.sources.base import Order, Source
from mimic.sources.frames import FrameSource
from mimic.sources.pairs import PairSource
from mimic.sources.photos import PhotoSource
from mimic.sources.places import find
from mimic.sources.posed import POSED_KIND, UNSCALED_KIND, PosedSource
from mimic.sources.recognise import Recognised, recognise_files, registered_scenes, replayed
from mimic.sources.rgbd import RgbdSource
from mimic.sources.scenes import SceneSource
from mimic.sources.video import VideoSource
from mimic.types import Frame, Skipped, SourceItem, WorkUnit

SOURCES: dict[str, Source] = {
    source.kind: source
    for source in (
        VideoSource(),
        PhotoSource(),
        FrameSource(),
        PairSource(),
        RgbdSource(),
        PosedSource(POSED_KIND),
        PosedSource(UNSCALED_KIND),
        SceneSource("raycast"),
        SceneSource("habitat"),
    )
}
"""Every kind of source, by its name."""


def source_of(kind: str) -> Source:
    """The source of a kind (an item's ``kind``)."""
    try:
        return SOURCES[kind]
    except KeyError:
        known = ", ".join(SOURCES)
        raise MimicError(f"source kind {kind!r} is unknown: use one of {known}") from None


def recognise(where: str, config: Config) -> Recognised:
    """What a source holds, by the names of its files; opens no video.

    Raises:
        MimicError: a missing path, an empty folder, a glob without a match, nothing to mine.
    """
    known = registered_scenes(where, config) or replayed(where, config)
    if known is not None:
        return known
    return recognise_files(find(where, lists=config.source.kind != "pairs"), config)


def discover(where: str | Recognised, config: Config) -> Iterator[SourceItem | Skipped]:
    """Items of a source by kind and name, and what is left out with the reason.

    Of items with the same content the first is used.

    Raises:
        MimicError: as :func:`recognise`, or every video and picture there is unreadable.
    """
    found = recognise(where, config) if isinstance(where, str) else where
    yield from found.skipped
    seen: dict[str, str] = {}
    worst: Skipped | None = None
    for kind, files in found.files.items():
        for item in SOURCES[kind].discover(files, config):
            if isinstance(item, Skipped):
                worst = worst or item
                yield item
            elif item.fingerprint in seen:
                yield _duplicate(item.name, seen[item.fingerprint])
            else:
                seen[item.fingerprint] = item.name
                yield item
    if not seen:
        why = f" ({worst.message})" if worst else ""
        raise MimicError(f"--source {found.where}: nothing in it can be mined{why}")


def split(item: SourceItem, config: Config) -> list[WorkUnit]:
    """Work units that together own every slot of the item; reads nothing."""
    return source_of(item.kind).split(item, config)


def open_unit(
    unit: WorkUnit, config: Config, margin_slots: int
) -> AbstractContextManager[Iterator[Frame | Unseen]]:
    """Frames of a unit's owned slots, then of ``margin_slots`` more, in slot order."""
    return source_of(unit.item.kind).open(unit, config, margin_slots)


def _duplicate(name: str, first: str) -> Skipped:
    return Skipped(name, "duplicate", f"{name}: same content as {first}, which is used")


__all__ = [
    "SOURCES",
    "Order",
    "Recognised",
    "Source",
    "discover",
    "open_unit",
    "recognise",
    "source_of",
    "split",
]
