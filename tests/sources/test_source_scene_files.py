"""Scene files: what is one, what its header says, and one clear sentence for what is none."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimic.errors import SourceError
from mimic.sources.base import File
from mimic.sources.scene_files import (
    SceneHeader,
    check_scene_unchanged,
    inspect_scene,
    located,
    raycast_refusal,
    scene_fingerprint,
    scenes_among,
    up_of,
)
from mimic.storage import Storage
from mimic.types import Skipped

TRIANGLE = {
    "asset": {"version": "2.0"},
    "accessors": [{"count": 3}, {"count": 30}],
    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
    "nodes": [{"mesh": 0}, {"name": "empty"}],
}
PLY = """ply
format {form} 1.0
comment made here
element vertex 3
property float x
property float y
property float z
element face {faces}
property list uchar int vertex_indices
end_header
"""


def glb(gltf: dict[str, Any], binary: bytes = b"") -> bytes:
    text = json.dumps(gltf).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        body += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def at(path: Path) -> File:
    return File(path.name, str(path), path.stat().st_size)


def saved(folder: Path, name: str, data: bytes | str) -> File:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return File(name, str(path), path.stat().st_size)


def header(file: File) -> SceneHeader:
    found = inspect_scene(file)
    assert isinstance(found, SceneHeader), found
    return found


def refused(file: File) -> Skipped:
    found = inspect_scene(file)
    assert isinstance(found, Skipped), found
    assert found.name == file.name
    assert found.message.startswith(file.name)
    assert "\n" not in found.message
    return found


# ------------------------------------------------------------------ what a header says


def test_triangles_are_counted_as_often_as_a_node_places_them(tmp_path: Path) -> None:
    twice = TRIANGLE | {"nodes": [{"mesh": 0}, {"mesh": 0}]}
    assert header(saved(tmp_path, "one.glb", glb(TRIANGLE))).triangles == 10
    assert header(saved(tmp_path, "two.glb", glb(twice))).triangles == 20


@pytest.mark.parametrize(
    ("primitive", "triangles"),
    [
        ({"attributes": {"POSITION": 1}}, 10),
        ({"attributes": {"POSITION": 1}, "mode": 5}, 28),
        ({"attributes": {"POSITION": 1}, "mode": 6}, 28),
    ],
)
def test_primitives_without_indices_and_strips(
    tmp_path: Path, primitive: dict[str, Any], triangles: int
) -> None:
    gltf = TRIANGLE | {"meshes": [{"primitives": [primitive]}]}
    assert header(saved(tmp_path, "a.glb", glb(gltf))).triangles == triangles


def test_files_that_a_gltf_names_are_its_references(tmp_path: Path) -> None:
    saved(tmp_path, "sub/room data.bin", b"1")
    saved(tmp_path, "wall.png", b"2")
    gltf = TRIANGLE | {
        "buffers": [{"uri": "room%20data.bin"}, {"uri": "data:;base64,AAAA"}],
        "images": [{"uri": "../wall.png"}, {"bufferView": 0}],
    }
    found = header(saved(tmp_path, "sub/a.gltf", json.dumps(gltf)))
    assert found.references == ("room data.bin", "../wall.png")


@pytest.mark.parametrize(
    ("gltf", "reason"),
    [
        ({"extensionsUsed": ["KHR_texture_basisu"]}, "basis"),
        ({"images": [{"mimeType": "image/ktx2", "bufferView": 0}]}, "basis"),
        ({"images": [{"mimeType": "image/x-basis", "bufferView": 0}]}, "basis"),
        ({"extensionsUsed": ["KHR_draco_mesh_compression"]}, "draco"),
        ({"extensionsUsed": ["EXT_meshopt_compression"]}, "meshopt"),
    ],
)
def test_what_the_ray_caster_cannot_read_is_flagged(
    tmp_path: Path, gltf: dict[str, Any], reason: str
) -> None:
    file = saved(tmp_path, "a.glb", glb(TRIANGLE | gltf))
    refusal = raycast_refusal(file, header(file))
    assert refusal is not None
    assert refusal.reason == reason
    assert "--kind habitat" in refusal.message


def test_a_plain_scene_is_for_both_renderers(tmp_path: Path) -> None:
    images = {"images": [{"mimeType": "image/jpeg", "bufferView": 0}]}
    file = saved(tmp_path, "a.glb", glb(TRIANGLE | images | {"extensionsUsed": ["KHR_x"]}))
    assert raycast_refusal(file, header(file)) is None


def test_a_ply_mesh(tmp_path: Path) -> None:
    body = bytes(36) + b"\3" + bytes(12)
    text = PLY.format(form="binary_little_endian", faces=1)
    assert header(saved(tmp_path, "a.ply", text.encode() + body)).triangles == 1
    ascii_body = "0 0 0\n1 0 0\n0 1 0\n3 0 1 2"
    file = saved(tmp_path, "b.ply", PLY.format(form="ascii", faces=1) + ascii_body)
    assert header(file).triangles == 1


def test_the_texture_of_a_ply_is_a_reference(tmp_path: Path) -> None:
    text = PLY.replace("comment made here", "comment TextureFile my wall.png")
    file = saved(
        tmp_path, "a.ply", text.format(form="ascii", faces=1) + "0 0 0\n" * 3 + "3 0 1 2\n"
    )
    assert refused(file).reason == "missing_texture"
    saved(tmp_path, "my wall.png", b"1")
    assert header(file).references == ("my wall.png",)


def test_an_obj_its_materials_and_their_textures(tmp_path: Path) -> None:
    obj = "mtllib mats/room.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nf 1 2 3\nf 1/1 2/2 3/3 4/4\n"
    mtl = "newmtl a\nmap_Kd -s 1 1 1 -clamp on wall one.png\nMAP_KD wall one.png\nmap_Bump b.png\n"
    file = saved(tmp_path, "room.obj", obj)
    assert refused(file).reason == "missing_material"
    saved(tmp_path, "mats/room.mtl", mtl)
    assert refused(file).reason == "missing_texture"
    saved(tmp_path, "mats/wall one.png", b"1")
    found = header(file)
    assert found.references == ("mats/room.mtl", "mats/wall one.png")
    assert found.triangles == 3


def test_a_large_obj_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimic.sources.scene_headers._OBJ_WHOLE_BYTES", 200)
    file = saved(tmp_path, "room.obj", "v 0 0 0\n" * 100 + "f 1 2 3\n" * 20)
    assert header(file).triangles is None
    assert refused(saved(tmp_path, "points.obj", "v 0 0 0\n" * 100)).reason == "empty"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "triangles"),
    [
        ("hololens_scan.glb", 54171),
        ("hololens_fused.ply", 59999),
        ("sponza_512.glb", 262267),
        ("vr_gallery.glb", 1930),
        ("habitat_test_assets/simple_room.glb", 84),
        ("habitat_test_assets/chair.glb", 1008),
    ],
)
def test_real_scenes(real_data: Path, name: str, triangles: int) -> None:
    file = at(real_data / "scenes" / name)
    found = header(file)
    assert found.triangles == triangles
    assert raycast_refusal(file, found) is None


# ------------------------------------------------------------------ what is no scene

EMPTY = TRIANGLE | {"meshes": []}


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.glb", b"", "empty"),
        ("a.glb", b"not a scene at all, but a text", "not_a_scene"),
        ("a.glb", glb(TRIANGLE)[:16], "truncated"),
        ("a.glb", glb(TRIANGLE)[:-40], "truncated"),
        ("a.glb", struct.pack("<4sII", b"glTF", 1, 20) + bytes(8), "not_a_scene"),
        ("a.glb", glb(TRIANGLE).replace(b'"asset"', b'"atlas"'), "not_a_scene"),
        ("a.glb", glb(TRIANGLE | {"buffers": [{"byteLength": 64}]}, bytes(32)), "truncated"),
        ("a.glb", glb(TRIANGLE, bytes(64))[:-4], "truncated"),
        ("a.glb", glb(TRIANGLE | {"buffers": [{"byteLength": 64}]}), "truncated"),
        ("a.glb", glb(EMPTY), "empty"),
        ("a.glb", glb(TRIANGLE | {"nodes": []}), "empty"),
        ("a.gltf", b"{]", "not_a_scene"),
        ("a.gltf", b"[]", "not_a_scene"),
        ("a.gltf", json.dumps(TRIANGLE | {"buffers": [{"uri": "x.bin"}]}), "missing_buffer"),
        ("a.gltf", json.dumps(TRIANGLE | {"images": [{"uri": "x.png"}]}), "missing_texture"),
        ("a.gltf", json.dumps(TRIANGLE | {"images": [{"uri": "/etc/hosts"}]}), "missing_texture"),
        ("a.gltf", json.dumps(TRIANGLE | {"images": [{"uri": "C:\\a.png"}]}), "missing_texture"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "truncated"),
        ("a.ply", b"nothing", "not_a_scene"),
        ("a.ply", PLY.format(form="binary_little_endian", faces=1) + "short", "truncated"),
        ("a.ply", PLY.format(form="ascii", faces=1000), "truncated"),
        ("a.ply", PLY.format(form="ascii", faces=0), "no_faces"),
        ("a.ply", PLY.format(form="ascii", faces="many"), "not_a_scene"),
        ("a.obj", b"\0\1\2", "not_a_scene"),
        ("a.obj", b"hello\n", "not_a_scene"),
        ("a.obj", b"v 0 0 0\n", "empty"),
        ("a.mp4", b"1", "not_a_scene"),
        ("a.semantic.glb", glb(TRIANGLE), "companion"),
    ],
)
def test_what_is_no_scene_is_one_sentence(
    tmp_path: Path, name: str, data: bytes | str, reason: str
) -> None:
    assert refused(saved(tmp_path, name, data)).reason == reason


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    file = saved(tmp_path, "a.gltf", json.dumps(TRIANGLE | {"images": [{"uri": "t/x.png"}]}))
    assert "names the texture t/x.png, which is not there" in refused(file).message


@pytest.mark.parametrize("uri", ["/etc/hosts", "C:/wall.png", "https://x.org/wall.png"])
def test_an_absolute_address_is_not_followed(tmp_path: Path, uri: str) -> None:
    file = saved(tmp_path, "a.gltf", json.dumps(TRIANGLE | {"images": [{"uri": uri}]}))
    assert "by an absolute address" in refused(file).message


def test_the_point_cloud_sentence_says_what_is_needed(tmp_path: Path) -> None:
    file = saved(tmp_path, "a.ply", PLY.format(form="ascii", faces=0))
    assert "needs a mesh, not a point cloud" in refused(file).message


# ------------------------------------------------------------------ scenes and companions


@pytest.mark.parametrize("prefer_basis", [False, True])
def test_scenes_are_told_from_what_belongs_to_them(prefer_basis: bool) -> None:
    names = [
        "a/X.basis.glb", "a/X.basis.navmesh", "a/X.glb", "a/X.semantic.glb", "a/X.semantic.txt",
        "b/only.basis.glb", "m/id.glb", "m/id.house", "m/id.navmesh", "m/id_semantic.ply",
        "r/habitat/mesh_semantic.ply", "r/mesh.ply", "s.stage_config.json", "wall.png",
    ]  # fmt: skip
    scenes, companions = scenes_among(
        [File(name, f"/{name}", 1) for name in names], prefer_basis=prefer_basis
    )
    taken, other = ("a/X.basis.glb", "a/X.glb")[:: 1 if prefer_basis else -1]
    assert [s.name for s in scenes] == [taken, "b/only.basis.glb", "m/id.glb", "r/mesh.ply"]
    assert {c.name for c in companions} == {*names} - {s.name for s in scenes} - {"wall.png"}
    assert other in {c.name for c in companions}


# ------------------------------------------------------------------ axes


@pytest.mark.parametrize(("axis", "up"), [([0, 0, 1], "z"), ([0.0, 1.0, 0.0], "y")])
@pytest.mark.parametrize("config", ["room.stage_config.json", "other.stage_config.json"])
def test_a_stage_config_says_what_is_up(
    tmp_path: Path, config: str, axis: list[float], up: str
) -> None:
    file = saved(tmp_path, "room.glb", glb(TRIANGLE))
    assert up_of(file) is None
    saved(tmp_path, config, json.dumps({"render_asset": "./room.glb", "up": axis}))
    saved(tmp_path, "a.stage_config.json", json.dumps({"render_asset": "b.glb", "up": [1, 0, 0]}))
    assert up_of(file) == up
    assert header(file).up == up
    assert header(file).companions == (config,)


def test_a_bare_glb_with_a_navmesh_is_as_habitat_takes_it(tmp_path: Path) -> None:
    file = saved(tmp_path, "room.glb", glb(TRIANGLE))
    saved(tmp_path, "room.navmesh", b"1")
    assert up_of(file) == "z"
    saved(tmp_path, "room.stage_config.json", json.dumps({"up": [0, 1, 0]}))
    assert up_of(file) == "y"


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"up": [1, 0, 0]})])
def test_a_broken_stage_config_is_named(tmp_path: Path, text: str) -> None:
    file = saved(tmp_path, "room.glb", glb(TRIANGLE))
    saved(tmp_path, "room.stage_config.json", text)
    with pytest.raises(SourceError, match=r"^room\.stage_config\.json: ") as caught:
        up_of(file)
    assert inspect_scene(file) == Skipped("room.glb", caught.value.reason, str(caught.value))


@pytest.mark.data
def test_the_axis_of_habitats_own_room(real_data: Path) -> None:
    folder = real_data / "scenes" / "habitat_test_assets"
    assert up_of(at(folder / "simple_room.glb")) == "z"
    assert up_of(at(folder / "stage_floor1.glb")) is None


# ------------------------------------------------------------------ content


@pytest.fixture
def furnished(tmp_path: Path) -> Path:
    """A glTF with a buffer, a texture above it, a navmesh and a stage config."""
    saved(tmp_path, "s/a.bin", b"geometry")
    saved(tmp_path, "wall.png", b"picture")
    saved(tmp_path, "s/a.navmesh", b"floor")
    saved(tmp_path, "s/a.stage_config.json", json.dumps({"up": [0, 0, 1]}))
    gltf = TRIANGLE | {"buffers": [{"uri": "a.bin"}], "images": [{"uri": "../wall.png"}]}
    saved(tmp_path, "s/a.gltf", json.dumps(gltf))
    return tmp_path


def scene_at(root: Path) -> File:
    return File("s/a.gltf", str(root / "s/a.gltf"), (root / "s/a.gltf").stat().st_size)


CHANGES: list[Callable[[Path], object]] = [
    lambda root: (root / "s/a.bin").write_bytes(b"GEOMETRY"),
    lambda root: (root / "wall.png").write_bytes(b"other picture"),
    lambda root: (root / "s/a.navmesh").write_bytes(b"FLOOR"),
    lambda root: (root / "s/a.stage_config.json").write_text(json.dumps({"up": [0, 1, 0]})),
    lambda root: (root / "s/a.navmesh").unlink(),
    lambda root: (root / "s/a.gltf").write_text(
        (root / "s/a.gltf").read_text().replace("30", "36")
    ),
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_makes_the_scene_is_in_its_fingerprint(
    furnished: Path, change: Callable[[Path], object]
) -> None:
    file = scene_at(furnished)
    before = scene_fingerprint(file, header(file))
    check_scene_unchanged(file, before)
    change(furnished)
    with pytest.raises(SourceError, match="has changed") as caught:
        check_scene_unchanged(file, before)
    assert caught.value.reason == "changed"


def test_the_fingerprint_does_not_depend_on_the_place(furnished: Path, tmp_path: Path) -> None:
    file = scene_at(furnished)
    moved = tmp_path / "moved"
    (furnished / "s").rename(tmp_path / "kept")
    moved.mkdir()
    (tmp_path / "kept").rename(moved / "s")
    (moved / "wall.png").write_bytes(b"picture")
    (tmp_path / "s").symlink_to(moved / "s")
    assert scene_fingerprint(file, header(file)) == scene_fingerprint(
        scene_at(moved), header(scene_at(moved))
    )


def test_the_fingerprint_does_not_depend_on_the_name(tmp_path: Path) -> None:
    """Only what a scene file says itself, and what lies beside it, counts."""
    for name in ("one", "two"):
        saved(tmp_path, f"{name}.glb", glb(TRIANGLE))
        saved(tmp_path, f"{name}.navmesh", b"floor")
    one, two = at(tmp_path / "one.glb"), at(tmp_path / "two.glb")
    assert scene_fingerprint(one, header(one)) == scene_fingerprint(two, header(two))


def test_a_scene_or_texture_that_is_gone_is_said(furnished: Path) -> None:
    file = scene_at(furnished)
    before = scene_fingerprint(file, header(file))
    (furnished / "wall.png").unlink()
    with pytest.raises(SourceError) as caught:
        check_scene_unchanged(file, before)
    assert caught.value.reason == "missing_texture"
    (furnished / "s/a.gltf").unlink()
    with pytest.raises(SourceError, match="vanished"):
        check_scene_unchanged(file, before)


def test_a_local_scene_is_used_where_it_lies(furnished: Path) -> None:
    with located(scene_at(furnished)) as path:
        assert path == furnished / "s/a.gltf"


def test_a_remote_scene_is_copied_with_its_files_for_the_while(furnished: Path) -> None:
    remote = Storage("memory://bucket-of-scenes")
    for path in furnished.rglob("*.*"):
        remote.write(path.relative_to(furnished).as_posix(), path.read_bytes())
    size = (furnished / "s/a.gltf").stat().st_size
    file = File("s/a.gltf", "memory://bucket-of-scenes/s/a.gltf", size)
    assert scene_fingerprint(file, header(file)) == scene_fingerprint(
        scene_at(furnished), header(scene_at(furnished))
    )
    with located(file) as path:
        assert path.read_bytes() == (furnished / "s/a.gltf").read_bytes()
        assert (path.parent / "a.bin").read_bytes() == b"geometry"
        assert (path.parent / "../wall.png").read_bytes() == b"picture"
        assert (path.parent / "a.navmesh").is_file()
        assert (path.parent / "a.stage_config.json").is_file()
        texture = (path.parent / "../wall.png").resolve()
    assert not path.exists()
    assert not texture.exists()  # it was not put outside of the folder that is removed


def test_a_scene_instance_is_habitats_affair(tmp_path: Path) -> None:
    file = saved(tmp_path, "apt_0.scene_instance.json", "{}")
    found = header(file)
    refusal = raycast_refusal(file, found)
    assert refusal is not None
    assert refusal.reason == "furnished"
    remote = File("apt_0.scene_instance.json", "memory://b/apt_0.scene_instance.json", 2)
    with pytest.raises(SourceError, match="this machine's disks"), located(remote):
        pass
