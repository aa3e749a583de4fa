"""Packing without pictures: the poses of the samples that :mod:`pipelines.pack` would write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mimic.config import Config, RunConfig, config_from
from mimic.errors import MimicError
from mimic.shards.graph import UnitGraph, units_of_parts, units_of_shards
from mimic.shards.layout import ID_TYPE, split_of
from mimic.shards.part import UnitSource
from mimic.shards.poses import (
    POSES_NAME,
    ROWS_AT_ONCE,
    PosesFile,
    PosesHead,
    poses_table,
    read_head,
    write_poses,
)
from mimic.shards.reader import Shards
from mimic.shards.sample import Context
from mimic.shards.tables import Row
from mimic.shards.versions import versions
from mimic.storage import Storage
from pipelines.chosen import Chosen
from pipelines.select import judged
from schemas import Manifest, UnitReport

_NONE_KNOWN = np.zeros(0, ID_TYPE)


def check_poses_only(out: Storage, manifest: Manifest | None, run: RunConfig) -> None:
    """A folder holds shards or poses: units that were mined for one lack what the other needs.

    Raises:
        MimicError: ``out`` holds the other.
    """
    if run.poses_only and manifest is not None:
        raise MimicError(
            f"{out.url}: holds shards; write their poses with `mimic export {out.url} --layout "
            "poses`, or name another --out"
        )
    if not run.poses_only and manifest is None and out.exists(POSES_NAME):
        raise MimicError(
            f"{out.url}: holds poses without pictures; go on with --poses-only, or name another "
            f"--out and make the pictures with --source {out.join(POSES_NAME)}"
        )


def pack_poses(
    reports: Iterable[UnitReport],
    parts: Storage,
    out: Storage,
    config: Config,
    *,
    mined: Config | None = None,
) -> PosesFile:
    """Write the poses of all kept pairs of finished units to ``out``.

    Pictures may be absent from the parts: they are not needed.

    Args:
        reports: markers of all units that are done or filtered; ``part.name`` lies in ``parts``.
        parts: where the parts are.
        out: where ``poses.parquet`` goes; one that is there is replaced.
        config: decides the selection.
        mined: the config the parts were mined with, if it is not ``config``.

    Raises:
        MimicError: ``out`` holds poses of another config, a pair has no pose, or ``config`` changes
            what only mining decides.
        DamagedError: a part is missing or damaged; the message names it.
    """
    units = units_of_parts(reports, parts, Context.of(config).corr_options)
    with Chosen(_NONE_KNOWN, only_stored=False) as chosen:
        return _write(judged(units, mined, config), chosen, out, config, versions())


def poses_of_shards(shards: Shards, out: Storage, *, split: str | None = None) -> PosesFile:
    """Write the poses of the samples in finished shards to ``out``: as if packed without pictures.

    Args:
        shards: finished shards.
        out: where ``poses.parquet`` goes; one that is there is replaced.
        split: only this split.

    Raises:
        MimicError: ``out`` holds poses of another config, or a sample has no pose.
        DamagedError: a table of the shards is damaged; the message names it.
    """
    config, made = config_from(shards.manifest.config), shards.manifest.versions
    with Chosen(_NONE_KNOWN) as chosen:
        return _write(units_of_shards(shards), chosen, out, config, made, split)


def _write(
    units: Iterable[UnitGraph | Row],
    chosen: Chosen,
    out: Storage,
    config: Config,
    made: dict[str, str],
    split: str | None = None,
) -> PosesFile:
    _check_same_config(out, config)
    for unit in units:
        if not isinstance(unit, dict):
            chosen.add(unit)
    chosen.settle()
    keys, sources = chosen.keys, chosen.sources
    order = _by_unit_and_key(keys, sources)
    if split is not None:
        wanted = {
            scene: split_of(scene, config.seed, config.pack.val_share) == split
            for scene in {source.scene for source in sources}
        }
        order = np.array([n for n in order if wanted[sources[n].scene]], np.int64)
    head = PosesHead.of(config, made, {sources[n] for n in order})
    return write_poses(head, _tables(chosen, keys, sources, order), out)


def _by_unit_and_key(keys: NDArray[np.bytes_], sources: list[UnitSource]) -> NDArray[np.int64]:
    units = np.array([source.unit.encode() for source in sources], np.bytes_)
    return np.lexsort((keys, units))


def _tables(
    chosen: Chosen, keys: NDArray[np.bytes_], sources: list[UnitSource], order: NDArray[np.int64]
) -> Iterator[pa.Table]:
    for start in range(0, len(order), ROWS_AT_ONCE):
        samples = order[start : start + ROWS_AT_ONCE]
        edges, frames = chosen.tables(samples)
        yield poses_table(
            [key.decode() for key in keys[samples].tolist()],
            [sources[n] for n in samples],
            edges,
            frames,
        )


def _check_same_config(out: Storage, config: Config) -> None:
    if out.exists(POSES_NAME) and read_head(out).fingerprint != config.fingerprint():
        raise MimicError(
            f"{out.join(POSES_NAME)}: holds poses of another config; use the same config, or "
            "another --out"
        )
