"""Media for the tests, made here: no binary files in the repository."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 25


def picture(i: int, width: int = 96, height: int = 64, seed: int = 0) -> np.ndarray:
    """A window that moves over a random texture."""
    texture = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)
    texture = texture.repeat(8, 0).repeat(8, 1)
    x, y = (2 * i) % (texture.shape[1] - width), i % (texture.shape[0] - height)
    return np.ascontiguousarray(texture[y : y + height, x : x + width])


def write_video(
    path: Path,
    codec: str = "libx264",
    frames: int = 100,
    *,
    pix_fmt: str = "yuv420p",
    b_frames: int | None = None,
    gop: int = 20,
    first: int = 0,
    ticks: list[int] | None = None,
    sar: Fraction | None = None,
    rotation: int | None = None,
    sizes: tuple[tuple[int, int], ...] = ((96, 64),),
    pictures: list[np.ndarray] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode ``frames`` pictures at 25 a second (or at ``ticks`` milliseconds)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    clock = Fraction(1, 1000) if ticks else Fraction(1, RATE)
    with av.open(str(path), "w") as container:
        streams = []
        for width, height in sizes:
            stream = container.add_stream(codec, rate=RATE)
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            stream.codec_context.gop_size = gop
            stream.codec_context.options = options or {}
            stream.codec_context.time_base = clock
            if b_frames is not None:
                stream.codec_context.max_b_frames = b_frames
            if sar:
                stream.codec_context.sample_aspect_ratio = sar
            if rotation is not None:
                stream.set_display_rotation(rotation)
            streams.append(stream)
        for i in range(frames if pictures is None else len(pictures)):
            for stream, (width, height) in zip(streams, sizes, strict=True):
                rgb = picture(i, width, height) if pictures is None else pictures[i]
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)
                frame.pts, frame.time_base = (ticks[i] if ticks else i + first), clock
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


MEDIA = (
    "h264_b.mp4",
    "h264_b.ts",
    "open_gop.mkv",
    "mpeg4_b.avi",
    "h264_b.avi",
    "mpeg2.mpg",
    "vp9.webm",
    "vfr.mkv",
    "late_start.mp4",
    "one_gop.mp4",
    "bare.h264",
    "refresh.ts",
)
