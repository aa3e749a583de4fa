"""The arithmetic of a step: precision, accumulation, clipping, and what is not finite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from train.config import NumericsConfig, TrainConfig
from train.methods.base import Outcome, Views

_LEAST_SCALE = 1.0
"""Below this a loss scale is of no use: gradients that overflow so are no matter of fp16."""
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Stepper:
    """Forward and backward of a rank's batch, and the update; fp16 scales its loss."""

    def __init__(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        numerics: NumericsConfig,
        clip_norm: float | None,
        device: torch.device,
    ) -> None:
        self._module, self._optimiser = module, optimiser
        self._numerics, self._clip_norm, self._device = numerics, clip_norm, device
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=numerics.precision == "fp16" and device.type == "cuda"
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the forward pass."""
        return autocast(self._numerics.precision, self._device)

    def gradients(self, views: Views) -> Outcome:
        """Add up the gradient of the mean loss over a rank's batch; what it came to, detached."""
        self._optimiser.zero_grad(set_to_none=True)
        parts = list(_parts(views, self._numerics.accumulate))
        outcomes: list[Outcome] = []
        for at, part in enumerate(parts):
            share = len(part.numbers) / len(views.numbers)
            with self._synchronised(at == len(parts) - 1):
                with self.autocast():
                    outcome: Outcome = self._module(part)
                self.scaler.scale(outcome.loss * share).backward()  # type: ignore[no-untyped-call]
            outcomes.append(outcome)
        measures = {
            name: torch.cat([part.measures[name].detach() for part in outcomes])
            for name in outcomes[0].measures
        }
        return Outcome(torch.cat([part.losses.detach() for part in outcomes]), measures)

    def _synchronised(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged once, after the last part."""
        no_sync = getattr(self._module, "no_sync", None)
        return nullcontext() if last or no_sync is None else no_sync()

    def norm(self) -> Tensor:
        """The norm of the whole gradient, clipped if asked."""
        self.scaler.unscale_(self._optimiser)
        parameters = [p for p in self._module.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self._clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self._clip_norm, norm)
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm

    @property
    def seeks_scale(self) -> bool:
        """Whether a gradient that is not finite is but the way in which fp16 finds its scale."""
        return self.scaler.is_enabled() and self.scaler.get_scale() >= _LEAST_SCALE

    def update(self, finite: bool) -> None:
        """Apply the gradient, or drop it where it is not finite."""
        if finite or self.scaler.is_enabled():
            self.scaler.step(self._optimiser)  # which skips what is not finite, too
            self.scaler.update()


def set_up(config: TrainConfig) -> None:
    """What torch has for the whole process: threads, and how a GPU multiplies float32.

    With ``tf32`` factors have ten bits of mantissa, as in CroCo's code (models/croco.py), which
    calls it no mixed precision.
    """
    if config.hardware.compute_threads is not None:
        torch.set_num_threads(config.hardware.compute_threads)
    tf32 = config.numerics.precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """In which a network computes forward."""
    dtype = DTYPES.get(precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def _parts(views: Views, count: int) -> Iterator[Views]:
    """At most so many parts of a batch, in order, as equal as ``Tensor.chunk`` makes them."""
    size = -(-len(views.numbers) // count)
    for first in range(0, len(views.numbers), size):
        yield views.rows(slice(first, first + size))
