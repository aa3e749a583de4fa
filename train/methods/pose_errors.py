"""How far a relative pose is off, and how often that is little: pure functions.

The relative pose of a pair takes points of view 1's camera to view 2's: ``inv(cam_to_world_2) @
cam_to_world_1``, OpenCV axes (x right, y down, z forward), metres. So its translation is where
camera 1 stands as camera 2 sees it.

Shape legend: B batch. Quaternions are (w, x, y, z) of length 1, either sign.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from train.methods.rotations import nearer, quaternions

ACCURACIES: tuple[tuple[float, float], ...] = ((5.0, 2.0), (10.0, 5.0))
"""Degrees and metres within which a pose counts as right (RUBIK, Alligat0R's Table 1)."""
AUC_DEG = (5.0, 10.0, 20.0)
_SAME_PLACE_M = 1e-3
"""Cameras nearer than this have no direction that could be told."""


class Poses(NamedTuple):
    """``translations`` [B, 3] in metres and ``rotations`` [B, 4], unit quaternions."""

    translations: Tensor
    rotations: Tensor


def relative(cam_to_world: Tensor) -> Poses:
    """From the poses of both views [B, 2, 4, 4]; computed in float64, NaN where one is unknown.

    World coordinates may be large (a driving log's), so that their difference needs the digits.
    """
    first, second = cam_to_world.double().unbind(1)
    to_second = second[:, :3, :3].transpose(1, 2)  # of a rotation the inverse
    shift = (first[:, :3, 3] - second[:, :3, 3])[..., None]
    return Poses((to_second @ shift)[..., 0], quaternions(to_second @ first[:, :3, :3]))


def rotation_deg(rotations: Tensor, truth: Tensor) -> Tensor:
    """(B,) the angle in [0, 180] by which one rotation [B, 4] must be turned to be the other.

    Twice the angle between the nearer quaternions, which comes from their difference and sum: exact
    for small angles, where an arc cosine is not.
    """
    return torch.rad2deg(2 * _angle(nearer(rotations, truth), truth))


def translation_m(translations: Tensor, truth: Tensor) -> Tensor:
    """(B,) the distance in metres between two translations [B, 3]."""
    distance: Tensor = torch.linalg.vector_norm(translations - truth, dim=1)
    return distance


def translation_deg(translations: Tensor, truth: Tensor) -> Tensor:
    """(B,) the angle in [0, 180] between the directions of two translations [B, 3].

    Not folded: peers whose translation has no sign (an essential matrix's) take min(e, 180 - e),
    this one has one. Where the cameras stand in the same place there is no direction, and 0 is
    said; of a prediction of no length, 90.
    """
    angle = torch.rad2deg(
        _angle(functional.normalize(translations, dim=1), functional.normalize(truth, dim=1))
    )
    return angle.where(torch.linalg.vector_norm(truth, dim=1) >= _SAME_PLACE_M, 0.0)


def _angle(one: Tensor, other: Tensor) -> Tensor:
    """Radians between vectors [B, D] of length 1 (Kahan's formula)."""
    norm = torch.linalg.vector_norm
    return 2 * torch.atan2(norm(one - other, dim=1), norm(one + other, dim=1))


def scores(poses: Poses, truth: Poses) -> dict[str, Tensor]:
    """What each sample adds to each figure, (B,) each: a figure is the mean over all samples.

    ``rotation_deg`` and ``translation_m``: the errors. ``accuracy_5deg_2m``: 1 where both are less.
    ``auc_5``: the area below the curve of recall over max(rotation, direction of translation), up
    to 5 degrees, as a share. That curve is a step at each error e, so its integral is the mean of
    max(0, 1 - e / 5), exactly; the usual code takes trapezoids between the steps instead, which
    comes out higher, by 1 / (2 N) of N samples at most.
    """
    turned = rotation_deg(poses.rotations, truth.rotations)
    moved = translation_m(poses.translations, truth.translations)
    worst = turned.maximum(translation_deg(poses.translations, truth.translations))
    found = {"rotation_deg": turned, "translation_m": moved}
    for degrees, metres in ACCURACIES:
        right = (turned < degrees) & (moved < metres)
        found[f"accuracy_{degrees:g}deg_{metres:g}m"] = right.to(moved.dtype)
    for limit in AUC_DEG:
        found[f"auc_{limit:g}"] = (1 - worst / limit).clamp(min=0)
    return found
