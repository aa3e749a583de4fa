"""Small networks for tests, with every weight drawn, biases and norms too."""

from __future__ import annotations

import torch

from train.models import (
    CovisibilitySegmenterConfig,
    CrossViewCompletionConfig,
    DecoderConfig,
    EncoderConfig,
    MaskedAutoencoderConfig,
    build,
)


def small_encoder(**changes):
    entries = {"width": 24, "depth": 2, "heads": 3, "patch": 4, "image_size": (8, 12)}
    return EncoderConfig(**{**entries, **changes})


def small_decoder(**changes):
    return DecoderConfig(**{"width": 16, "depth": 2, "heads": 2, **changes})


def completion(block="cross", decoder=None, **encoder):
    return CrossViewCompletionConfig(
        encoder=small_encoder(**encoder), decoder=decoder or small_decoder(), block=block
    )


def autoencoder(**encoder):
    return MaskedAutoencoderConfig(encoder=small_encoder(**encoder), decoder=small_decoder())


def segmenter(**encoder):
    return CovisibilitySegmenterConfig(encoder=small_encoder(**encoder), decoder=small_decoder())


CONFIGS = {
    "mae": autoencoder(),
    "mae with a class token": autoencoder(class_token=True),
    "mae with rope": autoencoder(positions="rope"),
    "croco": completion(),
    "croco v2": completion(positions="rope"),
    "croco with a class token": completion(class_token=True),
    "cat": completion("cat"),
    "cat with rope": completion("cat", positions="rope"),
    "alligat0r": segmenter(positions="rope"),
    "alligat0r with cosine": segmenter(),
}


def drawn(config, seed=0):
    """A network in which no weight is 0 or 1, so that none can be forgotten unseen."""
    net = build(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return net.eval()


def images(batch, views=2, size=(8, 12), seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, views, 3, *size) if views else (batch, 3, *size)
    return torch.randn(shape, generator=generator)
