"""The habitat simulator against a stand-in that notes the calls; see also test_habitat_real.py."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import fake_habitat
import numpy as np
import pytest

from mimic.errors import MimicError, SourceError
from mimic.simulators import habitat
from mimic.simulators.base import Camera
from mimic.simulators.habitat import HabitatSimulator, hfov_deg_of, installed
from mimic.simulators.opengl import cam_to_world_of

CAMERA = Camera.pinhole((8, 6), 60.0)


@pytest.fixture
def sims(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(habitat, "_current", None)
    return fake_habitat.install(monkeypatch).made


@pytest.fixture
def room(tmp_path: Path) -> Path:
    path = tmp_path / "room.glb"
    path.write_bytes(b"glTF")
    return path


def opened(path: Path, up: str = "y", **options) -> HabitatSimulator:
    return HabitatSimulator(path, path.name, up, **options)


def pose(x: float = 0.0, quaternion: tuple[float, ...] = (1, 0, 0, 0)) -> np.ndarray:
    return cam_to_world_of(np.array([x, 1.5, 0.0]), np.array(quaternion))


def test_without_habitat_one_sentence_says_what_to_do(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "habitat_sim", None)
    assert installed() is None
    with pytest.raises(MimicError, match=r"docs/scenes\.md.*raycast, which needs nothing"):
        opened(room)


def test_its_version_is_known_where_it_is_installed(sims) -> None:
    assert installed() == "0.3.3"


@pytest.mark.parametrize(
    ("up", "axes"), [("y", [(0, 1, 0), (0, 0, -1)]), ("z", [(0, 0, 1), (0, 1, 0)])]
)
def test_the_files_axes_are_told_to_habitat(sims, room: Path, up: str, axes: list) -> None:
    opened(room, up)
    config = sims[0].config
    stage = config.metadata_mediator.stage_template_manager.registered[str(room)]
    assert [stage.orient_up.values, stage.orient_front.values] == axes
    assert config.sim_cfg.scene_id == str(room)


def test_what_is_not_needed_is_off(sims, room: Path) -> None:
    opened(room, gpu_device_id=-1)
    settings = sims[0].config.sim_cfg
    assert settings.gpu_device_id == -1
    assert not settings.enable_physics
    assert not settings.load_semantic_mesh
    assert settings.override_scene_light_defaults
    assert settings.scene_light_setup == "no_lights"


def test_a_data_set_decides_the_axes_itself(sims, room: Path, tmp_path: Path) -> None:
    config = tmp_path / "x.scene_dataset_config.json"
    config.write_text("{}")
    opened(room, scene_dataset=config)
    assert sims[0].config.sim_cfg.scene_dataset_config_file == str(config)
    assert sims[0].config.metadata_mediator is None
    assert sims[0].recomputed.include_static_objects


@pytest.mark.parametrize("name", ["room.navmesh", "room.basis.navmesh"])
def test_a_navmesh_beside_the_scene_is_its_floor(sims, room: Path, name: str) -> None:
    room.with_name(name).write_bytes(b"navmesh")
    simulator = opened(room)
    assert sims[0].pathfinder.loaded_from == str(room.with_name(name))
    assert sims[0].recomputed is None
    assert simulator.navigable_area_m2 == 16


def test_replicas_navmesh_is_found_in_its_place(sims, tmp_path: Path) -> None:
    scene = tmp_path / "mesh.ply"
    scene.write_bytes(b"ply")
    (tmp_path / "habitat").mkdir()
    (tmp_path / "habitat" / "mesh_semantic.navmesh").write_bytes(b"navmesh")
    opened(scene, "z")
    assert sims[0].pathfinder.loaded_from.endswith("habitat/mesh_semantic.navmesh")


def test_without_one_the_floor_is_computed_for_the_agent(sims, room: Path) -> None:
    opened(room, agent_radius_m=0.2, agent_height_m=1.8)
    settings = sims[0].recomputed
    assert (settings.agent_radius, settings.agent_height) == (0.2, 1.8)
    assert not settings.include_static_objects


def test_a_broken_navmesh_is_named_and_the_context_let_go(sims, room: Path) -> None:
    room.with_name("room.navmesh").write_bytes(b"junk")
    with pytest.raises(SourceError, match=r"room\.navmesh: is no navmesh") as caught:
        opened(room)
    assert caught.value.reason == "broken_navmesh"
    assert sims[0].closed


def test_a_scene_without_a_floor_has_no_area_and_no_point(sims, room: Path) -> None:
    room.write_bytes(b"no floor")
    simulator = opened(room)
    assert simulator.navigable_area_m2 == 0
    with pytest.raises(SourceError, match=r"room\.glb: has no floor"):
        simulator.random_point(np.random.default_rng(0))


def test_a_broken_scene_is_one_line(sims, room: Path) -> None:
    room.write_bytes(b"broken")
    with pytest.raises(SourceError, match=r"^room\.glb: .*Cannot load stage\)$") as caught:
        opened(room)
    assert caught.value.reason == "broken_scene"


def test_a_floor_that_cannot_be_computed_is_one_line_too(sims, room: Path) -> None:
    room.write_bytes(b"no vertices")
    with pytest.raises(SourceError, match=r"^room\.glb: .*has no vertices\)$"):
        opened(room)
    assert sims[0].closed


def test_a_missing_scene_is_named(sims, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.glb: there is no such file"):
        opened(tmp_path / "gone.glb")


def test_a_random_point_is_a_function_of_the_generator(sims, room: Path) -> None:
    simulator = opened(room)
    first = simulator.random_point(np.random.default_rng(5))
    simulator.random_point(np.random.default_rng(6))
    np.testing.assert_array_equal(first, simulator.random_point(np.random.default_rng(5)))
    rng = np.random.default_rng(5)
    points = {tuple(simulator.random_point(rng)) for _ in range(20)}
    assert len(points) == 20


def test_where_nothing_is_near_there_is_no_point_to_snap_to(sims, room: Path) -> None:
    simulator = opened(room)
    assert simulator.snap(np.array([0.0, 9.0, 0.0])) is None
    np.testing.assert_allclose(simulator.snap(np.array([3.0, 1.0, 1.0])), [2, 0, 1])
    assert simulator.island_radius_m(np.zeros(3)) == 2.5


def test_a_step_slides_along_the_wall_or_stops_at_it(sims, room: Path) -> None:
    simulator = opened(room)
    start, end = np.array([1.0, 0, 0]), np.array([3.0, 0, 1])
    np.testing.assert_allclose(simulator.step(start, end, slide=True), [2, 0, 1])
    np.testing.assert_allclose(simulator.step(start, end, slide=False), [2, 0, 0.5])


def test_a_rendering_is_upright_and_stays_when_the_next_is_drawn(sims, room: Path) -> None:
    simulator = opened(room)
    first = simulator.render(CAMERA, pose(x=0))
    second = simulator.render(CAMERA, pose(x=10), normals=True)
    assert first.rgb.shape == (6, 8, 3)
    assert (first.rgb[0] == 1).all()
    assert (first.rgb[1:] == 2).all()
    assert (first.depth_m[0] == 1).all()
    assert first.depth_m.dtype == np.float32
    assert (second.depth_m[1:] == 12).all()
    assert second.normals is None


def test_the_agent_stands_where_the_camera_is(sims, room: Path) -> None:
    simulator = opened(room)
    simulator.depth(CAMERA, pose(1, (0.8, 0, 0.6, 0)))
    state = sims[0].get_agent(1).state
    np.testing.assert_allclose(state.position, [1, 1.5, 0])
    np.testing.assert_allclose(state.rotation, [0, 0.6, 0, 0.8])  # x, y, z, w


def test_only_what_is_asked_for_is_drawn_and_sensors_are_kept(sims, room: Path) -> None:
    simulator = opened(room)
    simulator.depth(CAMERA, pose())
    simulator.render(CAMERA, pose())
    simulator.depth(CAMERA.scaled(0.5), pose())
    simulator.render(CAMERA, pose())
    drawn = sims[0].drawn
    assert drawn == ["depth_1", "color_2", "depth_1", "depth_3", "color_2", "depth_1"]
    spec = sims[0].get_agent(3).sensors[0]
    assert spec.resolution.values == (3, 4)
    assert spec.hfov == pytest.approx(60)
    assert spec.position.values == (0, 0, 0)


def test_too_many_cameras_are_refused(sims, room: Path) -> None:
    simulator = opened(room)
    for width in range(16, 16 + habitat.CAMERAS):
        simulator.render(Camera.pinhole((width, 16), 90), pose())
    with pytest.raises(MimicError, match="more than 4 different cameras"):
        simulator.render(Camera.pinhole((99, 16), 90), pose())


@pytest.mark.parametrize(("size", "hfov_deg"), [((256, 256), 90.0), ((640, 480), 60.0)])
def test_a_pinhole_camera_is_its_field_of_view(size: tuple[int, int], hfov_deg: float) -> None:
    assert hfov_deg_of(Camera.pinhole(size, hfov_deg)) == pytest.approx(hfov_deg, abs=1e-9)


@pytest.mark.parametrize(("row", "column"), [(0, 2), (1, 2), (1, 1), (0, 1)])
def test_other_intrinsics_are_refused_in_one_sentence(row: int, column: int) -> None:
    intrinsics = CAMERA.intrinsics.copy()
    intrinsics[row, column] += 0.5
    with pytest.raises(MimicError, match="square pixels and the principal point in the middle"):
        hfov_deg_of(Camera(CAMERA.size, intrinsics))


def test_a_process_has_one_simulator_at_a_time(sims, room: Path) -> None:
    first = opened(room)
    opened(room, "z")
    assert [sim.closed for sim in sims] == [True, False]
    with pytest.raises(RuntimeError, match="closed"):
        first.render(CAMERA, pose())
    first.close()  # nothing is left to close: the second stays open
    assert not sims[1].closed


def test_one_that_was_closed_or_forgotten_is_no_hindrance(sims, room: Path) -> None:
    opened(room).close()
    assert sims[0].closed
    opened(room).close()
    gc.collect()
    opened(room)
    assert [sim.closed for sim in sims] == [True, True, False]
