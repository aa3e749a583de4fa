"""Tiny depth models of the real classes with random weights: they predict, and know nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

MAX_DEPTH_M = 8
LARGE = 8.0


def make_model(folder: Path, kind: str = "metric", seed: int = 0) -> Path:
    """A Depth Anything of two layers and its image processor, as ``save_pretrained`` leaves them.

    Its weights are large, so that its depth varies over the picture.
    """
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(seed)
    backbone = transformers.Dinov2Config(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2"],
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone.to_dict(),
        patch_size=14,
        reassemble_hidden_size=8,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
        depth_estimation_type=kind,
        max_depth=MAX_DEPTH_M,
    )
    model = transformers.DepthAnythingForDepthEstimation(config)
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(LARGE)
    model.save_pretrained(folder)
    size = {"height": 56, "width": 56}
    transformers.DPTImageProcessor(
        size=size, keep_aspect_ratio=True, ensure_multiple_of=14
    ).save_pretrained(folder)
    return folder
