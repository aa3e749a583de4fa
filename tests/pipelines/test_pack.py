"""Packing: exact, reproducible, resumable at any point, incremental, and selectable again."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import factory
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_server import BUCKET, S3

from mimic import opencv
from mimic.errors import DamagedError, MimicError, StorageError
from mimic.geometry.patches import corr as patch_corr
from mimic.shards import writer
from mimic.shards.layout import lay_out, split_of
from mimic.shards.part import read_part_tables
from mimic.shards.reader import Shards
from mimic.shards.sample import pair_key, samples_of_part
from mimic.shards.verify import verify
from mimic.storage import Storage
from mimic.storage._local import LocalFolder
from pipelines import chosen, select
from pipelines.pack import not_stored_note, pack, repack
from schemas import MANIFEST_NAME, SAMPLES, Manifest, UnitReport

NAMES = tuple("abcdefgh")


def digests(folder: Path) -> dict[str, str]:
    """Name to hash of everything that counts (not the working state)."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".mimic" not in path.parts
    }


@pytest.fixture
def out(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "out")


def packed(out: Storage, *names: str, **options: Any) -> Manifest:
    return pack(factory.reports(out, *(names or NAMES)), out, out, factory.config(**options))


def root(storage: Storage) -> Path:
    path = storage.local_path()
    assert path is not None
    return path


# ---------------------------------------------------------------- what is in the shards


def test_every_kept_pair_is_one_sample(out: Storage) -> None:
    manifest = packed(out)
    kept = {
        pair_key(e["frame_1"], e["frame_2"])
        for name in NAMES
        for e in factory.make_part(name).edges
        if e["verdict"] == "kept"
    }
    samples = list(Shards(out).samples())
    assert len(samples) == len(kept) == manifest.counts["samples"] == manifest.counts["kept"]
    assert {sample.key for sample in samples} == kept
    assert manifest.units == len(NAMES)
    assert manifest.counts["candidates"] == sum(len(factory.make_part(n).edges) for n in NAMES)
    reasons = ("kept", "overlap_low", "overlap_high")
    assert sum(manifest.counts[r] for r in reasons) == manifest.counts["candidates"]
    assert verify(out, decode=opencv.decode_image) == []


def test_a_sample_is_what_was_mined(out: Storage) -> None:
    packed(out)
    part = factory.make_part("a")
    edges = {pair_key(e["frame_1"], e["frame_2"]): e for e in part.edges}
    found = [s for s in Shards(out).samples() if s.meta["source"]["item"] == "a"]
    assert len(found) == 11
    for sample in found:
        edge, meta = edges[sample.key], sample.meta
        assert sample.view_bytes(1) == part.jpegs[edge["frame_1"]]
        assert sample.view_bytes(2) == part.jpegs[edge["frame_2"]]
        homography = np.array(edge["homography"]).reshape(3, 3)
        expected = patch_corr(homography, factory.SIZE, factory.SIZE, 16, False)
        np.testing.assert_array_equal(sample.corr(1, 2), expected)
        assert len(expected) > 0
        assert meta["schema"] == 1
        assert meta["sample_id"] == sample.key
        assert meta["config"] == factory.config().fingerprint()
        assert (meta["preset"], meta["seed"], meta["patch_size"]) == ("default", 0, 16)
        assert meta["source"] == {
            "kind": "video",
            "dataset": None,
            "item": "a",
            "scene": "a",
            "unit": part.unit.unit_id,
        }
        assert [v["frame_id"] for v in meta["views"]] == [edge["frame_1"], edge["frame_2"]]
        assert meta["views"][0]["size"] == list(factory.SIZE)
        assert meta["edges"][0]["homography"] == homography.tolist()
        assert meta["edges"][0]["overlap"]["area_12"] == edge["overlap_area_12"]
        assert meta["edges"][0]["keypoints"] == [100, 90]


def test_samples_in_memory_are_those_in_the_shards(out: Storage) -> None:
    packed(out, "a")
    stored = {s.key: s for s in Shards(out).samples()}
    in_memory = list(samples_of_part(factory.make_part("a"), factory.config()))
    assert len(in_memory) == len(stored)
    for sample in in_memory:
        for suffix in ("json", "corr_1_2.npy", "view1.jpg", "view2.jpg"):
            assert sample.read(suffix) == stored[sample.key].read(suffix)


def test_shards_are_exact_named_without_holes_and_split_by_scene(out: Storage) -> None:
    manifest = packed(out)
    shards = Shards(out)
    for split in shards.splits:
        sizes = [shard.samples for shard in shards.shards(split)]
        assert all(size == 10 for size in sizes[:-1])
        assert 0 < sizes[-1] <= 10
        names = [shard.tar.name for shard in shards.shards(split)]
        assert names == [f"{split}-{n:06d}.tar" for n in range(len(names))]
        scenes = set(shards.index(split)["scene"].to_pylist())
        assert scenes == {n for n in NAMES if split_of(n, 0, 0.3) == split}
    assert set(shards.splits) == {"train", "val"}
    assert sum(shard.samples for shard in manifest.shards) == len(shards)


def test_the_order_is_a_global_shuffle_that_the_seed_decides(tmp_path: Path) -> None:
    items = []
    for seed in (0, 1):
        out = Storage(tmp_path / str(seed))
        packed(out, seed=seed, pack={"val_share": 0.0})
        items.append(Shards(out).index()["key"].to_pylist())
    assert sorted(items[0]) == sorted(items[1])
    assert items[0] != items[1]
    scenes = Shards(out).index()["scene"].to_pylist()
    changes = sum(a != b for a, b in itertools.pairwise(scenes))
    assert changes > len(scenes) / 2, "samples of one scene lie together"


def test_the_seed_decides_the_split() -> None:
    scenes = [f"scene {n}" for n in range(100)]
    first, second = ([split_of(scene, seed, 0.5) for scene in scenes] for seed in (0, 1))
    assert first != second


def test_keys_stay_what_they_were() -> None:
    """They are in people's lists, and in shards of earlier versions."""
    assert pair_key("a", "b") == "834857c3cc5f6f291a5d"
    assert pair_key("b", "a") == "7979832503fd311d4956"


def test_val_share_is_a_share_of_the_scenes() -> None:
    scenes = [f"scene {n}" for n in range(2000)]
    plans = lay_out(
        scenes, scenes, seed=3, val_share=0.25, samples_per_shard=10**6, first={"train": 4}
    )
    shares = {plan.split: len(plan.samples) / 2000 for plan in plans}
    assert abs(shares["val"] - 0.25) < 0.03
    assert [plan.name for plan in plans] == ["train-000004", "val-000000"]


def test_the_json_of_a_sample_is_one_line_with_sorted_keys(out: Storage) -> None:
    packed(out, "a")
    for sample in Shards(out).samples():
        plain = json.dumps(sample.meta, sort_keys=True, separators=(",", ":"))
        assert sample.read("json").decode() == f"{plain}\n"


def test_the_index_locates_every_member_and_repeats_the_measures(out: Storage) -> None:
    packed(out)
    for shard in Shards(out).manifest.shards:
        table = pq.read_table(root(out) / shard.index.name)
        assert table.schema.equals(SAMPLES)
        data = (root(out) / shard.tar.name).read_bytes()
        with tarfile.open(root(out) / shard.tar.name) as tar:
            in_tar = {m.name: m.offset_data for m in tar.getmembers()}
        rows = table.to_pylist()
        listed = {m["name"]: m["offset"] for row in rows for m in row["members"]}
        assert listed == in_tar
        for row in rows:
            (json_at,) = (m for m in row["members"] if m["name"].endswith(".json"))
            meta = json.loads(data[json_at["offset"] : json_at["offset"] + json_at["size"]])
            assert row["overlap_area"] == meta["edges"][0]["overlap"]["area"]
            assert row["scale_ratio"] == meta["edges"][0]["scale_ratio"]
            assert row["interval_s"] == meta["edges"][0]["interval_s"]
            assert row["split"] == shard.split


def test_the_graph_holds_every_measured_pair_and_the_curves(out: Storage) -> None:
    packed(out)
    parts = [factory.make_part(name) for name in NAMES]
    edges = pq.read_table(root(out) / "graph/edges-000000.parquet").to_pylist()
    expected = [e for p in sorted(parts, key=lambda p: p.unit.unit_id) for e in p.edges]
    assert edges == expected
    curves = pq.read_table(root(out) / "graph/curves-000000.parquet").to_pylist()
    assert [c["item"] for c in curves] == sorted(c["item"] for c in curves)
    of_a = [c for c in curves if c["item"] == "a"]
    assert [c["slots"] for c in of_a] == [1, 2, 3, 4, 5]
    assert [c["edges"] for c in of_a] == [7, 6, 5, 4, 3]
    assert [c["overlap_median"] for c in of_a] == [1 - 12 * s / 96 for s in range(1, 6)]
    assert of_a[1]["interval_s"] == pytest.approx(2 / 3)


def test_photos_have_no_curve(out: Storage) -> None:
    pack(factory.reports(out, "a", kind="photos"), out, out, factory.config())
    assert len(pq.read_table(root(out) / "graph/curves-000000.parquet")) == 0


def test_a_unit_that_found_nothing_is_counted(out: Storage) -> None:
    empty = UnitReport("unit-x", "dull.mp4", "filtered", {"candidates": 4, "static": 4})
    manifest = pack([*factory.reports(out, "a"), empty], out, out, factory.config())
    assert manifest.units == 2
    assert manifest.counts["static"] == 4
    units = pq.read_table(root(out) / "graph/units-000000.parquet").to_pylist()
    assert {u["unit_id"]: u["edges"] for u in units}["unit-x"] == 4


def test_nothing_at_all_is_a_manifest_without_shards(out: Storage) -> None:
    manifest = pack([], out, out, factory.config())
    assert manifest.shards == ()
    assert list(Shards(out).samples()) == []
    assert verify(out) == []


def test_a_key_that_two_units_share_is_kept_once_and_counted(out: Storage) -> None:
    part = factory.make_part("a")
    twin = replace(part, unit=replace(part.unit, unit_id="~last"))
    reports = [factory.report(twin, out), factory.report(part, out)]
    manifest = pack(reports, out, out, factory.config())
    assert manifest.counts["duplicates"] == manifest.counts["samples"] == 11
    assert set(Shards(out).index()["unit"].to_pylist()) == {part.unit.unit_id}


def test_a_key_of_earlier_shards_is_not_taken_again(out: Storage) -> None:
    part = factory.make_part("a")
    twin = replace(part, unit=replace(part.unit, unit_id="~last"))
    first = factory.report(part, out)
    pack([first], out, out, factory.config())
    manifest = pack([first, factory.report(twin, out)], out, out, factory.config())
    assert manifest.units == 2
    assert manifest.counts["duplicates"] == manifest.counts["samples"] == 11
    assert len(Shards(out)) == 11
    assert verify(out) == []


def test_the_manifest_names_what_decides_bytes(out: Storage) -> None:
    versions = packed(out).versions
    assert versions.keys() >= {"mimic", "numpy", "opencv", "av", "pyarrow", "python", "cpu"}
    assert versions["numpy"] == np.__version__
    assert "absent" not in versions.values()


# ---------------------------------------------------------------- correspondences


def _without_corrs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "corr_of", lambda *a: pytest.fail("computed again"))


def test_correspondences_of_parts_are_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, computed = Storage(tmp_path / "stored"), Storage(tmp_path / "computed")
    bare = [factory.report(replace(factory.make_part(n), corrs=None), computed) for n in NAMES]
    pack(bare, computed, computed, factory.config())
    with monkeypatch.context() as patch:
        _without_corrs(patch)
        packed(stored)
    one, other = digests(root(stored)), digests(root(computed))
    # Where pictures lay in the parts stands in the frames table, and its hash in the manifest.
    for name in ("graph/frames-000000.parquet", MANIFEST_NAME):
        del one[name], other[name]
    assert one == other
    assert len(one) > 10


def test_shards_packed_again_keep_their_correspondences(
    out: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(out)
    _without_corrs(monkeypatch)
    again = Storage(tmp_path / "again")
    repack(out, again, factory.config(overlap={"high": 0.7}))
    ours = {s.key: s.read("corr_1_2.npy") for s in Shards(out).samples()}
    theirs = {s.key: s.read("corr_1_2.npy") for s in Shards(again).samples()}
    assert theirs == {key: ours[key] for key in theirs}
    assert len(theirs) > 10


@pytest.mark.parametrize("change", [{"patch_size": 8}, {"outside_votes": True}])
def test_correspondences_made_with_other_options_are_not_used(
    out: Storage, change: dict[str, Any]
) -> None:
    config = factory.config(overlap=change)
    pack(factory.reports(out, *NAMES), out, out, config)
    options = (config.overlap.patch_size, config.overlap.outside_votes)
    for sample in Shards(out).samples():
        homography = np.array(sample.meta["edges"][0]["homography"])
        expected = patch_corr(homography, factory.SIZE, factory.SIZE, *options)
        np.testing.assert_array_equal(sample.corr(), expected)


def test_a_damaged_correspondence_in_a_part_is_named(out: Storage) -> None:
    reports = factory.reports(out, *NAMES)
    part = reports[2].part
    assert part is not None
    _, edges = read_part_tables(out, part)
    path = root(out) / part.name
    data = bytearray(path.read_bytes())
    data[next(at for at in edges["corr_offset"].to_pylist() if at is not None) + 140] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=part.name):
        pack(reports, out, out, factory.config())


# ---------------------------------------------------------------- readable elsewhere


def test_webdataset_reads_the_shards_without_help(out: Storage) -> None:
    wds = pytest.importorskip("webdataset")
    packed(out)
    ours = {s.key: s for s in Shards(out).samples()}
    theirs = [
        sample
        for path in sorted(root(out).glob("*.tar"))
        for sample in wds.WebDataset(str(path), shardshuffle=False).decode()
    ]
    assert {sample["__key__"] for sample in theirs} == set(ours)
    for sample in theirs:
        own = ours[sample["__key__"]]
        assert sample["json"] == own.meta
        np.testing.assert_array_equal(sample["corr_1_2.npy"], own.corr())
        assert sample["view1.jpg"] == own.view_bytes(1)
        assert sample["view2.jpg"] == own.view_bytes(2)


def test_tar_lists_members_sorted_within_each_sample(out: Storage) -> None:
    packed(out)
    listed = subprocess.run(
        ["tar", "tf", root(out) / "train-000000.tar"], capture_output=True, text=True, check=True
    ).stdout.split()
    keys = list(dict.fromkeys(name.partition(".")[0] for name in listed))
    suffixes = ("corr_1_2.npy", "json", "view1.jpg", "view2.jpg")
    assert listed == [f"{key}.{suffix}" for key in keys for suffix in suffixes]


# ---------------------------------------------------------------- the same bytes


def test_reports_in_any_order_tasks_in_any_order_any_folder(tmp_path: Path, s3: S3) -> None:
    expected: dict[str, str] = {}
    places = [Storage(tmp_path / "a"), Storage(tmp_path / "b"), Storage(f"s3://{BUCKET}/c")]
    for turn, out in enumerate(places):
        reports = factory.reports(out, *NAMES)
        run = map if turn == 0 else _backwards
        pack(reports[::-1] if turn else reports, out, out, factory.config(), run=run)
        found = {
            e.name: hashlib.sha256(out.read(e.name)).hexdigest()
            for e in out.list()
            if not e.name.startswith(".mimic")
        }
        expected = expected or found
        assert found == expected
    assert MANIFEST_NAME in expected


def _backwards(function: Callable[..., Any], tasks: Any) -> list[Any]:
    return [function(task) for task in reversed(list(tasks))]


def test_packing_again_touches_nothing(out: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed(out)
    reports = factory.reports(out, *NAMES)
    before = {p: p.stat().st_mtime_ns for p in root(out).glob("*")}
    monkeypatch.setattr(Storage, "write", lambda *a: pytest.fail("wrote"))
    monkeypatch.setattr(Storage, "staged", lambda *a: pytest.fail("wrote"))
    assert pack(reports, out, out, factory.config()) == first
    assert {p: p.stat().st_mtime_ns for p in root(out).glob("*")} == before


class _KilledError(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def _commits(monkeypatch: pytest.MonkeyPatch, stop_before: int | None) -> list[str]:
    """Count commits of files; die just before number ``stop_before``."""
    done: list[str] = []
    commit = LocalFolder.commit

    def counted(self: Any, staged: Path, name: str) -> None:
        if len(done) == stop_before:
            raise _KilledError
        commit(self, staged, name)
        done.append(name)

    monkeypatch.setattr(LocalFolder, "commit", counted)
    return done


@pytest.mark.parametrize("incremental", [False, True])
def test_killed_at_every_commit_and_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, incremental: bool
) -> None:
    def prepared(name: str) -> tuple[Storage, list[UnitReport]]:
        out = Storage(tmp_path / name)
        reports = factory.reports(out, *NAMES)
        if incremental:
            pack(reports[:3], out, out, factory.config())
        return out, reports

    calm, reports = prepared("calm")
    with monkeypatch.context() as patch:
        commits = _commits(patch, None)
        pack(reports, calm, calm, factory.config())
    assert commits[-1] == MANIFEST_NAME
    assert len(commits) > 10
    for stop in range(len(commits)):
        out, reports = prepared(f"killed-{stop}")
        old = out.read(MANIFEST_NAME) if incremental else None
        with monkeypatch.context() as patch:
            _commits(patch, stop)
            with pytest.raises(_KilledError):
                pack(reports, out, out, factory.config())
        assert out.exists(MANIFEST_NAME) == incremental
        if incremental:
            assert out.read(MANIFEST_NAME) == old
            assert [f for f in verify(out) if f.problem != "is not in the manifest"] == []
        pack(reports, out, out, factory.config())
        assert digests(root(out)) == digests(root(calm))


def test_a_finished_shard_of_an_interrupted_run_is_not_written_again(
    out: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = factory.reports(out, *NAMES)
    pack(reports, out, out, factory.config())
    out.delete(MANIFEST_NAME)
    with monkeypatch.context() as patch:
        commits = _commits(patch, None)
        pack(reports, out, out, factory.config())
    assert [name for name in commits if not name.startswith("graph/")] == [MANIFEST_NAME]

    out.delete(MANIFEST_NAME)
    out.delete("train-000001.parquet")
    out.write("train-000002.tar", b"short")
    with monkeypatch.context() as patch:
        commits = _commits(patch, None)
        pack(reports, out, out, factory.config())
    assert {name.partition(".")[0] for name in commits if "graph" not in name} == {
        "train-000001",
        "train-000002",
        "manifest",
    }
    assert verify(out) == []


def _first_larger(places: tuple[writer.Place, ...]) -> tuple[writer.Place, ...]:
    return replace(places[0], size=places[0].size + 1), *places[1:]


@pytest.mark.parametrize(
    "change",
    [
        lambda task: replace(task, split="val"),
        lambda task: replace(task, versions=(("numpy", "0.1"),)),
        lambda task: replace(task, context=replace(task.context, outside_votes=True)),
        lambda task: replace(
            task, pairs=replace(task.pairs, pictures=_first_larger(task.pairs.pictures))
        ),
        lambda task: replace(
            task, pairs=replace(task.pairs, corrs=(b"elsewhere", *task.pairs.corrs[1:]))
        ),
    ],
    ids=["split", "versions", "context", "size of a picture", "correspondence from elsewhere"],
)
def test_another_task_is_told_apart(out: Storage, change: Callable[[Any], Any]) -> None:
    tasks: list[Any] = []
    pack(
        factory.reports(out, *NAMES),
        out,
        out,
        factory.config(),
        run=lambda function, waiting: map(function, tasks.extend(waiting) or tasks),
    )
    metas = [b"{}"] * len(tasks[0].pairs)
    assert writer._digest(change(tasks[0]), metas) != writer._digest(tasks[0], metas)
    assert writer._digest(tasks[0], [b"{ }", *metas[1:]]) != writer._digest(tasks[0], metas)


def test_shards_of_another_interrupted_run_are_not_mistaken_for_ours(tmp_path: Path) -> None:
    out, fresh = Storage(tmp_path / "out"), Storage(tmp_path / "fresh")
    reports = factory.reports(out, *NAMES)
    pack(reports[:5], out, out, factory.config())
    out.delete(MANIFEST_NAME)
    pack(reports, out, out, factory.config())
    packed(fresh)
    assert digests(root(out)) == digests(root(fresh))


def test_what_a_killed_larger_run_left_is_removed(out: Storage) -> None:
    out.write("train-000099.tar", b"half")
    out.write("val-000099.parquet", b"half")
    out.write("notes.txt", b"mine")
    packed(out)
    assert not out.exists("train-000099.tar")
    assert not out.exists("val-000099.parquet")
    assert out.read("notes.txt") == b"mine"


def test_strays_are_gone_before_the_manifest_is_there(
    out: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is there, no later run looks for them."""
    out.write("train-000099.tar", b"half")
    for name in (".~train-000000.tar.0123456789ab", "graph/.~edges-000000.parquet.0123456789ab"):
        out.write(name, b"half")
    reports = factory.reports(out, *NAMES)
    write = Storage.write

    def dying(self: Storage, name: str, data: bytes) -> None:
        if name == MANIFEST_NAME:
            raise _KilledError
        write(self, name, data)

    monkeypatch.setattr(Storage, "write", dying)
    with pytest.raises(_KilledError):
        pack(reports, out, out, factory.config())
    assert (root(out) / "train-000000.tar").exists()
    names = [path.name for path in root(out).rglob("*")]
    assert [name for name in names if "000099" in name or "~" in name] == []


# ---------------------------------------------------------------- more units later


def test_new_units_add_shards_and_leave_the_old_ones(out: Storage) -> None:
    first = packed(out, *"abcd")
    old = digests(root(out))
    second = packed(out, *NAMES)
    new = digests(root(out))
    assert {n: new[n] for n in old if n != MANIFEST_NAME} == {
        n: old[n] for n in old if n != MANIFEST_NAME
    }
    assert second.units == 8
    assert {s.tar.name for s in second.shards} > {s.tar.name for s in first.shards}
    assert verify(out) == []
    assert second.counts["samples"] == len(Shards(out)) == 88
    assert len({s.key for s in Shards(out).samples()}) == 88
    names = {entry.name for entry in second.graph}
    assert {"graph/edges-000000.parquet", "graph/edges-000001.parquet"} <= names


def test_another_config_is_refused_and_named(out: Storage) -> None:
    packed(out)
    with pytest.raises(MimicError, match=r"another config \(overlap.low: 0.5 there, 0.6 here\)"):
        packed(out, overlap={"low": 0.6})


# ---------------------------------------------------------------- damage and faults


def test_a_damaged_picture_in_a_part_is_named_and_nothing_is_committed(out: Storage) -> None:
    reports = factory.reports(out, *NAMES)
    part = reports[3].part
    assert part is not None
    path = root(out) / part.name
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=part.name):
        pack(reports, out, out, factory.config())
    assert not out.exists(MANIFEST_NAME)
    path.unlink()
    with pytest.raises(DamagedError, match=rf"{part.name}: the part is missing"):
        pack(reports, out, out, factory.config())


@pytest.mark.parametrize("fault", ["500", "slowdown", "drop", "lost", "cut"])
def test_packing_through_a_faulty_object_store(
    tmp_path: Path, s3: S3, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimic.storage._store.FIRST_WAIT_S", 0.001)
    calm = Storage(tmp_path / "calm")
    packed(calm)
    out = Storage(f"s3://{BUCKET}/out")
    reports = factory.reports(out, *NAMES)
    s3.proxy.only = lambda method, path: len(s3.proxy.requests) % 3 == 0
    s3.proxy.faults.extend([fault] * 1000)
    pack(reports, out, out, factory.config())
    assert len(s3.proxy.faults) < 990
    s3.proxy.faults.clear()
    assert verify(out) == []
    for name, digest in digests(root(calm)).items():
        assert hashlib.sha256(out.read(name)).hexdigest() == digest


def test_an_object_store_that_is_gone_is_named(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimic.storage._store.FIRST_WAIT_S", 0.001)
    out = Storage(f"s3://{BUCKET}/out")
    reports = factory.reports(out, "a")
    s3.proxy.only = lambda method, path: method == "PUT"
    s3.proxy.faults.extend(["500"] * 1000)
    with pytest.raises(StorageError, match=rf"cannot write s3://{BUCKET}/out/.*: out of reach"):
        pack(reports, out, out, factory.config())
    s3.proxy.faults.clear()
    pack(reports, out, out, factory.config())
    assert verify(out) == []


# ---------------------------------------------------------------- selecting again


def test_finished_shards_can_be_tightened_split_and_resized(out: Storage, tmp_path: Path) -> None:
    packed(out)
    config = factory.config(overlap={"high": 0.7}, pack={"samples_per_shard": 7, "val_share": 0.0})
    again = Storage(tmp_path / "again")
    manifest = repack(out, again, config)
    assert verify(again, decode=opencv.decode_image) == []
    expected = {s.key for s in Shards(out).samples() if s.meta["edges"][0]["overlap"]["area"] < 0.7}
    assert {s.key for s in Shards(again).samples()} == expected
    assert 0 < len(expected) < len(Shards(out))
    assert [s.samples for s in manifest.shards] == [7, 7, 7, 7, 7, 5]
    assert manifest.counts["overlap_high"] == 104
    assert not_stored_note(manifest) is None
    edges = pq.read_table(root(again) / "graph/edges-000000.parquet").to_pylist()
    moved = [e for e in edges if e["overlap_area"] == 0.75]
    assert {(e["verdict"], e["value"]) for e in moved} == {("overlap_high", 0.75)}


def test_packing_shards_again_equals_packing_their_parts(out: Storage, tmp_path: Path) -> None:
    reports = factory.reports(out, *NAMES)
    pack(reports, out, out, factory.config())
    config = factory.config(overlap={"high": 0.7}, seed=5)
    from_parts, from_shards = Storage(tmp_path / "parts"), Storage(tmp_path / "shards")
    pack(reports, out, from_parts, config, mined=factory.config())
    repack(out, from_shards, config)
    one, other = digests(root(from_parts)), digests(root(from_shards))
    same = [name for name in one if "graph" not in name and name != MANIFEST_NAME]
    assert len(same) > 4
    assert {n: one[n] for n in same} == {n: other.get(n) for n in same}


def test_the_same_selection_of_shards_gives_the_same_pairs(out: Storage, tmp_path: Path) -> None:
    packed(out)
    again = Storage(tmp_path / "again")
    repack(out, again, factory.config())
    assert digests(root(again)) | {} == {
        **digests(root(out)),
        "graph/frames-000000.parquet": digests(root(again))["graph/frames-000000.parquet"],
        MANIFEST_NAME: digests(root(again))[MANIFEST_NAME],
    }
    assert repack(out, again, factory.config()) == Shards(again).manifest


def test_loosening_cuts_what_is_stored_and_counts_the_rest(out: Storage, tmp_path: Path) -> None:
    reports = [
        factory.report(factory.make_part("all", keep_all=True), out),
        factory.report(factory.make_part("few", slots=3), out),
    ]
    pack(reports, out, out, factory.config())
    loose = factory.config(overlap={"low": 0.3, "high": 0.9})
    from_parts, from_shards = Storage(tmp_path / "parts"), Storage(tmp_path / "shards")
    manifest = pack(reports, out, from_parts, loose, mined=factory.config())
    edges = [e for n, s in (("all", 8), ("few", 3)) for e in factory.make_part(n, s).edges]
    in_range = [e for e in edges if 0.3 < e["overlap_area"] < 0.9]
    assert manifest.counts["kept"] == len(in_range)
    # Of "few" only frames 0 and 2 are stored: (0, 1) and (1, 2) are in range but cannot be cut.
    assert manifest.counts["not_stored"] == 2
    assert manifest.counts["samples"] == len(in_range) - 2
    assert verify(from_parts) == []
    note = not_stored_note(manifest)
    assert note is not None
    assert note.startswith("2 more pairs are in range")
    assert "--keep-edges" in note
    assert "--keep-parts" in note
    again = repack(out, from_shards, loose)
    assert again.counts["samples"] == manifest.counts["samples"]


def test_shards_are_not_packed_into_their_own_folder(out: Storage) -> None:
    packed(out)
    with pytest.raises(MimicError, match="own folder"):
        repack(out, out, factory.config())


def test_a_selection_cannot_change_what_mining_decides(out: Storage, tmp_path: Path) -> None:
    packed(out)
    for change, key in (
        ({"image": {"size": 128}}, "image.size"),
        ({"overlap": {"patch_size": 8}}, "overlap.patch_size"),
    ):
        with pytest.raises(MimicError, match=rf"config {key}: .*mine again"):
            repack(out, Storage(tmp_path / "x"), factory.config(**change))
    assert Storage(tmp_path / "x").list() == []


def test_damaged_shards_are_not_packed_again(out: Storage, tmp_path: Path) -> None:
    packed(out)
    path = root(out) / "train-000001.tar"
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=r"train-000001\.tar: its SHA-256"):
        repack(out, Storage(tmp_path / "x"), factory.config(overlap={"low": 0.6}))


PATCH = dict.fromkeys(("overlap_patch_12", "overlap_patch_21", "overlap_patch"), 0.75)
EDGE = factory.edge_row(factory.unit("a"), 0, 2, **PATCH)
FRAMES = {
    f: {
        "width": 96,
        "height": 64,
        "shot": 0,
        "luminance_p95": 90.0,
        "sharpness": 500.0,
        "valid_share": None,
    }
    for f in (EDGE["frame_1"], EDGE["frame_2"])
}


@pytest.mark.parametrize(
    ("edge", "change", "verdict"),
    [
        ({}, {}, ("kept", 0.75)),
        ({}, {"overlap": {"low": 0.75}}, ("overlap_low", 0.75)),
        ({}, {"overlap": {"high": 0.75}}, ("overlap_high", 0.75)),
        ({}, {"overlap": {"measure": "patch"}}, ("kept", 0.75)),
        ({"overlap_coverage_12": 0.2}, {"overlap": {"measure": "coverage"}}, ("overlap_low", 0.2)),
        ({"scale_ratio": 1.3}, {"filters": {"max_scale_ratio": 1.2}}, ("zoom", 1.3)),
        ({}, {"filters": {"min_inliers": 56}}, ("few_inliers", 55)),
        ({}, {"filters": {"min_matches": 61}}, ("few_matches", 60)),
        ({}, {"filters": {"min_luminance": 95.0}}, ("dark", 90.0)),
        (
            {"verdict": "zoom", "scale_ratio": 1.5},
            {"filters": {"max_scale_ratio": 2}},
            ("kept", 0.75),
        ),
        ({"verdict": "overlap_high", "value": 0.75}, {"overlap": {"high": 0.8}}, ("kept", 0.75)),
        # Sampling's choices stay, and so does what was never measured further.
        ({"verdict": "not_chosen", "value": 0.6}, {"overlap": {"high": 0.8}}, ("not_chosen", 0.6)),
        (
            {"verdict": "static", "value": 0.95, "static_share": 0.95, "keypoints_1": None},
            {"filters": {"static_share": 0.99}},
            ("static", 0.95),
        ),
        (
            {
                "verdict": "static",
                "value": 0.95,
                "static_share": 0.95,
                "keypoints_1": None,
                "thumb_difference": 1.0,
            },
            {},
            ("near_duplicate", 1.0),
        ),
        ({"verdict": "unmoved", "motion_px": 0.1, "value": 0.35}, {}, ("unmoved", 0.35)),
        (
            {"verdict": "unmoved", "motion_px": 0.1, "value": 0.35},
            {"filters": {"min_motion_px": 0.2}},
            ("kept", 0.75),
        ),
        (
            {"verdict": "few_matches", "value": 9, "matches": 9, "inliers": None},
            {"filters": {"min_matches": 5}},
            ("few_matches", 9),
        ),
        (
            {"verifier": "imported", "homography": None, "matches": None, "overlap_patch_12": None},
            {"overlap": {"measure": "patch", "low": 0.7}},
            ("kept", 0.75),
        ),
    ],
)
def test_judging_a_stored_edge_again(
    edge: dict[str, Any], change: dict[str, Any], verdict: tuple[str, float]
) -> None:
    found = select.verdict_of({**EDGE, **edge}, FRAMES, factory.config(**change))
    assert (found.reason, found.value) == (verdict[0], pytest.approx(verdict[1]))


def test_judging_again_with_the_same_config_changes_nothing() -> None:
    for edge in factory.make_part("a").edges:
        row = FRAMES[EDGE["frame_1"]]
        frames = {edge["frame_1"]: row, edge["frame_2"]: row}
        found = select.verdict_of(edge, frames, factory.config())
        assert (found.reason, found.value) == (edge["verdict"], edge["value"])


# ---------------------------------------------------------------- reads and memory


@pytest.mark.parametrize("rows_at_once", [1, 3, 7])
def test_rows_that_went_to_disk_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    calm, out = Storage(tmp_path / "calm"), Storage(tmp_path / "out")
    packed(calm)
    monkeypatch.setattr(chosen, "ROWS_AT_ONCE", rows_at_once)
    packed(out)
    assert digests(root(out)) == digests(root(calm))


def test_rows_are_taken_in_any_order_and_more_than_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "ROWS_AT_ONCE", 4)
    schema = pa.schema([("n", pa.int64()), ("text", pa.list_(pa.string()))])
    rows = chosen._Rows(schema)
    table = pa.table([list(range(11)), [[str(n)] * n for n in range(11)]], schema=schema)
    firsts = [rows.append(table.slice(n, 3)) for n in (0, 3, 6, 9)]
    assert firsts == [0, 3, 6, 9]
    rows.seal()
    wanted = np.array([10, 0, 7, 7, 3, 4, 0])
    assert rows.take(wanted).to_pylist() == table.take(wanted).to_pylist()
    assert rows.take(np.array([], np.int64)).to_pylist() == []
    rows.close()


def test_no_temporary_file_is_left(
    out: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    reports = factory.reports(out, *NAMES)
    pack(
        reports, out, out, factory.config(), run=lambda f, t: [_none_in(scratch) or f(x) for x in t]
    )
    assert len(Shards(out)) == 88
    _none_in(scratch)


def _none_in(folder: Path) -> None:
    assert list(folder.iterdir()) == []


def test_a_shard_reads_each_frame_once_in_order_of_offset(
    out: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GAP_BYTES", 0)
    reads: list[tuple[str, int]] = []
    read_range = Storage.read_range

    def counted(self: Storage, name: str, offset: int, size: int) -> bytes:
        reads.append((name, offset))
        return read_range(self, name, offset, size)

    reports = factory.reports(out, *NAMES)
    tasks: list[Any] = []
    pack(
        reports,
        out,
        out,
        factory.config(),
        run=lambda f, t: [f(x) for x in tasks.extend(t) or tasks],
    )
    out.delete("train-000000.parquet")
    monkeypatch.setattr(Storage, "read_range", counted)
    entry = writer.write_shard(tasks[0])
    assert entry in Shards(out).manifest.shards
    assert reads == sorted(set(reads))


def test_pieces_that_lie_close_are_one_read(out: Storage) -> None:
    out.write("f", bytes(range(200)))
    places = [writer.Place("f", 10, 5), writer.Place("f", 0, 5), writer.Place("f", 100, 4)]
    assert writer.fetch(out, places) == {
        p: bytes(range(p.offset, p.offset + p.size)) for p in places
    }
    assert len(list(writer._runs(sorted(places)))) == 1
    far = [writer.Place("f", 0, 5), writer.Place("f", 70_000, 5), writer.Place("g", 3, 1)]
    assert [len(run) for run in writer._runs(far)] == [1, 1, 1]
