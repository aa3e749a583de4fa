"""What all geometric transforms are: a window of each view, resized; then mirrored, then swapped.

One function applies them to everything that lies in pixels. A mirror turns the world over too
(x becomes -x, in the world as in the cameras), so that intrinsics keep a positive focal length and
poses stay rotations: a mirrored pair is a pair of a mirrored world.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from train.data.correspond import carried, unmoved
from train.data.sample import Corr, Geometry, Matrix, Sample, Size
from train.data.visible import relabelled, to_other
from train.data.window import Window
from train.errors import TrainError

_MIRROR = np.diag([-1.0, 1.0, 1.0])
_MIRROR_WORLD = np.diag([-1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to the views of a sample, in this order.

    ``windows`` of each view, all resized to ``size`` (width, height); ``flip``: all views are
    mirrored, left to right; ``swap``: the order of the views is reversed.
    """

    windows: tuple[Window, ...]
    size: Size
    flip: bool = False
    swap: bool = False

    def matrices(self) -> tuple[Matrix, ...]:
        """Stored pixels to pixels of what comes out, for each stored view in the stored order."""
        mirror = np.array([[-1.0, 0, self.size[0]], [0, 1, 0], [0, 0, 1]])
        found = (window.matrix(self.size) for window in self.windows)
        return tuple(mirror @ matrix if self.flip else matrix for matrix in found)


def apply(plan: Plan, sample: Sample, patch_size: int | None = None) -> Sample:
    """The sample after ``plan``: images, labels, matrices and correspondences.

    Images are resized bicubically with antialiasing, labels take the nearest.

    Args:
        plan: what is done.
        sample: what was stored.
        patch_size: of the correspondences that come out; null: as stored.

    Raises:
        TrainError: it has labels, a view is cut, and there is no depth or no camera that would tell
            what the other view still sees.
    """
    moved = Sample(
        key=sample.key,
        images=tuple(
            _picture(i, w, plan) for i, w in zip(sample.images, plan.windows, strict=True)
        ),
        covis=sample.covis
        and tuple(_labels(m, plan) for m in _cut_labels(plan, sample, sample.covis)),
    )
    if sample.geometry is not None or sample.corr is not None:
        moved = _with_matrices(moved, sample, plan, patch_size or sample.patch_size)
    return _swapped(moved) if plan.swap else moved


def _with_matrices(moved: Sample, sample: Sample, plan: Plan, patch_size: int) -> Sample:
    matrices = plan.matrices()
    return replace(
        moved,
        geometry=sample.geometry and _moved(sample.geometry, matrices, plan.flip),
        corr=None if sample.corr is None else _carried(plan, sample, matrices, patch_size),
        patch_size=patch_size,
    )


def _cut_labels(plan: Plan, sample: Sample, covis: tuple[Tensor, ...]) -> Iterator[Tensor]:
    """Each view's labels in its window, of what is left of the other."""
    for view, (labels, own) in enumerate(zip(covis, plan.windows, strict=True)):
        other = 1 - view
        if plan.windows[other].covers(sample.sizes[other]):
            yield own.of(labels)
        else:
            depth, way = _way_to_other(sample, view)
            yield relabelled(labels, depth, way, own, plan.windows[other])


def _way_to_other(sample: Sample, view: int) -> tuple[Tensor, tuple[Matrix, Matrix]]:
    """A view's depth, and where its pixels lie in the other view."""
    geometry, order = sample.geometry, [view, 1 - view]
    depth = None if sample.depth is None else sample.depth[view]
    if depth is None or geometry is None or not geometry.posed:
        raise TrainError(
            f"sample {sample.key}: has co-visibility labels and no stored depth or cameras, so its "
            "views may not be cut: set data.views.crop to squash, or mine with --depth"
        )
    one, two = geometry.intrinsics[order]
    return depth, to_other(
        (one, two), (geometry.cam_to_world[view], geometry.cam_to_world[1 - view])
    )


def _picture(image: Tensor, window: Window, plan: Plan) -> Tensor:
    cut = window.of(image)
    if (window.width, window.height) != plan.size:
        # Whole rows of whole pixels: torch then takes its fast way for bytes.
        packed = cut[None].contiguous(memory_format=torch.channels_last)
        resized = functional.interpolate(
            packed, plan.size[::-1], mode="bicubic", align_corners=False, antialias=True
        )
        cut = resized[0]
    return cut.flip(-1) if plan.flip else cut


def _labels(cut: Tensor, plan: Plan) -> Tensor:
    height, width = cut.shape
    if (width, height) != plan.size:
        rows = cut.index_select(0, _nearest(height, plan.size[1]))
        cut = rows.index_select(1, _nearest(width, plan.size[0]))
    return cut.flip(-1) if plan.flip else cut


def _nearest(stored: int, wanted: int) -> Tensor:
    """The stored pixel that the centre of each pixel lies in."""
    return ((torch.arange(wanted) * 2 + 1) * stored) // (2 * wanted)


def _moved(geometry: Geometry, matrices: tuple[Matrix, ...], flip: bool) -> Geometry:
    to_new = np.stack(matrices)
    intrinsics, poses = to_new @ geometry.intrinsics, geometry.cam_to_world
    if flip:
        intrinsics, poses = intrinsics @ _MIRROR, _MIRROR_WORLD @ poses @ _MIRROR_WORLD
    homography = geometry.homography
    if len(matrices) > 1:
        homography = matrices[1] @ homography @ unmoved(matrices[0])
    return Geometry(intrinsics, poses, homography, to_new @ geometry.from_original)


def _carried(plan: Plan, sample: Sample, matrices: tuple[Matrix, ...], patch_size: int) -> Corr:
    assert sample.corr is not None
    one, two = sample.sizes[:2]
    same = all(w.covers(plan.size) for w in plan.windows) and one == two == plan.size
    if same and not plan.flip and patch_size == sample.patch_size:
        return sample.corr
    homography = np.full((3, 3), np.nan) if not sample.geometry else sample.geometry.homography
    return carried(
        sample.corr,
        homography,
        (one, two),
        (matrices[0], matrices[1]),
        plan.size,
        (sample.patch_size, patch_size),
    )


def _swapped(sample: Sample) -> Sample:
    """Views in the reverse order; the homography and the correspondences lead the other way."""
    geometry, corr = sample.geometry, sample.corr
    if geometry is not None:
        geometry = Geometry(
            geometry.intrinsics[::-1],
            geometry.cam_to_world[::-1],
            _inverse(geometry.homography),
            geometry.from_original[::-1],
        )
    if corr is not None:
        corr = corr[np.argsort(corr[:, 1]), ::-1]
    return replace(
        sample,
        images=sample.images[::-1],
        covis=sample.covis and sample.covis[::-1],
        geometry=geometry,
        corr=corr,
    )


def _inverse(homography: Matrix) -> Matrix:
    """NaN where there is none."""
    try:
        return np.asarray(np.linalg.inv(homography))
    except np.linalg.LinAlgError:
        return np.full((3, 3), np.nan)
