"""The correspondence that mining stores is the one that its homography gives."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from mimic.config import load_config
from mimic.shards.corr import corr_count, decode_corr, encode_corr
from mimic.shards.sample import Context, corr_of, samples_of_part
from mimic.types import KEPT
from mimic.unit import run_unit
from pipelines.plan import make_plan


@pytest.mark.parametrize("overrides", [{}, {"overlap": {"outside_votes": True, "patch_size": 8}}])
def test_stored_equals_recomputed(tiny_videos: Path, overrides: dict[str, object]) -> None:
    config = load_config(overrides=overrides)
    context = Context.of(config)
    kept = 0
    for unit in make_plan(str(tiny_videos), config).units:
        part = run_unit(unit, config)
        frames = {row["frame_id"]: row for row in part.frames}
        assert part.corrs is not None
        assert (part.corrs.patch_size, part.corrs.outside_votes) == context.corr_options
        for edge in part.edges:
            ids = (edge["frame_1"], edge["frame_2"])
            stored = part.corrs.pairs.get(ids)
            assert (stored is not None) == (edge["verdict"] == KEPT)
            if stored is not None:
                views = (frames[ids[0]], frames[ids[1]])
                np.testing.assert_array_equal(stored, corr_of(edge, views, context))
                assert stored.dtype == np.int32
                assert len(stored) > 20
                kept += 1
        corrs = [sample.corr() for sample in samples_of_part(part, config)]
        for corr, stored in zip(corrs, part.corrs.pairs.values(), strict=True):
            np.testing.assert_array_equal(corr, stored)
    assert kept > 2


def test_pairs_above_the_floor_keep_theirs_too(tiny_videos: Path) -> None:
    config = load_config(overrides={"pack": {"keep_edges": 0.2}})
    (unit,) = make_plan(str(tiny_videos), config).units
    part = run_unit(unit, config)
    assert part.corrs is not None
    high = [
        e
        for e in part.edges
        if (e["overlap_support"] or 0.0) >= 0.2 and e["homography"] is not None
    ]
    assert len(high) > sum(e["verdict"] == KEPT for e in part.edges)
    assert {(e["frame_1"], e["frame_2"]) for e in high} == set(part.corrs.pairs)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 448, 12_345])
def test_the_bytes_are_numpys_own(count: int) -> None:
    corr = np.arange(2 * count, dtype=np.int32).reshape(count, 2)
    sink = io.BytesIO()
    np.save(sink, corr)
    assert encode_corr(corr) == sink.getvalue()
    np.testing.assert_array_equal(decode_corr(sink.getvalue()), corr)
    assert corr_count(sink.getvalue()) == count


def test_bytes_that_are_ordered_otherwise_are_counted_too() -> None:
    sink = io.BytesIO()
    np.save(sink, np.zeros((7, 2), np.int64))
    assert corr_count(sink.getvalue()) == 7
    with pytest.raises(ValueError, match="pickle"):
        corr_count(b"not an array")
