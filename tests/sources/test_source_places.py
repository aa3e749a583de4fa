from __future__ import annotations

import shutil
from pathlib import Path

import fsspec
import pytest
from s3_server import BUCKET, S3
from source_helpers import config_with, only_item, read, skipped
from source_media import write_video

from mimic import sources
from mimic.errors import MimicError
from mimic.sources.base import File
from mimic.sources.fingerprint import SAMPLE_BYTES, fingerprint_of, fingerprint_of_bytes
from mimic.sources.places import find
from mimic.types import SourceItem


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.mkv", "deep/er/c.MP4", "deep/note.doc", "deep/x.doc", ".hidden/d.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def names(where: object) -> list[str]:
    return [file.name for file in find(str(where)).files]


def test_a_folder_is_read_whole_in_the_order_of_names(tree: Path) -> None:
    assert names(tree) == ["a.mkv", "b.mp4", "deep/er/c.MP4", "deep/note.doc", "deep/x.doc"]
    assert names(f"{tree}/") == names(tree)
    assert names(f"file://{tree}") == names(tree)


def test_a_file_is_itself(tree: Path) -> None:
    assert names(tree / "deep/er/c.MP4") == ["c.MP4"]


def test_globs(tree: Path) -> None:
    assert names(f"{tree}/*.mp4") == ["b.mp4"]
    assert names(f"{tree}/[ab].*") == ["a.mkv", "b.mp4"]
    assert names(f"{tree}/**/*.MP4") == ["deep/er/c.MP4"]
    assert names(f"{tree}/d*p/*/?.MP4") == ["deep/er/c.MP4"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tree: Path) -> None:
    (tree / "take[1].mp4").write_bytes(b"1")
    assert names(tree / "take[1].mp4") == ["take[1].mp4"]


def test_text_lists(tree: Path) -> None:
    lines = ["# mine", "b.mp4", "", "./deep/er/c.MP4", f"{tree}/a.mkv"]
    (tree / "list.txt").write_text("\n".join(lines))
    assert names(tree / "list.txt") == ["b.mp4", "deep/er/c.MP4", "a.mkv"]
    (tree / "deep/list.txt").write_text("../b.mp4\n")
    assert [file.uri for file in find(str(tree / "deep/list.txt")).files] == [f"{tree}/b.mp4"]


def test_addresses_that_lead_nowhere_are_said(tree: Path) -> None:
    (tree / "empty").mkdir()
    (tree / "list.txt").write_text("b.mp4\nnone.mp4\n")
    (tree / "void.txt").write_text("\n")
    for where, sentence in {
        "": "--source is empty",
        f"{tree}/none": "none: there is no such file or folder",
        f"{tree}/empty": "empty: the folder is empty",
        f"{tree}/*.webm": r"\*.webm: no file matches",
        f"{tree}/list.txt": "1 of 2 files in the list do not exist, first none.mp4",
        f"{tree}/void.txt": "the list is empty",
        "memory://nothing/here": "nothing is found there",
    }.items():
        with pytest.raises(MimicError, match=sentence):
            find(where)


def test_what_is_neither_video_nor_picture_is_one_line(tree: Path) -> None:
    (tree / "t.mp3").write_bytes(b"1")
    lines = [(s.reason, s.message) for s in skipped(tree, config_with())]
    assert lines == [
        ("no_video_stream", "t.mp3: audio only, no video stream"),
        ("unknown", "2 files left out (neither video nor picture), first deep/note.doc"),
    ]


def test_a_folder_without_anything_to_mine_is_said(tree: Path) -> None:
    (tree / "only").mkdir()
    (tree / "only/a.doc").write_bytes(b"1")
    with pytest.raises(MimicError, match="holds 1 file, but no videos, pictures, RGB-D"):
        list(sources.discover(str(tree / "only"), config_with()))


def test_empty_files_and_doubles_are_left_out(tree: Path) -> None:
    (tree / "zero.mp4").write_bytes(b"")
    shutil.copy(tree / "a.mkv", tree / "deep/same.mkv")
    found = list(sources.discover(str(tree), config_with()))
    assert [i.name for i in found if isinstance(i, SourceItem)] == [
        "a.mkv",
        "b.mp4",
        "deep/er/c.MP4",
    ]
    said = {s.name: (s.reason, s.message) for s in skipped(tree, config_with())}
    assert said["zero.mp4"] == ("empty", "zero.mp4: is empty (0 bytes)")
    assert said["deep/same.mkv"] == (
        "duplicate",
        "deep/same.mkv: same content as a.mkv, which is used",
    )


def test_nothing_but_bad_files_is_said(tmp_path: Path) -> None:
    (tmp_path / "zero.mp4").write_bytes(b"")
    with pytest.raises(MimicError, match=r"nothing in it can be mined \(zero\.mp4: is empty"):
        list(sources.discover(str(tmp_path), config_with()))


def test_big_files_that_are_no_videos_are_found_at_planning(tree: Path) -> None:
    config = config_with("source.video.probe_above_mb=0")
    with pytest.raises(MimicError, match="not a video that can be opened"):
        list(sources.discover(str(tree / "b.mp4"), config))


@pytest.mark.parametrize("size", [10, 4 * SAMPLE_BYTES, 4 * SAMPLE_BYTES + 1, 900_000])
def test_a_fingerprint_is_of_content_wherever_it_lies(size: int, tmp_path: Path) -> None:
    data = bytes(i * 7 % 251 for i in range(size))
    (tmp_path / "a").write_bytes(data)
    fsspec.filesystem("memory").pipe_file("/prints/b", data)
    local = fingerprint_of(File("a", str(tmp_path / "a"), size))
    remote = fingerprint_of(File("b", "memory://prints/b", size))
    assert local == remote == fingerprint_of_bytes(data)
    changed = bytearray(data)
    changed[-1] ^= 1
    assert fingerprint_of_bytes(bytes(changed)) != local
    assert fingerprint_of_bytes(data + b"x") != local


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_a_video_in_an_object_store_is_the_same_video(name: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, frames=60)
    fsspec.filesystem("memory").pipe_file(f"/videos/{name}", path.read_bytes())
    config = config_with("source.video.unit_s=1", "source.video.probe_above_mb=0")
    seen = []
    for where in (path, f"memory://videos/{name}"):
        units = sources.split(only_item(where, config), config)
        assert len(units) > 1
        seen.append([(unit.unit_id, read(unit, config, margin=1)) for unit in units])
    assert seen[0] == seen[1]


def test_videos_in_a_bucket(s3: S3, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clips/v.mp4", frames=60)
    whole = path.read_bytes()
    s3.client.put_object(Bucket=BUCKET, Key="in/clips/v.mp4", Body=whole)
    s3.client.put_object(Bucket=BUCKET, Key="in/clips/w.mp4", Body=whole + bytes(1))
    config = config_with("source.video.unit_s=1", "source.video.probe_above_mb=0")
    found = sources.discover(f"s3://{BUCKET}/in", config)
    remote = [item for item in found if isinstance(item, SourceItem)]
    assert [item.name for item in remote] == ["clips/v.mp4", "clips/w.mp4"]
    local = only_item(tmp_path, config)
    for here, there in zip(
        sources.split(local, config), sources.split(remote[0], config), strict=True
    ):
        assert here.unit_id == there.unit_id
        assert read(here, config, margin=1) == read(there, config, margin=1)
    assert names(f"s3://{BUCKET}/in/**/w.*") == ["clips/w.mp4"]
    assert names(f"s3://{BUCKET}/in/clips/v.mp4") == ["v.mp4"]
    with pytest.raises(MimicError, match="s3://no-such-bucket"):
        find("s3://no-such-bucket/in")
