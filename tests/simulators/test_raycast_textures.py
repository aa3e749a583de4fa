from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from raycast_scenes import (
    QUAD,
    QUAD_FACES,
    QUAD_UV,
    Primitive,
    facing,
    looking,
    mesh_of,
    noise,
    quad,
    quad_mesh,
    shifted,
    write_gltf,
)

from mimic import opencv
from mimic.simulators.base import Camera
from mimic.simulators.raycast import Raycaster, load_scene
from mimic.simulators.raycast.materials import to_linear, to_srgb

# Measured on the painted wall: a mean error of 2.8 and 20 at the 99th percentile (one unfiltered
# ray a pixel: 4.4 and 38), and as many keypoints kept as by the mean of 36 (unfiltered: 0.2 less).
MEAN_ERROR, WORST_ERROR, LOST_KEYPOINTS = 3.3, 25, 0.05


def seen(path: Path, pixels: int) -> NDArray[np.uint8]:
    """The picture of a camera that the quad of a scene file fills."""
    camera, pose = facing(pixels)
    return Raycaster(load_scene(path)).render(camera, pose).rgb


def same(one: Any, other: Any, levels: int = 0) -> bool:
    """Whether pictures of the quad agree away from its diagonal, where rays are averaged."""
    height, width = np.shape(one)[:2]
    y, x = np.indices((height, width)) + 0.5
    away = np.abs(x / width + y / height - 1) > 1.7 / min(width, height)
    assert away.any()
    return near(np.asarray(one)[away], np.asarray(other)[away], levels)


def near(one: Any, other: Any, levels: int = 1) -> bool:
    return bool(np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= levels)


@pytest.mark.parametrize(("width", "height"), [(8, 8), (16, 16), (13, 13)])
def test_texel_centres_show_their_texel(width: int, height: int) -> None:
    picture = noise((width, height))
    camera, pose = facing(width)
    assert same(Raycaster(quad_mesh(picture)).render(camera, pose).rgb, picture)


def test_between_texels_colours_are_interpolated() -> None:
    picture = noise((8, 8))
    camera, pose = facing(8)
    moved = Raycaster(quad_mesh(picture)).render(shifted(camera, 0.25, 0), pose).rgb
    expected = np.rint(0.75 * picture + 0.25 * np.roll(picture, 1, axis=1))
    assert same(moved[:, 1:], expected[:, 1:], 1)


@pytest.mark.parametrize(
    ("code", "mode"), [(10497, "wrap"), (33071, "edge"), (33648, "symmetric"), (None, "wrap")]
)
@pytest.mark.parametrize("axis", [0, 1])
def test_wrap_modes(tmp_path: Path, code: int | None, mode: Any, axis: int) -> None:
    picture = noise((6, 6))
    uv = QUAD_UV.copy()
    uv[:, axis] = QUAD_UV[:, axis] * 5 - 2  # two pictures before, two after
    key = "wrapS" if axis == 0 else "wrapT"
    sampler = {} if code is None else {key: code}
    size = 6 * (5 if axis == 0 else 1), 6 * (1 if axis == 0 else 5)
    path = write_gltf(
        tmp_path / "scene.glb",
        [quad(uv)],
        pictures=(picture,),
        samplers=[sampler],
        textures=[{"source": 0, "sampler": 0}],
    )
    intrinsics = np.diag([size[0] / 2, size[1] / 2, 1.0])
    intrinsics[:2, 2] = size[0] / 2, size[1] / 2
    camera, pose = Camera(size, intrinsics), looking((0, 0, 1), (0, 0, 0))
    shown = Raycaster(load_scene(path)).render(camera, pose).rgb
    pad = [(0, 0), (0, 0), (0, 0)]
    pad[1 - axis] = (12, 12)
    assert same(shown, np.pad(picture, pad, mode=mode))


def test_a_repeated_picture_has_no_seam(tmp_path: Path) -> None:
    picture = noise((6, 6))
    path = write_gltf(tmp_path / "scene.glb", [quad(QUAD_UV * 3)], pictures=(picture,))
    fine = seen(path, 36).astype(int)
    first, second = fine[4:10, 1:8], fine[4:10, 13:20]
    assert near(first, second)


def test_the_base_colour_factor_is_linear(tmp_path: Path) -> None:
    picture = noise((8, 8))
    factor = [0.5, 1.0, 0.2, 1.0]
    material = {
        "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": factor}
    }
    path = write_gltf(tmp_path / "scene.glb", [quad()], pictures=(picture,), materials=[material])
    expected = to_srgb(to_linear(picture / 255) * factor[:3]) * 255
    assert same(seen(path, 8), np.rint(expected), 1)


def test_vertex_colours_multiply_the_texture(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 0], [1, 1, 1], [1, 1, 1], [0, 0, 0]], np.float32)
    white = np.full((4, 4, 3), 200, np.uint8)
    path = write_gltf(tmp_path / "scene.glb", [quad(COLOR_0=colours)], pictures=(white,))
    ramp = (np.arange(16) + 0.5) / 16 * 200
    assert near(seen(path, 16), np.broadcast_to(np.rint(ramp)[None, :, None], (16, 16, 3)))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_vertex_colours_of_all_types(tmp_path: Path, kind: str) -> None:
    share = to_linear(np.array([100, 60, 250]) / 255)
    top = 1 if kind == "float32" else np.iinfo(kind).max
    colours = np.broadcast_to(share * top, (4, 3))
    colours = colours.astype(kind) if top == 1 else np.rint(colours).astype(kind)
    bare = quad(material=None, COLOR_0=colours)
    path = write_gltf(tmp_path / "scene.glb", [bare])
    assert near(seen(path, 4), [100, 60, 250], 3 if kind == "uint8" else 1)


def test_several_materials(tmp_path: Path) -> None:
    halves = [quad(material=index) for index in range(2)]
    for index, half in enumerate(halves):
        half.attributes["POSITION"] = (QUAD * [0.5, 1, 1] + [index - 0.5, 0, 0]).astype(np.float32)
    plain = quad(material=2, size=0.5, z=0.001)
    pictures = noise((4, 8), 1), noise((4, 8), 2)
    materials = [
        *({"pbrMetallicRoughness": {"baseColorTexture": {"index": index}}} for index in range(2)),
        {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}},
    ]
    path = write_gltf(
        tmp_path / "scene.glb", [*halves, plain], pictures=pictures, materials=materials
    )
    shown = seen(path, 8)
    both = np.hstack(pictures)
    corner = np.s_[[0, 0, 7, 7], [0, 1, 6, 7]]  # away from where triangles meet
    assert (shown[corner] == both[corner]).all()
    assert (shown[3:5, 3:5] == [255, 0, 0]).all()


def test_the_second_set_of_coordinates_and_their_transform(tmp_path: Path) -> None:
    picture = noise((16, 16))
    info = {
        "index": 0,
        "texCoord": 1,
        "extensions": {"KHR_texture_transform": {"offset": [0.25, 0.5], "scale": [0.5, 0.5]}},
    }
    primitive = quad(np.zeros((4, 2)), TEXCOORD_1=QUAD_UV.astype(np.float32))
    path = write_gltf(
        tmp_path / "scene.glb",
        [primitive],
        pictures=(picture,),
        materials=[{"pbrMetallicRoughness": {"baseColorTexture": info}}],
    )
    assert same(seen(path, 8), picture[8:16, 4:12])


def test_a_rotated_texture(tmp_path: Path) -> None:
    picture = noise((8, 8))
    move = {"rotation": np.pi / 2, "offset": [0, 1]}
    info = {"index": 0, "extensions": {"KHR_texture_transform": move}}
    path = write_gltf(
        tmp_path / "scene.glb",
        [quad()],
        pictures=(picture,),
        materials=[{"pbrMetallicRoughness": {"baseColorTexture": info}}],
    )
    # u' = v, v' = 1 - u: the column at the left edge shows the picture's bottom row
    assert same(seen(path, 8), picture[::-1].transpose(1, 0, 2), 1)


def test_a_ray_goes_through_what_alpha_cuts_out(tmp_path: Path) -> None:
    front = np.dstack([np.full((4, 4, 3), 250, np.uint8), np.zeros((4, 4), np.uint8)])
    front[:, 2:, 3] = 255
    back = noise((4, 4))
    textured = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": i}}} for i in range(2)]
    for mode, through in (("MASK", True), ("BLEND", True), ("OPAQUE", False)):
        path = write_gltf(
            tmp_path / "scene.glb",
            [
                quad(material=0, z=0.2, size=0.8),
                quad(material=0, z=0.1, size=0.9),
                quad(material=1),
            ],
            pictures=(front, back),
            materials=[textured[0] | {"alphaMode": mode}, textured[1]],
        )
        camera, pose = facing(16)
        rendering = Raycaster(load_scene(path)).render(camera, pose)
        left, right = np.s_[:, :7], np.s_[:, 9:]
        assert near(rendering.rgb[right], 250)
        np.testing.assert_allclose(rendering.depth_m[right], 0.8, rtol=1e-5)
        np.testing.assert_allclose(rendering.depth_m[left], 1.0 if through else 0.8, rtol=1e-5)
        assert near(rendering.rgb[left], 250) != through


def test_what_is_cut_away_does_not_bleed_into_what_is_seen(tmp_path: Path) -> None:
    leaf = np.zeros((64, 64, 4), np.uint8)  # black where cut away
    leaf[16:48, 16:48] = 240
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}, "alphaMode": "MASK"}
    path = write_gltf(tmp_path / "scene.glb", [quad()], pictures=(leaf,), materials=[material])
    camera, pose = facing(128)
    shown = Raycaster(load_scene(path)).render(camera, pose)
    assert (shown.rgb[40:88, 40:88] > 230).all()
    far = Raycaster(load_scene(path)).render(
        Camera.pinhole((65, 65), 60), looking((0, 0, 8), (0, 0, 0))
    )
    assert (far.rgb[32, 32] > 230).all()


def test_a_fine_checkerboard_seen_from_afar_is_grey() -> None:
    board = np.indices((512, 512)).sum(axis=0) % 2 * 255
    picture = np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)
    caster = Raycaster(quad_mesh(picture))
    camera = Camera.pinhole((64, 64), 30)
    shown = caster.render(camera, looking((0.3, 0.2, 12), (0.1, 0, 0))).rgb.astype(int)
    inside = shown[24:40, 24:40]
    assert np.abs(inside - 127).max() <= 3
    tilted = caster.render(camera, looking((0.0, 3.0, 0.4), (0, 0, 0))).rgb.astype(int)
    middle = tilted[30:34, 20:44]
    assert np.abs(middle - 127).max() <= 40


def test_patches_of_an_atlas_do_not_bleed_when_small() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:, :, 2] = 255  # blue around a red patch of 32 texels
    picture[112:144, 112:144] = [255, 0, 0]
    uv = QUAD_UV * 30 / 256 + 113 / 256
    caster = Raycaster(mesh_of(QUAD[QUAD_FACES], uv[QUAD_FACES], picture))
    far = caster.render(Camera.pinhole((65, 65), 40), looking((0, 0, 118), (0, 0, 0)))  # 1.5 pixels
    assert (far.rgb[32, 32] == [255, 0, 0]).all()


def wall_view() -> tuple[Raycaster, Camera, NDArray[np.float64]]:
    """A finely painted wall seen askew: 0.3 to 3 texels a pixel; posts before it."""
    picture = noise((900, 900), cell=5)
    for cell in (17, 53):
        picture = (picture // 2 + noise((900, 900), cell, cell=cell) // 2).astype(np.uint8)
    wall = QUAD * [4, 3, 1]
    posts = [QUAD * [0.07, 3, 1] + [x, 0, 0.6] for x in (-2.0, -0.9, 0.4, 1.7)]
    corners = np.concatenate([quad[QUAD_FACES] for quad in (wall, *posts)])
    uv = np.concatenate([QUAD_UV[QUAD_FACES], *[QUAD_UV[QUAD_FACES] * 0.2] * len(posts)])
    return (
        Raycaster(mesh_of(corners, uv, picture)),
        Camera.pinhole((256, 256), 70),
        looking((-2.5, 0.4, 2.2), (0.6, 0, 0)),
    )


def reference(caster: Raycaster, camera: Camera, pose: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The mean of 6 x 6 rays a pixel, each with textures filtered for itself."""
    return opencv.resize(caster.render(camera.scaled(6), pose).rgb, camera.size)


def repeated(one: NDArray[np.uint8], two: NDArray[np.uint8], shift: tuple[float, float]) -> float:
    """Share of the 200 strongest keypoints that the other picture has within a pixel."""
    first, second = (opencv.sift(opencv.to_gray(rgb), 200) for rgb in (one, two))
    away = np.linalg.norm(first.xy[:, None] + np.float32(shift) - second.xy[None], axis=2)
    octaves = np.abs(np.log2(first.size[:, None] / second.size[None]))
    return float(((away < 1) & (octaves < 0.5)).any(axis=1).mean())


def test_a_picture_is_near_the_mean_of_many_rays() -> None:
    caster, camera, pose = wall_view()
    shown = caster.render(camera, pose).rgb.astype(int)
    error = np.abs(shown - reference(caster, camera, pose))
    assert error.mean() < MEAN_ERROR
    assert np.percentile(error, 99) < WORST_ERROR


def test_keypoints_stay_when_the_picture_moves_by_parts_of_a_pixel() -> None:
    caster, camera, pose = wall_view()
    still = caster.render(camera, pose).rgb
    for shift in ((0.37, -0.61), (0.5, 0.5)):
        moved = caster.render(shifted(camera, *shift), pose).rgb
        best = repeated(
            reference(caster, camera, pose), reference(caster, shifted(camera, *shift), pose), shift
        )
        assert repeated(still, moved, shift) > best - LOST_KEYPOINTS


def test_strips_fans_and_unindexed_triangles(tmp_path: Path) -> None:
    picture = noise((8, 8))
    position, uv = QUAD.astype(np.float32), QUAD_UV.astype(np.float32)
    for order, mode in (([1, 0, 2, 3], 5), ([0, 1, 2, 3], 6), ([0, 1, 2, 0, 2, 3], None)):
        primitive = Primitive({"POSITION": position[order], "TEXCOORD_0": uv[order]}, None, 0, mode)
        path = write_gltf(tmp_path / "scene.glb", [primitive], pictures=(picture,))
        assert same(seen(path, 8), picture)


def test_quantised_geometry(tmp_path: Path) -> None:
    picture = noise((8, 8))
    primitive = Primitive(
        {
            "POSITION": (QUAD * 32767).astype(np.int16),
            "TEXCOORD_0": (QUAD_UV * 65535).astype(np.uint16),
        },
        QUAD_FACES,
        0,
    )
    path = write_gltf(tmp_path / "scene.glb", [primitive], pictures=(picture,))
    assert same(seen(path, 8), picture)
