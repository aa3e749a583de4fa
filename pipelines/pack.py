"""Packing: from measured graphs to shards, their index, ``graph/`` and, last, the manifest.

A pure function of the graph and the selection. :func:`pack` reads the committed parts of a run and
adds shards for units that are not in the manifest yet; :func:`repack` selects again from finished
shards. Files become part of the data set only by the manifest, which is replaced atomically at the
end: after a crash at any point the earlier manifest holds, and the same call gives the same bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.config import Config, config_from
from mimic.errors import DamagedError, MimicError
from mimic.layered import flattened
from mimic.shards.graph import (
    GraphWriter,
    UnitGraph,
    known_units,
    units_of_parts,
    units_of_shards,
)
from mimic.shards.layout import ID_TYPE, lay_out, next_numbers
from mimic.shards.reader import Shards, read_manifest
from mimic.shards.sample import Context
from mimic.shards.tables import Row
from mimic.shards.verify import damaged_files
from mimic.shards.versions import merged, versions
from mimic.shards.writer import ShardTask, write_shard
from mimic.storage import Storage
from pipelines.chosen import Chosen
from pipelines.select import judged
from schemas import MANIFEST_NAME, FileEntry, Manifest, ShardEntry, UnitReport

Run = Callable[[Callable[[ShardTask], ShardEntry], Iterable[ShardTask]], Iterable[ShardEntry]]
"""Runs independent tasks, in any order and place: ``map`` does it here, one after the other."""

_OURS = re.compile(r"(train|val)-\d{6}\.(tar|parquet)")


def pack(
    reports: Iterable[UnitReport],
    parts: Storage,
    out: Storage,
    config: Config,
    *,
    mined: Config | None = None,
    run: Run = map,
) -> Manifest:
    """Pack the parts of finished units into shards at ``out``.

    Args:
        reports: markers of the units that are done or filtered; ``part.name`` lies in ``parts``.
        parts: where the parts are.
        out: where shards go. If it holds a manifest of the same config, only units that are not in
            it are packed, into further shards; without any, nothing is touched.
        config: decides the selection, the order, the splits and the size of shards.
        mined: the config the parts were mined with, if it is not ``config``: verdicts are then
            judged again from the stored measures.
        run: runs the shard tasks.

    Raises:
        MimicError: ``out`` holds shards of another config, or ``config`` changes what only mining
            decides.
        DamagedError: a part is missing or damaged; the message names it.
    """
    before = _manifest_at(out, config)
    known = known_units(out, before.graph) if before else set()
    fresh = [report for report in reports if report.unit_id not in known]
    if before is not None and not fresh:
        return before
    counts: Counter[str] = Counter()
    for report in fresh:
        if report.part is None:
            counts.update(report.counts)
    job = _Job(parts, out, config, mined, before, run)
    options = Context.of(config).corr_options
    return _pack_units(units_of_parts(fresh, parts, options), counts, len(fresh), job)


def repack(shards: Storage, out: Storage, config: Config, *, run: Run = map) -> Manifest:
    """Select again from finished shards, into another folder.

    Thresholds can be tightened, splits and shard sizes changed. They can be loosened as far as both
    frames of a pair are stored (see :func:`not_stored_note`).

    Raises:
        MimicError: ``out`` is the folder of ``shards``, holds shards of another config, or
            ``config`` changes what only mining decides.
        DamagedError: a file of the shards is damaged; the message names it.
    """
    if shards == out:
        raise MimicError(f"{out.url}: shards cannot be packed into their own folder; name another")
    source = Shards(shards)
    damaged = damaged_files(shards, source.manifest)
    if damaged:
        raise DamagedError(f"{shards.join(damaged[0].file)}: {damaged[0].problem}; mine again")
    before = _manifest_at(out, config)
    known = known_units(out, before.graph) if before else set()
    unit_count = len(known_units(shards, source.manifest.graph) - known)
    if before is not None and not unit_count:
        return before
    mined = config_from(source.manifest.config)
    fresh = (unit for unit in units_of_shards(source) if _id_of(unit) not in known)
    job = _Job(shards, out, config, mined, before, run)
    return _pack_units(fresh, Counter(), unit_count, job)


def not_stored_note(manifest: Manifest) -> str | None:
    """What to tell people when pairs in range could not be cut; None if all could."""
    count = manifest.counts.get("not_stored", 0)
    if not count:
        return None
    return (
        f"{count} more pairs are in range but their frames were not stored: mine with --keep-edges "
        "FLOOR (stores the frames of all pairs above an overlap) or --keep-parts to cut them later"
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """Where from, where to, and by which rules; ``before`` is what ``out`` holds already."""

    source: Storage
    out: Storage
    config: Config
    mined: Config | None
    before: Manifest | None
    run: Run

    @property
    def old_shards(self) -> tuple[ShardEntry, ...]:
        return self.before.shards if self.before else ()

    @property
    def old_graph(self) -> tuple[FileEntry, ...]:
        return self.before.graph if self.before else ()


def _pack_units(
    units: Iterable[UnitGraph | Row], counts: Counter[str], unit_count: int, job: _Job
) -> Manifest:
    """Graph, then shards, then the manifest; ``counts`` are those of units without part."""
    made = versions()
    with Chosen(_keys_in(job.out, job.before)) as chosen:
        graph = _write_graph(units, chosen, job)
        chosen.settle()
        shards = _write_shards(chosen, made, job)
    config, before = job.config, job.before
    totals = Counter(before.counts if before else {}) + counts + chosen.counts
    manifest = Manifest(
        config=config.decisive(),
        fingerprint=config.fingerprint(),
        preset=config.preset,
        seed=config.seed,
        versions=merged(before.versions, made) if before else made,
        shards=tuple(sorted((*job.old_shards, *shards), key=lambda entry: entry.tar.name)),
        graph=(*job.old_graph, *graph),
        counts=dict(sorted(totals.items())),
        units=(before.units if before else 0) + unit_count,
    )
    remove_strays(job.out, manifest)
    job.out.write(MANIFEST_NAME, manifest.to_json().encode())
    return manifest


def _write_graph(
    units: Iterable[UnitGraph | Row], chosen: Chosen, job: _Job
) -> tuple[FileEntry, ...]:
    """Stream the units into the graph's tables, judged anew where asked."""
    generation = sum(entry.name.startswith("graph/units-") for entry in job.old_graph)
    with GraphWriter(job.out, generation, job.config.overlap.measure) as graph:
        for unit in judged(units, job.mined, job.config):
            if isinstance(unit, dict):
                graph.add_empty(unit)
            else:
                graph.add(unit)
                chosen.add(unit)
    return graph.entries


def _write_shards(chosen: Chosen, made: dict[str, str], job: _Job) -> list[ShardEntry]:
    """Lay the chosen pairs out and write them as independent tasks."""
    config = job.config
    plans = lay_out(
        (key.decode() for key in chosen.keys),
        chosen.scenes,
        seed=config.seed,
        val_share=config.pack.val_share,
        samples_per_shard=config.pack.samples_per_shard,
        first=next_numbers(job.old_shards),
    )
    tasks = (
        ShardTask(
            split=plan.split,
            name=plan.name,
            pairs=chosen.pairs(plan),
            source=job.source,
            out=job.out,
            context=Context.of(config),
            versions=tuple(sorted(made.items())),
        )
        for plan in plans
    )
    return list(job.run(write_shard, tasks))


def _manifest_at(out: Storage, config: Config) -> Manifest | None:
    """The manifest at ``out`` if there is one of this config; MimicError if of another."""
    if not out.exists(MANIFEST_NAME):
        return None
    manifest = read_manifest(out)
    if manifest.fingerprint != config.fingerprint():
        raise MimicError(
            f"{out.url}: holds shards of another config ({_first_difference(manifest, config)}); "
            "use the same config, or another --out"
        )
    return manifest


def _first_difference(manifest: Manifest, config: Config) -> str:
    old, new = flattened(manifest.config), flattened(config.decisive())
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            return f"{key}: {old.get(key)!r} there, {new.get(key)!r} here"
    return f"fingerprint {manifest.fingerprint} there, {config.fingerprint()} here"


def _keys_in(out: Storage, manifest: Manifest | None) -> NDArray[np.bytes_]:
    """(N,) sorted keys of the samples in finished shards."""
    if manifest is None:
        return np.zeros(0, ID_TYPE)
    shards = Shards(out)
    tables = (shards.shard_index(shard, ["key"]) for shard in shards.shards())
    keys = [np.array(table["key"].to_pylist(), ID_TYPE) for table in tables]
    return np.sort(np.concatenate([np.zeros(0, ID_TYPE), *keys]))


def _id_of(unit: UnitGraph | Row) -> str:
    return str(unit["unit_id"]) if isinstance(unit, dict) else unit.source.unit


def remove_strays(out: Storage, manifest: Manifest) -> None:
    """Remove what killed runs left behind: shards of runs that did not go on, and half a file.

    Before the manifest is committed, because nothing looks for strays once it is.
    """
    listed = {file.name for shard in manifest.shards for file in (shard.tar, shard.index)}
    for entry in out.list(recursive=False):
        if _OURS.fullmatch(entry.name) and entry.name not in listed:
            out.delete(entry.name)
    out.delete_unfinished(recursive=False)
    out.delete_unfinished("graph")
