"""CroCo's own words for a network: ``croco_kwargs``, and the call in a run's arguments.

A v2 file holds ``croco_kwargs``; a run's own file the string ``CroCoNet(...)`` among its arguments;
a v1 file neither, so CroCo's defaults hold. Nothing is ever evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from train.errors import TrainError
from train.models.sizes import CrossViewCompletionConfig, DecoderConfig, EncoderConfig

_DEFAULTS: dict[str, Any] = {
    "img_size": 224,
    "patch_size": 16,
    "enc_embed_dim": 768,
    "enc_depth": 12,
    "enc_num_heads": 12,
    "dec_embed_dim": 512,
    "dec_depth": 8,
    "dec_num_heads": 16,
    "mlp_ratio": 4,
    "pos_embed": "cosine",
}
"""CroCo's, which are v1's network."""

_ROPE = "RoPE"


def kwargs_of(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The network's arguments as a file of CroCo's holds them, with those left out by default."""
    given = checkpoint.get("croco_kwargs")
    if given is None:
        call = getattr(checkpoint.get("args"), "model", None)
        given = parsed_call(call) if isinstance(call, str) else {}
    return _DEFAULTS | {name: value for name, value in given.items() if name in _DEFAULTS}


def parsed_call(call: str) -> dict[str, Any]:
    """The literal keyword arguments of a call such as ``CroCoNet(enc_depth=24)``.

    Arguments that are no literals (``depth_mode=('exp', -inf, inf)``) are left out.

    Raises:
        TrainError: the text is no call with keyword arguments.
    """
    try:
        expression = ast.parse(call.strip(), mode="eval").body
    except SyntaxError:
        expression = None
    if not isinstance(expression, ast.Call) or expression.args:
        raise TrainError(f"args.model of the checkpoint is no call of a network: {call[:80]!r}")
    found: dict[str, Any] = {}
    for keyword in expression.keywords:
        if keyword.arg is not None:
            try:
                found[keyword.arg] = ast.literal_eval(keyword.value)
            except ValueError:
                continue
    return found


def config_of(kwargs: Mapping[str, Any]) -> CrossViewCompletionConfig:
    """Our config of CroCo's arguments.

    Raises:
        TrainError: they describe no network that we have.
    """
    size = kwargs["img_size"]
    ratio = kwargs["mlp_ratio"]
    encoder = {
        "width": kwargs["enc_embed_dim"],
        "depth": kwargs["enc_depth"],
        "heads": kwargs["enc_num_heads"],
        "mlp_ratio": ratio,
        "patch": kwargs["patch_size"],
        "image_size": [size, size] if isinstance(size, int) else size,
        **_positions(str(kwargs["pos_embed"])),
    }
    decoder = {
        "width": kwargs["dec_embed_dim"],
        "depth": kwargs["dec_depth"],
        "heads": kwargs["dec_num_heads"],
        "mlp_ratio": ratio,
    }
    return CrossViewCompletionConfig.from_dict({"encoder": encoder, "decoder": decoder})


def _positions(words: str) -> dict[str, Any]:
    """``cosine`` or ``RoPE100`` as entries of our encoder."""
    if words == "cosine":
        return {"positions": "cosine"}
    try:
        return {"positions": "rope", "rope_base": float(words.removeprefix(_ROPE))}
    except ValueError:
        raise TrainError(
            f"pos_embed {words!r} of the checkpoint is neither cosine nor RoPE and its base"
        ) from None


def kwargs_for(encoder: EncoderConfig, decoder: DecoderConfig) -> dict[str, Any]:
    """CroCo's arguments of our config: the inverse of ``config_of``.

    Raises:
        TrainError: CroCo's code has no such network.
    """
    if encoder.class_token:
        raise TrainError("CroCo's network has no class token; export with --to timm instead")
    if encoder.mlp_ratio != decoder.mlp_ratio:
        raise TrainError("CroCo's network has one mlp_ratio for encoder and decoder")
    height, width = encoder.image_size
    if encoder.positions == "cosine" and height != width:
        raise TrainError(
            f"CroCo's cosine positions are for square images, these for {height} x {width}; "
            "export with --to timm instead"
        )
    return {
        "img_size": height if height == width else (height, width),
        "patch_size": encoder.patch,
        "enc_embed_dim": encoder.width,
        "enc_depth": encoder.depth,
        "enc_num_heads": encoder.heads,
        "dec_embed_dim": decoder.width,
        "dec_depth": decoder.depth,
        "dec_num_heads": decoder.heads,
        "mlp_ratio": encoder.mlp_ratio,
        "pos_embed": "cosine" if encoder.positions == "cosine" else f"{_ROPE}{encoder.rope_base:g}",
    }
