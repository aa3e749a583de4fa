"""Camera poses of a plain video by structure from motion, and their scale by learned depth."""

from mimic.reconstruction.base import Reconstructed, SeenPoints
from mimic.reconstruction.scale import Scale, frame_ratio, scale_of

__all__ = ["Reconstructed", "Scale", "SeenPoints", "frame_ratio", "scale_of"]
