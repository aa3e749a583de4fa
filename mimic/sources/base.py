"""The contract that every source meets: discover, split, open.

``discover`` finds items (a video, a photo group, ...) and says what it skips; ``split`` cuts an
item into work units, by arithmetic alone; ``open`` reads the frames of one unit. Later sources
(RGB-D sequences, scene walks) meet the same three.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Protocol

from mimic.config import Config
from mimic.ids import seed_of, stable_id
from mimic.sampling.unseen import Unseen
from mimic.storage import Storage
from mimic.types import Frame, Skipped, SourceItem, Span, WorkUnit

Order = Literal["sequence", "group", "listed", "walk", "posed"]
"""What slots mean to a sampler: consecutive in time, unordered, pairs (2i, 2i + 1), walks of so
many views each (:data:`mimic.sampling.walks.VIEWS`), or a sequence whose geometry is known: of that
a unit is handed all frames, whichever it owns, to be looked at as far as it needs."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a source: ``name`` relative to the source's root (posix), its address, its size.

    ``settings`` say what is known of it that is not in it: its item has them, too.
    """

    name: str
    uri: str
    size: int
    settings: tuple[tuple[str, str], ...] = ()

    @classmethod
    def at(cls, name: str, address: str, size: int) -> File:
        """A file by its address; ``..`` in it is resolved."""
        scheme, mark, path = address.rpartition("://")
        return cls(name, scheme + mark + posixpath.normpath(path), size)

    @property
    def storage(self) -> Storage:
        """The folder, or the bucket, that holds it."""
        return _storage_at(self._address[0], os.getpid())

    @property
    def basename(self) -> str:
        """Its name in :attr:`storage`."""
        return self._address[1]

    @property
    def _address(self) -> tuple[str, str]:
        scheme, mark, path = self.uri.rpartition("://")
        if not mark:
            folder, _, name = path.rpartition("/")
            return folder or "/", name
        bucket, _, name = path.partition("/")
        return f"{scheme}://{bucket}", name


class Source(Protocol):
    """One kind of source. Implementations are stateless: everything is in item, unit and config."""

    kind: str
    order: Order

    def discover(self, files: Sequence[File], config: Config) -> Iterator[SourceItem | Skipped]:
        """Items made of these files, in the order of their names."""
        ...

    def split(self, item: SourceItem, config: Config) -> list[WorkUnit]:
        """Work units that together own every slot of the item, in order."""
        ...

    def open(
        self, unit: WorkUnit, config: Config, margin_slots: int
    ) -> AbstractContextManager[Iterator[Frame | Unseen]]:
        """Frames of the unit's owned slots, then of ``margin_slots`` more, in slot order.

        Those that cost something to make may be :class:`Unseen` until they are looked at.

        Slots without a frame are left out. The iterator is valid inside the ``with`` block.

        Raises:
            SourceError: nothing can be read; on entering, or while iterating.
        """
        ...


def unit_of(
    item: SourceItem,
    span: Span,
    config: Config,
    *,
    footage_s: float,
    estimated_s: float,
    estimated_pairs: float,
    resources: str = "cpu",
) -> WorkUnit:
    """A work unit with its id and seed (law 1)."""
    unit_id = stable_id(
        item.fingerprint, item.kind, span.first, span.last, _mining_fingerprint(config)
    )
    return WorkUnit(
        unit_id=unit_id,
        item=item,
        span=span,
        seed=seed_of(unit_id, config.seed),
        footage_s=footage_s,
        estimated_s=estimated_s,
        estimated_pairs=estimated_pairs,
        resources=resources,
    )


def placed(item: SourceItem, config: Config) -> SourceItem:
    """The item with its data set and scene as the config says: the split never cuts a scene."""
    pattern = config.source.scene_regex
    match = re.search(pattern, item.name) if pattern else None
    scene = match.group(1) if match and match.group(1) else item.name
    return replace(item, scene=scene, dataset=config.source.dataset or item.dataset)


@lru_cache(maxsize=256)
def _storage_at(url: str, _process: int) -> Storage:
    """One connection a bucket and process (connections do not survive a fork)."""
    return Storage(url)


@lru_cache(maxsize=8)
def _mining_fingerprint(config: Config) -> str:
    return config.mining_fingerprint()
