"""Label maps through packing: into the shards, read by us and by others, and into shards again."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from pathlib import Path

import factory
import numpy as np
import pyarrow as pa
import pytest
from fake_work import files_of
from PIL import Image

from mimic import opencv
from mimic.shards.covis import decode_labels
from mimic.shards.reader import Shards, read_manifest
from mimic.shards.tables import from_parquet, to_parquet
from mimic.shards.tar import TarWriter
from mimic.shards.verify import verify
from mimic.shards.writer import file_entry
from mimic.storage import Storage
from mimic.types import Part
from pipelines.pack import pack, repack
from schemas import MANIFEST_NAME

NAMES = tuple("abcd")
SIZE = factory.SIZE[::-1]


def even(slot: int) -> bool:
    return slot % 2 == 0


def parts() -> list[Part]:
    """Two with maps for some of their pairs, one of them with depth, too, and two without."""
    some = [factory.with_labels(factory.make_part(name), even) for name in NAMES[:2]]
    return [factory.with_depth(some[0]), some[1], *map(factory.make_part, NAMES[2:])]


def packed(out: Storage) -> Shards:
    pack([factory.report(part, out) for part in parts()], out, out, factory.config())
    return Shards(out)


def check(shards: Shards) -> int:
    """Every sample has exactly the maps of its pair; how many have any."""
    known = {pair: maps for part in parts() for pair, maps in part.covis.items()}
    found = 0
    for sample in shards.samples():
        maps = known.get(tuple(view["frame_id"] for view in sample.meta["views"]))
        assert ("covis_1_2.png" in sample.suffixes) == (maps is not None)
        if maps is not None:
            assert (sample.read("covis_1_2.png"), sample.read("covis_2_1.png")) == maps
            found += 1
    return found


def test_samples_carry_the_maps_of_their_pairs(tmp_path: Path) -> None:
    shards = packed(Storage(tmp_path))
    assert check(shards) == 2 * len(parts()[0].covis) > 5
    assert verify(shards.storage, decode=opencv.decode_image) == []
    for row in shards.index().to_pylist():
        assert row["labels_12"] == row["edges"][0]["labels_12"]
    orders = {
        tuple(m["name"].partition(".")[2] for m in row["members"])
        for row in shards.index().to_pylist()
    }
    assert (
        "corr_1_2.npy",
        "covis_1_2.png",
        "covis_2_1.png",
        "depth1.png",
        "depth2.png",
        "json",
        "view1.jpg",
        "view2.jpg",
    ) in orders
    assert all(list(order) == sorted(order) for order in orders)


def test_webdataset_reads_them(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    ours = {sample.key: sample for sample in packed(Storage(tmp_path)).samples()}
    found = 0
    for path in sorted(tmp_path.glob("*.tar")):
        for theirs in wds.WebDataset(str(path), shardshuffle=False).decode("pil"):
            for one, other in ((1, 2), (2, 1)):
                labels = ours[theirs["__key__"]].covis(one, other)
                image = theirs.get(f"covis_{one}_{other}.png")
                assert (labels is None) == (image is None)
                if labels is not None:
                    assert image.size == theirs[f"view{one}.jpg"].size
                    np.testing.assert_array_equal(np.asarray(image.convert("L")), labels)
                    found += 1
    assert found > 10


def test_equal_parts_give_equal_shards(tmp_path: Path) -> None:
    one, other = Storage(tmp_path / "one"), Storage(tmp_path / "other")
    packed(one)
    reports = [factory.report(part, other) for part in reversed(parts())]
    pack(reports, other, other, factory.config(), run=lambda f, t: [f(x) for x in [*t][::-1]])
    assert files_of(tmp_path / "one") == files_of(tmp_path / "other")


def test_shards_packed_again_keep_their_maps(tmp_path: Path) -> None:
    out, again = Storage(tmp_path / "out"), Storage(tmp_path / "again")
    packed(out)
    repack(out, again, factory.config(overlap={"high": 0.7}, pack={"samples_per_shard": 7}))
    assert check(Shards(again)) > 2
    assert verify(again, decode=opencv.decode_image) == []


# Damage ------------------------------------------------------------------------------------------


def rewrite_maps(out: Storage, data: bytes) -> str:
    """Put other bytes in the place of a map, with tar, index and manifest made to fit; its key."""
    manifest = read_manifest(out)
    for shard in manifest.shards:
        table = from_parquet(out.read(shard.index.name), shard.index.name)
        rows, old, sink = table.to_pylist(), out.read(shard.tar.name), io.BytesIO()
        changed, tar = "", TarWriter(sink)
        for row in rows:
            members = {m["name"]: old[m["offset"] :][: m["size"]] for m in row["members"]}
            name = f"{row['key']}.covis_2_1.png"
            if not changed and name in members:
                changed, members[name] = row["key"], data
            row["members"] = [asdict(tar.add(*member)) for member in members.items()]
        if not changed:
            continue
        tar.close()
        index = to_parquet(pa.Table.from_pylist(rows, schema=table.schema))
        out.write(shard.tar.name, sink.getvalue())
        out.write(shard.index.name, index)
        new = replace(
            shard,
            tar=file_entry(shard.tar.name, sink.getvalue()),
            index=file_entry(shard.index.name, index),
        )
        shards = tuple(new if s is shard else s for s in manifest.shards)
        out.write(MANIFEST_NAME, replace(manifest, shards=shards).to_json().encode())
        return changed
    raise AssertionError("no shard has maps")


def grey(labels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(labels).save(sink, "PNG")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (factory.label_png(1)[:300], "label map of view 2 cannot be decoded (not a whole PNG"),
        (grey(np.full(SIZE, 3, np.uint8)), "cannot be decoded (values that are no labels: [3])"),
        (grey(np.zeros(SIZE[::-1], np.uint8)), "label map of view 2 is 64 x 96"),
        (grey(np.zeros(SIZE, np.uint8)), "the index and its label map differ in labels_21"),
    ],
    ids=["cut short", "another value", "turned", "another map"],
)
def test_a_bad_map_is_found_by_deep_verification(tmp_path: Path, data: bytes, problem: str) -> None:
    out = packed(Storage(tmp_path)).storage
    key = rewrite_maps(out, data)
    assert verify(out) == [], "its hashes are right"
    found = [finding.problem for finding in verify(out, decode=opencv.decode_image)]
    assert any(f"sample {key}" in text and problem in text for text in found), found


def test_a_sample_with_one_map_is_found(tmp_path: Path) -> None:
    out = packed(Storage(tmp_path)).storage
    shard = next(s for s in Shards(out).samples() if "covis_1_2.png" in s.suffixes)
    assert decode_labels(shard.read("covis_1_2.png")).shape == SIZE
    manifest = read_manifest(out)
    entry = next(e for e in manifest.shards if shard.key in _keys(out, e.index.name))
    table = from_parquet(out.read(entry.index.name), entry.index.name)
    rows = table.to_pylist()
    for row in rows:
        if row["key"] == shard.key:
            row["members"] = [m for m in row["members"] if "covis_2_1" not in m["name"]]
    index = to_parquet(pa.Table.from_pylist(rows, schema=table.schema))
    out.write(entry.index.name, index)
    new = replace(entry, index=file_entry(entry.index.name, index))
    shards = tuple(new if e is entry else e for e in manifest.shards)
    out.write(MANIFEST_NAME, replace(manifest, shards=shards).to_json().encode())
    assert [finding.file for finding in verify(out)] == [entry.tar.name]


def _keys(out: Storage, index: str) -> list[str]:
    keys: list[str] = from_parquet(out.read(index), index, ["key"])["key"].to_pylist()
    return keys


# Earlier versions ----------------------------------------------------------------------------


def test_shards_of_an_earlier_version_are_read_and_packed_again(tmp_path: Path) -> None:
    """They know no labels, neither in the index nor inside its edges, nor in the graph."""
    out, again = Storage(tmp_path / "out"), Storage(tmp_path / "again")
    reports = [factory.report(factory.make_part(name), out) for name in NAMES]
    pack(reports, out, out, factory.config())
    manifest = read_manifest(out)
    graph = [_without_labels(out, entry.name) for entry in manifest.graph]
    shards = [
        replace(shard, index=_without_labels(out, shard.index.name)) for shard in manifest.shards
    ]
    earlier = replace(manifest, graph=tuple(graph), shards=tuple(shards))
    out.write(MANIFEST_NAME, earlier.to_json().encode())
    index = Shards(out).index()
    assert index["labels_12"].null_count == len(index) > 10
    assert index["edges"][0][0]["labels_21"].as_py() is None
    assert verify(out) == []
    made = repack(out, again, factory.config(overlap={"high": 0.7}))
    assert verify(again) == []
    assert made.counts["samples"] > 10


def _without_labels(out: Storage, name: str):  # type: ignore[no-untyped-def]
    table = from_parquet(out.read(name), name)
    labels = ("labels_12", "labels_21")
    table = table.drop_columns([column for column in labels if column in table.column_names])
    if "edges" in table.column_names and "members" in table.column_names:
        place = table.schema.get_field_index("edges")
        fields = [f for f in table.schema.field("edges").type.value_type if f.name not in labels]
        kind = pa.list_(pa.struct(fields))
        rows = [
            [{k: v for k, v in edge.items() if k not in labels} for edge in edges]
            for edges in table["edges"].to_pylist()
        ]
        table = table.set_column(place, pa.field("edges", kind), pa.array(rows, kind))
    data = to_parquet(table)
    out.write(name, data)
    return file_entry(name, data)
