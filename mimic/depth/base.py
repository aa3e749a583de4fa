"""The contract of a depth backend, and the identity of its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mimic.types import Matrix, UInt8Image

Device = Literal["cpu", "cuda"]


class MetricDepth(Protocol):
    """Predicts depth in metres from one picture; a pure function of its arguments."""

    def predict(self, rgb: UInt8Image, intrinsics: Matrix | None = None) -> NDArray[np.float32]:
        """Depth (h, w) float32 in metres along the optical axis, 0 where there is none.

        ``rgb`` (h, w, 3) uint8; ``intrinsics`` (3, 3) of its continuous pixels, for backends that
        make use of them.
        """
        ...


@dataclass(frozen=True, slots=True)
class DepthModel:
    """Which model, by what decides its output.

    ``name`` is what is recorded: a hub name, or a folder's own name. ``address`` says where it is
    here and never enters an id. ``sha256`` is over its configuration and weights. ``versions`` are
    those of the packages that run it, and its kind of device.
    """

    name: str
    address: str
    sha256: str
    device: Device
    versions: tuple[tuple[str, str], ...]
