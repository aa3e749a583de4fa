"""Names and shapes of the peers' checkpoints, as their releases have them; random values."""

from __future__ import annotations

import torch


def block(prefix, width):
    yield f"{prefix}norm1.weight", (width,)
    yield f"{prefix}norm1.bias", (width,)
    yield f"{prefix}attn.qkv.weight", (3 * width, width)
    yield f"{prefix}attn.qkv.bias", (3 * width,)
    yield f"{prefix}attn.proj.weight", (width, width)
    yield f"{prefix}attn.proj.bias", (width,)
    yield f"{prefix}norm2.weight", (width,)
    yield f"{prefix}norm2.bias", (width,)
    yield f"{prefix}mlp.fc1.weight", (4 * width, width)
    yield f"{prefix}mlp.fc1.bias", (4 * width,)
    yield f"{prefix}mlp.fc2.weight", (width, 4 * width)
    yield f"{prefix}mlp.fc2.bias", (width,)


def cross_block(prefix, width):
    yield from block(prefix, width)
    for part in ("projq", "projk", "projv", "proj"):
        yield f"{prefix}cross_attn.{part}.weight", (width, width)
        yield f"{prefix}cross_attn.{part}.bias", (width,)
    for norm in ("norm3", "norm_y"):
        yield f"{prefix}{norm}.weight", (width,)
        yield f"{prefix}{norm}.bias", (width,)


def vit(width, depth, patch, patches):
    """MAE's encoder-only files, and timm's ViT."""
    yield "cls_token", (1, 1, width)
    yield "pos_embed", (1, 1 + patches, width)
    yield "patch_embed.proj.weight", (width, 3, patch, patch)
    yield "patch_embed.proj.bias", (width,)
    for i in range(depth):
        yield from block(f"blocks.{i}.", width)
    yield "norm.weight", (width,)
    yield "norm.bias", (width,)


def masked_decoder(width, decoder, depth, patch, patches, blocks, of):
    yield "mask_token", (1, 1, decoder)
    yield "decoder_embed.weight", (decoder, width)
    yield "decoder_embed.bias", (decoder,)
    yield "decoder_pos_embed", (1, 1 + patches, decoder)
    for i in range(depth):
        yield from of(f"{blocks}.{i}.", decoder)
    yield "decoder_norm.weight", (decoder,)
    yield "decoder_norm.bias", (decoder,)
    yield "decoder_pred.weight", (patch**2 * 3, decoder)
    yield "decoder_pred.bias", (patch**2 * 3,)


def croco(width, depth, decoder, decoder_depth, patch, patches, cosine):
    yield "mask_token", (1, 1, decoder)
    if cosine:
        yield "enc_pos_embed", (patches, width)
        yield "dec_pos_embed", (patches, decoder)
    yield "patch_embed.proj.weight", (width, 3, patch, patch)
    yield "patch_embed.proj.bias", (width,)
    for i in range(depth):
        yield from block(f"enc_blocks.{i}.", width)
    yield "enc_norm.weight", (width,)
    yield "enc_norm.bias", (width,)
    yield "decoder_embed.weight", (decoder, width)
    yield "decoder_embed.bias", (decoder,)
    for i in range(decoder_depth):
        yield from cross_block(f"dec_blocks.{i}.", decoder)
    yield "dec_norm.weight", (decoder,)
    yield "dec_norm.bias", (decoder,)
    yield "prediction_head.weight", (patch**2 * 3, decoder)
    yield "prediction_head.bias", (patch**2 * 3,)


def values(*names_and_shapes):
    """Random tensors; equal for equal names and shapes in equal order."""
    generator = torch.Generator().manual_seed(7)
    return {
        name: torch.randn(shape, generator=generator)
        for part in names_and_shapes
        for name, shape in part
    }


SIZES = {"width": 24, "depth": 2, "patch": 4, "patches": 4}
DECODER = {"width": 24, "decoder": 16, "depth": 2, "patch": 4, "patches": 4}


def mae_encoder():
    state = values(vit(**SIZES))
    state["pos_embed"][:, 0] = 0
    return state


def mae_full():
    decoder = masked_decoder(**DECODER, blocks="decoder_blocks", of=block)
    return _zero_class_rows(values(vit(**SIZES), decoder))


def mimic():
    decoder = masked_decoder(**DECODER, blocks="decoder_blocks_croco", of=cross_block)
    return _zero_class_rows(values(vit(**SIZES), decoder))


def croco_file(cosine=True):
    return values(croco(24, 2, 16, 2, 4, 4, cosine))


def _zero_class_rows(state):
    state["pos_embed"][:, 0] = 0
    state["decoder_pos_embed"][:, 0] = 0
    return state
