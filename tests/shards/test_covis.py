"""Label maps in parts and samples: carried untouched, read as they are, refused when damaged."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import factory
import numpy as np
import pytest

from mimic import opencv
from mimic.shards.covis import decode_labels, label_shares
from mimic.shards.part import read_part_tables, write_part
from mimic.shards.sample import samples_of_part
from mimic.storage import Storage
from schemas import PART_EDGES


def even(slot: int) -> bool:
    return slot % 2 == 0


def test_a_part_keeps_both_maps_of_an_edge_and_their_shares(tmp_path: Path) -> None:
    store, part = Storage(tmp_path), factory.with_labels(factory.make_part("scan.glb"), even)
    written = write_part(part, store, "")
    _, edges = read_part_tables(store, written)
    data = store.read(written.name)
    assert edges.schema.equals(PART_EDGES)
    found = 0
    for row in edges.to_pylist():
        maps = part.covis.get((row["frame_1"], row["frame_2"]))
        for number, direction in enumerate(("12", "21")):
            place = [row[f"covis_{direction}_{name}"] for name in ("offset", "size", "crc32")]
            if maps is None:
                assert place == [None] * 3
                assert row[f"labels_{direction}"] is None
                continue
            offset, size, crc32 = place
            assert data[offset:][:size] == maps[number]
            assert crc32 == zlib.crc32(maps[number])
            assert row[f"labels_{direction}"] == label_shares(decode_labels(maps[number]))
            found += 1
    assert found == 2 * len(part.covis) > 0


def test_the_order_of_the_maps_does_not_show(tmp_path: Path) -> None:
    part = factory.with_labels(factory.make_part("x"))
    turned = replace(part, covis=dict(reversed(part.covis.items())))
    written = [write_part(p, Storage(tmp_path), f"{n}") for n, p in enumerate((part, turned))]
    assert written[0].sha256 == written[1].sha256


def test_maps_without_an_edge_are_an_error(tmp_path: Path) -> None:
    part = factory.with_labels(factory.make_part("x"))
    strange = {("a", "b"): next(iter(part.covis.values()))}
    with pytest.raises(ValueError, match="label maps without a row"):
        write_part(replace(part, covis=strange), Storage(tmp_path), "")


def test_a_sample_in_memory_has_its_maps() -> None:
    part = factory.with_labels(factory.make_part("a"), even)
    with_maps = 0
    for sample in samples_of_part(part, factory.config()):
        names = tuple(view["frame_id"] for view in sample.meta["views"])
        maps = part.covis.get(names)
        edge = sample.meta["edges"][0]
        if maps is None:
            assert sample.covis(1, 2) is sample.covis(2, 1) is None
            assert edge["labels_12"] is edge["labels_21"] is None
            continue
        with_maps += 1
        for data, labels, said in zip(
            maps,
            (sample.covis(1, 2), sample.covis(2, 1)),
            (edge["labels_12"], edge["labels_21"]),
            strict=True,
        ):
            assert labels is not None
            np.testing.assert_array_equal(labels, opencv.decode_png(data))
            assert said == [float((labels == value).mean()) for value in (0, 1, 2, 255)]
    assert with_maps == len(part.covis) > 2


def test_a_view_that_is_not_there_is_an_error() -> None:
    sample = next(samples_of_part(factory.make_part("a"), factory.config()))
    with pytest.raises(KeyError, match="no view 3"):
        sample.covis(1, 3)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"nonsense", "not a whole PNG"),
        (factory.label_png(0)[:200], "not a whole PNG"),
        (opencv.encode_png(np.zeros((4, 4), np.uint16)), "not 8 bits of grey"),
        (opencv.encode_png(np.zeros((4, 4, 3), np.uint8)), "not 8 bits of grey"),
        (opencv.encode_png(np.full((4, 4), 7, np.uint8)), r"no labels: \[7\]"),
    ],
    ids=["nonsense", "cut short", "16 bits", "colour", "another value"],
)
def test_what_is_no_label_map_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decode_labels(data)
