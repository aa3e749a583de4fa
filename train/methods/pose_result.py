"""What a network's poses are worth on held-out pairs, beside what looking at nothing is worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from train.methods.pose_errors import Poses, scores
from train.methods.rotations import mean_quaternion

_MEDIANS = ("rotation_deg", "translation_m")

_WORDS: dict[str, tuple[str, float, str]] = {
    "rotation_deg": ("rotation error, mean", 1, "deg"),
    "rotation_deg_median": ("rotation error, median", 1, "deg"),
    "translation_m": ("translation error, mean", 1, "m"),
    "translation_m_median": ("translation error, median", 1, "m"),
    "accuracy_5deg_2m": ("within 5 deg and 2 m", 100, "%"),
    "accuracy_10deg_5m": ("within 10 deg and 5 m", 100, "%"),
    "auc_5": ("AUC at 5 deg", 100, "%"),
    "auc_10": ("AUC at 10 deg", 100, "%"),
    "auc_20": ("AUC at 20 deg", 100, "%"),
}


@dataclass(frozen=True, slots=True)
class PoseResult:
    """Figures over held-out pairs.

    Attributes:
        pairs: that are held out.
        measured: of them; the others cannot be read or have no pose.
        network: the network's figures, by name.
        constant: those of saying of every pair the mean pose of these very pairs: no pose that is
            the same for all, found without looking at them, has less squared error.
    """

    pairs: int
    measured: int
    network: dict[str, float]
    constant: dict[str, float]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """A small table."""
        lines = [
            f"{self.measured} of {self.pairs} held-out pairs",
            f"{'':26}{'network':>10}{'mean pose':>11}",
        ]
        for name, (words, factor, unit) in _WORDS.items():
            values = (self.network[name] * factor, self.constant[name] * factor)
            lines.append(f"{words:26}{values[0]:>10.2f}{values[1]:>11.2f} {unit}")
        return "\n".join(lines)


def result_of(predicted: Poses, truth: Poses, pairs: int) -> PoseResult:
    """The figures of the measured pairs, float64.

    Args:
        predicted: of N pairs.
        truth: of the same.
        pairs: that are held out, N or more.
    """
    constant = Poses(
        truth.translations.mean(0).expand_as(truth.translations),
        mean_quaternion(truth.rotations).expand_as(truth.rotations),
    )
    figures = (_figures(scores(poses, truth)) for poses in (predicted, constant))
    return PoseResult(pairs, len(truth.translations), *figures)


def _figures(of_pairs: dict[str, Tensor]) -> dict[str, float]:
    means = {name: float(values.mean()) for name, values in of_pairs.items()}
    medians = {f"{name}_median": float(np.median(of_pairs[name].numpy())) for name in _MEDIANS}
    return means | medians
