"""Depth through packing: into the shards, read by us and by others, and into shards again."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import factory
import numpy as np
import pyarrow.parquet as pq
import pytest

from mimic import opencv
from mimic.shards.depth import depth_m
from mimic.shards.reader import Shards
from mimic.shards.tables import from_parquet, to_parquet
from mimic.shards.verify import verify
from mimic.storage import Storage
from mimic.types import Part
from pipelines.pack import not_stored_note, pack, repack
from schemas import SAMPLES

NAMES = tuple("abcd")


def even(slot: int) -> bool:
    return slot % 2 == 0


def parts(of: Callable[[int], bool] = even) -> list[Part]:
    """Two with depth for some of their frames, with poses, and two without."""
    deep = [factory.with_depth(factory.with_poses(factory.make_part(n)), of) for n in NAMES[:2]]
    return [*deep, *(factory.make_part(n) for n in NAMES[2:])]


def packed(out: Storage, of: Callable[[int], bool] = even) -> Shards:
    pack([factory.report(part, out) for part in parts(of)], out, out, factory.config())
    return Shards(out)


def depths() -> dict[str, bytes]:
    return {name: data for part in parts() for name, data in part.depths.items()}


def check(shards: Shards) -> int:
    """Every view has exactly its frame's depth; how many samples have it for one view alone."""
    known, mixed = depths(), 0
    for sample in shards.samples():
        found = [sample.depth(number) for number in (1, 2)]
        for depth, view in zip(found, sample.meta["views"], strict=True):
            stored = known.get(view["frame_id"])
            assert (depth is None) == (stored is None)
            if depth is not None and stored is not None:
                np.testing.assert_array_equal(depth, depth_m(stored))
                assert depth.shape[::-1] == tuple(view["size"])
        mixed += (found[0] is None) != (found[1] is None)
    return mixed


def test_samples_carry_the_depth_of_their_frames(tmp_path: Path) -> None:
    shards = packed(Storage(tmp_path))
    assert check(shards) > 5
    assert verify(shards.storage, decode=opencv.decode_image) == []
    views = [v for s in shards.samples() for v in s.meta["views"] if v["intrinsics"]]
    assert len(views) == 44
    for view in views:
        row = factory.camera(round(float(view["frame"]) * 3))
        assert np.ravel(view["intrinsics"]).tolist() == row["intrinsics"]
        assert np.ravel(view["cam_to_world"]).tolist() == row["cam_to_world"]


def test_members_are_in_order_and_the_index_finds_them(tmp_path: Path) -> None:
    shards = packed(Storage(tmp_path))
    orders = set()
    for shard in shards.shards():
        rows = shards.shard_index(shard).to_pylist()
        with tarfile.open(tmp_path / shard.tar.name) as tar:
            places = [(m.name, m.offset_data, m.size) for m in tar]
        listed = [(m["name"], m["offset"], m["size"]) for row in rows for m in row["members"]]
        assert listed == places
        orders |= {tuple(m["name"].partition(".")[2] for m in row["members"]) for row in rows}
        assert pq.read_table(tmp_path / shard.index.name).schema.equals(SAMPLES)
    both = ("corr_1_2.npy", "depth1.png", "depth2.png", "json", "view1.jpg", "view2.jpg")
    assert orders == {
        both,
        tuple(name for name in both if name != "depth1.png"),
        tuple(name for name in both if name != "depth2.png"),
        tuple(name for name in both if "depth" not in name),
    }


def test_webdataset_sees_plain_members(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    shards = packed(Storage(tmp_path))
    ours = {sample.key: sample for sample in shards.samples()}
    found = 0
    for path in sorted(tmp_path.glob("*.tar")):
        for theirs in wds.WebDataset(str(path), shardshuffle=False).decode():
            own = ours.pop(theirs["__key__"])
            for number in (1, 2):
                depth, data = own.depth(number), theirs.get(f"depth{number}.png")
                assert (depth is None) == (data is None)
                if depth is not None:
                    values = opencv.decode_png(data)
                    assert values.dtype == np.uint16
                    np.testing.assert_array_equal(values.astype(np.float32) / 1000, depth)
                    found += 1
    assert not ours
    assert found > 20


def test_the_tar_program_extracts_it(tmp_path: Path) -> None:
    shards = packed(Storage(tmp_path))
    sample = next(s for s in shards.samples() if s.depth(1) is not None)
    member = f"{sample.key}.depth1.png"
    for path in tmp_path.glob("*.tar"):
        got = subprocess.run(["tar", "xOf", path, member], capture_output=True, check=False)
        if got.returncode == 0:
            assert got.stdout == sample.read("depth1.png")
            return
    pytest.fail("in no tar")


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".mimic" not in path.parts
    }


def test_equal_parts_give_equal_shards(tmp_path: Path) -> None:
    one, other = Storage(tmp_path / "one"), Storage(tmp_path / "other")
    packed(one)
    reports = [factory.report(part, other) for part in reversed(parts())]
    pack(reports, other, other, factory.config(), run=lambda f, t: [f(x) for x in [*t][::-1]])
    assert digests(tmp_path / "one") == digests(tmp_path / "other")


def test_depth_changes_no_other_byte_of_a_sample(tmp_path: Path) -> None:
    deep, flat = (
        packed(Storage(tmp_path / "deep")),
        packed(Storage(tmp_path / "flat"), lambda _: False),
    )
    theirs = {sample.key: sample for sample in flat.samples()}
    for sample in deep.samples():
        for suffix in theirs[sample.key].suffixes:
            assert sample.read(suffix) == theirs[sample.key].read(suffix)


def test_shards_packed_again_keep_their_depth(tmp_path: Path) -> None:
    out, again = Storage(tmp_path / "out"), Storage(tmp_path / "again")
    packed(out)
    repack(out, again, factory.config(overlap={"high": 0.7}, pack={"samples_per_shard": 7}))
    shards = Shards(again)
    assert 10 < len(shards) < len(Shards(out))
    assert check(shards) > 5
    assert verify(again, decode=opencv.decode_image) == []


def test_the_same_selection_of_shards_gives_the_same_shards(tmp_path: Path) -> None:
    out, again = Storage(tmp_path / "out"), Storage(tmp_path / "again")
    packed(out)
    repack(out, again, factory.config())
    one, other = digests(tmp_path / "out"), digests(tmp_path / "again")
    assert {n: d for n, d in one.items() if n[:5] in ("train", "val-0")} == {
        n: d for n, d in other.items() if n[:5] in ("train", "val-0")
    }


def test_the_graph_has_no_column_of_the_parts_but_the_share(tmp_path: Path) -> None:
    packed(Storage(tmp_path))
    names = pq.read_schema(tmp_path / "graph/frames-000000.parquet").names
    assert "valid_share" in names
    assert not [name for name in names if name.startswith("depth")]


def test_shards_of_an_earlier_version_are_packed_again(tmp_path: Path) -> None:
    """They lack the columns that were added since."""
    from mimic.shards.reader import read_manifest
    from mimic.shards.writer import file_entry
    from schemas import MANIFEST_NAME

    out = Storage(tmp_path / "out")
    packed(out)
    added = {"frames": ["valid_share"], "units": ["fingerprint", "size_bytes"]}
    manifest, entries = read_manifest(out), []
    for entry in manifest.graph:
        columns = added.get(Path(entry.name).name.partition("-")[0], [])
        data = to_parquet(from_parquet(out.read(entry.name), entry.name).drop_columns(columns))
        out.write(entry.name, data)
        entries.append(file_entry(entry.name, data))
    out.write(MANIFEST_NAME, replace(manifest, graph=tuple(entries)).to_json().encode())
    again = Storage(tmp_path / "again")
    made = repack(out, again, factory.config(overlap={"high": 0.7}))
    assert verify(again) == []
    assert made.counts["samples"] > 10


def test_a_pair_that_depth_alone_vouches_for_is_cut_only_if_its_patches_are_stored(
    tmp_path: Path,
) -> None:
    """It has no homography that the correspondence would follow from."""
    out = Storage(tmp_path)
    part = factory.make_part("a", keep_all=True)
    assert part.corrs is not None
    kept = [e for e in part.edges if e["verdict"] == "kept"]
    bare: list[dict[str, Any]] = [
        edge | {"homography": None, "verifier": "depth"} if edge in kept else edge
        for edge in part.edges
    ]
    some = dict(list(part.corrs.pairs.items())[3:])
    part = replace(part, edges=tuple(bare), corrs=replace(part.corrs, pairs=some))
    manifest = pack([factory.report(part, out)], out, out, factory.config())
    assert manifest.counts["not_stored"] == 3
    assert manifest.counts["samples"] == len(kept) - 3 == len(Shards(out))
    assert (not_stored_note(manifest) or "").startswith("3 more pairs")
    assert verify(out) == []
