"""A room that the project renders itself: videos to try the miner on, with exact depth and pose."""

from mimic.demo.paths import look_at, orbit, stand_turn_cut, walk
from mimic.demo.render import Rendering, pinhole, render
from mimic.demo.scene import Box, Scene, build_scene, furnished_room
from mimic.demo.videos import VIDEOS, frames_along, make_videos

__all__ = [
    "VIDEOS",
    "Box",
    "Rendering",
    "Scene",
    "build_scene",
    "frames_along",
    "furnished_room",
    "look_at",
    "make_videos",
    "orbit",
    "pinhole",
    "render",
    "stand_turn_cut",
    "walk",
]
