"""Which window of each view is taken: functions of the views' sizes and of a sample's draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from train.data.config import CropName, ViewsConfig
from train.data.draws import Stream
from train.data.sample import Sample, Size
from train.data.window import Window
from train.data.windows import Plan, apply

Chance = Callable[[], float]
"""The next number in [0, 1) of a sample's stream."""
Crop = Callable[[ViewsConfig, tuple[Size, ...], Chance], tuple[Window, ...]]

_TRIES = 10
_SHARE = 224 / 256
"""Side of CroCo's crops, of that of its pictures."""


@dataclass(frozen=True, slots=True)
class Transform:
    """What ``config`` says is done to the views of a sample: a pure function of it and the draw."""

    config: ViewsConfig

    @property
    def size(self) -> Size:
        """(width, height) of all that comes out."""
        return self.config.size

    def plan(self, sizes: tuple[Size, ...], draw: Stream) -> Plan:
        """What is done to views of these sizes."""
        config = self.config
        chance = draw.random
        flip, swap = chance(), chance()  # first: neither depends on the other choices
        windows = CROPS[config.crop](config, sizes, chance)
        return Plan(windows, config.size, flip < config.flip, swap < config.swap)

    def __call__(self, sample: Sample, draw: Stream) -> Sample:
        """The sample transformed (see :func:`train.data.windows.apply`)."""
        return apply(self.plan(sample.sizes, draw), sample, self.config.patch_size)


def near(size: Size, wanted: Size) -> Size:
    """The window that a view of ``size`` has for a crop of ``wanted``: as large, if it can be.

    It is no larger than the largest of that shape, and no smaller than 7/8 of that, as CroCo's are:
    windows of two views that are much smaller than the views would have little in common.
    """
    most = largest(size, wanted)
    least = max(1, round(most[0] * _SHARE)), max(1, round(most[1] * _SHARE))
    if wanted[0] > most[0] or wanted[1] > most[1]:
        return most
    return least if wanted[0] < least[0] or wanted[1] < least[1] else wanted


def largest(size: Size, shape: Size) -> Size:
    """The largest window of the shape (width to height) of ``shape`` in a view of ``size``."""
    scale = min(size[0] / shape[0], size[1] / shape[1])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _random(config: ViewsConfig, sizes: tuple[Size, ...], chance: Chance) -> tuple[Window, ...]:
    """Another place in each view (CroCo: random crops of 224 from pictures of 256).

    CroCo's pictures are square, so its crops are at most 32 pixels apart. In wider ones windows
    that went anywhere would often have nothing in common; so a part of the wanted shape is taken
    at the same place of all views, as high as they are, and in it another place for each. For the
    same reason a window is never smaller than CroCo's are in its part: it is resized instead.
    """
    x, y = chance(), chance()
    windows = []
    for size in sizes:
        part = _at(size, largest(size, config.size), x, y)
        inner = (part.width, part.height)
        cut = _at(inner, near(inner, config.size), chance(), chance())
        windows.append(Window(part.left + cut.left, part.top + cut.top, cut.width, cut.height))
    return tuple(windows)


def _shared(config: ViewsConfig, sizes: tuple[Size, ...], chance: Chance) -> tuple[Window, ...]:
    """The same place in all views (as a share of what can be moved, where sizes differ)."""
    x, y = chance(), chance()
    return tuple(_at(size, near(size, config.size), x, y) for size in sizes)


def _center(config: ViewsConfig, sizes: tuple[Size, ...], _chance: Chance) -> tuple[Window, ...]:
    return tuple(_in_middle(size, near(size, config.size)) for size in sizes)


def _whole(config: ViewsConfig, sizes: tuple[Size, ...], _chance: Chance) -> tuple[Window, ...]:
    return tuple(_in_middle(size, largest(size, config.size)) for size in sizes)


def _squash(_config: ViewsConfig, sizes: tuple[Size, ...], _chance: Chance) -> tuple[Window, ...]:
    """All of it."""
    return tuple(Window(0, 0, *size) for size in sizes)


def _resized(config: ViewsConfig, sizes: tuple[Size, ...], chance: Chance) -> tuple[Window, ...]:
    return tuple(resized_window(size, config.scale, config.ratio, chance) for size in sizes)


def resized_window(
    size: Size, scale: tuple[float, float], ratio: tuple[float, float], chance: Chance
) -> Window:
    """A part of an area within ``scale`` of the view's, and of a shape within ``ratio`` (MAE).

    The area is uniform and the shape log-uniform (Szegedy et al., Going deeper with convolutions);
    where ten tries do not fit, the largest part of an allowed shape in the middle.
    """
    for _ in range(_TRIES):
        area = size[0] * size[1] * (scale[0] + (scale[1] - scale[0]) * chance())
        low, high = math.log(ratio[0]), math.log(ratio[1])
        shape = math.exp(low + (high - low) * chance())
        x, y = chance(), chance()
        width, height = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < width <= size[0] and 0 < height <= size[1]:
            return _at(size, (width, height), x, y)
    shape = min(max(size[0] / size[1], ratio[0]), ratio[1])
    width = max(1, min(size[0], round(size[1] * shape)))
    height = max(1, min(size[1], round(size[0] / shape)))
    return _in_middle(size, (width, height))


def _in_middle(size: Size, window: Size) -> Window:
    left, top = ((whole - part) // 2 for whole, part in zip(size, window, strict=True))
    return Window(left, top, *window)


def _at(size: Size, window: Size, x: float, y: float) -> Window:
    """The window whose corner is at (x, y) in [0, 1) of where it can be."""
    left, top = int(x * (size[0] - window[0] + 1)), int(y * (size[1] - window[1] + 1))
    return Window(left, top, *window)


CROPS: dict[CropName, Crop] = {
    "random": _random,
    "shared": _shared,
    "resized": _resized,
    "center": _center,
    "whole": _whole,
    "squash": _squash,
}
"""By the name in the config."""
