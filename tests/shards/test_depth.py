"""Depth in parts and samples: carried untouched, read as metres, found again when damaged."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace
from pathlib import Path

import factory
import numpy as np
import pytest
from PIL import Image

from mimic import opencv
from mimic.errors import DamagedError
from mimic.shards.depth import decode_depth, depth_m
from mimic.shards.part import read_part_tables, write_part
from mimic.shards.sample import Sample, samples_of_part
from mimic.storage import Storage
from schemas import FRAMES


def even(slot: int) -> bool:
    return slot % 2 == 0


def test_a_part_keeps_the_depth_beside_the_picture(tmp_path: Path) -> None:
    store, part = Storage(tmp_path), factory.with_depth(factory.make_part("scan.glb"), even)
    written = write_part(part, store, "")
    frames, _ = read_part_tables(store, written)
    data = store.read(written.name)
    assert 0 < len(part.depths) < len(part.jpegs)
    for row in frames.to_pylist():
        depth = part.depths.get(row["frame_id"])
        if depth is None:
            assert row["depth_offset"] is row["depth_size"] is row["depth_crc32"] is None
            continue
        assert data[row["depth_offset"] :][: row["depth_size"]] == depth
        assert row["depth_crc32"] == zlib.crc32(depth)
        gap = row["jpeg_offset"] - (row["depth_offset"] + row["depth_size"])
        assert 0 < gap < 20_000, "one read would not get both"


def test_the_order_of_the_depths_does_not_show(tmp_path: Path) -> None:
    part = factory.with_depth(factory.make_part("x"))
    turned = replace(part, depths=dict(reversed(part.depths.items())))
    written = [write_part(p, Storage(tmp_path), f"{n}") for n, p in enumerate((part, turned))]
    assert written[0].sha256 == written[1].sha256


def test_depth_without_a_picture_is_an_error(tmp_path: Path) -> None:
    part = factory.with_depth(factory.make_part("x"))
    some = dict(list(part.jpegs.items())[1:])
    with pytest.raises(ValueError, match="depth without a stored picture"):
        write_part(replace(part, jpegs=some), Storage(tmp_path), "")


def test_a_part_of_an_earlier_version_has_no_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = [name for name in FRAMES.names if name != "valid_share"]
    with monkeypatch.context() as patch:
        patch.setattr("mimic.shards.part.table_of", _table_with_only(earlier))
        written = write_part(factory.make_part("x"), Storage(tmp_path), "")
    frames, _ = read_part_tables(Storage(tmp_path), written)
    for name in ("depth_offset", "valid_share"):
        assert frames[name].null_count == len(frames) > 0
    assert frames["jpeg_offset"].null_count == 0


def _table_with_only(frame_columns: list[str]):  # type: ignore[no-untyped-def]
    from mimic.shards.tables import table_of

    def made(rows, schema):  # type: ignore[no-untyped-def]
        table = table_of(rows, schema)
        return table.select(frame_columns) if "depth_offset" in schema.names else table

    return made


def test_millimetres_are_read_as_metres() -> None:
    values = np.array([[0, 1, 999], [1500, 65534, 65535]], np.uint16)
    metres = depth_m(opencv.encode_png(values))
    assert metres.dtype == np.float32
    np.testing.assert_array_equal(decode_depth(opencv.encode_png(values)), values)
    np.testing.assert_allclose(metres, values / 1000, rtol=1e-7)
    assert metres[0, 0] == 0


def test_every_png_encoder_is_read_alike() -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (40, 50), dtype=np.uint16)
    sink = io.BytesIO()
    Image.fromarray(values).save(sink, "PNG")
    np.testing.assert_array_equal(decode_depth(sink.getvalue()), values)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"nonsense", "not a whole PNG"),
        (factory.depth_png(0)[:2000], "not a whole PNG"),
        (factory.depth_png(0)[:60] + b"x" * 40, "not a whole PNG"),
        (opencv.encode_png(np.zeros((4, 4), np.uint8)), "not 16 bits of grey"),
        (opencv.encode_png(np.zeros((4, 4, 3), np.uint16)), "not 16 bits of grey"),
        (factory.jpeg(1), "not a whole PNG"),
    ],
    ids=["nonsense", "cut short", "damaged", "8 bits", "colour", "jpeg"],
)
def test_what_is_no_depth_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decode_depth(data)


def samples(part: factory.Part) -> list[Sample]:
    return list(samples_of_part(part, factory.config()))


def test_a_sample_in_memory_has_the_depth_of_its_views() -> None:
    part = factory.with_depth(factory.make_part("a"), even)
    mixed = 0
    for sample in samples(part):
        names = [view["frame_id"] for view in sample.meta["views"]]
        for number, name in enumerate(names, start=1):
            found = sample.depth(number)
            assert (found is None) == (name not in part.depths)
            if found is not None:
                np.testing.assert_array_equal(found, depth_m(part.depths[name]))
        mixed += (names[0] in part.depths) != (names[1] in part.depths)
    assert mixed > 2


def test_without_depth_there_is_none_and_a_third_view_is_an_error() -> None:
    sample = samples(factory.make_part("a"))[0]
    assert sample.depth(1) is sample.depth(2) is None
    with pytest.raises(KeyError, match="no view 3"):
        sample.depth(3)


def test_a_damaged_depth_in_a_part_is_named(tmp_path: Path) -> None:
    from pipelines.pack import pack

    store = Storage(tmp_path)
    part = factory.with_depth(factory.make_part("a"))
    report = factory.report(part, store)
    assert report.part is not None
    frames, _ = read_part_tables(store, report.part)
    path = tmp_path / report.part.name
    data = bytearray(path.read_bytes())
    data[frames["depth_offset"][0].as_py() + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        DamagedError,
        match=rf"{report.part.name}: a stored picture, depth, correspondence or label map",
    ):
        pack([report], store, store, factory.config())
    assert not store.exists("manifest.json")
