"""Verification: every kind of damage is found, and the damaged file is the one that is named."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import factory
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mimic import opencv
from mimic.errors import DamagedError
from mimic.shards.corr import encode_corr
from mimic.shards.reader import read_manifest
from mimic.shards.tables import from_parquet, to_parquet
from mimic.shards.tar import TarWriter, header
from mimic.shards.verify import Finding, verify
from mimic.shards.writer import file_entry
from mimic.storage import MissingError, Storage
from pipelines.pack import pack
from schemas import MANIFEST_NAME, SAMPLES

TAR, INDEX = "train-000001.tar", "train-000001.parquet"


@pytest.fixture
def out(tmp_path: Path) -> Storage:
    out = Storage(tmp_path)
    pack(factory.reports(out, *"abcdef"), out, out, factory.config())
    assert verify(out) == []
    return out


def path(out: Storage, name: str) -> Path:
    found = out.local_path(name)
    assert found is not None
    return found


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    "name",
    [
        TAR,
        INDEX,
        "val-000000.tar",
        "graph/edges-000000.parquet",
        "graph/frames-000000.parquet",
        "graph/curves-000000.parquet",
    ],
)
@pytest.mark.parametrize(
    ("damage", "problem"),
    [(_truncate, "the manifest says"), (_flip, "SHA-256"), (Path.unlink, "is missing")],
)
def test_a_damaged_file_is_named(
    out: Storage, name: str, damage: Callable[[Path], None], problem: str
) -> None:
    damage(path(out, name))
    findings = verify(out)
    assert {finding.file for finding in findings} <= {name, name.replace(".parquet", ".tar")}
    assert any(finding.file == name and problem in finding.problem for finding in findings)


def test_two_shards_swapped_are_both_named(out: Storage) -> None:
    one, other = path(out, "train-000000.tar"), path(out, TAR)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    files = {finding.file for finding in verify(out)}
    assert files == {"train-000000.tar", TAR}


def test_what_is_not_listed_is_named(out: Storage) -> None:
    out.write("train-000099.tar", b"left behind")
    assert verify(out) == [Finding("train-000099.tar", "is not in the manifest")]


def test_without_manifest_or_with_a_broken_one(out: Storage) -> None:
    out.write(MANIFEST_NAME, b"{}")
    with pytest.raises(DamagedError, match=MANIFEST_NAME):
        verify(out)
    out.delete(MANIFEST_NAME)
    with pytest.raises(MissingError):
        verify(out)


# ------------------------------------------- wrong from the start: hashes fit, contents do not


def relist(out: Storage, *names: str) -> None:
    """Make the manifest vouch for the files as they are now."""
    manifest = read_manifest(out)
    shards = []
    for shard in manifest.shards:
        entries = {
            kind: file_entry(entry.name, out.read(entry.name)) if entry.name in names else entry
            for kind, entry in (("tar", shard.tar), ("index", shard.index))
        }
        shards.append(dataclasses.replace(shard, **entries))
    out.write(MANIFEST_NAME, dataclasses.replace(manifest, shards=tuple(shards)).to_json().encode())


def rewrite_index(out: Storage, change: Callable[[pa.Table], pa.Table], name: str = INDEX) -> None:
    out.write(name, to_parquet(change(from_parquet(out.read(name), name))))
    relist(out, name)


def rewrite_member(out: Storage, suffix: str, change: Callable[[bytes], bytes]) -> str:
    """Change a member of the shard's first sample, with tar, index and manifest made to fit."""

    def changed(members: dict[str, bytes]) -> dict[str, bytes]:
        return {n: change(data) if n.endswith(suffix) else data for n, data in members.items()}

    return rewrite(out, changed)


def rewrite(out: Storage, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> str:
    """Change the members of the shard's first sample; the key of it."""
    table = from_parquet(out.read(INDEX), INDEX)
    rows, data = table.to_pylist(), out.read(TAR)
    sink = io.BytesIO()
    tar = TarWriter(sink)
    for number, row in enumerate(rows):
        members = {m["name"]: data[m["offset"] :][: m["size"]] for m in row["members"]}
        if number == 0:
            members = change(members)
        row["members"] = [dataclasses.asdict(tar.add(*member)) for member in members.items()]
    tar.close()
    out.write(TAR, sink.getvalue())
    out.write(INDEX, to_parquet(pa.Table.from_pylist(rows, schema=table.schema)))
    relist(out, TAR, INDEX)
    return str(rows[0]["key"])


def only_problem(out: Storage, **options: object) -> str:
    findings = verify(out, **options)  # type: ignore[arg-type]
    assert len(findings) == 1, findings
    assert findings[0].file in (TAR, INDEX)
    return findings[0].problem


def test_relisting_alone_is_no_damage(out: Storage) -> None:
    rewrite_member(out, "view1.jpg", lambda data: data)
    rewrite_index(out, lambda table: table)
    assert verify(out) == []


@pytest.mark.parametrize(
    ("corr", "problem"),
    [
        ([[0, 1], [1, 1]], "uses a patch of view 2 twice"),
        ([[2, 1], [2, 3]], "uses a patch of view 1 twice"),
        ([[0, 24], [1, 2]], "leaves the patch grid of view 2"),
        ([[-1, 0], [1, 2]], "leaves the patch grid of view 1"),
    ],
)
def test_a_wrong_correspondence(out: Storage, corr: list[list[int]], problem: str) -> None:
    key = rewrite_member(out, "npy", lambda _: encode_corr(np.array(corr, np.int32)))
    problems = [finding.problem for finding in verify(out)]
    assert f"sample {key}: its correspondence {problem}" in problems
    assert any("it has 2 correspondences, the index says" in p for p in problems)


def test_a_correspondence_of_another_type(out: Storage) -> None:
    def as_float(data: bytes) -> bytes:
        sink = io.BytesIO()
        np.save(sink, np.load(io.BytesIO(data)).astype(np.float32))
        return sink.getvalue()

    rewrite_member(out, "npy", as_float)
    assert "float32" in only_problem(out)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'"seed":0', b'"seed":1', "differ in seed"),
        (b'"config":"', b'"config":"x', "differ in config"),
        (b'"sample_id":"', b'"sample_id":"x', "differ in sample_id"),
        (b'"frame_id":"', b'"frame_id":"x', "differ in frames"),
        (b'"size":[96', b'"size":[95', "differ in sizes"),
        (b'"homography":[[1.0', b'"homography":[[1.5', "differ in homography"),
        (b'"matches":60', b'"matches":61', "differ in matches"),
        (b'"scene":"', b'"scene":"x', "differ in scene"),
        (b'"area":0.', b'"area":0.1', "differ in area"),
        (b'"schema":1', b'"schema":2', "does not fit the schema"),
        (b'"overlap":', b'"overlop":', "does not fit the schema"),
        (b"{", b"", "does not fit the schema"),
    ],
)
def test_json_that_differs_from_the_index(
    out: Storage, old: bytes, new: bytes, problem: str
) -> None:
    rewrite_member(out, "json", lambda data: data.replace(old, new, 1))
    assert problem in only_problem(out)


def test_a_picture_that_cannot_be_decoded_is_found_by_the_deep_check(out: Storage) -> None:
    key = rewrite_member(out, "view2.jpg", lambda data: b"nonsense")
    assert verify(out) == []
    problem = only_problem(out, decode=opencv.decode_image)
    assert problem.startswith(f"sample {key}: view 2 cannot be decoded")


def test_a_picture_of_another_size_is_found_by_the_deep_check(out: Storage) -> None:
    small = opencv.encode_jpeg(np.zeros((16, 16, 3), np.uint8), 90)
    rewrite_member(out, "view1.jpg", lambda data: small)
    assert "view 1 is 16 x 16" in only_problem(out, decode=opencv.decode_image)


@pytest.fixture
def deep(tmp_path: Path) -> Storage:
    """Shards in which every view has a depth and a pose."""
    out = Storage(tmp_path / "deep")
    parts = [factory.with_depth(factory.with_poses(factory.make_part(name))) for name in "abcdef"]
    pack([factory.report(part, out) for part in parts], out, out, factory.config())
    assert verify(out, decode=opencv.decode_image) == []
    return out


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"nonsense", "depth 2 cannot be decoded (not a whole PNG"),
        (opencv.encode_png(np.zeros((64, 96), np.uint8)), "not 16 bits of grey"),
        (opencv.encode_png(np.zeros((8, 16), np.uint16)), "depth 2 is 16 x 8, the index says"),
    ],
    ids=["nonsense", "8 bits", "another size"],
)
def test_a_wrong_depth_is_found_by_the_deep_check(deep: Storage, data: bytes, problem: str) -> None:
    key = rewrite_member(deep, "depth2.png", lambda _: data)
    assert verify(deep) == []
    found = only_problem(deep, decode=opencv.decode_image)
    assert found.startswith(f"sample {key}: ")
    assert problem in found


def test_a_camera_that_differs_from_the_index(deep: Storage) -> None:
    rewrite_member(deep, "json", lambda data: data.replace(b"80.0", b"81.0", 1))
    assert "differ in intrinsics" in only_problem(deep)


def test_a_depth_of_a_view_that_there_is_not(deep: Storage) -> None:
    def renamed(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        assert rows[0]["members"][2]["name"].endswith("depth2.png")
        rows[0]["members"][2]["name"] = f"{rows[0]['key']}.depth3.png"
        return pa.Table.from_pylist(rows, schema=table.schema)

    rewrite_index(deep, renamed)
    assert "depth3.png is not where the index says" in only_problem(deep)
    data = deep.read(TAR)
    key = from_parquet(deep.read(INDEX), INDEX)["key"][0].as_py()
    old, new = (f"{key}.depth{number}.png" for number in (2, 3))
    at = data.index(old.encode())
    size = from_parquet(deep.read(INDEX), INDEX)["members"][0][2]["size"].as_py()
    deep.write(TAR, data[:at] + header(new, size) + data[at + 512 :])
    relist(deep, TAR)
    assert "its members are" in only_problem(deep)


def test_an_index_whose_offsets_do_not_fit(out: Storage) -> None:
    def shifted(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[2]["members"][1]["offset"] += 512
        return pa.Table.from_pylist(rows, schema=table.schema)

    rewrite_index(out, shifted)
    assert "is not where the index says" in only_problem(out)


def test_a_member_by_another_name_than_the_index_says(out: Storage) -> None:
    data = out.read(TAR)
    name = data[:100].rstrip(b"\0").decode()
    (size,) = (m["size"] for m in _members(out) if m["name"] == name)
    out.write(TAR, header(name.replace(".corr", ".cord"), size) + data[512:])
    relist(out, TAR)
    assert only_problem(out) == f"member {name} is not where the index says"


def _members(out: Storage) -> list[dict[str, object]]:
    rows = from_parquet(out.read(INDEX), INDEX)["members"].to_pylist()
    return [member for row in rows for member in row]


def test_members_in_another_order(out: Storage) -> None:
    """Readers of a stream take a sample's members in their order."""
    key = rewrite(out, lambda members: dict(reversed(members.items())))
    assert f"sample {key}: its members are ['view2.jpg', " in f"{only_problem(out)}"


def test_a_tar_with_more_than_the_index_lists(out: Storage) -> None:
    rewrite_index(out, lambda table: table.slice(0, len(table) - 1))
    problems = {finding.file: finding.problem for finding in verify(out)}
    assert problems[TAR] == "does not end where the index says"
    assert "the manifest says" in problems[INDEX]


def test_a_key_that_is_in_two_shards(out: Storage) -> None:
    data = pq.read_table(io.BytesIO(out.read("train-000000.parquet")))
    key = data["key"][0].as_py()

    def with_key(table: pa.Table) -> pa.Table:
        keys = [key, *table["key"].to_pylist()[1:]]
        return table.set_column(1, SAMPLES.field("key"), pa.array(keys))

    rewrite_index(out, with_key)
    problems = [finding.problem for finding in verify(out)]
    assert f"sample {key} is also in train-000000.parquet" in problems


def test_a_hole_in_the_numbering(out: Storage) -> None:
    manifest = read_manifest(out)
    shards = tuple(shard for shard in manifest.shards if shard.tar.name != "train-000000.tar")
    out.write(MANIFEST_NAME, dataclasses.replace(manifest, shards=shards).to_json().encode())
    problems = [finding.problem for finding in verify(out)]
    assert "breaks the numbering: train-000000.tar due" in problems


def test_an_index_of_another_schema(out: Storage) -> None:
    rewrite_index(out, lambda table: table.drop_columns(["scene"]))
    assert "its columns are not those of the schema" in only_problem(out)
