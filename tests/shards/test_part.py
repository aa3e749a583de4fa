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
import pytest
from s3_server import BUCKET

from mimic.errors import DamagedError
from mimic.shards.part import read_jpeg, read_part_tables, source_of_part, write_part
from mimic.shards.tables import from_parquet, table_of, to_parquet
from mimic.shards.tar import TarWriter
from mimic.storage import Storage
from schemas import EDGES, FRAMES, SchemaError


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
    assert listed.stdout.split() == [*pictures, "frames.parquet", "edges.parquet"]
    assert listed.stderr == ""


def test_a_part_says_what_it_is(tmp_path: Path) -> None:
    store, part = Storage(tmp_path), factory.make_part("walk.mp4")
    written = write_part(part, store, "parts")
    data = store.read(written.name)
    assert written.name == f"parts/{part.unit.unit_id}.tar"
    assert (written.size, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())

    frames, edges = read_part_tables(store, written)
    assert frames.schema.equals(FRAMES)
    assert edges.schema.equals(EDGES)
    assert edges.to_pylist() == list(part.edges)
    source = source_of_part(frames)
    assert (source.unit, source.kind, source.item) == (part.unit.unit_id, "video", "walk.mp4")
    for row in frames.to_pylist():
        jpeg = part.jpegs[row["frame_id"]]
        assert read_jpeg(store, written, row) == jpeg
        assert row["jpeg_crc32"] == zlib.crc32(jpeg)


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
    with pytest.raises(DamagedError, match=rf"{written.name}: a stored picture is damaged"):
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
