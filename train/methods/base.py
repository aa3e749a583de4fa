"""What a method is to the loop: a module that turns a batch into a loss.

Shape legend: B batch, V views, C channels, H and W pixels, N patches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mimic.layered import Strict
from train.models import Net
from train.models.flops import cost


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """What a method sees of a batch, on its device.

    ``images`` [B, V, 3, H, W] float, normalised; ``covis`` [B, V, H, W] uint8 (255 unknown);
    ``numbers`` (B,) and ``step`` decide every draw, with ``seed``. ``poses`` [B, V, 4, 4] camera to
    world, NaN where unknown; None for methods that are not ``posed``.
    """

    images: Tensor
    covis: Tensor
    numbers: Tensor
    step: int
    seed: int
    poses: Tensor | None = None

    def rows(self, chosen: slice) -> Views:
        """Some of the samples."""
        poses = None if self.poses is None else self.poses[chosen]
        parts = (self.images[chosen], self.covis[chosen], self.numbers[chosen])
        return Views(*parts, self.step, self.seed, poses)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a step came to.

    All is said of each sample, (B,), so that a mean does not depend on how a batch is cut into
    parts and ranks. ``losses``; ``measures``: what else was measured, NaN where a sample does not
    have it.
    """

    losses: Tensor
    measures: dict[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """What is minimised."""
        return self.losses.mean()

    def of(self, chosen: Tensor) -> Outcome:
        """Of some of the samples, (B,) bool."""
        measures = {name: values[chosen] for name, values in self.measures.items()}
        return Outcome(self.losses[chosen], measures)

    def sums(self) -> dict[str, Tensor]:
        """Of the loss and each measure (2,) float64: the sum, and over how many samples."""
        losses = self.losses.double()
        found = {"loss": torch.stack([losses.sum(), torch.ones_like(losses).sum()])}
        for name, values in self.measures.items():
            known = ~values.isnan()
            found[name] = torch.stack([values.double().where(known, 0.0).sum(), known.sum()])
        return found


class Method(nn.Module, ABC):
    """A network and what it is asked.

    A method is one file: its options, its network, and ``forward``, which is all that the loop
    calls (so that it can be wrapped for several processes).
    """

    name: ClassVar[str]
    Options: ClassVar[type[Strict]]
    labelled: ClassVar[bool] = False
    """Whether co-visibility labels are read."""
    or_without_labels: ClassVar[str] = ""
    """What else can be done where there are none."""
    posed: ClassVar[bool] = False
    """Whether camera poses are read."""
    singles: ClassVar[bool] = False
    """Whether each view is a sample of its own (MAE)."""

    net: Net

    @classmethod
    def reads_labels(cls, options: dict[str, Any]) -> bool:
        """Whether co-visibility labels are read with these options."""
        del options
        return cls.labelled

    @abstractmethod
    def forward(self, views: Views) -> Outcome:
        """The loss of a batch."""

    @abstractmethod
    def pictures(self, views: Views) -> Tensor:
        """A row of panels for each sample: [B, panels, 3, H, W] in [0, 1]."""

    def told(self, means: dict[str, float]) -> dict[str, float]:
        """What people are told of the means of all measures."""
        return means

    def training_flops(self) -> int:
        """Of a sample, forward and backward, at the size of the network's config."""
        return cost(self.net.config, self.kept()).training_flops

    def kept(self) -> int | None:
        """Patches that are seen of a masked view; None where all are."""
        return None

    @abstractmethod
    def net_dict(self) -> dict[str, Any]:
        """The network's config as plain values, for checkpoints."""


def shuffled_reference(views: Views) -> Views:
    """The same views 1 beside the views 2 of other samples: what is a reference worth?

    Each view keeps its own labels: what a network says without its reference is as right as before.
    """
    images, covis = (
        torch.stack([both[:, 0], both[:, 1].roll(1, dims=0)], dim=1)
        for both in (views.images, views.covis)
    )
    return replace(views, images=images, covis=covis)
