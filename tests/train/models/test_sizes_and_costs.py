"""Configs, parameter counts, arithmetic, and the papers' figures for them."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from small_nets import CONFIGS
from torch.utils.flop_counter import FlopCounterMode

from train.errors import TrainError
from train.models import (
    CovisibilitySegmenterConfig,
    CrossViewCompletion,
    CrossViewCompletionConfig,
    Encoder,
    EncoderConfig,
    MaskedAutoencoderConfig,
    build,
    config_from_dict,
    decoder_config,
    encoder_config,
    net_from_dict,
)
from train.models.flops import cost, parameters


def croco(block="cross"):
    return CrossViewCompletionConfig(
        encoder=encoder_config("base"), decoder=decoder_config("small"), block=block
    )


def on_meta(config):
    with torch.device("meta"):
        return build(config)


def learnt(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("block", "count", "millions"), [("cross", 120_076_288, 120), ("cat", 111_655_936, 111)]
)
def test_parameters_of_crocos_table_1(block, count, millions):
    """The paper cuts millions off: 111.66 is printed as 111."""
    assert learnt(on_meta(croco(block))) == count
    assert count // 1_000_000 == millions


@pytest.mark.parametrize(
    ("block", "flop", "flop_without_view_1", "paper"),
    [("cross", 53.114, 49.662, 50.2), ("cat", 60.949, 57.498, 58.5)],
)
def test_arithmetic_beside_crocos_table_1(block, flop, flop_without_view_1, paper):
    """The paper's lies between; see ``flops`` for what is counted."""
    whole = cost(croco(block), kept=20)
    masked_view = whole.encoders[0] + 20 * 768 * 512
    less = 2 * (whole.multiply_adds - masked_view)
    assert whole.forward_flops / 1e9 == pytest.approx(flop, abs=1e-3)
    assert less / 1e9 == pytest.approx(flop_without_view_1, abs=1e-3)
    assert less / 1e9 < paper < whole.forward_flops / 1e9


@pytest.mark.parametrize(
    ("size", "millions"), [("small", 21.6), ("base", 85.6), ("large", 303.1), ("huge", 630.4)]
)
def test_encoders_have_the_vits_sizes(size, millions):
    with torch.device("meta"):
        encoder = Encoder(encoder_config(size))
    assert learnt(encoder) / 1e6 == pytest.approx(millions, abs=0.1)


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_those_of_the_network(name):
    assert parameters(CONFIGS[name]) == learnt(build(CONFIGS[name]))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kept", [2, None])
def test_arithmetic_is_what_torch_counts(name, kept):
    config = CONFIGS[name]
    net = build(config)
    seen = config.num_patches if kept is None else kept
    which = torch.arange(seen)[None]
    views = torch.zeros(1, 2, 3, 8, 12)
    # Attention as plain products: torch's counter knows those, but not every fused kernel.
    plain = torch.nn.attention.SDPBackend.MATH
    with torch.nn.attention.sdpa_kernel(plain), FlopCounterMode(display=False) as counter:
        if isinstance(config, MaskedAutoencoderConfig):
            net(views[:, 0], which)
        elif isinstance(config, CovisibilitySegmenterConfig):
            net(views)
        else:
            net(views, which)
    assert counter.get_total_flops() == cost(config, kept).forward_flops
    assert cost(config, kept).training_flops == 3 * cost(config, kept).forward_flops


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_goes_through_a_plain_dict(name):
    config = CONFIGS[name]
    entries = config.to_dict()
    assert config_from_dict(entries) == config
    assert type(config).from_dict(entries) == config
    assert net_from_dict(entries).to_dict() == entries
    assert entries["encoder"]["image_size"] == [8, 12]
    assert build(config).num_patches == config.num_patches == 6


def test_named_sizes_take_changes():
    config = CrossViewCompletionConfig.from_dict(
        {
            "encoder": {"size": "large", "positions": "rope", "image_size": [288, 512]},
            "decoder": {"size": "base"},
        }
    )
    assert (config.encoder.width, config.encoder.depth, config.encoder.heads) == (1024, 24, 16)
    assert config.encoder.grid == (18, 32)
    assert (config.decoder.width, config.decoder.depth, config.decoder.heads) == (768, 12, 12)
    with torch.device("meta"):
        net = CrossViewCompletion.from_dict(config.to_dict())
    assert net.config == config


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"kind": "simclr"}, "masked_autoencoder"),
        ({"kind": "masked_autoencoder"}, "net lacks encoder"),
        ({"encoder": {"size": "giant"}}, "there are tiny"),
        ({"encoder": {"size": "tiny", "widht": 3}}, "did you mean width"),
        ({"encoder": {"width": 64, "depth": 2}}, "encoder lacks heads"),
        ({"encoder": {"size": "tiny", "heads": 5}}, r"encoder\.heads"),
        ({"encoder": {"size": "tiny", "depth": True}}, "whole number"),
        ({"encoder": {"size": "tiny", "depth": "4"}}, "whole number"),
        ({"encoder": {"size": "tiny", "class_token": 1}}, "true or false"),
        ({"encoder": {"size": "tiny", "image_size": 224}}, "height, width"),
        ({"encoder": {"size": "tiny", "image_size": [225, 224]}}, "multiple"),
        ({"encoder": {"size": "tiny", "image_size": [224, 225]}}, "multiple"),
        ({"encoder": {"size": "tiny", "positions": "learnt"}}, "cosine or rope"),
        ({"encoder": {"size": "tiny", "positions": "rope", "class_token": True}}, "class_token"),
        ({"encoder": {"size": "tiny"}, "decoder": {"depth": 0}}, "positive"),
        ({"encoder": {"size": "tiny"}, "block": "plus"}, "cross or cat"),
        ({"encoder": {"size": "tiny", "class_token": True}, "block": "cat"}, "class token"),
        (
            {"kind": "covisibility_segmenter", "encoder": {"size": "tiny"}, "classes": 1},
            "at least 2",
        ),
        ({"encoder": 3}, "give its entries"),
    ],
)
def test_a_wrong_entry_is_one_sentence(entries, words):
    with pytest.raises(TrainError, match=words) as caught:
        config_from_dict({"kind": "cross_view_completion", **entries})
    assert "\n" not in str(caught.value)


def test_a_whole_number_serves_as_a_ratio_and_is_saved_as_one():
    ratio = encoder_config("tiny", mlp_ratio=2).mlp_ratio
    assert isinstance(ratio, float)
    assert ratio == 2


def test_a_config_of_another_kind_is_refused():
    with pytest.raises(TrainError, match="masked_autoencoder"):
        MaskedAutoencoderConfig.from_dict(croco().to_dict())


def test_a_config_cannot_change():
    config = EncoderConfig(width=24, depth=1, heads=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.width = 48


def test_first_weights_are_the_papers():
    torch.manual_seed(0)
    net = build(croco())
    state = net.state_dict()
    for name, fans in (
        ("enc_blocks.3.attn.qkv.weight", 768 + 3 * 768),
        ("dec_blocks.0.cross_attn.projk.weight", 512 + 512),
        ("patch_embed.proj.weight", 768 + 768),
        ("prediction_head.weight", 512 + 768),
    ):
        bound = (6 / fans) ** 0.5
        assert 0.99 * bound < state[name].abs().max() <= bound
        assert state[name].std() == pytest.approx(bound / 3**0.5, rel=0.02)
    biases = [name for name in state if name.endswith(".bias") and "patch_embed" not in name]
    assert all(state[name].abs().max() == 0 for name in biases)
    assert all((state[name] == 1).all() for name in state if "norm" in name and "weight" in name)
    assert state["mask_token"].std() == pytest.approx(0.02, rel=0.15)
    cat = build(croco("cat")).state_dict()["view_embed"]
    assert cat.std() == pytest.approx(0.02, rel=0.15)
    assert not torch.equal(cat[0], cat[1])
    token = build(CONFIGS["mae with a class token"]).state_dict()["cls_token"]
    assert 0 < token.abs().max() < 0.2
