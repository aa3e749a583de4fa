"""What is in a data set and why the rest is not: one pass over each table, in bounded memory."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

from mimic.report.model import Group, ItemCurve, Reason, Selection, Split, Stats
from mimic.report.passes import EdgePass, FramePass, SamplePass, UnitNames
from mimic.report.streams import Bins, Histogram
from mimic.report.tables import StoredTables, Tables
from mimic.report.text import counted
from mimic.types import KEPT

NOT_REASONS = frozenset(
    {"candidates", "kept", "frames", "stored", "samples", "units", "edges"}
    | {"not_stored", "duplicates", "unlabelled"}
)
"""Counts of a manifest that are totals, not reasons."""


def collect(url: str) -> Stats:
    """The statistics of the shards at ``url`` (a folder, or any fsspec address).

    Raises:
        StorageError: there are no finished shards there, or they are out of reach.
        DamagedError: the manifest or a table is not what it should be.
    """
    return collect_from(StoredTables(url))


def collect_from(tables: Tables) -> Stats:
    """The statistics of a data set, from its tables."""
    names = UnitNames()
    for batch in tables.batches("units", ("unit_id", "item", "kind", "dataset")):
        names.add_units(batch)
    samples = SamplePass(names)
    for batch in tables.batches("samples", SamplePass.COLUMNS):
        samples.add(batch)
    selection = _selection(tables.manifest.config)
    edges = EdgePass(selection.measure)
    for batch in tables.batches("edges", EdgePass.COLUMNS):
        edges.add(batch)
    frames = FramePass(samples.frame_ids())
    for batch in tables.batches("frames", FramePass.COLUMNS):
        frames.add(batch)
    return _assembled(tables, selection, names, samples, edges, frames)


def _assembled(
    tables: Tables,
    selection: Selection,
    names: UnitNames,
    samples: SamplePass,
    edges: EdgePass,
    frames: FramePass,
) -> Stats:
    manifest = tables.manifest
    has_graph = bool(manifest.graph) and not tables.missing()
    partial = edges.count < manifest.counts.get("candidates", 0)
    verdicts = _verdicts_of(manifest.counts) if partial else edges.verdict_counts()
    return Stats(
        url=tables.url,
        preset=manifest.preset,
        fingerprint=manifest.fingerprint,
        seed=manifest.seed,
        versions=dict(manifest.versions),
        selection=selection,
        splits=_splits(tables),
        samples=samples.count,
        size_bytes=sum(split.size_bytes for split in _splits(tables))
        + sum(entry.size for entry in manifest.graph),
        units=manifest.units,
        items=len(names.items()),
        scenes=samples.scene_count,
        frames_measured=frames.count or manifest.counts.get("frames"),
        frames_stored=len(samples.frame_ids().sorted()),
        candidates=sum(verdicts.values()),
        kept=verdicts.get(KEPT, 0),
        reasons=_reasons(verdicts, edges),
        sources=_groups(names.source_of, names, edges, samples),
        item_rows=_groups(names.item_of, names, edges, samples),
        kept_histograms=_results(samples.bins),
        measured_histograms=_results(edges.bins),
        frame_histograms=_results(frames.bins),
        curve=edges.curve(),
        item_curves=_item_curves(tables),
        mixing=samples.mixing(),
        near_duplicate_share=frames.near_duplicates(),
        not_mined=tables.not_mined(),
        has_graph=has_graph,
        notes=_notes(tables, has_graph),
        criteria=_criteria(samples),
        labels=samples.labels.result(),
    )


def _results(bins: dict[str, Bins]) -> dict[str, Histogram]:
    return {column: held.result() for column, held in bins.items() if held.count}


def _criteria(samples: SamplePass) -> dict[str, Histogram]:
    """Those of the samples; none where only homographies tell of the scale."""
    found = _results(samples.criteria)
    return found if found.keys() - {"scale_ratio"} else {}


def _selection(config: dict[str, Any]) -> Selection:
    overlap = config.get("overlap", {})
    return Selection(
        measure=overlap.get("measure", "patch"),
        low=float(overlap.get("low", 0.0)),
        high=float(overlap.get("high", 1.0)),
        patch_size=int(overlap.get("patch_size", 16)),
    )


def _splits(tables: Tables) -> tuple[Split, ...]:
    splits: dict[str, Split] = {}
    for shard in tables.manifest.shards:
        old = splits.get(shard.split, Split(shard.split, 0, 0, 0))
        splits[shard.split] = dataclasses.replace(
            old,
            samples=old.samples + shard.samples,
            shards=old.shards + 1,
            size_bytes=old.size_bytes + shard.tar.size + shard.index.size,
        )
    return tuple(splits[name] for name in sorted(splits))


def _verdicts_of(counts: dict[str, int]) -> dict[str, int]:
    verdicts = {word: count for word, count in counts.items() if word not in NOT_REASONS}
    return {KEPT: counts.get("kept", 0), **verdicts}


def _reasons(verdicts: dict[str, int], edges: EdgePass) -> tuple[Reason, ...]:
    by_count = sorted(verdicts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        Reason(word, count, edges.values[word].quartiles() if word in edges.values else None)
        for word, count in by_count
        if count
    )


def _groups(
    name_of: Callable[[str], str], names: UnitNames, edges: EdgePass, samples: SamplePass
) -> tuple[Group, ...]:
    """Rows by item or source, most candidates first."""
    verdicts: dict[str, Counter[str]] = {name_of(unit): Counter() for unit in names.units()}
    taken: Counter[str] = Counter()
    for unit, counts in edges.per_unit.items():
        verdicts.setdefault(name_of(unit), Counter()).update(counts)
    for unit, count in samples.per_unit.items():
        taken[name_of(unit)] += count
    rows = [
        Group(
            name=name,
            candidates=counts.total(),
            kept=counts[KEPT],
            samples=taken[name],
            reasons={word: count for word, count in counts.most_common() if word != KEPT},
        )
        for name, counts in verdicts.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.candidates, -row.samples, row.name)))


def _item_curves(tables: Tables, limit: int = 40) -> tuple[ItemCurve, ...]:
    """The curves of the ``limit`` sequences with most edges."""
    points: dict[str, list[tuple[float, float]]] = {}
    edges: Counter[str] = Counter()
    columns = ("item", "interval_s", "edges", "overlap_median")
    for batch in tables.batches("curves", columns):
        for row in batch.to_pylist():
            if row["interval_s"] is not None and row["overlap_median"] is not None:
                points.setdefault(row["item"], []).append(
                    (row["interval_s"], row["overlap_median"])
                )
                edges[row["item"]] += row["edges"]
    most = sorted(points, key=lambda item: (-edges[item], item))[:limit]
    return tuple(ItemCurve(item, edges[item], tuple(sorted(points[item]))) for item in most)


def _notes(tables: Tables, has_graph: bool) -> tuple[str, ...]:
    notes = []
    counts, missing = tables.manifest.counts, tables.missing()
    if missing:
        notes.append(
            f"{counted(len(missing), 'file')} of the graph not found ({missing[0]}): reasons are "
            "counted, but values and histograms of measured pairs are partial."
        )
    elif not has_graph:
        notes.append(
            "There is no graph beside the shards: reasons are counted, but without values and "
            "histograms of measured pairs."
        )
    if counts.get("not_stored"):
        notes.append(
            f"{counted(counts['not_stored'], 'kept pair')} could not be cut, because frames were "
            "not stored: mine with --keep-edges or --keep-parts."
        )
    if counts.get("unlabelled"):
        notes.append(
            f"{counted(counts['unlabelled'], 'kept pair')} left out when the shards were labelled, "
            "for want of depth or pose."
        )
    if counts.get("duplicates"):
        notes.append(f"{counted(counts['duplicates'], 'kept pair')} met twice and stored once.")
    return tuple(notes)
