"""A furnished room that the project makes itself: a scene to walk through, and videos of it."""

from mimic.demo.paths import orbit, stand_turn_cut, walk
from mimic.demo.room_file import write_boxes, write_room
from mimic.demo.scene import FURNISHED_ROOM, Box
from mimic.demo.videos import VIDEOS, frames_along, make_videos

__all__ = [
    "FURNISHED_ROOM",
    "VIDEOS",
    "Box",
    "frames_along",
    "make_videos",
    "orbit",
    "stand_turn_cut",
    "walk",
    "write_boxes",
    "write_room",
]
