"""Feature extractors by name: a row of :data:`EXTRACTORS` is all that a new one needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mimic.config import MatchConfig
from mimic.layered import ConfigError
from mimic.opencv import sift
from mimic.types import Features, UInt8Image

Extractor = Callable[[UInt8Image, MatchConfig], Features]

ROOT_SCALE = 512.0
"""RootSIFT descriptors (unit length) are stored as integers of this length."""


def extract(gray: UInt8Image, config: MatchConfig) -> Features:
    """Features of a grey picture (h, w), in its own continuous pixels.

    Raises:
        ConfigError: ``match.features`` names no row of the table.
    """
    if config.features not in EXTRACTORS:
        known = ", ".join(EXTRACTORS)
        raise ConfigError(f"config match.features: {config.features!r} is unknown, use {known}")
    return EXTRACTORS[config.features](gray, config)


def _sift(gray: UInt8Image, config: MatchConfig) -> Features:
    found = sift(gray, config.max_keypoints, config.contrast_threshold)
    descriptors = root(found.descriptors) if config.root else found.descriptors
    return Features(found.xy, found.size, found.angle_deg, descriptors)


def root(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """RootSIFT (Arandjelovic and Zisserman, CVPR 2012), rounded to integers of length ~512.

    The square root of the L1-normalised descriptor, so that Euclidean distance compares
    histograms by Hellinger's kernel. Integers keep all dot products exact.
    """
    total = descriptors.sum(axis=1, keepdims=True, dtype=np.float64)
    share = descriptors / np.where(total > 0, total, 1.0)
    return np.rint(ROOT_SCALE * np.sqrt(share)).astype(np.float32)


EXTRACTORS: dict[str, Extractor] = {"sift": _sift}
