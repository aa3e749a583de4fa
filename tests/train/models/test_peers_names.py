"""Each table of names both ways, and whose file it is."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import peers_files as peers
from small_nets import CONFIGS, completion, small_decoder

from train.models import MaskedAutoencoderConfig, build
from train.models.names import naming_of, to_ours, to_theirs

SQUARE = {"image_size": (8, 8)}
WITH_TOKEN = completion(class_token=True, **SQUARE)
FILES = {
    "croco": (peers.croco_file(), completion(**SQUARE)),
    "mimic": (peers.mimic(), WITH_TOKEN),
    "mae": (
        peers.mae_full(),
        MaskedAutoencoderConfig(encoder=WITH_TOKEN.encoder, decoder=small_decoder()),
    ),
}


@pytest.mark.parametrize("naming", FILES)
def test_a_peers_file_fills_our_network_and_goes_back_unchanged(naming):
    theirs, config = FILES[naming]
    assert naming_of(theirs) == naming
    ours, left = to_ours(theirs, naming)
    assert left == []
    expected = build(config).state_dict()
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in expected.items()
    }
    back, left = to_theirs(ours, naming)
    assert left == []
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_crocos_names_are_ours():
    theirs = peers.croco_file()
    ours, _ = to_ours(theirs, "croco")
    assert all(ours[name] is theirs[name] for name in theirs)


@pytest.mark.parametrize(
    ("naming", "theirs", "ours"),
    [
        ("mae", "blocks.1.mlp.fc2.bias", "enc_blocks.1.mlp.fc2.bias"),
        ("mae", "norm.weight", "enc_norm.weight"),
        ("mae", "decoder_blocks.0.norm2.bias", "dec_blocks.0.norm2.bias"),
        ("mae", "decoder_norm.weight", "dec_norm.weight"),
        ("mae", "decoder_pred.bias", "prediction_head.bias"),
        ("mae", "decoder_embed.weight", "decoder_embed.weight"),
        ("mimic", "decoder_blocks_croco.1.norm_y.bias", "dec_blocks.1.norm_y.bias"),
        (
            "mimic",
            "decoder_blocks_croco.0.cross_attn.projk.bias",
            "dec_blocks.0.cross_attn.projk.bias",
        ),
        ("mimic", "blocks.0.attn.qkv.weight", "enc_blocks.0.attn.qkv.weight"),
    ],
)
def test_single_names(naming, theirs, ours):
    state = FILES[naming][0]
    assert torch.equal(to_ours(state, naming)[0][ours], state[theirs])


@pytest.mark.parametrize("naming", ["mae", "mimic"])
def test_positions_lose_the_class_tokens_row(naming):
    theirs = FILES[naming][0]
    ours, _ = to_ours(theirs, naming)
    assert torch.equal(ours["enc_pos_embed"], theirs["pos_embed"][0, 1:])
    assert torch.equal(ours["dec_pos_embed"], theirs["decoder_pos_embed"][0, 1:])


def test_a_learnt_position_of_the_class_token_becomes_part_of_it():
    theirs = peers.mae_encoder()
    theirs["pos_embed"][:, 0] = 3
    ours, _ = to_ours(theirs, "timm")
    assert torch.equal(ours["cls_token"], theirs["cls_token"] + 3)


def test_without_a_class_token_every_row_is_a_patch():
    theirs = peers.mae_encoder()
    del theirs["cls_token"]
    ours, _ = to_ours(theirs, "timm")
    assert torch.equal(ours["enc_pos_embed"], theirs["pos_embed"][0])
    assert to_theirs(ours, "timm")[0]["pos_embed"].shape == (1, 5, 24)


@pytest.mark.parametrize(
    ("rows", "patches", "class_row"),
    [
        (5, 4, True),
        (4, 4, False),
        (5, 9, True),  # of another square
        (9, 4, False),
        (5, None, True),
        (4, None, False),
        (9, 8, True),  # of 2 x 4 patches, though 9 are a square's
        (6, 6, False),  # of 2 x 3
        (6, 4, False),  # no square with or without a row for the class token
        (1, 4, False),
    ],
)
def test_the_first_row_is_the_class_tokens_where_there_is_one_more_than_patches(
    rows, patches, class_row
):
    theirs = peers.mae_encoder()
    theirs["pos_embed"] = torch.randn(1, rows, 24, generator=torch.Generator().manual_seed(1))
    ours, _ = to_ours(theirs, "timm", patches)
    table, token = theirs["pos_embed"][0], theirs["cls_token"]
    assert torch.equal(ours["enc_pos_embed"], table[1:] if class_row else table)
    assert torch.equal(ours["cls_token"], token + table[0] if class_row else token)


@pytest.mark.parametrize("name", CONFIGS)
def test_our_own_networks_have_no_other_names(name):
    state = build(CONFIGS[name]).state_dict()
    ours, left = to_ours(state, "croco")
    assert left == []
    assert ours.keys() == state.keys()


def test_what_a_table_does_not_hold_is_named():
    _, left = to_ours({**peers.mae_encoder(), "head.weight": torch.zeros(1)}, "timm")
    assert left == ["head.weight"]
    _, left = to_theirs(FILES["croco"][0], "timm")
    assert {name.split(".")[0] for name in left} == {
        *("mask_token", "decoder_embed", "dec_pos_embed", "dec_blocks", "dec_norm"),
        "prediction_head",
    }
    assert naming_of(["layer1.conv.weight"]) is None
