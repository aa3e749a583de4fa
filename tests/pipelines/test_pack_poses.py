"""Poses: one file from parts or from shards, that says all it takes to render them again."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import factory
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mimic.errors import DamagedError, MimicError
from mimic.shards import poses
from mimic.shards.layout import split_of
from mimic.shards.poses import POSES_NAME, PosedItem, read_head, read_poses
from mimic.shards.reader import Shards
from mimic.shards.tables import with_metadata
from mimic.shards.versions import versions
from mimic.storage import MissingError, Storage
from mimic.storage._local import LocalFolder
from mimic.types import Part
from pipelines.pack import pack, repack
from pipelines.poses import pack_poses, poses_of_shards
from schemas import POSES, UnitReport

NAMES = tuple("abcd")


def parts() -> list[Part]:
    return [factory.with_poses(factory.make_part(name, kind="raycast")) for name in NAMES]


def reports(out: Storage) -> list[UnitReport]:
    return [factory.report(part, out) for part in parts()]


def packed(out: Storage) -> Shards:
    pack(reports(out), out, out, factory.config())
    return Shards(out)


def test_poses_say_what_the_samples_say(tmp_path: Path) -> None:
    shards = packed(Storage(tmp_path / "shards"))
    out = Storage(tmp_path / "poses")
    written = pack_poses(reports(out), out, out, factory.config())
    found = read_poses(out)
    assert found.table.schema.equals(POSES)
    rows = {row["key"]: row for row in found.table.to_pylist()}
    samples = {sample.key: sample for sample in shards.samples()}
    assert rows.keys() == samples.keys()
    assert written.samples == len(samples) == 44
    slots = {row["frame_id"]: row["slot"] for part in parts() for row in part.frames}
    fingerprints = {part.unit.unit_id: part.unit.item.fingerprint for part in parts()}
    for key, row in rows.items():
        meta = samples[key].meta
        source = {name: row[name] for name in ("kind", "dataset", "item", "scene", "unit")}
        assert source == meta["source"]
        assert row["fingerprint"] == fingerprints[row["unit"]]
        for ours, view in zip(row["views"], meta["views"], strict=True):
            assert ours["slot"] == slots[view["frame_id"]]
            assert (ours["frame_id"], ours["frame"]) == (view["frame_id"], view["frame"])
            assert [ours["width"], ours["height"]] == view["size"]
            assert [ours["original_width"], ours["original_height"]] == view["original_size"]
            for name in ("intrinsics", "cam_to_world", "original_to_stored"):
                assert ours[name] == np.ravel(view[name]).tolist()


def test_the_head_says_what_decides_the_bytes(tmp_path: Path) -> None:
    out = Storage(tmp_path)
    pack_poses(reports(out), out, out, factory.config(seed=7))
    head = read_head(out)
    assert head == read_poses(out).head
    assert head.config == factory.config(seed=7).decisive()
    assert head.fingerprint == factory.config(seed=7).fingerprint()
    assert (head.preset, head.seed, head.versions) == ("default", 7, versions())
    assert head.items == tuple(PosedItem(name, "raycast", name, None, name, 1) for name in NAMES)


def test_parts_and_their_shards_give_the_same_file(tmp_path: Path) -> None:
    store, again = Storage(tmp_path / "shards"), Storage(tmp_path / "again")
    shards = packed(store)
    repack(store, again, factory.config(pack={"samples_per_shard": 3}))
    pack_poses(reports(store)[::-1], store, Storage(tmp_path / "a"), factory.config())
    poses_of_shards(shards, Storage(tmp_path / "b"))
    one, other = ((tmp_path / name / POSES_NAME).read_bytes() for name in "ab")
    assert one == other
    poses_of_shards(Shards(again), Storage(tmp_path / "c"))
    assert read_poses(Storage(tmp_path / "c")).table.equals(
        read_poses(Storage(tmp_path / "a")).table
    )


def test_what_is_written_is_what_is_there(tmp_path: Path) -> None:
    import hashlib

    out = Storage(tmp_path)
    written = pack_poses(reports(out), out, out, factory.config())
    data = out.read(written.name)
    assert written.name == POSES_NAME
    assert (written.size, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_pictures_are_not_needed(tmp_path: Path) -> None:
    full, bare = Storage(tmp_path / "full"), Storage(tmp_path / "bare")
    pack_poses(reports(full), full, full, factory.config())
    without = [factory.report(replace(part, jpegs={}, corrs=None), bare) for part in parts()]
    pack_poses(without, bare, bare, factory.config())
    assert full.read(POSES_NAME) == bare.read(POSES_NAME)


def test_a_tighter_selection_is_that_of_packing(tmp_path: Path) -> None:
    out, config = Storage(tmp_path), factory.config(overlap={"high": 0.7})
    pack_poses(reports(out), out, Storage(tmp_path / "p"), config, mined=factory.config())
    pack(reports(out), out, Storage(tmp_path / "s"), config, mined=factory.config())
    keys = read_poses(Storage(tmp_path / "p")).table["key"].to_pylist()
    assert sorted(keys) == sorted(s.key for s in Shards(tmp_path / "s").samples())
    assert 0 < len(keys) < 44
    small = factory.config(image={"size": 128})
    with pytest.raises(MimicError, match=r"config image\.size: .*mine again"):
        pack_poses(reports(out), out, Storage(tmp_path / "x"), small, mined=factory.config())


def test_a_pair_of_two_units_is_listed_once(tmp_path: Path) -> None:
    out, part = Storage(tmp_path), parts()[0]
    twin = replace(part, unit=replace(part.unit, unit_id="~last"))
    pack_poses([factory.report(twin, out), factory.report(part, out)], out, out, factory.config())
    assert set(read_poses(out).table["unit"].to_pylist()) == {part.unit.unit_id}


def test_a_split_of_shards(tmp_path: Path) -> None:
    shards = packed(Storage(tmp_path))
    assert set(shards.splits) == {"train", "val"}
    for split in shards.splits:
        out = Storage(tmp_path / split)
        poses_of_shards(shards, out, split=split)
        found = read_poses(out)
        assert sorted(found.table["key"].to_pylist()) == sorted(
            sample.key for sample in shards.samples(split)
        )
        assert [item.name for item in found.head.items] == [
            name for name in NAMES if split_of(name, 0, 0.3) == split
        ]


def test_rows_come_by_unit_and_key_in_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.poses.ROWS_AT_ONCE", 8)
    out = Storage(tmp_path)
    pack_poses(reports(out), out, out, factory.config())
    rows = read_poses(out).table.to_pylist()
    order = [(row["unit"], row["key"]) for row in rows]
    assert order == sorted(order)
    assert len(set(order)) == 44
    assert pq.read_metadata(tmp_path / POSES_NAME).num_row_groups == 6
    read: list[int] = []
    read_row_groups = pq.ParquetFile.read_row_groups

    def counted(self: pq.ParquetFile, groups: list[int], **options: object) -> pa.Table:
        read.append(len(groups))
        return read_row_groups(self, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counted)
    for part in parts():
        unit = part.unit.unit_id
        of_unit = read_poses(out, unit=unit).table.to_pylist()
        assert of_unit == [row for row in rows if row["unit"] == unit]
        assert len(of_unit) == 11
    assert max(read) < 6
    assert len(read_poses(out, unit="of nobody").table) == 0


def test_nothing_kept_is_a_file_without_rows(tmp_path: Path) -> None:
    out = Storage(tmp_path)
    assert pack_poses([], out, out, factory.config()).samples == 0
    found = read_poses(out)
    assert len(found.table) == 0
    assert found.head.items == ()


def test_it_is_committed_whole_and_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Storage(tmp_path)
    made = reports(out)

    def dying(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "commit", dying)
        with pytest.raises(KeyboardInterrupt):
            pack_poses(made, out, out, factory.config())
    assert not out.exists(POSES_NAME)
    pack_poses(made, out, out, factory.config())
    first = out.read(POSES_NAME)
    pack_poses(made, out, out, factory.config())
    assert out.read(POSES_NAME) == first


# ---------------------------------------------------------------- refused in one sentence


def test_pairs_without_a_camera_are_refused(tmp_path: Path) -> None:
    out = Storage(tmp_path)
    made = factory.reports(out, "walk.mp4")
    with pytest.raises(
        MimicError, match=r"walk\.mp4: its pair \w{20} has no intrinsics"
    ) as refusal:
        pack_poses(made, out, out, factory.config())
    assert "only walks through scenes" in str(refusal.value)
    part = parts()[0]
    lost = tuple(row | {"cam_to_world": None} if row["slot"] == 4 else row for row in part.frames)
    with pytest.raises(MimicError, match="has no cam_to_world"):
        pack_poses([factory.report(replace(part, frames=lost), out)], out, out, factory.config())
    assert not out.exists(POSES_NAME)


def test_shards_that_do_not_say_which_files_they_are_of_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Storage(tmp_path)

    def unknown(part: Part) -> Part:
        item = replace(part.unit.item, fingerprint=None)  # type: ignore[arg-type]
        return replace(part, unit=replace(part.unit, item=item))

    made = [factory.report(unknown(part), out) for part in parts()]
    with pytest.raises(MimicError, match=r"^[a-d]: its shards do not say which file"):
        pack_poses(made, out, out, factory.config())


def test_poses_of_another_config_are_not_replaced(tmp_path: Path) -> None:
    out = Storage(tmp_path)
    pack_poses(reports(out), out, out, factory.config())
    before = out.read(POSES_NAME)
    with pytest.raises(MimicError, match=rf"{POSES_NAME}: holds poses of another config"):
        pack_poses(reports(out), out, out, factory.config(seed=1))
    assert out.read(POSES_NAME) == before


def _rewrite(out: Storage, schema: dict[bytes, bytes]) -> None:
    found = read_poses(out)
    table = with_metadata(found.table, {"poses": asdict(found.head)})
    table = table.replace_schema_metadata({**table.schema.metadata, **schema})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    out.write(POSES_NAME, sink.getvalue().to_pybytes())


def test_another_schema_or_another_file_is_refused(tmp_path: Path) -> None:
    out = Storage(tmp_path)
    with pytest.raises(MissingError, match=POSES_NAME):
        read_poses(out)
    pack_poses(reports(out), out, out, factory.config())
    _rewrite(out, {})
    assert len(read_poses(out).table) == 44
    _rewrite(out, {b"mimic.schema": b"9"})
    for read in (read_poses, read_head):
        with pytest.raises(DamagedError, match=rf"{POSES_NAME}: written with schema 9, this ver"):
            read(out)
    packed(Storage(tmp_path / "s"))
    shards = Storage(tmp_path / "s")
    for name in ("train-000000.parquet", "train-000000.tar", "manifest.json"):
        with pytest.raises(DamagedError, match=rf"{name}: not a poses file \("):
            read_poses(shards, name)
        assert not poses.is_poses_file(shards, name)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    out = Storage(tmp_path)
    pack_poses(reports(out), out, out, factory.config())
    data = bytearray(out.read(POSES_NAME))
    for at in (400, len(data) // 4):
        bad = data.copy()
        bad[at] ^= 0x10
        out.write(POSES_NAME, bytes(bad))
        with pytest.raises(DamagedError, match=rf"{POSES_NAME}: damaged poses file"):
            read_poses(out)
    out.write(POSES_NAME, bytes(data[: len(data) // 2]))
    with pytest.raises(DamagedError, match=rf"{POSES_NAME}: not a poses file"):
        read_poses(out)
