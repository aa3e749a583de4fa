"""3D scenes as files: which are scenes, what is known of one before it is loaded, what it needs."""

from __future__ import annotations

import json
import posixpath
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mimic.errors import SourceError
from mimic.ids import stable_id
from mimic.simulators.habitat import navmesh_names
from mimic.sources.base import File
from mimic.sources.fingerprint import changed, fingerprint_of, vanished
from mimic.sources.scene_headers import Reference, beside, read_header
from mimic.storage import MissingError
from mimic.types import Skipped

SCENE_SUFFIXES = (".glb", ".gltf", ".ply", ".obj")
_COMPANION_SUFFIXES = (
    ".navmesh", ".semantic.glb", ".semantic.txt", "_semantic.ply", "_semantic.txt", ".house",
    ".scn", ".collider.glb", "_cv_decomp.glb", ".stage_config.json", ".scene_dataset_config.json",
    ".scene_instance.json",
)  # fmt: skip
_STAGE_CONFIG = ".stage_config.json"
_SCENE_INSTANCE = ".scene_instance.json"

_REFUSED = {
    "KHR_draco_mesh_compression": ("draco", "Draco-compressed geometry"),
    "EXT_meshopt_compression": ("meshopt", "meshopt-compressed geometry"),
}


@dataclass(frozen=True, slots=True)
class SceneHeader:
    """What is known of a scene without loading it.

    ``triangles`` is an estimate, None where it was not counted. ``references`` are files that the
    scene names (buffers, textures, materials) and ``companions`` what lies beside it (navmesh,
    stage config): both relative to the scene's folder, and part of its fingerprint. ``up`` is the
    file's upward axis where something says it. ``basis`` textures only habitat reads.
    ``furnished`` is a scene instance, which only habitat opens.
    """

    triangles: int | None
    references: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    up: Literal["y", "z"] | None = None
    extensions: frozenset[str] = frozenset()
    basis: bool = False
    furnished: bool = False


def scenes_among(
    files: Sequence[File], *, prefer_basis: bool = False
) -> tuple[list[File], list[File]]:
    """The scene files, in order, and their companions, which are no scenes of their own.

    Of ``X.glb`` and ``X.basis.glb`` one is taken: the first, or the second if ``prefer_basis``
    (habitat reads it faster; the ray caster cannot).
    """
    names = {file.name for file in files}
    scenes, companions = [], []
    for file in files:
        twin = _twin(file.name)
        if file.name.lower().endswith(_COMPANION_SUFFIXES) or (
            twin in names and (".basis." in file.name) != prefer_basis
        ):
            companions.append(file)
        elif file.name.lower().endswith(SCENE_SUFFIXES):
            scenes.append(file)
    return scenes, companions


def belongings(scenes: Sequence[File], files: Sequence[File]) -> set[File]:
    """Of some files those that the scenes are made of: textures, buffers, materials."""
    named: set[str] = set()
    for scene in scenes:
        if scene.name.lower().endswith((".gltf", ".obj")):  # others hold all they need
            header = inspect_scene(scene)
            references = header.references if isinstance(header, SceneHeader) else ()
            named |= {beside(scene, reference).uri for reference in references}
    return {file for file in files if file.uri in named}


def inspect_scene(file: File) -> SceneHeader | Skipped:
    """The header of a scene file, or why it is none.

    A data set's ``*.scene_instance.json``, which habitat opens, is a scene, too; what it places is
    not looked at. Reasons: ``not_a_scene``, ``truncated``, ``empty``, ``no_faces`` (a point cloud),
    ``missing_texture``, ``missing_buffer``, ``missing_material``.

    Raises:
        StorageError: the file cannot be read.
    """
    if file.name.endswith(_SCENE_INSTANCE):
        return SceneHeader(triangles=None, furnished=True)
    if file.name.lower().endswith(_COMPANION_SUFFIXES):
        return Skipped(
            file.name, "companion", f"{file.name}: belongs to a scene, but is not one itself"
        )
    try:
        content = read_header(file)
        for reference in content.references:
            _check_there(file, reference)
        siblings = _siblings(file)
        up = _up(file, siblings)
    except SourceError as error:
        return Skipped(file.name, error.reason, str(error))
    return SceneHeader(
        triangles=content.triangles,
        references=tuple(dict.fromkeys(reference.name for reference in content.references)),
        companions=_companions(file, siblings),
        up=up,
        extensions=content.extensions,
        basis=content.basis,
    )


def raycast_refusal(file: File, header: SceneHeader) -> Skipped | None:
    """Why the ray caster cannot load a scene that habitat can; None where it can, too."""
    if header.furnished:
        reason, what = "furnished", "furniture in files of its own"
    elif header.basis:
        reason, what = "basis", "Basis-compressed textures"
    else:
        known = [_REFUSED[name] for name in sorted(header.extensions & _REFUSED.keys())]
        if not known:
            return None
        reason, what = known[0]
    return Skipped(
        file.name,
        reason,
        f"{file.name}: has {what}, which the ray caster does not read; use --kind habitat, or the "
        "scene's uncompressed file",
    )


def scene_fingerprint(file: File, header: SceneHeader) -> str:
    """20 hex digits over the scene file and everything that it names or that lies beside it.

    Raises:
        StorageError: a file cannot be read.
    """
    names = (*header.references, *header.companions)
    others = [fingerprint_of(_sized(beside(file, name))) for name in names]
    return stable_id("scene", fingerprint_of(file), *others)


def item_fingerprint(content: str, up: str) -> str:
    """The fingerprint of a scene that is looked at this way up."""
    return stable_id(content, up)


def check_scene_unchanged(file: File, fingerprint: str) -> None:
    """Compare a scene with what was planned.

    Raises:
        SourceError: ``vanished`` or ``changed``, or what is wrong with the scene now.
    """
    try:
        if file.storage.size(file.basename) != file.size:
            raise changed(file.name)
        header = inspect_scene(file)
        same = isinstance(header, SceneHeader) and scene_fingerprint(file, header) == fingerprint
    except MissingError as error:
        raise vanished(file.name) from error
    if isinstance(header, Skipped):
        raise SourceError(header.reason, header.message)
    if not same:
        raise changed(file.name)


def up_of(file: File) -> Literal["y", "z"] | None:
    """The upward axis of a scene file; None where nothing says it.

    A stage config says it: ``<stem>.stage_config.json``, or one in the folder whose
    ``render_asset`` is the file. A GLB with a navmesh and no config is Z-up: habitat takes it so,
    and made the navmesh so.

    Raises:
        SourceError: the stage config is broken, or names another axis.
    """
    return _up(file, _siblings(file))


@contextmanager
def located(file: File) -> Iterator[Path]:
    """The scene's path on this machine; of a remote one a copy, with its files, for the while."""
    path = file.storage.local_path(file.basename)
    if path is not None:
        yield path
        return
    if file.name.endswith(_SCENE_INSTANCE):
        raise SourceError(
            "remote_scene",
            f"{file.name}: habitat opens such data sets on this machine's disks only; copy the "
            "data set to one",
        )
    header = inspect_scene(file)
    if isinstance(header, Skipped):
        raise SourceError(header.reason, header.message)
    with tempfile.TemporaryDirectory(prefix="mimic-scene-") as folder:
        # Deep enough that "../textures" stays inside.
        root = Path(folder, *("d" * _levels_up(header))).resolve()
        name = posixpath.basename(file.name)
        for reference in (name, *header.references, *header.companions):
            _copy(beside(file, reference), root / reference)
        yield root / name


def _copy(file: File, target: Path) -> None:
    target.resolve().parent.mkdir(parents=True, exist_ok=True)
    with file.storage.open(file.basename) as source, target.resolve().open("wb") as copy:
        shutil.copyfileobj(source, copy, 4 << 20)


def _levels_up(header: SceneHeader) -> int:
    return max((name.split("/").count("..") for name in header.references), default=0)


def _twin(name: str) -> str | None:
    """``X.glb`` for ``X.basis.glb`` and the other way round."""
    if name.endswith(".basis.glb"):
        return name.removesuffix(".basis.glb") + ".glb"
    return name.removesuffix(".glb") + ".basis.glb" if name.endswith(".glb") else None


def _check_there(file: File, reference: Reference) -> None:
    if reference.name.startswith("/") or ":" in reference.name:
        raise SourceError(
            f"missing_{reference.kind}",
            f"{file.name}: names the {reference.kind} {reference.name} by an absolute address; "
            "export the scene with relative ones",
        )
    place = beside(file, reference.name)
    if not place.storage.exists(place.basename):
        raise SourceError(
            f"missing_{reference.kind}",
            f"{file.name}: names the {reference.kind} {reference.name}, which is not there; put "
            "it beside the scene",
        )


def _sized(file: File) -> File:
    return File(file.name, file.uri, file.storage.size(file.basename))


def _siblings(file: File) -> frozenset[str]:
    """Names of the files in the scene's folder."""
    folder = posixpath.dirname(file.basename)
    entries = file.storage.list(folder, recursive=False)
    return frozenset(posixpath.basename(entry.name) for entry in entries)


def _companions(file: File, siblings: frozenset[str]) -> tuple[str, ...]:
    found = (_navmesh(file, siblings), _stage_config(file, siblings))
    return tuple(name for name in found if name is not None)


def _navmesh(file: File, siblings: frozenset[str]) -> str | None:
    for name in navmesh_names(posixpath.basename(file.name)):
        if name in siblings:
            return name
        place = beside(file, name)
        if "/" in name and place.storage.exists(place.basename):
            return name
    return None


def _stage_config(file: File, siblings: frozenset[str]) -> str | None:
    stem = _stem(file)
    own = stem + _STAGE_CONFIG
    if own in siblings:
        return own
    for name in sorted(name for name in siblings if name.endswith(_STAGE_CONFIG)):
        asset = _stage(file, name).get("render_asset")
        if isinstance(asset, str) and posixpath.normpath(asset) == posixpath.basename(file.name):
            return name
    return None


def _stage(file: File, name: str) -> dict[str, object]:
    config = beside(file, name)
    try:
        values = json.loads(config.storage.read(config.basename))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise SourceError("broken_config", f"{config.name}: is no JSON object; mend or remove it")
    return values


def _up(file: File, siblings: frozenset[str]) -> Literal["y", "z"] | None:
    name = _stage_config(file, siblings)
    axis = _stage(file, name).get("up") if name is not None else None
    if axis is None:
        bare = name is None and file.name.lower().endswith(".glb")
        return "z" if bare and _navmesh(file, siblings) else None
    match axis:
        case [0, 1, 0]:
            return "y"
        case [0, 0, 1]:
            return "z"
    raise SourceError(
        "broken_config", f"{beside(file, str(name)).name}: up {axis} is neither y nor z"
    )


def _stem(file: File) -> str:
    return posixpath.splitext(posixpath.basename(file.name))[0]
