"""The only module that knows PyAV: open a video, seek, decode upright frames with exact times.

Decoding uses one thread, so that the bytes do not depend on the machine and memory stays flat.
Times are exact fractions of a second, counted from the first frame that is shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Literal

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from mimic.errors import SourceError
from mimic.types import UInt8Image

THUMB_SIZE = (64, 36)
"""(width, height) of the grey thumbnail made of every decoded frame."""

_DECODING_TIMES = frozenset({"avi"})
"""Containers that store no presentation times. What PyAV guesses goes forth and back; the time at
which a frame leaves the decoder (``dts``) is regular and does not depend on where reading began."""

_NO_TIMES = frozenset({"h264", "hevc", "vvc", "m4v", "mjpeg", "mpegvideo", "obu", "dirac", "vc1"})
"""Bare streams: frames are counted at the stream's rate, and reading always begins at the start."""

_HELD_BACK = 4
"""Frames that are not handed over until those after them are known to be sound."""

_Times = Literal["presentation", "decoding", "none"]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What the header says of the chosen stream; numbers that may lie are None where absent.

    ``stream`` is its index in the container, ``size`` (width, height) as coded.
    """

    stream: int
    codec: str
    size: tuple[int, int]
    duration_s: float | None
    frame_rate: float | None


@dataclass(slots=True)
class Note:
    """Where and why decoding lost something; ``text`` is empty while nothing was lost."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded frame, converted to pixels only when asked.

    ``ticks`` is its time stamp in the stream's own unit, ``pts_s`` the same in seconds, ``time_s``
    the seconds since the stream's first frame, ``sar`` the shape of its pixels (width / height).
    """

    ticks: int
    time_s: Fraction
    pts_s: Fraction
    raw: Any
    sar: Fraction

    def rgb(self) -> UInt8Image:
        """(height, width, 3) RGB, upright, with square pixels."""
        return _upright(_square_rgb(self.raw, self.sar), int(self.raw.rotation))


class Video:
    """An open video. Made by :func:`open_video`."""

    def __init__(self, file: BinaryIO | str, name: str, stream: int | None) -> None:
        self._file = file
        self._name = name
        self._wanted = stream
        self._thumb = VideoReformatter()
        self._origin: int | None = None
        self.note = Note()
        self._container, self._stream = self._opened()
        self.info = _info_of(self._container, self._stream)
        self._times = _times_of(self._container.format.name)
        self._step = _ticks_per_frame(self._stream)

    def first_ticks(self) -> int:
        """Time stamp of the first frame shown. Raises SourceError where no frame decodes."""
        if self._origin is None:
            for ticks, _frame in self._stamped(None):
                self._origin = ticks
                break
            else:
                raise SourceError(
                    "undecodable",
                    f"{self._name}: no frame of its {self.info.codec} stream can be decoded"
                    + (f" ({self.note.text})" if self.note.text else ""),
                )
        return self._origin

    def decode(self, after_s: Fraction | None = None) -> Iterator[Decoded]:
        """Frames in the order they are shown, time stamps strictly increasing.

        ``after_s`` None: from the start. Else from a keyframe that is (as the container tells) at
        or before that time, without the frames that are not wholly decodable from there. After an
        error decoding goes on at the next keyframe, so what is lost does not depend on where it
        began; ``note`` says what was.
        """
        origin = self.first_ticks()
        base = self._stream.time_base
        seekable = after_s is not None and self._times != "none"
        at = origin + int(after_s / base) if after_s is not None and seekable else None
        last: int | None = None
        for ticks, frame in self._stamped(at):
            if last is not None and ticks <= last:
                continue
            last = ticks
            yield Decoded(
                ticks=ticks,
                time_s=(ticks - origin) * base,
                pts_s=ticks * base,
                raw=frame,
                sar=_pixel_aspect(self._stream),
            )

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    def thumb(self, frame: Decoded) -> NDArray[np.uint8]:
        """Grey thumbnail (h, w) of a frame as coded (not turned upright), of THUMB_SIZE."""
        width, height = THUMB_SIZE
        small = self._thumb.reformat(
            frame.raw, width=width, height=height, format="gray", interpolation="AREA", threads=1
        )
        return np.asarray(small.to_ndarray())

    def _stamped(self, at: int | None) -> Iterator[tuple[int, Any]]:
        """Sound frames with their time stamp, from a keyframe at or before ``at``, or the start.

        Some are held back: where a decoder patched a frame, those shown just before may have been
        made from it.
        """
        held: deque[tuple[int, Any]] = deque()
        last = -self._step
        for ticks, frame in self._decoded(at):
            last = ticks
            if frame.is_corrupt:
                held.clear()
                continue
            held.append((ticks, frame))
            if len(held) > _HELD_BACK:
                yield held.popleft()
        yield from held
        self._check_end(last)

    def _decoded(self, at: int | None) -> Iterator[tuple[int, Any]]:
        """Frames with their time stamp; of a damaged stretch only the first, patched one.

        What follows damage, up to the next keyframe, is left out, and so is what is shown before
        the keyframe where decoding begins (anew): it needs frames that were not read.
        """
        if at is None:
            self._reopen()
        else:
            self._seek(at)
        waiting = at is not None
        floor: int | None = None
        previous = -self._step
        for packet in self._packets():
            if waiting and packet.is_keyframe:
                waiting, floor = False, self._packet_ticks(packet)
            if waiting and packet.size:
                continue
            frames, failed = self._decode(packet)
            waiting = failed and not self._leads(packet, floor)
            for frame in frames:
                ticks = self._ticks(frame, previous)
                if ticks is None:
                    continue
                previous = ticks
                if floor is not None and ticks < floor:
                    continue
                yield ticks, frame
                if frame.is_corrupt:
                    self._lose(f"a frame is damaged{self._at_second(ticks)}")
                    self._stream.codec_context.flush_buffers()
                    waiting = True
                    break

    def _packet_ticks(self, packet: Any) -> int | None:
        ticks = packet.dts if self._times == "decoding" else packet.pts
        return None if ticks is None else int(ticks)

    def _leads(self, packet: Any, floor: int | None) -> bool:
        ticks = self._packet_ticks(packet)
        return floor is not None and ticks is not None and ticks < floor

    def _ticks(self, frame: Any, previous: int) -> int | None:
        if self._times == "none":
            return previous + self._step
        if self._times == "decoding":
            return int(frame.dts) if frame.dts is not None else previous + self._step
        return None if frame.pts is None else int(frame.pts)

    def _reopen(self) -> None:
        """Back to the very start: seeking there is not exact in every container."""
        self._container.close()
        self._container, self._stream = self._opened()

    def _opened(self) -> tuple[Any, Any]:
        container = _open(self._file, self._name)
        try:
            stream = _choose(container, self._wanted, self._name)
        except SourceError:
            container.close()
            raise
        stream.codec_context.thread_count = 1
        stream.thread_type = "NONE"
        return container, stream

    def _seek(self, at: int) -> None:
        try:
            self._container.seek(at, stream=self._stream, backward=True)
        except av.error.FFmpegError:
            self._reopen()  # this container cannot seek: read on from the start

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:
            self._lose(f"reading stopped: {error.strerror}")

    def _decode(self, packet: Any) -> tuple[list[Any], bool]:
        """Frames of a packet, and whether it failed (then the decoder is drained and emptied)."""
        second = self._at_second(self._packet_ticks(packet))
        if packet.is_corrupt:
            self._lose(f"the file is damaged{second}")
        else:
            try:
                return list(packet.decode()), False
            except av.error.FFmpegError as error:
                self._lose(f"decoding failed{second}: {error.strerror}")
        context = self._stream.codec_context
        try:
            rest = list(context.decode(None))
        except av.error.FFmpegError:
            rest = []
        context.flush_buffers()
        return rest, True

    def _at_second(self, ticks: int | None) -> str:
        return "" if ticks is None else f" at {float(ticks * self._stream.time_base):.3f} s"

    def _check_end(self, last: int) -> None:
        """Say where the video ends well before the time that the header tells."""
        duration_s = self.info.duration_s
        if duration_s is None or self._origin is None or last < self._origin:
            return
        # Some containers count the duration from zero, some from the first frame.
        end_s = float(max(last, last - self._origin) * self._stream.time_base)
        if duration_s - end_s > max(1.0, 0.05 * duration_s):
            self._lose(f"it ends at {end_s:.3f} s, though its header says {duration_s:.3f} s")

    def _lose(self, text: str) -> None:
        if not self.note.text:
            self.note.text = text


@contextmanager
def open_video(file: BinaryIO | str, name: str, stream: int | None = None) -> Iterator[Video]:
    """Open a video by path or as a seekable binary file; ``name`` is for messages.

    ``stream`` counts the container's video streams from 0; None takes the one with most pixels.

    Raises:
        SourceError: ``unreadable`` (no container PyAV knows), ``no_video_stream``.
    """
    video = Video(file, name, stream)
    try:
        yield video
    finally:
        video.close()


def _open(file: BinaryIO | str, name: str) -> Any:
    if not isinstance(file, str):
        file.seek(0)
    try:
        return av.open(file, mode="r", metadata_errors="ignore")
    except av.error.FFmpegError as error:
        raise SourceError(
            "unreadable", f"{name}: not a video that can be opened ({error.strerror})"
        ) from error


def _times_of(container_format: str) -> _Times:
    if container_format in _NO_TIMES:
        return "none"
    return "decoding" if container_format in _DECODING_TIMES else "presentation"


def _ticks_per_frame(stream: Any) -> int:
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    return max(1, round(1 / (Fraction(rate) * Fraction(stream.time_base))))


def _choose(container: Any, stream: int | None, name: str) -> Any:
    videos = [s for s in container.streams.video if s.codec_context is not None]
    if not videos:
        kinds = sorted({s.type for s in container.streams}) or ["nothing"]
        raise SourceError(
            "no_video_stream", f"{name}: has no video stream (only {', '.join(kinds)})"
        )
    if stream is None:
        return max(videos, key=lambda s: (_pixels(s), -s.index))
    if stream >= len(videos):
        raise SourceError(
            "no_video_stream",
            f"{name}: has {len(videos)} video stream(s), none with index {stream} "
            "(source.video.stream counts from 0)",
        )
    return videos[stream]


def _pixels(stream: Any) -> int:
    return int(stream.codec_context.width) * int(stream.codec_context.height)


def _info_of(container: Any, stream: Any) -> VideoInfo:
    context = stream.codec_context
    duration = None
    if stream.duration:
        duration = float(stream.duration * stream.time_base)
    elif container.duration:
        duration = container.duration / 1_000_000
    rate = stream.average_rate or stream.guessed_rate
    return VideoInfo(
        stream=int(stream.index),
        codec=str(context.name),
        size=(int(context.width), int(context.height)),
        duration_s=duration if duration and duration > 0 else None,
        frame_rate=float(rate) if rate else None,
    )


def _pixel_aspect(stream: Any) -> Fraction:
    """Width of a pixel over its height; 1 where unknown."""
    ratio = stream.sample_aspect_ratio
    return Fraction(ratio) if ratio else Fraction(1)


def _square_rgb(raw: Any, sar: Fraction) -> UInt8Image:
    """RGB with square pixels: the side with the shorter pixels is never shrunk, the other grows."""
    width, height = raw.width, raw.height
    # Ratios within 2 % of square are rounding in headers (1280/1281), not anamorphic footage.
    if abs(float(sar) - 1) > 0.02 and Fraction(1, 4) <= sar <= 4:
        if sar > 1:
            width = round(width * sar)
        else:
            height = round(height / sar)
    rgb = raw.reformat(
        width=width, height=height, format="rgb24", interpolation="BICUBIC", threads=1
    )
    return np.ascontiguousarray(rgb.to_ndarray())


def _upright(rgb: UInt8Image, rotation: int) -> UInt8Image:
    """Turn by the frame's display matrix: ``rotation`` degrees counter-clockwise."""
    quarter_turns = round(rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns)) if quarter_turns else rgb


def write_video(path: Path, frames: Iterable[UInt8Image], fps: int) -> None:
    """Encode frames of one even size as H.264 in the container that ``path`` names.

    One encoder thread, so that the file does not depend on the number of cores.
    """
    with av.open(str(path), mode="w") as container:
        stream = None
        for rgb in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=fps)
                stream.height, stream.width = rgb.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": "18", "preset": "fast", "threads": "1"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode(None))
