"""A frame made ready to be paired: its stored picture, its measures, its features."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mimic import opencv
from mimic.config import Config, ImageConfig
from mimic.geometry.covisibility import PosedDepth
from mimic.matching.features import extract
from mimic.types import Features, Frame, FrameMeasures, UInt8Image, View

Size = tuple[int, int]
_T = TypeVar("_T", bound=np.generic)

THUMB_LONG_SIDE = 48
"""Pixels along the longer side of a thumbnail."""
LETTERBOX_LUMINANCE = 20
"""A row or column belongs to a black border when no pixel of it is brighter."""


def stored_view(frame: Frame, config: Config) -> View:
    """The view as stored, with its measures and the picture to match, without features (cheap).

    The matching picture is made from the original frame, never from the stored picture, and is
    never larger than the original.
    """
    picture = cropped(frame.rgb, config.image)
    original = (picture.shape[1], picture.shape[0])
    size = stored_size(original, config.image)
    stored = _resized(picture, size, config.image)
    depth_m = None if frame.depth_m is None else _stored_depth(frame.depth_m, size, config.image)
    gray = opencv.to_gray(stored)
    to_match = matching_size(original, config)
    if to_match != size:
        match_gray = opencv.to_gray(_resized(picture, to_match, config.image))
    else:
        match_gray = gray
    return View(
        info=frame.info,
        stored=stored,
        original_to_stored=np.diag([size[0] / original[0], size[1] / original[1], 1.0]),
        match_gray=match_gray,
        thumb=_thumbnail(gray),
        measures=frame_measures(gray, depth_m),
        depth_m=depth_m,
    )


def with_features(view: View, config: Config) -> View:
    """The same view with its features, found in the matching picture, placed in stored pixels."""
    found = extract(view.match_gray, config.match)
    height, width = view.match_gray.shape
    return dataclasses.replace(view, features=_rescaled(found, (width, height), view.size))


def posed_depth(view: View) -> PosedDepth | None:
    """The view's geometry in stored pixels; None where depth, intrinsics or pose are not known."""
    info = view.info
    if view.depth_m is None or info.intrinsics is None or info.cam_to_world is None:
        return None
    return PosedDepth(view.depth_m, view.original_to_stored @ info.intrinsics, info.cam_to_world)


def stored_posed_depth(view: View) -> PosedDepth | None:
    """The same of depth as it is stored, so that labels do not depend on when they are made."""
    posed = posed_depth(view)
    if posed is None:
        return None
    depth_m = depth_mm(posed.depth_m).astype(np.float32) / np.float32(1000)
    return dataclasses.replace(posed, depth_m=depth_m)


def depth_mm(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Depth as it is stored: whole millimetres, 0 where there is none or it is beyond 65.5 m."""
    millimetres = np.rint(np.nan_to_num(depth_m, nan=0, posinf=0, neginf=0) * 1000.0)
    return np.where(millimetres <= 65535, millimetres, 0).astype(np.uint16)


def cropped(image: NDArray[_T], config: ImageConfig) -> NDArray[_T]:
    """A picture, or its depth, without the share of its height that is cut off below."""
    height = image.shape[0]
    return image[: max(1, height - round(height * config.crop_bottom))]


def stored_size(size: Size, config: ImageConfig) -> Size:
    """(width, height) in which a picture of this size is stored: never larger, unless squashed."""
    if config.resize == "squash":
        return config.size, config.size
    return _with_short_side(size, config.size)


def matching_size(size: Size, config: Config) -> Size:
    """(width, height) at which the features of a picture of this size are found."""
    if config.match.short_side is None:
        return stored_size(size, config.image)
    if config.image.resize == "squash":
        side = min(config.match.short_side, *size)
        return side, side
    return _with_short_side(size, config.match.short_side)


def frame_measures(gray: UInt8Image, depth_m: NDArray[np.float32] | None = None) -> FrameMeasures:
    """Raw measures of a stored picture, (h, w) grey, and of its depth, where there is one."""
    counts = np.bincount(gray.ravel(), minlength=256)
    share = np.cumsum(counts) / gray.size
    return FrameMeasures(
        luminance_mean=float(counts @ np.arange(256)) / gray.size,
        luminance_p05=float(np.searchsorted(share, 0.05)),
        luminance_p95=float(np.searchsorted(share, 0.95)),
        sharpness=opencv.laplacian_variance(gray),
        letterbox=_letterbox(gray),
        phash=opencv.phash(gray),
        valid_share=None if depth_m is None else float((depth_m > 0).mean()),
    )


def _with_short_side(size: Size, short_side: int) -> Size:
    short = min(size)
    if short <= short_side:
        return size
    width, height = (max(1, round(side * short_side / short)) for side in size)
    return width, height


def _resized(picture: UInt8Image, size: Size, config: ImageConfig) -> UInt8Image:
    # Linear under squash is the peer's call; the copy lets go of the original frame's memory.
    resized = opencv.resize(picture, size, "linear" if config.resize == "squash" else "auto")
    return resized.copy() if resized.base is not None or resized is picture else resized


def _stored_depth(
    depth_m: NDArray[np.float32], size: Size, config: ImageConfig
) -> NDArray[np.float32]:
    return opencv.resize_depth(np.ascontiguousarray(cropped(depth_m, config)), size)


def _rescaled(found: Features, size: Size, stored: Size) -> Features:
    if size == stored:
        return found
    factor = np.array([stored[0] / size[0], stored[1] / size[1]])
    return dataclasses.replace(
        found,
        xy=(found.xy * factor).astype(np.float32),
        scale=(found.scale * np.sqrt(factor.prod())).astype(np.float32),
    )


def _thumbnail(gray: UInt8Image) -> UInt8Image:
    height, width = gray.shape
    factor = THUMB_LONG_SIDE / max(width, height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return opencv.resize(gray, size)


def _letterbox(gray: UInt8Image) -> float:
    """Share of the area in black borders; 1 for a picture that is black all over."""
    bright_rows = np.flatnonzero(gray.max(axis=1) > LETTERBOX_LUMINANCE)
    bright_columns = np.flatnonzero(gray.max(axis=0) > LETTERBOX_LUMINANCE)
    if len(bright_rows) == 0:
        return 1.0
    rows = bright_rows[-1] - bright_rows[0] + 1
    columns = bright_columns[-1] - bright_columns[0] + 1
    return 1.0 - float(rows * columns) / gray.size
