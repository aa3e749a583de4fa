"""Label maps as bytes: an 8-bit grey PNG for each direction of a pair.

The pixels of the first view as the second one sees them: 0 co-visible, 1 occluded, 2 outside the
field of view, 255 unknown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimic.geometry.covisibility import COVISIBLE, OCCLUDED, OUTSIDE, UNKNOWN
from mimic.shards.png import decode_grey

Labels = NDArray[np.uint8]
"""(h, w), values as above."""

CLASSES = {
    "co-visible": COVISIBLE,
    "occluded": OCCLUDED,
    "outside": OUTSIDE,
    "unknown": UNKNOWN,
}
"""What the values mean, in the order of :func:`label_shares`."""
DIRECTIONS = ("12", "21")
"""Of a pair: the pixels of view 1 as view 2 sees them, and the reverse."""


def covis_suffix(view_1: int = 1, view_2: int = 2) -> str:
    """The suffix of a sample's member (and, in a part, of an edge's file)."""
    return f"covis_{view_1}_{view_2}.png"


COVIS_SUFFIXES = (covis_suffix(1, 2), covis_suffix(2, 1))


def decode_labels(data: bytes) -> Labels:
    """The stored labels (ValueError for anything but a whole PNG of these values)."""
    labels = decode_grey(data, {"L"}, "8 bits of grey").astype(np.uint8)
    strange = set(np.unique(labels).tolist()) - set(CLASSES.values())
    if strange:
        raise ValueError(f"values that are no labels: {sorted(strange)}")
    return labels


def label_shares(labels: Labels) -> list[float]:
    """Shares of co-visible, occluded, outside and unknown pixels; they add up to 1."""
    counts = np.bincount(labels.ravel(), minlength=256)
    return [int(counts[value]) / labels.size for value in CLASSES.values()]


def share_columns(maps: tuple[bytes, bytes] | None) -> dict[str, list[float] | None]:
    """The columns ``labels_12`` and ``labels_21`` of an edge with these label maps."""
    shares = [None, None] if maps is None else [label_shares(decode_labels(m)) for m in maps]
    return dict(zip(SHARE_COLUMNS, shares, strict=True))


SHARE_COLUMNS = ("labels_12", "labels_21")
