"""The embedded renderer: any textured mesh, on any machine, by casting rays."""

from mimic.simulators.raycast.render import Raycaster
from mimic.simulators.raycast.scene_mesh import SceneMesh, load_scene
from mimic.simulators.raycast.simulator import RaycastSimulator

__all__ = ["RaycastSimulator", "Raycaster", "SceneMesh", "load_scene"]
