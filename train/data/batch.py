"""What a training step is given."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples of one step on one rank; V views each, all of one size.

    Attributes:
        step: the step that it belongs to.
        keys: (B) the samples' keys.
        numbers: (B,) int64, their numbers in the data; with the seed and the step they decide every
            random draw.
        images: [B, V, 3, H, W] uint8 RGB.
        intrinsics: [B, V, 3, 3] float32 in pixels of ``images``, NaN where unknown.
        cam_to_world: [B, V, 4, 4] float64 in metres, OpenCV axes, NaN where unknown; a world may be
            thousands of kilometres wide (UTM), and what matters is how far two cameras are apart.
        homography: [B, 3, 3] float32, view 1 to view 2 in pixels of ``images``, NaN where unknown.
        covis: [B, V, H, W] uint8: 0 co-visible, 1 occluded, 2 outside, 255 unknown (all 255 where a
            sample has no labels; where none has, it takes no memory): the pixels of view 1 as view
            2 sees them, and of 2 as 1 does.
        corr: (B) of (M, 2) int64: patches of view 1 and of view 2, row-major in the grid of
            ``images``.
    """

    step: int
    keys: tuple[str, ...]
    numbers: Tensor
    images: Tensor
    intrinsics: Tensor
    cam_to_world: Tensor
    homography: Tensor
    covis: Tensor
    corr: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.keys)
