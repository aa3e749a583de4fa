"""Data sets by name, on folder trees made to the published layouts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from mimic.errors import MimicError
from mimic.sources.registries import REGISTRIES, SceneEntry, parse_registry, resolve
from mimic.storage import Storage


def tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    return root


def scenes(entries: list[SceneEntry]) -> list[tuple[str, str | None]]:
    return [(entry.scene, entry.split) for entry in entries]


def files(entries: list[SceneEntry]) -> list[str]:
    return [entry.file.name for entry in entries]


# ------------------------------------------------------------------ hm3d


def hm3d_scene(folder: str, *suffixes: str) -> list[str]:
    stem = folder.rpartition("/")[2].partition("-")[2]
    return [f"{folder}/{stem}{suffix}" for suffix in suffixes]


HABITAT = (".basis.glb", ".basis.navmesh", ".semantic.glb", ".semantic.txt")


@pytest.fixture
def hm3d(tmp_path: Path) -> Path:
    """As habitat-sim's download utility leaves it."""
    return tree(
        tmp_path / "hm3d",
        "hm3d_annotated_basis.scene_dataset_config.json",
        "minival/hm3d_minival_basis.scene_dataset_config.json",
        *hm3d_scene("train/00000-kfPV7w3FaU5", *HABITAT, ".glb"),
        *hm3d_scene("val/00800-TEEsavR23oF", *HABITAT),
        *hm3d_scene("val/00801-HaxA7YrQdEC", *HABITAT),
        *hm3d_scene("minival/00800-TEEsavR23oF", *HABITAT),
    )


def test_hm3d_and_its_splits(hm3d: Path) -> None:
    entries = resolve("hm3d", str(hm3d), habitat=True)
    assert scenes(entries) == [
        ("00000-kfPV7w3FaU5", "train"),
        ("00800-TEEsavR23oF", "val"),  # minival is a part of val
        ("00801-HaxA7YrQdEC", "val"),
    ]
    assert {entry.up for entry in entries} == {"z"}
    assert files(entries)[1] == "val/00800-TEEsavR23oF/TEEsavR23oF.basis.glb"
    assert entries[1].navmesh == str(hm3d / "val/00800-TEEsavR23oF/TEEsavR23oF.basis.navmesh")
    assert entries[0].scene_dataset_config is None
    minival = resolve("hm3d", str(hm3d), "minival", habitat=True)
    assert scenes(minival) == [("00800-TEEsavR23oF", "minival")]


def test_a_subset_never_takes_the_place_of_its_split(tmp_path: Path) -> None:
    tree(tmp_path, "a/val/00800-TEEsavR23oF/TEEsavR23oF.glb")
    tree(tmp_path, "b/minival/00800-TEEsavR23oF/TEEsavR23oF.glb")
    assert scenes(resolve("hm3d", str(tmp_path))) == [("00800-TEEsavR23oF", "val")]


def test_minival_alone_is_found_without_naming_it(tmp_path: Path) -> None:
    tree(tmp_path, *hm3d_scene("minival/00800-TEEsavR23oF", *HABITAT))
    assert scenes(resolve("hm3d", str(tmp_path))) == [("00800-TEEsavR23oF", "minival")]


def test_each_renderer_gets_the_file_it_reads_best(hm3d: Path) -> None:
    with_habitat = files(resolve("hm3d", str(hm3d), "train", habitat=True))
    without = files(resolve("hm3d", str(hm3d), "train"))
    assert with_habitat == ["train/00000-kfPV7w3FaU5/kfPV7w3FaU5.basis.glb"]
    assert without == ["train/00000-kfPV7w3FaU5/kfPV7w3FaU5.glb"]


@pytest.mark.parametrize("habitat", [False, True])
def test_hm3d_archives_unpacked_by_hand(tmp_path: Path, habitat: bool) -> None:
    """Plain and compressed scenes come in archives of their own: one scene, once."""
    tree(
        tmp_path,
        *hm3d_scene("hm3d-val-habitat-v0.2/00800-TEEsavR23oF", ".basis.glb", ".basis.navmesh"),
        *hm3d_scene("hm3d-val-glb-v0.2/00800-TEEsavR23oF", ".glb"),
        *hm3d_scene("hm3d-minival-glb/00800-TEEsavR23oF", ".glb"),
    )
    entries = resolve("hm3d", str(tmp_path), "val", habitat=habitat)
    assert scenes(entries) == [("00800-TEEsavR23oF", "val")]
    folder, suffix = ("habitat", ".basis.glb") if habitat else ("glb", ".glb")
    assert files(entries) == [f"hm3d-val-{folder}-v0.2/00800-TEEsavR23oF/TEEsavR23oF{suffix}"]


def test_a_split_that_is_not_there_is_named_with_those_that_are(hm3d: Path) -> None:
    with pytest.raises(MimicError, match=r"no scenes of split 'test'; it has minival, train, val"):
        resolve("hm3d", str(hm3d), "test")


def test_it_works_on_an_object_store() -> None:
    store = Storage("memory://r3-registries/hm3d")
    store.write("val/00800-TEEsavR23oF/TEEsavR23oF.glb", b"1")
    (entry,) = resolve("hm3d", "memory://r3-registries/hm3d")
    assert entry.file.uri.endswith("r3-registries/hm3d/val/00800-TEEsavR23oF/TEEsavR23oF.glb")
    assert entry.file.storage.read(entry.file.basename) == b"1"


# ------------------------------------------------------------------ gibson, matterport


@pytest.fixture
def gibson(tmp_path: Path) -> Path:
    names = ("Adrian", "Cantwell", "Denmark")
    parts = [f"{name}{suffix}" for name in names for suffix in (".glb", ".navmesh")]
    return tree(tmp_path / "gibson", *parts, "Adrian_semantic.ply", "Adrian.scn")


def test_gibson_without_a_list_has_no_splits(gibson: Path) -> None:
    entries = resolve("gibson", str(gibson))
    assert scenes(entries) == [("Adrian", None), ("Cantwell", None), ("Denmark", None)]
    assert entries[0].navmesh == str(gibson / "Adrian.navmesh")
    assert entries[0].up == "z"
    with pytest.raises(MimicError, match=r"split 'val'; put a <split>\.txt"):
        resolve("gibson", str(gibson), "val")
    assert len(resolve("gibson", str(gibson.parent))) == 3


def episodes(path: Path, *scene_ids: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = {"episodes": [{"episode_id": "0", "scene_id": scene} for scene in scene_ids]}
    path.write_bytes(gzip.compress(json.dumps(listed).encode()))


def lay_text(root: Path) -> None:
    (root / "train.txt").write_text("# scenes\nAdrian\nDenmark.glb\n\n")
    (root / "val.txt").write_text("Cantwell\n")


def lay_json(root: Path) -> None:
    splits = {"train": ["Adrian", "Denmark"], "val": ["Cantwell"]}
    (root / "splits.json").write_text(json.dumps(splits))


def lay_episodes(root: Path) -> None:
    """As habitat-lab's PointNav v1: a file a scene in train, one file for val."""
    episodes(root / "train/train.json.gz")
    episodes(root / "train/content/Adrian.json.gz", "gibson/Adrian.glb")
    episodes(root / "train/content/Denmark.json.gz", "data/scene_datasets/gibson/Denmark.glb")
    episodes(root / "val/val.json.gz", "gibson/Cantwell.glb", "gibson/Cantwell.glb")


@pytest.mark.parametrize("lay", [lay_text, lay_json, lay_episodes])
def test_gibson_is_split_by_lists_in_its_folder(gibson: Path, lay) -> None:
    lay(gibson)
    entries = resolve("gibson", str(gibson))
    assert scenes(entries) == [("Adrian", "train"), ("Cantwell", "val"), ("Denmark", "train")]
    assert resolve("gibson", str(gibson), "train") == [entries[0], entries[2]]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("my.txt", b"Denmark\n"),
        ("my.json", b'["Denmark"]'),
        ("my.json", b'{"val": ["Denmark"], "train": ["Adrian"]}'),
        ("val.json.gz", gzip.compress(b'{"episodes": [{"scene_id": "gibson/Denmark.glb"}]}')),
    ],
)
def test_a_list_of_ones_own_splits_it(gibson: Path, tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    (gibson / "val.txt").write_text("Adrian\n")  # is not asked
    entries = resolve("gibson", str(gibson), "val", split_file=str(tmp_path / name))
    assert scenes(entries) == [("Denmark", "val")]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("splits.json", b"{"),
        ("splits.json", b"3"),
        ("splits.json", b'{"train": 3}'),
        ("val/val.json.gz", b"not gzip"),
        ("val/val.json.gz", gzip.compress(b'{"episodes": [{"scene": 1}]}')),
        ("val.txt", b"\xff\xfe"),
    ],
)
def test_a_broken_list_is_named(gibson: Path, name: str, data: bytes) -> None:
    tree(gibson, name)
    (gibson / name).write_bytes(data)
    with pytest.raises(MimicError, match=f"{name}: lists no scenes"):
        resolve("gibson", str(gibson))


def test_matterport(tmp_path: Path) -> None:
    for scene in ("17DRP5sb8fy", "2t7WUuJeko7"):
        suffixes = (".glb", ".navmesh", ".house", "_semantic.ply")
        tree(tmp_path, *(f"mp3d/{scene}/{scene}{suffix}" for suffix in suffixes))
    (tmp_path / "mp3d/val.txt").write_text("2t7WUuJeko7\n")
    entries = resolve("matterport", str(tmp_path / "mp3d"))
    assert scenes(entries) == [("17DRP5sb8fy", None), ("2t7WUuJeko7", "val")]
    assert files(entries)[0] == "17DRP5sb8fy/17DRP5sb8fy.glb"
    assert entries[0].navmesh == str(tmp_path / "mp3d/17DRP5sb8fy/17DRP5sb8fy.navmesh")
    assert entries[0].up == "z"
    assert files(resolve("matterport", str(tmp_path)))[0] == "mp3d/17DRP5sb8fy/17DRP5sb8fy.glb"


# ------------------------------------------------------------------ replica, replicacad


def test_replica(tmp_path: Path) -> None:
    for scene in ("apartment_0", "room_2"):
        tree(
            tmp_path,
            *(
                f"{scene}/{name}"
                for name in (
                    "mesh.ply", "glass.sur", "semantic.json", "textures/0-color-ptex.hdr",
                    "habitat/mesh_semantic.ply", "habitat/mesh_semantic.navmesh",
                    "habitat/replica_stage.stage_config.json",
                )
            ),
        )  # fmt: skip
    entries = resolve("replica", str(tmp_path))
    assert scenes(entries) == [("apartment_0", None), ("room_2", None)]
    assert files(entries) == ["apartment_0/mesh.ply", "room_2/mesh.ply"]
    assert entries[0].navmesh == str(tmp_path / "apartment_0/habitat/mesh_semantic.navmesh")
    assert entries[0].up == "z"


@pytest.fixture
def replicacad(tmp_path: Path) -> Path:
    return tree(
        tmp_path / "replica_cad",
        "replicaCAD.scene_dataset_config.json",
        "configs/scenes/apt_0.scene_instance.json",
        "configs/scenes/empty_stage.scene_instance.json",
        "configs/stages/frl_apartment_stage.stage_config.json",
        "stages/frl_apartment_stage.glb",
        "objects/frl_apartment_basket.glb",
        "objects/convex/frl_apartment_basket_cv_decomp.glb",
        "navmeshes/apt_0.navmesh",
    )


def test_replicacad_is_furnished_for_habitat(replicacad: Path) -> None:
    entries = resolve("replicacad", str(replicacad), habitat=True)
    assert [entry.scene for entry in entries] == ["apt_0", "empty_stage"]
    config = str(replicacad / "replicaCAD.scene_dataset_config.json")
    assert {entry.scene_dataset_config for entry in entries} == {config}
    assert files(entries)[0] == "configs/scenes/apt_0.scene_instance.json"


def test_replicacad_is_its_stages_for_the_ray_caster(replicacad: Path) -> None:
    (entry,) = resolve("replicacad", str(replicacad))
    assert entry.file.name == "stages/frl_apartment_stage.glb"
    assert entry.up == "y"
    assert entry.scene_dataset_config is None


# ------------------------------------------------------------------ what is said


@pytest.mark.parametrize("name", REGISTRIES)
@pytest.mark.parametrize("habitat", [False, True])
def test_a_folder_without_the_data_set_says_what_was_looked_for(
    tmp_path: Path, name: str, habitat: bool
) -> None:
    tree(tmp_path, "deep/down/video.mp4")
    with pytest.raises(MimicError, match=f"{name}:{tmp_path}: none .* looked for ") as caught:
        resolve(name, str(tmp_path), habitat=habitat)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        MimicError, match="use one of hm3d, gibson, matterport, replica, replicacad"
    ):
        resolve("scannet", "/data")


@pytest.mark.parametrize(
    ("where", "parsed"),
    [
        ("hm3d:/data/hm3d", ("hm3d", None, "/data/hm3d")),
        ("hm3d/val:/data/hm3d", ("hm3d", "val", "/data/hm3d")),
        ("gibson:scenes", ("gibson", None, "scenes")),
        ("matterport/train:s3://bucket/mp3d", ("matterport", "train", "s3://bucket/mp3d")),
        ("replica:C:\\data", ("replica", None, "C:\\data")),
        ("replicacad:~/x:y", ("replicacad", None, "~/x:y")),
    ],
)
def test_a_registry_is_told_by_its_colon(where: str, parsed: tuple[str, str | None, str]) -> None:
    assert parse_registry(where) == parsed


@pytest.mark.parametrize(
    "where",
    [
        "s3://bucket/hm3d", "hm3d", "./hm3d", "hm3d/val", "C:\\hm3d", "data/hm3d:x", "HM3D:/data",
        "hm3d://bucket/x", "scannet:/data", "hm3d/val/x:/data", "memory://hm3d:/x", "",
    ],
)  # fmt: skip
def test_everything_else_is_no_registry(where: str) -> None:
    assert parse_registry(where) is None


def test_a_registry_without_a_folder_is_refused() -> None:
    with pytest.raises(MimicError, match="name the folder of the data set"):
        parse_registry("hm3d/val:")
