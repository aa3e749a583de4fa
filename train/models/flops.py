"""Parameters and arithmetic of a network, from its config alone.

Counted are the multiply-adds of matrix products in one forward pass: patch embedding, linear
layers, and attention's two products (queries with keys, weights with values). Not counted: norms,
softmax, GELU, additions, RoPE, which at one operation an element would add 0.13 per cent. One
multiply-add is two floating-point operations (FLOP). Training costs three forward passes: the
backward pass has two products for each of the forward's.

CroCo's Table 1 gives 50.2 G with CrossBlock and 58.5 G with CatBlock and does not say what it
counts. For ViT-B/16 at 224, 20 of 196 patches kept, this count is 53.1 and 60.9 GFLOP, 5.8 and 4.2
per cent above; without the pass of view 1's 20 tokens through the encoder it is 49.7 and 57.5, 1.1
and 1.7 per cent below, which is the nearest of all countings of whole layers. None gives both
figures: the paper's differ by 8.3 G, the two decoders' products by 7.8.
"""

from __future__ import annotations

from dataclasses import dataclass

from train.models.sizes import (
    CHANNELS,
    CovisibilitySegmenterConfig,
    CrossViewCompletionConfig,
    DecoderConfig,
    EncoderConfig,
    MaskedAutoencoderConfig,
    NetConfig,
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Multiply-adds of one sample's forward pass.

    Attributes:
        encoders: of each pass through the encoder, with its patch embedding.
        decoder: of the decoder's blocks, for all views that it decodes.
        ends: of the map from the encoder's to the decoder's width, and of the head.
    """

    encoders: tuple[int, ...]
    decoder: int
    ends: int

    @property
    def multiply_adds(self) -> int:
        """All of them."""
        return sum(self.encoders) + self.decoder + self.ends

    @property
    def forward_flops(self) -> int:
        """Two for each multiply-add."""
        return 2 * self.multiply_adds

    @property
    def training_flops(self) -> int:
        """Of a forward and a backward pass."""
        return 3 * self.forward_flops


def cost(config: NetConfig, kept: int | None = None) -> Cost:
    """What one sample (a view for MAE, a pair otherwise) costs.

    ``kept``: patches that are seen of the masked view; None: all. The image size is the config's.
    """
    encoder, decoder = config.encoder, config.decoder
    token = int(encoder.class_token)
    whole = config.num_patches
    seen = whole if kept is None else kept
    predicted = whole * decoder.width
    match config:
        case MaskedAutoencoderConfig():
            encoders: tuple[int, ...] = (_encoder(encoder, seen),)
            blocks = _block(decoder, whole + token)
            embedded = seen + token
            head = predicted * encoder.patch_values
        case CrossViewCompletionConfig():
            encoders = (_encoder(encoder, seen), _encoder(encoder, whole))
            decoded = whole + token
            cross = config.block == "cross"
            blocks = _cross(decoder, decoded) if cross else _block(decoder, 2 * decoded)
            embedded = seen + whole + 2 * token
            head = predicted * encoder.patch_values
        case CovisibilitySegmenterConfig():
            encoders = (_encoder(encoder, whole),) * 2
            blocks = 2 * _cross(decoder, whole)
            embedded = 2 * whole
            head = 2 * predicted * encoder.patch**2 * config.classes
    return Cost(encoders, decoder.depth * blocks, embedded * encoder.width * decoder.width + head)


def parameters(config: NetConfig) -> int:
    """Learnt numbers of the network; fixed positions are none."""
    encoder, decoder = config.encoder, config.decoder
    cross = isinstance(config, CovisibilitySegmenterConfig) or (
        isinstance(config, CrossViewCompletionConfig) and config.block == "cross"
    )
    total = (
        _linear(CHANNELS * encoder.patch**2, encoder.width)
        + int(encoder.class_token) * encoder.width
        + encoder.depth * _block_parameters(encoder, cross=False)
        + 2 * encoder.width
        + _linear(encoder.width, decoder.width)
        + decoder.depth * _block_parameters(decoder, cross=cross)
        + 2 * decoder.width
    )
    if isinstance(config, CovisibilitySegmenterConfig):
        return total + _linear(decoder.width, encoder.patch**2 * config.classes)
    total += decoder.width + _linear(decoder.width, encoder.patch_values)
    if isinstance(config, CrossViewCompletionConfig) and config.block == "cat":
        total += 2 * decoder.width
    return total


def _encoder(encoder: EncoderConfig, patches: int) -> int:
    embedding = patches * encoder.patch_values * encoder.width
    return embedding + encoder.depth * _block(encoder, patches + int(encoder.class_token))


def _block(size: EncoderConfig | DecoderConfig, tokens: int) -> int:
    """Queries, keys, values and projection; the MLP's two layers; attention's two products."""
    width, hidden = size.width, int(size.width * size.mlp_ratio)
    return tokens * width * (4 * width + 2 * hidden) + 2 * tokens**2 * width


def _cross(size: DecoderConfig, tokens: int) -> int:
    """A block, and the same attention again, from as many tokens of the other view."""
    return _block(size, tokens) + 4 * tokens * size.width**2 + 2 * tokens**2 * size.width


def _block_parameters(size: EncoderConfig | DecoderConfig, *, cross: bool) -> int:
    width, hidden = size.width, int(size.width * size.mlp_ratio)
    attention = 4 * _linear(width, width)
    norms = 4 if cross else 2
    return (
        (1 + cross) * attention
        + _linear(width, hidden)
        + _linear(hidden, width)
        + norms * 2 * width
    )


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs
