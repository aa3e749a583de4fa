from __future__ import annotations

import dataclasses
import json

import pytest
from report_datasets import MemoryTables, edge, frame, manifest, sample, table

from mimic.report.plain import stats_to_dict
from mimic.report.stats import collect_from
from mimic.report.streams import Quartiles
from schemas import CURVES, EDGES, FRAMES, SAMPLES, UNITS, FileEntry, ShardEntry

FILE = FileEntry("graph/edges-000000.parquet", 10, "0")


def shard(split: str, samples: int) -> ShardEntry:
    return ShardEntry(split, samples, FileEntry("t", 100, "0"), FileEntry("i", 20, "0"))


@pytest.fixture
def tables() -> MemoryTables:
    samples = [
        sample("a", ("f0", "f1"), overlap_patch=0.55, scale_ratio=1.1),
        sample("b", ("f1", "f2"), overlap_patch=0.72, scale_ratio=1.3),
        sample("c", ("g0", "g1"), item="q.mp4", scene="q", unit="u2", dataset="mine", split="val"),
    ]
    edges = [
        edge("kept", overlap_patch=0.55, value=0.55, slot_2=2, interval_s=1.0),
        edge("kept", overlap_patch=0.72, value=0.72, slot_2=2, interval_s=1.0),
        edge("few_matches", value=4.0),
        edge("few_matches", value=8.0),
        edge("overlap_low", overlap_patch=0.1, value=0.1),
        edge("kept", unit_id="u2", overlap_patch=0.6, value=0.6, interval_s=None),
        edge("cut", unit_id="u3", value=1.0, interval_s=None),
    ]
    frames = [
        *(frame(name, phash="00000000000000ff", luminance_mean=100.0) for name in ("f0", "f1")),
        frame("f1", unit_id="u2", phash="00000000000000ff", luminance_mean=100.0),
        frame("f2", phash="ff00ff00ff00ff00", luminance_mean=30.0),
        frame("x9", phash="00000000000000ff", luminance_mean=30.0),
    ]
    units = [
        {"unit_id": "u1", "kind": "video", "item": "walk.mp4", "scene": "walk.mp4"},
        {"unit_id": "u2", "kind": "video", "item": "q.mp4", "dataset": "mine"},
        {"unit_id": "u3", "kind": "video", "item": "cuts.mp4"},
        {"unit_id": "u4", "item": "nothing.mp4"},
    ]
    curves = [
        {"item": "walk.mp4", "interval_s": 1.0, "edges": 2, "overlap_median": 0.6},
        {"item": "walk.mp4", "interval_s": 0.5, "edges": 3, "overlap_median": 0.8},
    ]
    return MemoryTables(
        manifest(shards=(shard("train", 2), shard("val", 1)), graph=(FILE,), units=4),
        {
            "samples": table(SAMPLES, samples),
            "edges": table(EDGES, edges),
            "frames": table(FRAMES, frames),
            "units": table(UNITS, units),
            "curves": table(CURVES, curves),
        },
    )


def test_totals(tables: MemoryTables) -> None:
    stats = collect_from(tables)
    assert [(s.name, s.samples, s.shards, s.size_bytes) for s in stats.splits] == [
        ("train", 2, 1, 120),
        ("val", 1, 1, 120),
    ]
    assert (stats.samples, stats.size_bytes, stats.units) == (3, 250, 4)
    assert (stats.items, stats.scenes) == (4, 2)
    assert (stats.candidates, stats.kept) == (7, 3)
    assert (stats.frames_measured, stats.frames_stored) == (4, 5)


def test_reasons_come_with_the_quartiles_of_the_deciding_value(tables: MemoryTables) -> None:
    found = {reason.reason: reason for reason in collect_from(tables).reasons}
    assert {word: reason.count for word, reason in found.items()} == {
        "kept": 3,
        "few_matches": 2,
        "overlap_low": 1,
        "cut": 1,
    }
    assert found["few_matches"].value == Quartiles(5.0, 6.0, 7.0)
    assert "kept" not in [reason.reason for reason in collect_from(tables).rejected]


def test_rows_by_item_and_by_source(tables: MemoryTables) -> None:
    stats = collect_from(tables)
    items = {row.name: (row.candidates, row.kept, row.samples) for row in stats.item_rows}
    assert items == {
        "walk.mp4": (5, 2, 2),
        "q.mp4": (1, 1, 1),
        "cuts.mp4": (1, 0, 0),
        "nothing.mp4": (0, 0, 0),
    }
    assert stats.item_rows[0].reasons == {"few_matches": 2, "overlap_low": 1}
    sources = {row.name: (row.candidates, row.samples) for row in stats.sources}
    assert sources == {"video": (6, 2), "mine": (1, 1), "unknown": (0, 0)}


def test_histograms_of_measured_and_kept(tables: MemoryTables) -> None:
    stats = collect_from(tables)
    kept, measured = (
        held["overlap_patch"] for held in (stats.kept_histograms, stats.measured_histograms)
    )
    assert {index: count for index, count in enumerate(kept.counts) if count} == {
        11: 1,
        12: 1,
        14: 1,
    }
    assert {index: count for index, count in enumerate(measured.counts) if count} == {
        2: 1,
        11: 1,
        12: 1,
        14: 1,
    }
    assert stats.kept_histograms["scale_ratio"].total == 2
    assert "overlap_covis" not in stats.kept_histograms
    assert stats.frame_histograms["luminance_mean"].total == 5


def test_curve_counts_pairs_without_overlap_and_leaves_photos_out(tables: MemoryTables) -> None:
    stats = collect_from(tables)
    assert [(p.slots, p.interval_s, p.edges, p.with_overlap) for p in stats.curve] == [
        (1, 0.5, 3, 1),
        (2, 1.0, 2, 2),
    ]
    assert stats.curve[1].overlap == Quartiles(0.5925, 0.635, 0.6775)
    assert stats.item_curves[0].points == ((0.5, 0.8), (1.0, 0.6))


def test_near_duplicates_are_counted_once_and_among_stored_frames(tables: MemoryTables) -> None:
    # f0 and f1 are alike, f2 is not; the second row of f1 and the unused x9 do not count.
    assert collect_from(tables).near_duplicate_share == pytest.approx(2 / 3)


def test_batches_do_not_change_the_result(tables: MemoryTables) -> None:
    whole = collect_from(dataclasses.replace(tables, rows=100))
    assert collect_from(dataclasses.replace(tables, rows=1)) == whole


def test_empty_data_set() -> None:
    stats = collect_from(MemoryTables(manifest()))
    assert (stats.samples, stats.candidates, stats.reasons, stats.item_rows) == (0, 0, (), ())
    assert stats.mixing.rate is None
    assert stats.near_duplicate_share is None
    json.dumps(stats_to_dict(stats), allow_nan=False)


def test_nothing_kept(tables: MemoryTables) -> None:
    rejected = [edge("cut", value=1.0), edge("zoom", value=2.0)]
    tables = MemoryTables(manifest(graph=(FILE,)), {"edges": table(EDGES, rejected)})
    stats = collect_from(tables)
    assert (stats.candidates, stats.kept, stats.samples) == (2, 0, 0)
    assert {reason.reason for reason in stats.rejected} == {"cut", "zoom"}


def test_without_graph_reasons_come_from_the_manifest(tables: MemoryTables) -> None:
    counts = {"candidates": 9, "kept": 3, "cut": 6, "frames": 5, "stored": 4, "samples": 3}
    bare = MemoryTables(manifest(counts=counts), {"samples": tables.tables["samples"]})
    stats = collect_from(bare)
    assert not stats.has_graph
    assert (stats.candidates, stats.kept, stats.frames_measured) == (9, 3, 5)
    assert [(r.reason, r.count, r.value) for r in stats.rejected] == [("cut", 6, None)]
    assert "no graph" in stats.notes[0]


def test_a_graph_that_was_left_behind_is_named() -> None:
    counts = {"candidates": 2, "kept": 1, "cut": 1}
    absent = MemoryTables(manifest(graph=(FILE,), counts=counts), absent=(FILE.name,))
    stats = collect_from(absent)
    assert not stats.has_graph
    assert stats.candidates == 2
    assert FILE.name in stats.notes[0]


def test_pairs_that_could_not_be_cut_are_said() -> None:
    stats = collect_from(MemoryTables(manifest(counts={"not_stored": 2, "duplicates": 1})))
    assert "2 kept pairs could not be cut" in stats.notes[1]
    assert "1 kept pair met twice" in stats.notes[2]
    assert stats.reasons == ()


KEYS = """
version url preset config seed versions selection totals splits reasons sources items histograms
criteria labels curve mixing near_duplicate_share has_graph notes not_mined
"""
TOTALS = """
samples shards bytes units items scenes frames_measured frames_stored candidates kept rejected
"""


def test_json_keys_stay(tables: MemoryTables) -> None:
    found = stats_to_dict(collect_from(tables))
    assert set(found) == set(KEYS.split())
    assert found["version"] == 1
    assert set(found["totals"]) == set(TOTALS.split())
    assert set(found["selection"]) == {"measure", "low", "high", "patch_size"}
    assert set(found["items"][0]) == {"name", "candidates", "kept", "samples", "reasons"}
    assert found["reasons"]["few_matches"] == {
        "count": 2,
        "value": {"q25": 5.0, "median": 6.0, "q75": 7.0},
    }
    histogram = found["histograms"]["kept"]["overlap_patch"]
    assert set(histogram) == {"unit", "edges", "counts", "quartiles"}
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    assert set(found["curve"][0]) == {"slots", "interval_s", "edges", "with_overlap", "overlap"}
    assert set(found["mixing"]) == {"window", "rate", "expected"}
    json.dumps(found, allow_nan=False)
