"""Tars and parts: the same bytes always, and every piece found again."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import factory
import numpy as np
import pytest
from s3_server import BUCKET

from mimic.errors import DamagedError
from mimic.geometry import patches
from mimic.shards.corr import decode_corr
from mimic.shards.part import (
    corr_options,
    read_jpeg,
    read_part_tables,
    source_of_part,
    write_part,
)
from mimic.shards.tables import from_parquet, table_of, to_parquet
from mimic.shards.tar import TarWriter, header
from mimic.storage import Storage
from schemas import EDGES, FRAMES, PART_EDGES, PART_FRAMES, SchemaError


def test_a_tar_is_reproducible_and_its_offsets_are_right() -> None:
    sink = io.BytesIO()
    tar = TarWriter(sink)
    members = [tar.add("a.bin", b"x" * 513), tar.add("b.bin", b""), tar.add("c.bin", b"y" * 512)]
    tar.close()
    data = sink.getvalue()
    assert tar.size == len(data)
    assert tar.size % 10240 == 0
    assert tar.sha256 == hashlib.sha256(data).hexdigest()
    assert [data[m.offset : m.offset + m.size] for m in members] == [b"x" * 513, b"", b"y" * 512]
    with tarfile.open(fileobj=io.BytesIO(data)) as read:
        for info in read:
            assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
            assert info.mode == 0o644
    with pytest.raises(ValueError, match=r"a\.bin is already"):
        tar.add("a.bin", b"")


def test_the_tar_program_reads_it(tmp_path: Path) -> None:
    part = factory.make_part("walk.mp4")
    written = write_part(part, Storage(tmp_path), "parts")
    listed = subprocess.run(
        ["tar", "tf", tmp_path / written.name], capture_output=True, text=True, check=True
    )
    pictures = sorted(f"{frame}.jpg" for frame in part.jpegs)
    kept = [(e["frame_1"], e["frame_2"]) for e in part.edges if e["verdict"] == "kept"]
    corrs = [f"{frame_1}.{frame_2}.npy" for frame_1, frame_2 in kept]
    names = [*sorted([*pictures, *corrs]), "frames.parquet", "edges.parquet"]
    assert listed.stdout.split() == names
    of_first = kept[0][0]
    mine = [n for n in names if n.startswith(of_first)]
    assert len(mine) == 3
    assert mine[-1] == f"{of_first}.jpg"
    assert listed.stderr == ""


def test_a_part_says_what_it_is(tmp_path: Path) -> None:
    store, part = Storage(tmp_path), factory.make_part("walk.mp4")
    written = write_part(part, store, "parts")
    data = store.read(written.name)
    assert written.name == f"parts/{part.unit.unit_id}.tar"
    assert (written.size, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())

    frames, edges = read_part_tables(store, written)
    assert frames.schema.equals(PART_FRAMES)
    assert edges.schema.equals(PART_EDGES)
    assert edges.select(EDGES.names).to_pylist() == list(part.edges)
    source = source_of_part(frames)
    assert (source.unit, source.kind, source.item) == (part.unit.unit_id, "video", "walk.mp4")
    for row in frames.to_pylist():
        jpeg = part.jpegs[row["frame_id"]]
        assert read_jpeg(store, written, row) == jpeg
        assert row["jpeg_crc32"] == zlib.crc32(jpeg)


def test_a_part_keeps_the_correspondences_of_its_kept_pairs(tmp_path: Path) -> None:
    store, part = Storage(tmp_path), factory.make_part("walk.mp4")
    written = write_part(part, store, "")
    _, edges = read_part_tables(store, written)
    assert corr_options(edges) == (16, False)
    data = store.read(written.name)
    for edge in edges.to_pylist():
        if edge["verdict"] != "kept":
            assert edge["corr_offset"] is edge["corr_size"] is edge["corr_crc32"] is None
            continue
        stored = data[edge["corr_offset"] :][: edge["corr_size"]]
        assert zlib.crc32(stored) == edge["corr_crc32"]
        homography = np.array(edge["homography"]).reshape(3, 3)
        expected = patches.corr(homography, factory.SIZE, factory.SIZE, 16, False)
        assert len(expected) > 5
        np.testing.assert_array_equal(decode_corr(stored), expected)


def test_a_part_without_correspondences_is_a_part(tmp_path: Path) -> None:
    store = Storage(tmp_path)
    written = write_part(replace(factory.make_part("x"), corrs=None), store, "")
    _, edges = read_part_tables(store, written)
    assert corr_options(edges) is None
    assert edges["corr_offset"].null_count == len(edges)


@pytest.mark.parametrize("name", ["a", "ä.jpg", "x" * 99, "k" * 20 + ".corr_1_2.npy"])
@pytest.mark.parametrize("size", [0, 1, 511, 40_000, 8**11 - 1])
def test_a_header_is_the_one_that_tarfile_writes(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode, info.uid, info.gid = size, 0, 0o644, 0, 0
    assert header(name, size) == info.tobuf(tarfile.USTAR_FORMAT)


def test_a_frame_that_was_not_stored_says_so(tmp_path: Path) -> None:
    store, part = Storage(tmp_path), factory.make_part("x", slots=2)
    written = write_part(part, store, "")
    frames, _ = read_part_tables(store, written)
    assert frames["jpeg_offset"].null_count == 2
    with pytest.raises(ValueError, match="not stored"):
        read_jpeg(store, written, frames.to_pylist()[0])


def test_equal_parts_are_equal_bytes_wherever_and_in_whatever_order(
    tmp_path: Path, s3: object
) -> None:
    part = factory.make_part("walk.mp4")
    shuffled = replace(part, jpegs=dict(reversed(part.jpegs.items())))
    first = write_part(part, Storage(tmp_path / "a"), "p")
    second = write_part(shuffled, Storage(tmp_path / "b"), "p")
    third = write_part(part, Storage(f"s3://{BUCKET}/c"), "p")
    assert first == second == third
    assert Storage(tmp_path / "a").read(first.name) == Storage(f"s3://{BUCKET}/c").read(third.name)


def test_a_part_is_the_same_in_another_process(tmp_path: Path) -> None:
    written = write_part(factory.make_part("walk.mp4"), Storage(tmp_path), "p")
    code = (
        "import sys, factory; from mimic.shards.part import write_part;"
        "from mimic.storage import Storage;"
        "print(write_part(factory.make_part('walk.mp4'), Storage(sys.argv[1]), 'p').sha256)"
    )
    again = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "again")],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.strip() == written.sha256


def test_an_unknown_column_or_a_picture_without_row_is_an_error(tmp_path: Path) -> None:
    part = factory.make_part("x")
    with pytest.raises(ValueError, match="colour"):
        table_of([{"colour": 1}], FRAMES)
    with pytest.raises(ValueError, match="without a row"):
        write_part(replace(part, frames=part.frames[1:]), Storage(tmp_path), "p")
    assert Storage(tmp_path).list() == []


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    store = Storage(tmp_path)
    written = write_part(factory.make_part("walk.mp4"), store, "p")
    path = tmp_path / written.name
    frames, _ = read_part_tables(store, written)
    row = frames.to_pylist()[0]

    _flip(path, row["jpeg_offset"] + 30)
    with pytest.raises(
        DamagedError, match=rf"{written.name}: a stored picture, depth, correspondence or"
    ):
        read_jpeg(store, written, row)
    for at, size in (written.frames_table, written.edges_table):
        _flip(path, at + size // 3)
        with pytest.raises(DamagedError, match=rf"{written.name}: its tables are damaged"):
            read_part_tables(store, written)
        _flip(path, at + size // 3)
    read_part_tables(store, written)
    path.write_bytes(path.read_bytes()[: written.edges_table[0] + 10])
    with pytest.raises(DamagedError, match=rf"{written.name}: the part is cut short"):
        read_part_tables(store, written)
    path.unlink()
    with pytest.raises(DamagedError, match=rf"{written.name}: the part is missing"):
        read_part_tables(store, written)


def test_another_schema_is_refused_by_name() -> None:
    data = to_parquet(table_of([], FRAMES).replace_schema_metadata({b"mimic.schema": b"999"}))
    with pytest.raises(SchemaError, match=r"here: written with schema 999"):
        from_parquet(data, "here")
