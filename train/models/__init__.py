"""Vision transformers and the networks of the methods.

    from train.models import (
        CrossViewCompletion, CrossViewCompletionConfig, decoder_config, encoder_config,
        mask_from_noise, masked_error, normalised, num_kept, patchify,
    )

    config = CrossViewCompletionConfig(
        encoder=encoder_config("tiny"), decoder=decoder_config("tiny")
    )
    net = CrossViewCompletion(config)      # also net_from_dict(config.to_dict())
    mask = mask_from_noise(noise, num_kept(net.num_patches, 0.9))          # noise [B, N]
    predictions = net(images, mask.kept)   # [B, 2, 3, H, W], [B, K] -> [B, N, P*P*3] of view 1
    target = normalised(patchify(images[:, 0], net.config.encoder.patch))  # [B, N, P*P*3]
    loss = masked_error(predictions, target, mask.masked).mean()           # [B] -> []

Networks, all ``torch.nn.Module`` with ``config``, ``num_patches``, ``to_dict()``, ``from_dict()``:

- ``MaskedAutoencoder(images [B, 3, H, W], kept int64 [B, K]) -> [B, N, P*P*3]``
- ``CrossViewCompletion(images [B, 2, 3, H, W], kept int64 [B, K]) -> [B, N, P*P*3]``
- ``CovisibilitySegmenter(images [B, 2, 3, H, W]) -> logits [B, 2, 3, H, W]``;
  ``.decode(images) -> [B, 2, N, D]``, the tokens that a pose head reads
- ``Encoder(images [B, 3, H, W], kept or None) -> [B, (1 +) N, D]``; every network has ``.encode``

Beside them: ``initialise_from(network, path) -> LoadReport`` takes the peers' checkpoints and ours
as first weights; ``cost(config, kept).forward_flops`` and ``parameters(config)`` count.

The networks' blocks are in ``.enc_blocks`` and ``.dec_blocks`` (activation
checkpointing, FSDP2).
"""

from __future__ import annotations

from train.models.encoder import Encoder
from train.models.flops import Cost, cost, parameters
from train.models.load import initialise_from
from train.models.masking import Mask, mask_from_noise, num_kept, random_mask
from train.models.nets import (
    CovisibilitySegmenter,
    CrossViewCompletion,
    MaskedAutoencoder,
    Net,
    build,
    net_from_dict,
)
from train.models.patches import masked_error, normalised, patchify, unpatchify
from train.models.report import LoadReport
from train.models.sizes import (
    CovisibilitySegmenterConfig,
    CrossViewCompletionConfig,
    DecoderConfig,
    EncoderConfig,
    MaskedAutoencoderConfig,
    NetConfig,
    config_from_dict,
    decoder_config,
    encoder_config,
)

__all__ = [
    "Cost",
    "CovisibilitySegmenter",
    "CovisibilitySegmenterConfig",
    "CrossViewCompletion",
    "CrossViewCompletionConfig",
    "DecoderConfig",
    "Encoder",
    "EncoderConfig",
    "LoadReport",
    "Mask",
    "MaskedAutoencoder",
    "MaskedAutoencoderConfig",
    "Net",
    "NetConfig",
    "build",
    "config_from_dict",
    "cost",
    "decoder_config",
    "encoder_config",
    "initialise_from",
    "mask_from_noise",
    "masked_error",
    "net_from_dict",
    "normalised",
    "num_kept",
    "parameters",
    "patchify",
    "random_mask",
    "unpatchify",
]
