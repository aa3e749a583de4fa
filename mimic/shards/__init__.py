"""Parts and shards: how samples lie on disk, how they are written, read and checked.

Imports neither OpenCV nor PyAV: training reads shards with this package alone.
"""
