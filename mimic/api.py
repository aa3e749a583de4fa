"""The Python API: pairs from shards, or straight from a source, with the command line's words.

import mimic
for pair in mimic.pairs("shards/"):
    show(pair.rgb_1, pair.rgb_2, pair.corr)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimic import opencv
from mimic.config import Config, load_config
from mimic.shards.reader import Sample, Shards
from mimic.types import UInt8Image


@dataclass(frozen=True, slots=True)
class Pair:
    """Two views of one scene.

    ``corr`` (N, 2) int32: patch of view 1, patch of view 2, row-major from the top left; ``meta``
    is the sample's ``KEY.json`` (docs/format.md). Where they were stored: ``depth_1``, ``depth_2``
    (h, w) float32 metres, 0 where there is none; ``covis_12``, ``covis_21`` (h, w) uint8 labels of
    view 1 and of view 2 (docs/labels.md).
    """

    key: str
    rgb_1: UInt8Image
    rgb_2: UInt8Image
    corr: NDArray[np.int32]
    meta: dict[str, Any]
    depth_1: NDArray[np.float32] | None = None
    depth_2: NDArray[np.float32] | None = None
    covis_12: UInt8Image | None = None
    covis_21: UInt8Image | None = None


def pairs(shards: str, split: str | None = None) -> Iterator[Pair]:
    """All pairs of a folder of shards (local or an fsspec URL), in shard order, decoded."""
    for sample in Shards(shards).samples(split):
        yield _decoded(sample)


def mine_pairs(source: str, config: Config | None = None) -> Iterator[Pair]:
    """Mine in this process and hand over each unit's pairs as they are found; nothing is written.

    What cannot be read raises :class:`mimic.errors.SourceError`; use ``mimic mine`` for jobs that
    must survive bad files.
    """
    from mimic import sources
    from mimic.shards.sample import samples_of_part
    from mimic.types import SourceItem, WorkUnit
    from mimic.unit import run_unit

    config = config or load_config()
    for item in sources.discover(source, config):
        if not isinstance(item, SourceItem):
            continue
        for unit in sources.split(item, config):
            if isinstance(unit, WorkUnit):
                for sample in samples_of_part(run_unit(unit, config), config):
                    yield _decoded(sample)


def _decoded(sample: Sample) -> Pair:
    return Pair(
        key=sample.key,
        rgb_1=opencv.decode_image(sample.view_bytes(1)),
        rgb_2=opencv.decode_image(sample.view_bytes(2)),
        corr=sample.corr(1, 2),
        meta=sample.meta,
        depth_1=sample.depth(1),
        depth_2=sample.depth(2),
        covis_12=sample.covis(1, 2),
        covis_21=sample.covis(2, 1),
    )
