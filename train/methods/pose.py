"""Relative pose regression, as Alligat0R is fine-tuned (Loiseau et al., 2025, section 3.3).

What is regressed: see :mod:`train.methods.pose_errors`. The predicted quaternion is brought to
length 1, and of q and -q, which are one rotation, the nearer one is compared; the paper says
neither. Errors are squared lengths, of metres and of quaternions (Eq. 8). A pair whose pose is not
known (NaN) teaches nothing of poses: its loss is 0, and it counts among the batch's samples.

Phase 1 learns the pose head alone; phase 2 all, and co-visibility with it (Eq. 9).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from mimic.layered import validated
from train.methods.alligat0r import CLASSES, UNKNOWN, Alligat0rOptions, painted, pixel_losses
from train.methods.base import Method, Outcome, Views
from train.methods.completion import colours
from train.methods.pose_errors import Poses, relative, scores
from train.methods.pose_picture import from_above
from train.methods.rotations import nearer
from train.models import CovisibilitySegmenterConfig
from train.models.flops import cost
from train.models.pose import PoseAndLabels, PoseRegressor

Joint = Literal["paper", "bounded", "none"]

_WHILE_TRAINING = ("rotation_deg", "translation_m")
"""Figures of each training step; held-out pairs are given all of them."""


class RelativePoseOptions(Alligat0rOptions):
    """Options of relative pose regression."""

    hidden: int | None = Field(
        None, ge=1, description="width of the pose head's layers; null: the decoder's"
    )
    frozen: bool = Field(False, description="learn the pose head alone (phase 1)")
    joint: Joint = Field(
        "paper",
        description="whether phase 2 learns co-visibility too. paper: Eq. 9, which has no least "
        "value once the pose's loss is below 0; bounded: the same with that loss as it is; none",
    )

    def segments(self) -> bool:
        """Whether co-visibility is learnt too."""
        return self.joint != "none" and not self.frozen


class RelativePose(Method):
    """Where view 1's camera stands and looks, from view 2's."""

    name = "pose"
    posed = True
    or_without_labels = ", or learn poses alone with --set options.joint=none"
    Options: ClassVar[type[RelativePoseOptions]] = RelativePoseOptions
    net: PoseRegressor

    def __init__(self, options: RelativePoseOptions) -> None:
        super().__init__()
        self.options = options
        config = CovisibilitySegmenterConfig(
            encoder=options.encoder_config(), decoder=options.decoder_config(), classes=CLASSES
        )
        self.net = PoseRegressor(config, options.hidden)
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(_learns(name, options))

    @classmethod
    def reads_labels(cls, options: dict[str, Any]) -> bool:
        """Where co-visibility is learnt too."""
        return validated(cls.Options, options).segments()

    def forward(self, views: Views) -> Outcome:
        """The loss of Eq. 8, or that of Eq. 9 where co-visibility is learnt too."""
        seen = self.net(views.images, segment=self.options.segments())
        truth, has_pose = _truth(views)
        predicted = _poses(seen)
        losses = pose_losses(predicted, truth, seen.pose_scales).where(has_pose, 0.0)
        measures = {}
        if seen.logits is not None:
            labels = views.covis.long()
            of_labels = pixel_losses(seen.logits.float(), labels)
            labelled = (labels != UNKNOWN).any(3).any(2).any(1)
            measures["covis_loss"] = of_labels.where(labelled, math.nan)
            losses = joint_losses(
                *(losses, of_labels, seen.joint_scales, has_pose, labelled),
                fixed=self.options.joint == "bounded",
            )
        return Outcome(losses, measures | self._figures(predicted, truth, has_pose))

    def _figures(self, predicted: Poses, truth: Poses, has_pose: Tensor) -> dict[str, Tensor]:
        """Of the pairs with poses."""
        exact = Poses(
            predicted.translations.detach().double(), predicted.rotations.detach().double()
        )
        return {
            name: values.where(has_pose, math.nan)
            for name, values in scores(exact, truth).items()
            if not self.training or name in _WHILE_TRAINING
        }

    def predict(self, views: Views) -> Poses:
        """The poses of view 1 in view 2's camera, float64."""
        found = _poses(self.net(views.images))
        return Poses(found.translations.double(), found.rotations.double())

    def pictures(self, views: Views) -> Tensor:
        """View 1, view 2, and where camera 1 stands, from above; then what each sees of the other.

        From above: camera 2 white in the middle, looking up; camera 1 green, as predicted red.
        """
        seen = self.net(views.images, segment=self.options.segments())
        truth, _ = _truth(views)
        panels = [colours(views.images[:, 0]), colours(views.images[:, 1])]
        size = (views.images.shape[-2], views.images.shape[-1])
        panels.append(from_above(truth.translations, seen.translations.double(), size))
        if seen.logits is not None:
            panels += [painted(seen.logits[:, view].argmax(1)) for view in range(2)]
        return torch.stack([panel.float() for panel in panels], dim=1)

    def training_flops(self) -> int:
        """Of a sample; what is frozen has no backward pass. The pose head's few are not counted."""
        of_net = cost(self.net.config)
        return of_net.forward_flops if self.options.frozen else of_net.training_flops

    def net_dict(self) -> dict[str, Any]:
        """The segmenter's config: what other networks can take of it."""
        return self.net.to_dict()


def _learns(name: str, options: RelativePoseOptions) -> bool:
    """Whether a parameter of the network is trained."""
    if name.startswith("segmentation_head."):
        return options.segments()
    if name == "joint_scales":
        return options.segments()
    return not options.frozen or name.startswith(("pose_head.", "pose_scales"))


def _truth(views: Views) -> tuple[Poses, Tensor]:
    """The pairs' poses, float64 (no movement where it is unknown), and which are known (B,)."""
    assert views.poses is not None, "a posed method is given poses"
    has_pose = views.poses.isfinite().flatten(1).all(1)
    nowhere = torch.eye(4, dtype=views.poses.dtype, device=views.poses.device)
    return relative(views.poses.where(has_pose[:, None, None, None], nowhere)), has_pose


def _poses(seen: PoseAndLabels) -> Poses:
    return Poses(seen.translations, functional.normalize(seen.rotations, dim=1))


def pose_losses(predicted: Poses, truth: Poses, scales: Tensor) -> Tensor:
    """Eq. 8 of each sample, (B,).

    ``||t - t'||^2 / (2 s_t^2) + ||q - q'||^2 / (2 s_q^2) + log s_t + log s_q``, of q and -q the
    nearer one (Kendall et al., 2018).

    Args:
        predicted: float32.
        truth: of any float type.
        scales: (2,) log s_t and log s_q.
    """
    shift = predicted.translations - truth.translations.to(predicted.translations)
    turned = truth.rotations.to(predicted.rotations)
    turn = predicted.rotations - nearer(turned, predicted.rotations)
    squares = torch.stack([shift.square().sum(1), turn.square().sum(1)], dim=1)
    return (squares * (-2 * scales).exp() / 2 + scales).sum(1)


def joint_losses(
    of_poses: Tensor,
    of_labels: Tensor,
    scales: Tensor,
    posed: Tensor,
    labelled: Tensor,
    fixed: bool,
) -> Tensor:
    """Eq. 9 of each sample, (B,): ``L_pose / (2 s_p^2) + L_ce / (2 s_s^2) + log s_p + log s_s``.

    L_pose is below 0 as soon as the errors are small against 1, and then the sum falls without end
    as s_p does: by one learning rate a step, under Adam. ``fixed`` leaves that part out.

    Args:
        of_poses: (B,) Eq. 8.
        of_labels: (B,) mean cross-entropies.
        scales: (2,) log s_p and log s_s.
        posed: (B,) whether the sample has a pose.
        labelled: (B,) whether it has any label.
        fixed: take L_pose as it is, as if 2 s_p^2 were 1.
    """
    weights = (-2 * scales).exp() / 2
    pose = of_poses if fixed else of_poses * weights[0] + scales[0]
    labels = of_labels * weights[1] + scales[1]
    return pose.where(posed, 0.0) + labels.where(labelled, 0.0)
