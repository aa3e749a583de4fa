"""The statistics as plain JSON values, with keys that stay."""

from __future__ import annotations

import dataclasses
from typing import Any

from mimic.report.model import Group, LabelStats, Stats
from mimic.report.streams import Histogram

JSON_VERSION = 1


def stats_to_dict(stats: Stats) -> dict[str, Any]:
    """The statistics as JSON values.

    Keys (more may be added, none is renamed without a new ``version``; null: not known)::

        version, url, preset, config (fingerprint), seed, versions {tool: version}
        selection: {measure, low, high, patch_size}
        totals: {samples, shards, bytes, units, items, scenes, frames_measured, frames_stored,
                 candidates, kept, rejected}
        splits: {NAME: {samples, shards, size_bytes}}
        reasons: {REASON: {count, value: {q25, median, q75}}}     every verdict but "kept"
        sources, items: [{name, candidates, kept, samples, reasons: {REASON: count}}]
        histograms: {kept | measured | frames: {COLUMN: {unit, edges [n + 1], counts [n],
                     quartiles: {q25, median, q75}}}}             outer bins are open
        criteria: {COLUMN: as in histograms}                      of samples, in RUBIK's bins
        labels: {samples, classes: {NAME: {mean, quartiles}}}     null without label maps
        curve: [{slots, interval_s, edges, with_overlap, overlap: {q25, median, q75}}]
        mixing: {window, rate, expected}, near_duplicate_share, has_graph, notes [text]
        not_mined: [{name, state: skipped | failed, reason, message}]
    """
    return {
        "version": JSON_VERSION,
        "url": stats.url,
        "preset": stats.preset,
        "config": stats.fingerprint,
        "seed": stats.seed,
        "versions": stats.versions,
        "selection": dataclasses.asdict(stats.selection),
        "totals": _totals(stats),
        "splits": {
            split.name: {
                "samples": split.samples,
                "shards": split.shards,
                "size_bytes": split.size_bytes,
            }
            for split in stats.splits
        },
        "reasons": {
            reason.reason: {
                "count": reason.count,
                "value": None if reason.value is None else dataclasses.asdict(reason.value),
            }
            for reason in stats.rejected
        },
        "sources": [_group(row) for row in stats.sources],
        "items": [_group(row) for row in stats.item_rows],
        "histograms": {
            "kept": _histograms(stats.kept_histograms),
            "measured": _histograms(stats.measured_histograms),
            "frames": _histograms(stats.frame_histograms),
        },
        "criteria": _histograms(stats.criteria),
        "labels": None if stats.labels is None else _labels(stats.labels),
        "curve": [dataclasses.asdict(point) for point in stats.curve],
        "mixing": dataclasses.asdict(stats.mixing),
        "near_duplicate_share": stats.near_duplicate_share,
        "not_mined": [dataclasses.asdict(entry) for entry in stats.not_mined],
        "has_graph": stats.has_graph,
        "notes": list(stats.notes),
    }


def _totals(stats: Stats) -> dict[str, int | None]:
    return {
        "samples": stats.samples,
        "shards": sum(split.shards for split in stats.splits),
        "bytes": stats.size_bytes,
        "units": stats.units,
        "items": stats.items,
        "scenes": stats.scenes,
        "frames_measured": stats.frames_measured,
        "frames_stored": stats.frames_stored,
        "candidates": stats.candidates,
        "kept": stats.kept,
        "rejected": stats.candidates - stats.kept,
    }


def _group(group: Group) -> dict[str, Any]:
    return dataclasses.asdict(group)


def _labels(labels: LabelStats) -> dict[str, Any]:
    return {
        "samples": labels.samples,
        "classes": {
            of_class.name: {
                "mean": of_class.mean,
                "quartiles": dataclasses.asdict(of_class.quartiles),
            }
            for of_class in labels.classes
        },
    }


def _histograms(histograms: dict[str, Histogram]) -> dict[str, Any]:
    return {
        column: {
            "unit": histogram.measure.unit,
            "edges": list(histogram.measure.edges),
            "counts": list(histogram.counts),
            "quartiles": None
            if histogram.quartiles is None
            else dataclasses.asdict(histogram.quartiles),
        }
        for column, histogram in histograms.items()
    }
