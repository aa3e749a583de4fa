from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from raycast_scenes import QUAD, QUAD_FACES, QUAD_UV, facing, noise, quad, write_gltf

from mimic import opencv
from mimic.errors import SourceError
from mimic.simulators.raycast import Raycaster, RaycastSimulator, SceneMesh, load_scene
from mimic.simulators.raycast.materials import to_linear

PICTURE = noise((8, 8), cell=2)


def shown(mesh: SceneMesh) -> NDArray[np.uint8]:
    camera, pose = facing(16)
    return Raycaster(mesh).render(camera, pose).rgb


def failure(path: Path, **options: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        load_scene(path, **options)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return caught.value


def write_obj(folder: Path, mtl: str = "newmtl paint\nKd 0.4 0.4 0.4\nmap_Kd paint.png\n") -> Path:
    (folder / "paint.png").write_bytes(opencv.encode_png(PICTURE))
    (folder / "scene.mtl").write_text(mtl)
    lines = ["mtllib scene.mtl", *(f"v {x} {y} {z}" for x, y, z in QUAD)]
    lines += [f"vt {u} {1 - v}" for u, v in QUAD_UV]
    lines += ["usemtl paint", "f 1/1 2/2 3/3 4/4"]
    path = folder / "scene.obj"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_same_textured_scene_from_all_formats(tmp_path: Path) -> None:
    glb = write_gltf(tmp_path / "scene.glb", [quad()], pictures=(PICTURE,))
    gltf = write_gltf(tmp_path / "scene.gltf", [quad()], pictures=(PICTURE,))
    obj = write_obj(tmp_path)
    ply = tmp_path / "scene.ply"
    ply.write_text(
        "ply\nformat ascii 1.0\ncomment TextureFile paint.png\nelement vertex 4\n"
        "property float x\nproperty float y\nproperty float z\nproperty float s\nproperty float t\n"
        "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
        + "".join(
            f"{x} {y} {z} {u} {1 - v}\n" for (x, y, z), (u, v) in zip(QUAD, QUAD_UV, strict=True)
        )
        + "3 0 1 2\n3 0 2 3\n"
    )
    first = load_scene(glb)
    assert first.textured
    picture = shown(first)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 8
    for path in (gltf, obj, ply):
        mesh = load_scene(path)
        assert mesh.textured
        assert mesh.triangles.shape == (2, 3, 3)
        assert (shown(mesh) == picture).all(), path.name


def test_the_same_vertex_colours_from_all_formats(tmp_path: Path) -> None:
    colours = np.array([[250, 10, 30], [20, 240, 60], [90, 20, 230], [200, 190, 10]], np.uint8)
    linear = to_linear(colours / 255).astype(np.float32)
    glb = write_gltf(tmp_path / "scene.glb", [quad(material=None, COLOR_0=linear)])
    mesh = trimesh.Trimesh(QUAD, QUAD_FACES, vertex_colors=colours, process=False)
    ply = tmp_path / "scene.ply"
    mesh.export(ply)
    obj = tmp_path / "scene.obj"
    lines = [
        f"v {x} {y} {z} {r / 255} {g / 255} {b / 255}"
        for (x, y, z), (r, g, b) in zip(QUAD, colours, strict=True)
    ]
    obj.write_text("\n".join([*lines, "f 1 2 3 4"]) + "\n")
    expected = shown(load_scene(glb)).astype(int)
    assert np.ptp(expected) > 100
    for path in (ply, obj):
        scene = load_scene(path)
        assert scene.textured
        assert scene.colours is not None
        assert np.abs(shown(scene) - expected).max() <= 1


def test_an_mtl_colour_counts_only_without_a_picture(tmp_path: Path) -> None:
    picture = shown(load_scene(write_obj(tmp_path)))
    brightest = picture.max()
    assert brightest > 200  # not 0.4 of the picture's
    plain = shown(load_scene(write_obj(tmp_path, "newmtl paint\nKd 0.4 0.2 0.6\n")))
    assert (plain == [102, 51, 153]).all()


def test_a_clamped_mtl_picture_with_options(tmp_path: Path) -> None:
    mtl = "newmtl paint\nmap_Kd -clamp on -o 0 0 paint.png\n"
    mesh = load_scene(write_obj(tmp_path, mtl))
    picture = mesh.materials[mesh.material[0]].picture
    assert picture is not None
    assert picture.wrap == ("clamp", "clamp")
    assert load_scene(write_obj(tmp_path)).materials[0].picture.wrap == ("repeat", "repeat")  # type: ignore[union-attr]


def test_z_up_scenes_are_turned(tmp_path: Path) -> None:
    primitive = quad()
    primitive.attributes["POSITION"] = np.array(
        [[1, 2, 3], [4, 2, 3], [1, 7, 3], [1, 7, 9]], np.float32
    )
    path = write_gltf(tmp_path / "scene.glb", [primitive], pictures=(PICTURE,))
    as_is, turned = load_scene(path), load_scene(path, "z")
    x, y, z = np.moveaxis(as_is.triangles, -1, 0)
    assert (turned.triangles == np.stack([x, z, -y], axis=-1)).all()
    before, after = (
        np.cross(
            mesh.triangles[:, 1] - mesh.triangles[:, 0], mesh.triangles[:, 2] - mesh.triangles[:, 0]
        )
        for mesh in (as_is, turned)
    )
    assert (after == before[:, [0, 2, 1]] * [1, 1, -1]).all()  # a turn, not a reflection


def test_the_scene_graph_is_applied(tmp_path: Path) -> None:
    half = float(np.sqrt(0.5))
    nodes = [
        {"children": [1], "translation": [0, 0, 5]},
        {"mesh": 0, "rotation": [0, half, 0, half], "scale": [2, 1, 1]},
        {"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 10, 0, 0, 1]},
        {"mesh": 0},
    ]
    path = write_gltf(
        tmp_path / "scene.glb",
        [quad()],
        pictures=(PICTURE,),
        nodes=nodes,
        scenes=[{"nodes": [0, 2]}],
    )
    corners = load_scene(path).triangles.reshape(2, -1, 3)
    np.testing.assert_allclose(corners[0].min(axis=0), (0, -1, 3), atol=1e-6)
    np.testing.assert_allclose(corners[0].max(axis=0), (0, 1, 7), atol=1e-6)
    np.testing.assert_allclose(corners[1].min(axis=0), (9, -1, 0), atol=1e-6)


def test_faces_without_area_or_with_nan_are_dropped(tmp_path: Path) -> None:
    primitive = quad()
    position = np.vstack([primitive.attributes["POSITION"], [[np.nan, 0, 0]]]).astype(np.float32)
    attributes = {"POSITION": position}
    faces = np.array([[0, 1, 2], [0, 0, 2], [0, 1, 4]])
    odd = type(primitive)(attributes, faces)
    path = write_gltf(tmp_path / "scene.glb", [odd])
    assert len(load_scene(path).triangles) == 1


def test_a_scene_of_one_paint_is_flagged(tmp_path: Path) -> None:
    path = write_gltf(tmp_path / "scene.glb", [quad(material=None)])
    assert not load_scene(path).textured
    two = [{"pbrMetallicRoughness": {"baseColorFactor": [share, 0, 0, 1]}} for share in (1, 0.5)]
    path = write_gltf(
        tmp_path / "two.glb", [quad(material=0), quad(material=1, z=1)], materials=two
    )
    assert load_scene(path).textured
    with pytest.raises(SourceError, match="neither textures nor vertex colours") as caught:
        RaycastSimulator(
            tmp_path / "scene.glb", "hall", "y", agent_radius_m=0.1, agent_height_m=1.5
        )
    assert caught.value.reason == "untextured"


def test_a_simulator_renders(tmp_path: Path) -> None:
    path = write_gltf(tmp_path / "scene.glb", [quad()], pictures=(PICTURE,))
    simulator = RaycastSimulator(path, "hall", "y", agent_radius_m=0.1, agent_height_m=1.5)
    camera, pose = facing(16)
    seen = simulator.render(camera, pose, normals=True)
    assert (seen.rgb == shown(load_scene(path))).all()
    assert (simulator.depth(camera, pose) == seen.depth_m).all()
    assert seen.normals is not None
    simulator.close()


@pytest.mark.parametrize("suffix", [".glb", ".gltf", ".ply", ".obj"])
def test_what_is_no_scene_is_one_sentence(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scene{suffix}"
    for data in (b"", b"hello\n", bytes(range(256)) * 8):
        path.write_bytes(data)
        assert failure(path).reason in {"unreadable", "empty"}
    path.unlink()
    assert failure(path).reason == "unreadable"


def test_a_suffix_that_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "scene.fbx"
    path.write_bytes(b"x")
    error = failure(path)
    assert error.reason == "unreadable"
    assert ".glb" in str(error)


def test_files_that_end_early(tmp_path: Path) -> None:
    glb = write_gltf(tmp_path / "scene.glb", [quad()], pictures=(PICTURE,))
    whole = glb.read_bytes()
    for share in (0.02, 0.3, 0.6, 0.99):
        glb.write_bytes(whole[: int(len(whole) * share)])
        assert failure(glb).reason == "unreadable"
    gltf = write_gltf(tmp_path / "scene.gltf", [quad()], pictures=(PICTURE,))
    (tmp_path / "scene.bin").write_bytes((tmp_path / "scene.bin").read_bytes()[:50])
    assert failure(gltf).reason == "unreadable"
    ply = tmp_path / "scene.ply"
    trimesh.creation.icosphere().export(ply)
    ply.write_bytes(ply.read_bytes()[:3000])
    assert failure(ply).reason in {"unreadable", "empty"}


def test_a_scene_without_triangles(tmp_path: Path) -> None:
    path = tmp_path / "scene.gltf"
    path.write_text(json.dumps({"asset": {"version": "2.0"}}))
    assert failure(path).reason == "empty"
    points = quad()
    cloud = type(points)(points.attributes, None, 0, 0)
    assert failure(write_gltf(path, [cloud], pictures=(PICTURE,))).reason == "empty"
    ply = tmp_path / "cloud.ply"
    trimesh.PointCloud(QUAD).export(ply)
    assert failure(ply).reason == "empty"


def test_missing_files_are_named(tmp_path: Path) -> None:
    gltf = write_gltf(tmp_path / "scene.gltf", [quad()], pictures=(PICTURE,))
    (tmp_path / "picture0.png").unlink()
    error = failure(gltf)
    assert error.reason == "missing_texture"
    assert "picture0.png" in str(error)
    (tmp_path / "picture0.png").write_bytes(b"no picture")
    error = failure(gltf)
    assert error.reason == "missing_texture"
    assert "picture0.png" in str(error)
    (tmp_path / "scene.bin").unlink()
    assert "scene.bin" in str(failure(gltf))
    obj = write_obj(tmp_path)
    (tmp_path / "paint.png").unlink()
    error = failure(obj)
    assert error.reason == "missing_texture"
    assert "paint.png" in str(error)
    (tmp_path / "scene.mtl").unlink()
    assert "scene.mtl" in str(failure(obj))


def test_compressed_scenes_say_so(tmp_path: Path) -> None:
    path = tmp_path / "scene.glb"
    basis = [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]
    write_gltf(path, [quad()], pictures=(PICTURE,), textures=basis)
    error = failure(path)
    assert error.reason == "compressed"
    assert "KTX2" in str(error)
    assert "habitat" in str(error)
    for extension, word in (
        ("KHR_draco_mesh_compression", "Draco"),
        ("EXT_meshopt_compression", "meshopt"),
    ):
        primitive = {"attributes": {"POSITION": 0}, "extensions": {extension: {}}}
        write_gltf(path, [quad()], pictures=(PICTURE,), meshes=[{"primitives": [primitive]}])
        error = failure(path)
        assert error.reason == "compressed"
        assert word in str(error)


def test_indices_and_accessors_out_of_range(tmp_path: Path) -> None:
    odd = quad()
    wrong = type(odd)(odd.attributes, np.array([[0, 1, 9]]), 0)
    path = write_gltf(tmp_path / "scene.glb", [wrong], pictures=(PICTURE,))
    assert failure(path).reason == "unreadable"
    path = write_gltf(tmp_path / "scene.glb", [quad()], pictures=(PICTURE,), nodes=[{"mesh": 4}])
    assert failure(path).reason == "unreadable"
    circle = [{"mesh": 0, "children": [1]}, {"children": [0]}]
    path = write_gltf(tmp_path / "scene.glb", [quad()], pictures=(PICTURE,), nodes=circle)
    assert failure(path).reason == "unreadable"
    version = struct.pack("<III", 0x46546C67, 1, 12)
    path.write_bytes(version)
    assert failure(path).reason == "unreadable"


def test_another_process_renders_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "ball.ply"
    ball = trimesh.creation.icosphere(subdivisions=5)
    ball.visual = trimesh.visual.ColorVisuals(
        ball, vertex_colors=np.random.default_rng(0).integers(0, 255, (len(ball.vertices), 4))
    )
    ball.export(path)
    code = (
        "import sys, hashlib\nfrom pathlib import Path\nfrom raycast_scenes import looking\n"
        "from mimic.simulators.base import Camera\n"
        "from mimic.simulators.raycast import Raycaster, load_scene\n"
        "seen = Raycaster(load_scene(Path(sys.argv[1]))).render("
        "Camera.pinhole((160, 120), 60), looking((0.3, 0.2, 2.5), (0, 0, 0)))\n"
        "print(hashlib.sha256(seen.rgb.tobytes() + seen.depth_m.tobytes()).hexdigest())\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 65


@pytest.mark.data
def test_the_real_scenes_load(real_data: Path) -> None:
    scenes = real_data / "scenes"
    triangles = {"hololens_scan.glb": 54171, "hololens_fused.ply": 59999, "vr_gallery.glb": 1930}
    for name, count in triangles.items():
        mesh = load_scene(scenes / name)
        assert len(mesh.triangles) == count
        assert mesh.textured
    sponza = load_scene(scenes / "sponza_512.glb")
    assert sum(material.cutoff is not None for material in sponza.materials) == 3
    assert {m.picture.wrap for m in sponza.materials if m.picture} == {("repeat", "repeat")}


@pytest.mark.data
def test_the_office_is_where_its_recording_saw_it(real_data: Path) -> None:
    from mimic.simulators.base import Camera

    folder, scenes = real_data / "rgbd" / "hololens_000", real_data / "scenes"
    transform = json.loads((scenes / "hololens_fused.json").read_text())["T_yup_from_sequence"]
    poses = np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)
    names = sorted(path.stem for path in (folder / "images").iterdir())
    caster = Raycaster(load_scene(scenes / "hololens_scan.glb"))
    camera = Camera((540, 360), np.loadtxt(folder / "K.txt"))
    for index in (10, 40, 70):
        recorded = opencv.decode_png((folder / "depth" / f"{names[index]}.png").read_bytes()) / 1000
        seen = caster.depth(camera, np.array(transform) @ poses[index])
        both = (recorded > 0) & (seen > 0)
        assert both.sum() > 0.7 * (recorded > 0).sum()
        assert np.median(np.abs(recorded - seen)[both]) < 0.03
