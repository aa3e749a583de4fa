"""Walks through real scene files, whole: the laws of the miner, poses and replays, bad scenes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import webdataset
from fake_work import files_of
from s3_server import BUCKET, S3

from mimic.demo import write_room
from mimic.shards.poses import read_poses
from mimic.shards.reader import Shards
from mimic.storage import Storage
from pipelines.cli import run
from pipelines.limits import CRASH_VARIABLE

SETTINGS = (
    "source.scene.max_samples=8",
    "source.scene.unit_samples=2",
    "source.scene.size=[160,160]",
    "filters.min_matches=20",
    "filters.min_inliers=20",
    "pack.samples_per_shard=3",
)
GONE = ".mimic/plan.parquet"
"""Says where the bytes were."""


def words(source: object, out: object, *more: object, executor: str = "serial") -> list[str]:
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    line = ["mine", "--source", source, "--out", out, "--executor", executor, *sets, *more]
    return [str(word) for word in line]


def tars(out: Path) -> dict[str, str]:
    return {name: digest for name, digest in files_of(out).items() if name.startswith("train-")}


@pytest.fixture(scope="module")
def scenes(room_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scene in a folder."""
    folder = tmp_path_factory.mktemp("scenes")
    shutil.copy(room_file, folder / "room.glb")
    return folder


@pytest.fixture(scope="module")
def undisturbed(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert run([*words(scenes, out, "--depth"), "--quiet"]) == 0
    assert json.loads((out / "manifest.json").read_text())["counts"]["samples"] >= 4
    return out


# The same bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize("cpus", [1, 2])
def test_ray_gives_the_same_bytes(scenes: Path, undisturbed: Path, tmp_path: Path, cpus: int):
    line = words(scenes, tmp_path / "out", "--depth", "--cpus", cpus, executor="ray")
    assert run([*line, "--quiet"]) == 0
    assert files_of(tmp_path / "out") == files_of(undisturbed)


def test_units_may_be_cut_anywhere(scenes: Path, undisturbed: Path, tmp_path: Path):
    """A walk does not depend on the unit that holds it: only the units' names differ."""
    more = ("--depth", "--set", "source.scene.unit_samples=5")
    assert run([*words(scenes, tmp_path / "out", *more), "--quiet"]) == 0
    ours, theirs = (
        {s.key: s.view_bytes(1) + s.view_bytes(2) for s in Shards(str(out)).samples()}
        for out in (tmp_path / "out", undisturbed)
    )
    assert ours == theirs


@pytest.mark.parametrize("point", ["before_part", "after_marker", "before_shard", "after_shard"])
def test_a_killed_driver_finishes_with_the_same_bytes(
    scenes: Path, undisturbed: Path, tmp_path: Path, point: str
):
    line = words(scenes, tmp_path / "out", "--depth", "--quiet")
    program = f"import sys; from pipelines.cli import run; sys.exit(run({line!r}))"
    died = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {CRASH_VARIABLE: f"{point}@{tmp_path / 'died'}"},
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    assert run(line) == 0
    assert files_of(tmp_path / "out") == files_of(undisturbed)


def test_a_scene_in_a_bucket(s3: S3, scenes: Path, undisturbed: Path, tmp_path: Path):
    s3.client.upload_file(str(scenes / "room.glb"), BUCKET, "scenes/room.glb")
    line = words(f"s3://{BUCKET}/scenes", tmp_path / "out", "--depth")
    assert run([*line, "--quiet"]) == 0
    theirs, ours = files_of(undisturbed), files_of(tmp_path / "out")
    assert {k: v for k, v in ours.items() if k != GONE} == {
        k: v for k, v in theirs.items() if k != GONE
    }


# What a sample says --------------------------------------------------------------------------


def test_samples_carry_cameras_and_depth_that_agree(undisturbed: Path):
    """Depth and pose of one view carry its pixels to where the homography carries them."""
    checked = 0
    for sample in Shards(str(undisturbed)).samples():
        views, edge = sample.meta["views"], sample.meta["edges"][0]
        assert sample.meta["source"]["kind"] == "raycast"
        assert 0.45 < edge["overlap"]["covis"] < 0.85
        lenses, poses = (
            [np.array(view[name]) for view in views] for name in ("intrinsics", "cam_to_world")
        )
        depth = sample.depth(1)
        assert depth is not None
        assert depth.shape == (160, 160)
        pixel = np.array([80.5, 80.5, 1.0])
        local = np.linalg.inv(lenses[0]) @ pixel * depth[80, 80]
        world = poses[0] @ [*local, 1]
        there = lenses[1] @ (np.linalg.inv(poses[1]) @ world)[:3]
        by_h = np.array(edge["homography"]) @ pixel
        if edge["verifier"] == "homography":
            near = np.abs(there[:2] / there[2] - by_h[:2] / by_h[2]).max()
            checked += near < 12
    assert checked >= 1


def test_the_real_webdataset_reads_depth(undisturbed: Path):
    urls = sorted(str(path) for path in undisturbed.glob("train-*.tar"))
    sample = next(iter(webdataset.WebDataset(urls, shardshuffle=False).decode("pil")))
    assert sample["depth1.png"].size == sample["view1.jpg"].size == (160, 160)
    assert len(sample["json"]["views"][0]["cam_to_world"]) == 4


# Poses without pictures, and pictures of poses ---------------------------------------------------


def test_poses_alone_render_the_same_shards_elsewhere(
    scenes: Path, undisturbed: Path, tmp_path: Path
):
    alone = tmp_path / "alone"
    assert run([*words(scenes, alone, "--depth", "--poses-only"), "--quiet"]) == 0
    assert not list(alone.glob("*.tar"))
    elsewhere = tmp_path / "elsewhere" / "scenes"
    shutil.copytree(scenes, elsewhere)
    line = ["mine", "--source", f"{alone}/poses.parquet", "--out", f"{tmp_path}/out"]
    line += ["--scenes", str(elsewhere), "--executor", "serial", "--quiet"]
    assert run(line) == 0
    assert tars(tmp_path / "out") == tars(undisturbed)
    exported = ["export", str(undisturbed), "--layout", "poses", "--out", f"{tmp_path}/exported"]
    assert run(exported) == 0
    assert read_poses(Storage(tmp_path / "exported")) is not None
    assert (tmp_path / "exported/poses.parquet").read_bytes() == (
        alone / "poses.parquet"
    ).read_bytes()
    assert run([*words(scenes, alone, "--depth", "--poses-only"), "--quiet"]) == 0, "once more"


def test_a_folder_holds_poses_or_shards(
    scenes: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    assert run(words(scenes, out, "--depth", "--poses-only")) == 2
    assert "mimic export" in capsys.readouterr().err
    alone = tmp_path / "alone"
    assert run([*words(scenes, alone, "--poses-only"), "--quiet"]) == 0
    assert run(words(scenes, alone)) == 2
    assert "go on with --poses-only" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["missing", "another", "config"])
def test_a_replay_that_cannot_be_the_same_is_refused(
    scenes: Path, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
):
    alone, elsewhere = tmp_path / "alone", tmp_path / "elsewhere"
    assert run([*words(scenes, alone, "--poses-only"), "--quiet"]) == 0
    elsewhere.mkdir()
    if what == "another":
        write_room(elsewhere / "room.glb", seed=1)
    elif what == "config":
        shutil.copy(scenes / "room.glb", elsewhere)
    line = ["mine", "--source", f"{alone}/poses.parquet", "--out", f"{tmp_path}/out"]
    line += ["--scenes", str(elsewhere), "--executor", "serial"]
    line += ["--size", "64"] if what == "config" else []
    assert run(line) == 2
    said = capsys.readouterr().err
    expected = {"missing": "--scenes", "another": "is not the scene", "config": "another config"}
    assert expected[what] in said
    assert not (tmp_path / "out").exists()


# Bad scenes ------------------------------------------------------------------------------------


def test_bad_scenes_cost_one_clear_line_each_and_the_others_are_mined(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    import trimesh

    folder = tmp_path / "bad"
    shutil.copytree(scenes, folder)
    whole = (scenes / "room.glb").read_bytes()
    (folder / "truncated.glb").write_bytes(whole[: len(whole) // 2])
    (folder / "nonsense.glb").write_bytes(b"this is no scene" * 100)
    (folder / "empty.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\n"
        "property float z\nelement face 0\nproperty list uchar int vertex_indices\nend_header\n"
    )
    trimesh.creation.box((4, 3, 4)).export(folder / "bare.glb")
    upright = trimesh.Trimesh(
        [[0, 0, 0], [4, 0, 0], [4, 3, 0], [0, 3, 0]],
        [[0, 1, 2], [0, 2, 3]],
        vertex_colors=[[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [9, 9, 9, 255]],
    )
    upright.export(folder / "wall.ply")
    (folder / "lost.obj").write_text("mtllib lost.mtl\nv 0 0 0\nv 1 0 0\nv 0 0 1\nf 1 2 3\n")
    code = run(words(folder, tmp_path / "out"))
    said = capsys.readouterr().err
    assert code == 3
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.startswith(("failed", "skipped"))]
    for name, reason in {
        "truncated.glb": "truncated",
        "nonsense.glb": "not_a_scene",
        "empty.ply": "no_faces",
        "bare.glb": "untextured",
        "wall.ply": "no_floor",
        "lost.obj": "missing_material",
    }.items():
        about = [line for line in lines if name in line]
        assert len(about) == 1, (name, lines)
        assert f"({reason})" in about[0]
    shards = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert shards["counts"]["samples"] >= 4


def test_a_scene_that_does_not_fit_the_limit_is_named_and_the_others_mined(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A finely divided sheet of a few million triangles, and a limit that the room fits."""
    import trimesh

    folder = tmp_path / "large"
    shutil.copytree(scenes, folder)
    side = 1300
    x, z = np.meshgrid(np.linspace(0, 9, side), np.linspace(0, 9, side))
    points = np.stack([x, np.zeros_like(x), z], -1).reshape(-1, 3)
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + side, corner + 1], 1),
            np.stack([corner + 1, corner + side, corner + side + 1], 1),
        ]
    )
    sheet = trimesh.Trimesh(points, faces, process=False)
    sheet.visual.vertex_colors = np.full((len(points), 4), 200, np.uint8)
    sheet.export(folder / "sheet.ply")
    line = words(folder, tmp_path / "out", "--set", "run.memory_mb=600", "--set", "run.attempts=1")
    assert run(line) == 3
    said = capsys.readouterr().err
    failed = [line for line in said.splitlines() if line.startswith("failed")]
    assert failed
    assert all("sheet.ply" in line and "memory" in line for line in failed), failed
    assert len(failed) == 1, failed
