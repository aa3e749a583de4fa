"""``mimic label``: labels in new shards, the same however they were made; the old are untouched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import factory
import numpy as np
import pytest
from fake_work import files_of
from s3_server import BUCKET, S3

from mimic import opencv
from mimic.config import RunConfig, config_from
from mimic.errors import DamagedError, MimicError
from mimic.geometry.covisibility import PosedDepth, labels
from mimic.shards.reader import Shards, read_manifest
from mimic.shards.verify import verify
from mimic.storage import Storage
from mimic.types import Part
from pipelines.cli import run
from pipelines.executors import make_executor
from pipelines.label import label
from pipelines.limits import CRASH_VARIABLE
from pipelines.pack import pack, repack

HERE = Path(__file__).parent
SETTINGS = (
    "source.scene.max_samples=20",
    "source.scene.unit_samples=20",
    "source.scene.size=[160,120]",
    "filters.min_matches=20",
    "filters.min_inliers=20",
    "pack.samples_per_shard=3",
)


@pytest.fixture(scope="module")
def walked(room_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of a scene's walks, with depth and pose; read only."""
    folder = tmp_path_factory.mktemp("walked")
    (folder / "scenes").mkdir()
    shutil.copy(room_file, folder / "scenes" / "room.glb")
    line = ["mine", "--source", f"{folder}/scenes", "--out", f"{folder}/shards", "--depth"]
    line += ["--walk", "croco", "--executor", "serial", "--quiet"]
    assert run([*line, *(word for setting in SETTINGS for word in ("--set", setting))]) == 0
    assert len(read_manifest(Storage(folder / "shards")).shards) >= 3
    return folder / "shards"


@pytest.fixture(scope="module")
def undisturbed(walked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labelled shards of ``walked``; read only."""
    out = tmp_path_factory.mktemp("labelled") / "out"
    before = files_of(walked)
    assert run(words(walked, out)) == 0
    assert files_of(walked) == before
    return out


def words(shards: Path, out: Path, *more: str) -> list[str]:
    line = ["label", str(shards), "--out", str(out), "--executor", "serial", "--quiet"]
    return [*line, *more]


# What is written -----------------------------------------------------------------------------


def test_every_sample_has_the_labels_that_its_depth_and_poses_give(
    walked: Path, undisturbed: Path
) -> None:
    old, new = Shards(walked), Shards(undisturbed)
    assert verify(new.storage, decode=opencv.decode_image) == []
    assert [s.samples for s in new.manifest.shards] == [s.samples for s in old.manifest.shards]
    for before, after in zip(old.samples(), new.samples(), strict=True):
        assert after.key == before.key
        for suffix in before.suffixes:
            if suffix != "json":
                assert after.read(suffix) == before.read(suffix)
        posed = [_posed(after, number) for number in (1, 2)]
        for one, other in ((1, 2), (2, 1)):
            expected = labels(posed[one - 1], posed[other - 1])
            np.testing.assert_array_equal(after.covis(one, other), expected)
        edge = after.meta["edges"][0]
        known = edge["labels_12"][:3]
        assert sum(edge["labels_12"]) == pytest.approx(1)
        assert known[0] / sum(known) == pytest.approx(edge["overlap"]["covis_12"], abs=0.1)
        assert after.meta["views"] == before.meta["views"]


def _posed(sample, number: int) -> PosedDepth:  # type: ignore[no-untyped-def]
    view, depth = sample.meta["views"][number - 1], sample.depth(number)
    return PosedDepth(depth, np.array(view["intrinsics"]), np.array(view["cam_to_world"]))


def test_what_was_measured_stays_and_what_was_not_is_filled_in(tmp_path: Path) -> None:
    store, out = Storage(tmp_path / "shards"), Storage(tmp_path / "out")
    part = factory.with_depth(factory.with_poses(factory.make_part("a")))
    known = {"overlap_covis_12": 0.123, "scale_ratio": 1.25, "viewpoint_angle_deg": None}
    edges = [edge | (known if edge["slot_1"] % 2 else {"scale_ratio": None}) for edge in part.edges]
    pack([factory.report(replace(part, edges=tuple(edges)), store)], store, store, factory.config())
    label(store, out)
    kinds = set()
    for before, after in zip(Shards(store).samples(), Shards(out).samples(), strict=True):
        old, new = before.meta["edges"][0], after.meta["edges"][0]
        kinds.add(old["scale_ratio"])
        assert new["scale_ratio"] == 1.25 if old["scale_ratio"] else new["scale_ratio"] > 1
        assert new["overlap"]["covis_12"] == pytest.approx(
            old["overlap"]["covis_12"] or new["labels_12"][0] / sum(new["labels_12"][:3])
        )
        assert new["overlap"]["covis_21"] > 0
        assert new["viewpoint_angle_deg"] > 0
        assert old["labels_12"] is None
        assert after.meta["config"] == read_manifest(out).fingerprint
    assert kinds == {1.25, None}


def test_packing_the_labelled_shards_again_gives_the_same_samples(
    undisturbed: Path, tmp_path: Path
) -> None:
    """The graph says of a pair what the sample says."""
    manifest = read_manifest(Storage(undisturbed))
    assert manifest.config["labels"]["covis"] is True
    repack(Storage(undisturbed), Storage(tmp_path), config_from(manifest.config))
    for shard in manifest.shards:
        ours, theirs = (folder / shard.tar.name for folder in (tmp_path, undisturbed))
        assert ours.read_bytes() == theirs.read_bytes()


def test_labelled_twice_is_labelled_once(undisturbed: Path, tmp_path: Path) -> None:
    assert run(words(undisturbed, tmp_path / "out")) == 0
    for shard in read_manifest(Storage(undisturbed)).shards:
        ours, theirs = (folder / shard.tar.name for folder in (tmp_path / "out", undisturbed))
        assert ours.read_bytes() == theirs.read_bytes()


# The same bytes however it ran ---------------------------------------------------------------


def test_ray_gives_the_same_bytes(
    two_cpus: None, walked: Path, undisturbed: Path, tmp_path: Path
) -> None:
    with make_executor(RunConfig(executor="ray")) as executor:
        label(Storage(walked), Storage(tmp_path), run=executor.map)
    assert files_of(tmp_path) == files_of(undisturbed)


def test_a_bucket_gives_the_same_bytes(
    s3: S3, walked: Path, undisturbed: Path, tmp_path: Path
) -> None:
    for path in walked.rglob("*"):
        if path.is_file() and ".mimic" not in path.parts:
            name = f"shards/{path.relative_to(walked).as_posix()}"
            s3.client.upload_file(str(path), BUCKET, name)
    label(Storage(f"s3://{BUCKET}/shards"), Storage(f"s3://{BUCKET}/labelled"))
    for name in files_of(undisturbed):
        s3.client.download_file(BUCKET, f"labelled/{name}", str(tmp_path / "file"))
        assert (tmp_path / "file").read_bytes() == (undisturbed / name).read_bytes()


def _killed(command: list[str], crash_at: str = "") -> None:
    env = {**os.environ, CRASH_VARIABLE: crash_at}
    done = subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("train-000000.tar", 1),
        ("train-000001.parquet", 1),
        ("train-000002.tar", 1),
        ("graph/edges", 1),
        ("graph/units", 1),
        ("manifest.json", 1),
    ],
)
def test_killed_before_each_commit_and_run_again(
    walked: Path, undisturbed: Path, tmp_path: Path, name: str, count: int
) -> None:
    line = words(walked, tmp_path / "out")
    _killed([str(HERE / "killed.py"), name, str(count), *line])
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert run(line) == 0
    assert files_of(tmp_path / "out") == files_of(undisturbed)


@pytest.mark.parametrize("point", ["before_shard", "after_shard", "before_manifest"])
def test_killed_at_a_crash_point_and_run_again(
    walked: Path, undisturbed: Path, tmp_path: Path, point: str
) -> None:
    line = words(walked, tmp_path / "out")
    program = f"import sys; from pipelines.cli import run; sys.exit(run({line!r}))"
    _killed(["-c", program], f"{point}@{tmp_path / 'died'}")
    assert run(line) == 0
    assert files_of(tmp_path / "out") == files_of(undisturbed)


def test_finished_shards_are_not_done_again(
    walked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import label_shard

    done: list[str] = []
    work = label_shard._written
    out = tmp_path / "out"

    def noted(task: label_shard.LabelTask):  # type: ignore[no-untyped-def]
        done.append(task.name)
        return work(task)

    monkeypatch.setattr(label_shard, "_written", noted)
    first = label(Storage(walked), Storage(out))
    assert len(done) == len(first.manifest.shards)
    (out / "manifest.json").unlink()
    (out / "train-000001.parquet").unlink()
    done.clear()
    assert label(Storage(walked), Storage(out)) == first
    assert done == ["train-000001"]
    done.clear()
    assert label(Storage(walked), Storage(out)) == first
    assert done == []


# What cannot be labelled ---------------------------------------------------------------------


def _even(slot: int) -> bool:
    return slot % 2 == 0


def _mixed(out: Path) -> Storage:
    """Pairs of which both views have depth and pose, or some, or none."""
    parts: list[Part] = [
        factory.with_depth(factory.with_poses(factory.make_part("a", 16))),
        factory.with_depth(factory.with_poses(factory.make_part("b", 16)), _even),
        factory.with_depth(factory.make_part("c", 16)),
        factory.make_part("d", 16),
    ]
    store = Storage(out)
    pack([factory.report(part, store) for part in parts], store, store, factory.config())
    return store


def _expected(store: Storage) -> Counter[str]:
    found: Counter[str] = Counter()
    for sample in Shards(store).samples():
        deep = sample.depth(1) is not None and sample.depth(2) is not None
        posed = all(view["cam_to_world"] for view in sample.meta["views"])
        found["labelled" if deep and posed else "missing_pose" if deep else "missing_depth"] += 1
    return found


def test_what_lacks_something_is_counted_and_stays(tmp_path: Path) -> None:
    store, out = _mixed(tmp_path / "shards"), Storage(tmp_path / "out")
    result = label(store, out)
    assert result.counts == dict(_expected(store))
    assert min(result.counts.values()) > 5
    assert verify(out, decode=opencv.decode_image) == []
    with_maps = sum(sample.covis() is not None for sample in Shards(out).samples())
    assert with_maps == result.counts["labelled"]
    for before, after in zip(Shards(store).samples(), Shards(out).samples(), strict=True):
        if after.covis() is None:
            changed = {**after.meta, "config": before.meta["config"]}
            assert changed == before.meta


def test_what_lacks_something_is_left_out_if_asked(tmp_path: Path) -> None:
    store, out = _mixed(tmp_path / "shards"), Storage(tmp_path / "out")
    result = label(store, out, only_labelled=True)
    samples = list(Shards(out).samples())
    assert len(samples) == result.counts["labelled"] == result.manifest.counts["samples"]
    assert all(sample.covis(2, 1) is not None for sample in samples)
    assert verify(out, decode=opencv.decode_image) == []
    order = [s.key for s in Shards(store).samples()]
    assert [s.key for s in samples] == [key for key in order if key in {s.key for s in samples}]
    left_out = result.counts["missing_depth"] + result.counts["missing_pose"]
    assert result.manifest.counts["unlabelled"] == left_out
    from mimic.report import collect

    assert any(f"{left_out} kept pairs left out" in note for note in collect(out.url).notes)


def test_shards_in_which_nothing_is_left_leave_no_hole_in_the_numbers(tmp_path: Path) -> None:
    store, out = Storage(tmp_path / "shards"), Storage(tmp_path / "out")
    parts = [factory.make_part("d", 16), factory.with_poses(factory.make_part("a", 3))]
    config = factory.config(pack={"samples_per_shard": 1, "val_share": 0})
    reports = [factory.report(parts[0], store), factory.report(factory.with_depth(parts[1]), store)]
    pack(reports, store, store, config)
    result = label(store, out, only_labelled=True)
    assert [s.tar.name for s in result.manifest.shards] == ["train-000000.tar"]
    assert len(Shards(store).shards()) > 5
    assert verify(out) == []


def test_labels_that_cannot_be_made_anew_are_kept(tmp_path: Path) -> None:
    """Shards mined with labels and without depth, beside others that have it."""
    store, out = Storage(tmp_path / "shards"), Storage(tmp_path / "out")
    parts = [
        factory.with_labels(factory.make_part("c")),
        factory.with_depth(factory.with_poses(factory.make_part("a"))),
    ]
    pack([factory.report(part, store) for part in parts], store, store, factory.config())
    result = label(store, out, only_labelled=True)
    assert result.counts["as_before"] == len(parts[0].covis)
    assert len(Shards(out)) == len(Shards(store))
    maps = {
        s.key: s.read("covis_1_2.png") for s in Shards(store).samples() if s.covis() is not None
    }
    assert maps
    for sample in Shards(out).samples():
        if sample.key in maps:
            assert sample.read("covis_1_2.png") == maps[sample.key]


# Wrong wishes, damage ------------------------------------------------------------------------


def test_shards_without_depth_are_refused(
    tiny_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words(tiny_shards, tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "--depth" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_their_own_folder_is_refused(walked: Path) -> None:
    with pytest.raises(MimicError, match="name another"):
        label(Storage(walked), Storage(walked))


def test_a_folder_with_other_shards_is_refused(
    walked: Path, undisturbed: Path, tiny_shards: Path, tmp_path: Path
) -> None:
    for name, other in (("mined", tiny_shards), ("labelled", undisturbed)):
        out = tmp_path / name
        shutil.copytree(other, out)
        before = files_of(out)
        with pytest.raises(MimicError, match="holds other shards"):
            label(Storage(walked), Storage(out), only_labelled=True)
        assert files_of(out) == before


@pytest.mark.parametrize("name", ["train-000001.tar", "train-000001.parquet"])
def test_damaged_shards_are_named_and_not_labelled(walked: Path, tmp_path: Path, name: str) -> None:
    shards = tmp_path / "shards"
    shutil.copytree(walked, shards)
    data = bytearray((shards / name).read_bytes())
    data[len(data) // 2] ^= 1
    (shards / name).write_bytes(data)
    with pytest.raises(DamagedError, match=name):
        label(Storage(shards), Storage(tmp_path / "out"))
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not (tmp_path / "out" / name).exists()


def test_the_command_says_what_it_did(
    walked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["label", str(walked), "--out", str(tmp_path / "out"), "--executor", "serial"]
    assert run(line) == 0
    printed = capsys.readouterr()
    count = len(Shards(walked))
    assert f"{count} of {count} pairs labelled" in printed.out
    assert f"{len(Shards(walked).shards())} shards, {count} pairs" in printed.err
    assert run([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"labelled": count}


# Looking at them -----------------------------------------------------------------------------


def test_stats_and_inspect_show_labels(
    walked: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["stats", str(undisturbed), "--json", "--html", str(tmp_path / "r.html")]) == 0
    found = json.loads(capsys.readouterr().out)
    shares = [
        sample.meta["edges"][0][name]
        for sample in Shards(undisturbed).samples()
        for name in ("labels_12", "labels_21")
    ]
    means = [found["labels"]["classes"][name]["mean"] for name in found["labels"]["classes"]]
    assert means == pytest.approx(np.mean(shares, axis=0))
    assert sum(found["criteria"]["overlap_covis"]["counts"]) == len(Shards(undisturbed))
    assert found["criteria"]["scale_ratio"]["edges"] == [1, 1.5, 2.5, 4, 6]
    assert "Some labelled pairs" in (tmp_path / "r.html").read_text()
    for name in ("sheet.html", "sheet.png"):
        line = ["inspect", str(undisturbed), "--labels", "--out", str(tmp_path / name)]
        assert run([*line, "--count", "3"]) == 0
        assert (tmp_path / name).stat().st_size > 50_000
    assert run(["inspect", str(walked), "--labels", "--out", str(tmp_path / "x.png")]) == 2
    assert "mimic label" in capsys.readouterr().err


def test_a_damaged_graph_is_named(walked: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("graph/edges-000000.parquet", "graph/units-000000.parquet")):
        shards = tmp_path / f"shards{number}"
        shutil.copytree(walked, shards)
        data = bytearray((shards / name).read_bytes())
        data[100] ^= 1
        (shards / name).write_bytes(data)
        with pytest.raises(DamagedError, match=name):
            label(Storage(shards), Storage(tmp_path / f"out{number}"))
        assert not (tmp_path / f"out{number}" / "manifest.json").exists()
