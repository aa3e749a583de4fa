"""A sequence at hand: its usable frames, their geometry and their pictures."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mimic.errors import SourceError
from mimic.geometry.posed_depth import PosedDepth
from mimic.ids import stable_id
from mimic.sources.fingerprint import fingerprint_of_bytes
from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.decode import decode_colour, decode_depth
from mimic.sources.rgbd.index import PosedIndex, index_of
from mimic.sources.rgbd.layouts import LAYOUTS
from mimic.sources.rgbd.lens import (
    Grid,
    coarse_grid,
    depth_at,
    full_grid,
    size_of,
    straight_picture,
    straightened,
)
from mimic.sources.rgbd.listed import Lens, Listed
from mimic.types import Frame, SourceItem, UInt8Image

PROBE_PX = 64
"""Long side of the coarse depth by which pairs are chosen, at most."""

_log = logging.getLogger("mimic")


@dataclass(frozen=True)
class Opened:
    """A sequence: ``index`` tells its usable frames; the methods take a row of it."""

    bundle: Bundle
    index: PosedIndex
    _probes: dict[int, PosedDepth] = field(default_factory=dict)

    def probe(self, row: int) -> PosedDepth:
        """Depth at every n-th pixel, a long side of at most 64; all 0 where it does not decode.

        It is kept, 12 kB a frame: every unit of a sequence asks for all of them.

        Raises:
            SourceError: ``vanished`` or ``changed``.
        """
        if row not in self._probes:
            self._probes[row] = self._probe(row)
        return self._probes[row]

    def _probe(self, row: int) -> PosedDepth:
        frame, lens = self.index.frames[row], self._lens(row)
        assert frame.depth is not None
        grid, intrinsics = coarse_grid(straightened(lens), PROBE_PX)
        depth_m = self._depth(frame, self.bundle.read(frame.depth.blob), lens, grid)
        return PosedDepth(depth_m, intrinsics, self.index.cam_to_world[row])

    def look(self, row: int) -> Frame:
        """The frame, colour and depth as a pinhole sees them; depth all 0 where it does not decode.

        Of a sequence without depth, the frame without.

        Raises:
            SourceError: ``vanished`` or ``changed``; ``unreadable_frame``: its picture does not
                decode, or is of another size than its intrinsics are of.
        """
        frame, lens = self.index.frames[row], self._lens(row)
        colour = self.bundle.read(frame.colour)
        deep = None if frame.depth is None else self.bundle.read(frame.depth.blob)
        pinhole, depth_m = straightened(lens), None
        if deep is not None:
            depth_m = self._depth(frame, deep, lens, full_grid(size_of(pinhole)))
        return Frame(
            frame_id=self._frame_id(row, colour, deep),
            slot=frame.slot,
            label=frame.name,
            pts_s=frame.stamp_s,
            shot=0,
            rgb=straight_picture(self._picture(frame, colour, lens), lens),
            depth_m=depth_m,
            intrinsics=pinhole.intrinsics,
            cam_to_world=self.index.cam_to_world[row],
        )

    def _lens(self, row: int) -> Lens:
        lens = self.index.frames[row].lens
        assert lens is not None
        return lens

    def _depth(self, frame: Listed, data: bytes, lens: Lens, grid: Grid) -> NDArray[np.float32]:
        assert frame.depth is not None
        try:
            return depth_at(grid, lens, decode_depth(data, frame.depth), frame.depth_lens)
        except ValueError as error:
            # Without depth nothing is labelled: that is never wrong, and the others can be used.
            _log.warning("%s: no depth (%s)", self.bundle.shown(frame.name), error)
            return np.zeros((len(grid.y), len(grid.x)), dtype=np.float32)

    def _picture(self, frame: Listed, data: bytes, lens: Lens) -> UInt8Image:
        try:
            rgb = decode_colour(data)
        except ValueError as error:
            raise self._unreadable(frame, f"is not a picture ({error})") from error
        (height, width), due = rgb.shape[:2], size_of(lens)
        if (width, height) != due:
            sizes = f"{width} x {height} pixels, but its intrinsics are of {due[0]} x {due[1]}"
            raise self._unreadable(frame, f"has {sizes}")
        return rgb

    def _unreadable(self, frame: Listed, why: str) -> SourceError:
        return SourceError("unreadable_frame", f"{self.bundle.shown(frame.name)}: {why}")

    def _frame_id(self, row: int, colour: bytes, depth: bytes | None) -> str:
        """A frame is its picture, its depth, and where they were seen from through what."""
        numbers = [self.index.cam_to_world[row], self.index.intrinsics[row]]
        text = [np.ascontiguousarray(array, dtype="<f8").tobytes().hex() for array in numbers]
        contents = [fingerprint_of_bytes(data) for data in (colour, depth) if data is not None]
        return stable_id("rgbd", *contents, *text, self.index.names[row])


@lru_cache(maxsize=1)
def opened(item: SourceItem) -> Opened:
    """An item's frames, its index files read. The last sequence is kept: its units come together.

    Raises:
        SourceError: ``malformed``, ``vanished``, ``changed``, ``no_intrinsics``, ...
    """
    bundle = Bundle.of_item(item)
    layout = LAYOUTS[bundle.settings["layout"]]
    slots = range(int(bundle.settings["frames"]))
    deep = "no_depth" not in bundle.settings
    return Opened(bundle, index_of(bundle, layout.frames(bundle, slots), deep=deep))


def posed_frames(item: SourceItem) -> PosedIndex:
    """The usable frames of a sequence, without decoding their pictures.

    Raises:
        SourceError: as :func:`opened`.
    """
    return opened(item).index
