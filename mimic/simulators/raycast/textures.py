"""All pictures of a scene as mip pyramids in one array, and their filtered look-up.

A level is half the size of the one below; it is stored with a border of one texel that holds what
the wrap mode puts there, so a bilinear look-up needs no wrapping of neighbours. Texels are packed
RGBA. Where a material is cut out by alpha, colours are multiplied with it, so that what is cut away
does not bleed into what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.simulators.raycast.materials import Material, Wrap, painted
from mimic.types import UInt8Image

LEVELS = 16
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Channels = tuple[int, ...]

_RGB, ALPHA = (0, 1, 2), 3

_PAD_MODES = {"repeat": "wrap", "clamp": "edge", "mirror": "symmetric"}


@dataclass(frozen=True, slots=True, eq=False)
class Pyramids:
    """The pictures of M materials.

    ``texels`` (T,) int32. ``offset``, ``stride`` (M * LEVELS,) where a level starts and how long
    its rows are, ``width``, ``height`` (M * LEVELS,) its size without border; levels beyond a
    picture's last repeat it. ``wrap`` (2, M): 0 repeat, 1 clamp, 2 mirror, for u and v.
    """

    texels: Ints
    offset: Ints
    stride: Ints
    width: Floats
    height: Floats
    wrap: NDArray[np.int8]

    @classmethod
    def of(cls, materials: Sequence[Material]) -> Pyramids:
        """Build all levels; materials with the same picture, factor and wrap share them."""
        offset, stride, width, height = np.zeros((4, len(materials), LEVELS), np.int64)
        pieces: list[Ints] = []
        first: dict[object, int] = {}
        total = 0
        for row, material in enumerate(materials):
            same = first.setdefault(_look(material), row)
            if same != row:
                for table in (offset, stride, width, height):
                    table[row] = table[same]
                continue
            levels = _levels(material)
            for level in range(LEVELS):
                if level < len(levels):
                    picture = _bordered(levels[level], _wraps(material))
                    pieces.append(picture.view(np.int32).ravel())
                    rows, columns = picture.shape[:2]
                    at, total = total, total + rows * columns
                offset[row, level], stride[row, level] = at, columns
                width[row, level], height[row, level] = columns - 2, rows - 2
        if total > np.iinfo(np.int32).max:
            raise MemoryError(f"the scene's textures have {total} texels")
        codes = list(_PAD_MODES)
        wrap = np.array([[codes.index(w) for w in _wraps(m)] for m in materials], np.int8).T
        return cls(
            np.concatenate(pieces),
            offset.ravel().astype(np.int32),
            stride.ravel().astype(np.int32),
            width.ravel().astype(np.float32),
            height.ravel().astype(np.float32),
            wrap,
        )

    def wrapped(self, coordinate: Floats, material: Ints, axis: int) -> Floats:
        """Texture coordinates brought into 0..1 by the wrap mode of ``axis`` (0: u, 1: v)."""
        whole = np.floor(coordinate)
        within = coordinate - whole
        if not self.wrap[axis].any():
            return within
        mode = self.wrap[axis][material]
        within = np.where(mode == 1, np.clip(coordinate, 0, 1), within)
        return np.where((mode == 2) & (whole % 2 == 1), 1 - within, within)

    def sample(
        self, material: Ints, level: Floats, u: Floats, v: Floats, channels: Channels = _RGB
    ) -> Floats:
        """Values (C, N) 0..255, linear between texels and between levels (trilinear).

        Args:
            material: (N,) whose picture.
            level: (N,) 0..LEVELS - 1: texels are averaged over 2^level.
            u: (N,) 0..1 to the right.
            v: (N,) 0..1 down.
            channels: which of red, green, blue, alpha.
        """
        lower = level.astype(np.int32)
        entry = material * np.int32(LEVELS) + lower
        blend = level - lower
        total = np.zeros((len(channels), len(level)), np.float32)
        between = np.flatnonzero(blend)
        if 2 * len(between) > len(level):
            self._add(total, channels, entry, u, v, 1 - blend)
            self._add(total, channels, entry + 1, u, v, blend)
            return total
        self._add(total, channels, entry, u, v, None)
        if len(between):
            coarse = np.zeros((len(channels), len(between)), np.float32)
            self._add(coarse, channels, entry[between] + 1, u[between], v[between], None)
            fine = total[:, between]
            total[:, between] = fine + (coarse - fine) * blend[between]
        return total

    def _add(
        self,
        total: Floats,
        channels: Channels,
        entry: Ints,
        u: Floats,
        v: Floats,
        share: Floats | None,
    ) -> None:
        """Add ``share`` of the bilinear values of one level each; ``entry`` (material, level)."""
        x = u * self.width.take(entry) + np.float32(0.5)
        y = v * self.height.take(entry) + np.float32(0.5)
        left, top = x.astype(np.int32), y.astype(np.int32)
        x -= left
        y -= top
        stride = self.stride.take(entry)
        at = self.offset.take(entry) + top * stride + left
        lower = y if share is None else y * share
        upper = 1 - y if share is None else share - lower
        for first, weight in ((at, upper), (at + stride, lower)):
            right = x * weight
            add_weighted(total, channels, self.texels.take(first), weight - right)
            add_weighted(total, channels, self.texels.take(first + 1), right)


def add_weighted(total: Floats, channels: Channels, texels: Ints, weight: Floats) -> None:
    """Add the channels of packed texels, times a weight."""
    for plane, channel in zip(total, channels, strict=True):
        value = ((texels >> np.int32(8 * channel)) & np.int32(255)).astype(np.float32)
        value *= weight
        plane += value


def _look(material: Material) -> object:
    """What makes two materials' texels the same."""
    picture = material.picture
    image = None if picture is None else id(picture.rgba)
    return image, _wraps(material), material.factor, material.cutoff is None


def _wraps(material: Material) -> tuple[Wrap, Wrap]:
    return ("clamp", "clamp") if material.picture is None else material.picture.wrap


def _levels(material: Material) -> list[UInt8Image]:
    """From the whole picture down to one texel; each averages the areas of the one before."""
    from mimic.opencv import resize

    image = painted(material)
    if material.cutoff is None:
        image = np.dstack([image[:, :, :3], np.full(image.shape[:2], 255, np.uint8)])
    else:
        share = image[:, :, 3:].astype(np.float32) / 255
        image = np.dstack([np.rint(image[:, :, :3] * share).astype(np.uint8), image[:, :, 3]])
    levels = [image]
    while max(image.shape[:2]) > 1 and len(levels) < LEVELS:
        height, width = image.shape[:2]
        image = resize(image, (max(1, width // 2), max(1, height // 2)))
        levels.append(image)
    return levels


def _bordered(image: UInt8Image, wraps: tuple[Wrap, Wrap]) -> UInt8Image:
    """One texel more on each side, as the wrap modes of u and v continue the picture."""
    across = np.pad(image, ((0, 0), (1, 1), (0, 0)), mode=_PAD_MODES[wraps[0]])  # type: ignore[call-overload]
    both = np.pad(across, ((1, 1), (0, 0), (0, 0)), mode=_PAD_MODES[wraps[1]])  # type: ignore[call-overload]
    return np.ascontiguousarray(both, np.uint8)
