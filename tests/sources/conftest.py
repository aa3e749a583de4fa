"""Fixtures of the source tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from source_media import write_video


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small videos, one peculiarity each."""
    folder = tmp_path_factory.mktemp("media")
    gaps = np.random.default_rng(1).integers(10, 90, 100)
    write_video(folder / "h264_b.mp4", b_frames=3)
    write_video(folder / "h264_b.ts", b_frames=3)
    write_video(folder / "open_gop.mkv", options={"x264-params": "open-gop=1:bframes=3:keyint=20"})
    write_video(folder / "mpeg4_b.avi", "mpeg4", b_frames=2)
    write_video(folder / "h264_b.avi", b_frames=3)
    write_video(folder / "mpeg2.mpg", "mpeg2video", b_frames=2)
    write_video(folder / "vp9.webm", "libvpx-vp9", options={"cpu-used": "8"})
    write_video(folder / "vfr.mkv", ticks=np.cumsum(gaps).tolist(), b_frames=2)
    write_video(folder / "late_start.mp4", first=100, b_frames=2)
    write_video(folder / "one_gop.mp4", gop=1000, options={"x264-params": "scenecut=0"})
    write_video(folder / "bare.h264", b_frames=2)
    write_video(folder / "refresh.ts", options={"x264-params": "intra-refresh=1:bframes=0"})
    return folder
