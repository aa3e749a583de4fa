"""Data sets of scenes by name: from the folder they were unpacked in to their scenes and splits.

The layouts are those that habitat-sim's DATASETS.md and habitat-lab's DATASETS.md describe.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Literal

from mimic.errors import MimicError
from mimic.sources.base import File
from mimic.sources.scene_files import scenes_among
from mimic.storage import Storage

_HM3D_SCENE = re.compile(r"(?:.*/)?(\d{5}-\w{11})/(\w{11})(\.basis)?\.glb")
_HM3D_SPLIT = re.compile(r"(?:hm3d-)?(train|val|minival|example)(?:-(?:glb|habitat)(?:-v[\d.]+)?)?")
_HM3D_SUBSETS = ("minival", "example")
"""Their scenes belong to train or val, too."""
_MATTERPORT_SCENE = re.compile(r"(?:.*/)?(\w{11})/\1\.glb")
_GIBSON_SCENE = re.compile(r"(?:gibson/)?(\w+)\.glb")
_REPLICA_SCENE = re.compile(r"(?:.*/)?([^/]+)/mesh\.ply")
_REPLICACAD_SCENE = re.compile(r"(?:.*/)?configs/scenes/([^/]+)\.scene_instance\.json")
_REPLICACAD_STAGE = re.compile(r"(?:.*/)?(?:stages|stages_uncompressed)/([^/]+)\.glb")
_DATASET_CONFIG = ".scene_dataset_config.json"


@dataclass(frozen=True, slots=True)
class SceneEntry:
    """A scene of a data set. ``scene`` is its name there, ``split`` None where none is known.

    ``file`` is named relative to the data set's root. ``navmesh`` is an address. Where
    ``scene_dataset_config`` (an address) is given, only habitat can open the scene: its file is a
    description of what stands where, and ``up`` is the config's affair.
    """

    scene: str
    file: File
    split: str | None
    up: Literal["y", "z"]
    navmesh: str | None = None
    scene_dataset_config: str | None = None


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the scenes of a data set are found among its files; ``looked_for`` tells people."""

    find: Callable[[list[File], bool], list[SceneEntry]]
    looked_for: str
    splits: bool


def parse_registry(where: str) -> tuple[str, str | None, str] | None:
    """(name, split, root) of ``hm3d:/data/hm3d`` or ``hm3d/val:/data/hm3d``; None for all else.

    A URL (``s3://...``), a drive (``C:/...``) or a file called ``hm3d`` names no registry.

    Raises:
        MimicError: a registry without a root.
    """
    match = re.fullmatch(rf"({'|'.join(REGISTRIES)})(?:/([\w.-]+))?:(?!//)(.*)", where)
    if match is None:
        return None
    name, split, root = match.groups()
    if not root:
        raise MimicError(f"--source {where}: name the folder of the data set after the colon")
    return name, split, root


def resolve(
    name: str,
    root: str,
    split: str | None = None,
    *,
    habitat: bool = False,
    split_file: str | None = None,
) -> list[SceneEntry]:
    """The scenes of a data set below ``root`` (local or any fsspec URL), sorted by name.

    ``habitat`` takes what habitat opens best (HM3D's ``.basis.glb``, ReplicaCAD's furnished
    scenes), otherwise what the ray caster opens (plain ``.glb``, ReplicaCAD's bare stages).

    HM3D has its splits in its folders. Gibson and Matterport have none: their scenes are split by
    ``split_file``, else by what lies in the root: ``splits.json`` ({split: [scene, ...]}),
    ``<split>.txt`` (a scene a line), or habitat's PointNav episodes (``<split>/*.json.gz``,
    ``<split>/content/*.json.gz``); ``split_file`` is one such text, JSON or episode file, and
    lists the scenes of ``split``.

    Raises:
        MimicError: no such data set there, no such split; StorageError for a place out of reach.
    """
    if name not in REGISTRIES:
        raise MimicError(f"data set {name!r} is unknown: use one of {', '.join(REGISTRIES)}")
    layout, storage = _LAYOUTS[name], Storage(root)
    files = [File(entry.name, storage.join(entry.name), entry.size) for entry in storage.list()]
    scenes = layout.find(files, habitat)
    if not scenes:
        raise MimicError(
            f"--source {name}:{root}: none of the data set is found there; looked for "
            f"{layout.looked_for}"
        )
    if not layout.splits:
        scenes = _split_by_lists(scenes, files, split, split_file)
    return _of_split(scenes, split, f"{name}:{root}")


def _of_split(scenes: list[SceneEntry], split: str | None, where: str) -> list[SceneEntry]:
    known = sorted({scene.split for scene in scenes if scene.split is not None})
    if split is not None:
        chosen = [scene for scene in scenes if scene.split == split]
        if not chosen:
            hint = f"it has {', '.join(known)}" if known else "put a <split>.txt (a scene a line)"
            raise MimicError(
                f"--source {where}: has no scenes of split {split!r}; {hint}"
                + ("" if known else " in its folder")
            )
        scenes = chosen
    else:
        subsets_first = sorted(scenes, key=lambda scene: scene.split not in _HM3D_SUBSETS)
        scenes = list({scene.scene: scene for scene in subsets_first}.values())
    return sorted(scenes, key=lambda scene: (scene.scene, scene.file.name))


def _hm3d(files: list[File], habitat: bool) -> list[SceneEntry]:
    """One file a scene and split, though plain and Basis files may lie in folders of their own."""
    found: dict[tuple[str, str | None], tuple[bool, SceneEntry]] = {}
    for file, match in _matching(scenes_among(files, prefer_basis=habitat)[0], _HM3D_SCENE):
        scene, split = match[1], _hm3d_split(file.name)
        preferred = bool(match[3]) == habitat
        if preferred or (scene, split) not in found:
            navmesh = _navmesh(file, files, match[2])
            found[scene, split] = preferred, SceneEntry(scene, file, split, "z", navmesh)
    return [entry for _, entry in found.values()]


def _hm3d_split(name: str) -> str | None:
    """From the nearest folder above that says it: ``val``, or ``hm3d-val-habitat-v0.2``."""
    for part in reversed(PurePosixPath(name).parts[:-2]):
        if match := _HM3D_SPLIT.fullmatch(part):
            return match[1]
    return None


def _matterport(files: list[File], habitat: bool) -> list[SceneEntry]:
    return [
        SceneEntry(match[1], file, None, "z", _navmesh(file, files, match[1]))
        for file, match in _matching(scenes_among(files)[0], _MATTERPORT_SCENE)
    ]


def _gibson(files: list[File], habitat: bool) -> list[SceneEntry]:
    return [
        SceneEntry(match[1], file, None, "z", _navmesh(file, files, match[1]))
        for file, match in _matching(scenes_among(files)[0], _GIBSON_SCENE)
    ]


def _replica(files: list[File], habitat: bool) -> list[SceneEntry]:
    return [
        SceneEntry(match[1], file, None, "z", _navmesh(file, files, "habitat/mesh_semantic"))
        for file, match in _matching(files, _REPLICA_SCENE)
    ]


def _replicacad(files: list[File], habitat: bool) -> list[SceneEntry]:
    """Furnished scenes for habitat; the stages alone, which are plain glTF, for the ray caster."""
    if not habitat:
        return [
            SceneEntry(match[1], file, None, "y")
            for file, match in _matching(scenes_among(files)[0], _REPLICACAD_STAGE)
        ]
    configs = [file for file in files if file.name.endswith(_DATASET_CONFIG)]
    if not configs:
        return []
    found = []
    for file, match in _matching(files, _REPLICACAD_SCENE):
        home = file.name.removesuffix(f"configs/scenes/{match[1]}.scene_instance.json")
        config = next((c for c in configs if c.name.rpartition("/")[0] == home.rstrip("/")), None)
        if config is not None:
            found.append(SceneEntry(match[1], file, None, "y", None, config.uri))
    return found


def _matching(
    files: Iterable[File], pattern: re.Pattern[str]
) -> Iterable[tuple[File, re.Match[str]]]:
    for file in files:
        if match := pattern.fullmatch(file.name):
            yield file, match


def _navmesh(file: File, files: list[File], stem: str) -> str | None:
    folder = file.name.rpartition("/")[0]
    places = {f"{folder}/{stem}{middle}.navmesh".lstrip("/") for middle in ("", ".basis")}
    return next((other.uri for other in files if other.name in places), None)


def _split_by_lists(
    scenes: list[SceneEntry], files: list[File], split: str | None, split_file: str | None
) -> list[SceneEntry]:
    lists: dict[str, set[str]] = {}
    if split_file is not None:
        file = File.at(split_file, Storage(split_file).url, -1)
        lists = _lists_in(file, split or PurePosixPath(split_file).name.partition(".")[0])
    else:
        for file in files:
            if (of := _split_listed_by(file.name)) is not None:
                for name, members in _lists_in(file, of).items():
                    lists.setdefault(name, set()).update(members)
    split_of = {scene: name for name, members in sorted(lists.items()) for scene in members}
    return [replace(scene, split=split_of.get(scene.scene)) for scene in scenes]


def _split_listed_by(name: str) -> str | None:
    """The split whose scenes a file in the root lists, going by its name; "" for several."""
    if name == "splits.json":
        return ""
    if match := re.fullmatch(r"(train|val|test)\.txt", name):
        return match[1]
    match = re.fullmatch(r"(\w+)/(?:content/)?[^/]+\.json\.gz", name)
    return match[1] if match else None


def _lists_in(file: File, split: str) -> dict[str, set[str]]:
    """Scenes by split in a list of scenes, a JSON of such lists, or PointNav episodes."""
    data = file.storage.read(file.basename)
    try:
        if file.name.endswith(".gz"):
            data = gzip.decompress(data)
        if not file.name.endswith((".json", ".json.gz")):
            lines = (line.strip() for line in data.decode().splitlines())
            return {split: {_scene_name(line) for line in lines if line and line[0] != "#"}}
        return _listed(json.loads(data), split)
    except (ValueError, OSError, EOFError, zlib.error, AttributeError, TypeError, KeyError):
        raise MimicError(
            f"{file.uri}: lists no scenes; it must be text (a scene a line), JSON ({{split: "
            "[scene, ...]}) or habitat's PointNav episodes"
        ) from None


def _listed(values: Any, split: str) -> dict[str, set[str]]:
    if isinstance(values, list):
        return {split: set(map(_scene_name, values))}
    if "episodes" in values:
        return {split: {_scene_name(episode["scene_id"]) for episode in values["episodes"]}}
    return {name: set(map(_scene_name, scenes)) for name, scenes in values.items()}


def _scene_name(text: str) -> str:
    """``Adrian`` for ``data/scene_datasets/gibson/Adrian.glb``."""
    return PurePosixPath(text).name.partition(".")[0]


_LAYOUTS = {
    "hm3d": _Layout(
        _hm3d,
        "{train,val,minival}/00800-TEEsavR23oF/TEEsavR23oF.basis.glb (or .glb, or folders like "
        "hm3d-val-habitat-v0.2/)",
        splits=True,
    ),
    "gibson": _Layout(_gibson, "<Scene>.glb directly in it", splits=False),
    "matterport": _Layout(
        _matterport, "17DRP5sb8fy/17DRP5sb8fy.glb (the download for habitat)", splits=False
    ),
    "replica": _Layout(_replica, "apartment_0/mesh.ply", splits=False),
    "replicacad": _Layout(
        _replicacad,
        "stages/*.glb; for habitat, configs/scenes/*.scene_instance.json and a "
        "*.scene_dataset_config.json",
        splits=False,
    ),
}
REGISTRIES = tuple(_LAYOUTS)
"""Names of the data sets that are known."""
