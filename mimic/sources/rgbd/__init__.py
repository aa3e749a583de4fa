"""RGB-D sequences with camera poses, in the layouts people have."""

from mimic.sources.rgbd.index import PosedIndex
from mimic.sources.rgbd.layouts import LAYOUTS, find_sequences
from mimic.sources.rgbd.listed import Found
from mimic.sources.rgbd.opened import Opened, opened, posed_frames
from mimic.sources.rgbd.source import RgbdSource

__all__ = [
    "LAYOUTS",
    "Found",
    "Opened",
    "PosedIndex",
    "RgbdSource",
    "find_sequences",
    "opened",
    "posed_frames",
]
