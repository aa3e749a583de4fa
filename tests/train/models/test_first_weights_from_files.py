"""Loading the peers' checkpoints and ours as first weights, and the report of it."""

from __future__ import annotations

import argparse
import dataclasses
import pickle

import pytest

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file

import peers_files as peers
from small_nets import (
    autoencoder,
    completion,
    drawn,
    images,
    segmenter,
    small_decoder,
    small_encoder,
)

from train.errors import TrainError
from train.models import (
    CrossViewCompletionConfig,
    Encoder,
    MaskedAutoencoderConfig,
    build,
)
from train.models.checkpoints import read_checkpoint
from train.models.croco import config_of, kwargs_for, kwargs_of, parsed_call
from train.models.load import initialise_from

SQUARE = {"image_size": (8, 8)}
CROCO = completion(**SQUARE)
V2_KWARGS = {
    "img_size": 8,
    "patch_size": 4,
    "enc_embed_dim": 24,
    "enc_depth": 2,
    "enc_num_heads": 3,
    "dec_embed_dim": 16,
    "dec_depth": 2,
    "dec_num_heads": 2,
    "pos_embed": "RoPE100",
}


def saved(folder, content, name="weights.pth"):
    torch.save(content, folder / name)
    return folder / name


def holds(net, name, value):
    return torch.equal(net.state_dict()[name], value)


def test_a_croco_v1_file_fills_the_network(tmp_path):
    theirs = peers.croco_file()
    net = build(CROCO)
    report = initialise_from(net, saved(tmp_path, {"model": theirs}))
    assert set(report.loaded) == set(net.state_dict())
    assert (report.missing, report.unexpected, report.unfit, report.reshaped) == ((),) * 4
    assert all(holds(net, name, theirs[name]) for name in theirs)
    assert str(report).count("\n") == 0


@pytest.mark.parametrize("as_string", [False, True])
def test_a_croco_v2_file_tells_its_network(tmp_path, as_string):
    theirs = peers.croco_file(cosine=False)
    words = ", ".join(f"{name}={value!r}" for name, value in V2_KWARGS.items())
    told = (
        {"args": argparse.Namespace(model=f"CroCoNet({words})", output_dir="x", lr=None)}
        if as_string
        else {"croco_kwargs": V2_KWARGS}
    )
    read = read_checkpoint(saved(tmp_path, {"model": theirs, **told}))
    assert read.config == completion(positions="rope", **SQUARE)
    net = build(read.config)
    report = initialise_from(net, read.path)
    assert report.missing == report.unexpected == report.notes == ()
    assert all(holds(net, name, theirs[name]) for name in theirs)


def test_positions_of_another_kind_are_said(tmp_path):
    path = saved(tmp_path, {"model": peers.croco_file(cosine=False), "croco_kwargs": V2_KWARGS})
    report = initialise_from(build(CROCO), path)
    assert report.missing == ("enc_pos_embed", "dec_pos_embed")
    assert any("rope" in note and "cosine" in note for note in report.notes)


def test_another_number_of_heads_is_said(tmp_path):
    kwargs = {**V2_KWARGS, "enc_num_heads": 6, "dec_num_heads": 4, "pos_embed": "RoPE50"}
    path = saved(tmp_path, {"model": peers.croco_file(cosine=False), "croco_kwargs": kwargs})
    report = initialise_from(build(completion(positions="rope", **SQUARE)), path)
    assert report.notes == (
        "trained with encoder.heads 6, the network has 3",
        "trained with encoder.rope_base 50, the network has 100",
        "trained with decoder.heads 4, the network has 2",
    )


def test_a_file_with_crocos_names_that_says_nothing_and_is_not_v1_has_no_config(tmp_path):
    assert (
        read_checkpoint(saved(tmp_path, {"model": peers.croco_file(cosine=False)})).config is None
    )


def test_names_of_successors_are_reported(tmp_path):
    """DUSt3R's: a second decoder and heads, arguments that are no literals."""
    theirs = peers.croco_file(cosine=False)
    theirs |= {
        name.replace("dec_blocks", "dec_blocks2"): value
        for name, value in theirs.items()
        if name.startswith("dec_blocks")
    }
    theirs["downstream_head1.proj.weight"] = torch.zeros(3)
    call = (
        "AsymmetricCroCo3DStereo(pos_embed='RoPE100', img_size=(8, 8), patch_size=4, "
        "depth_mode=('exp', -inf, inf), enc_embed_dim=24, enc_depth=2, enc_num_heads=3, "
        "dec_embed_dim=16, dec_depth=2, dec_num_heads=2)"
    )
    path = saved(tmp_path, {"model": theirs, "args": argparse.Namespace(model=call)})
    assert read_checkpoint(path).config == completion(positions="rope", **SQUARE)
    report = initialise_from(build(completion(positions="rope", **SQUARE)), path)
    assert report.missing == ()
    assert {name.split(".")[0] for name in report.unexpected} == {"dec_blocks2", "downstream_head1"}


def test_mae_encoder_only_into_croco_leaves_the_decoder_as_drawn(tmp_path):
    theirs = peers.mae_encoder()
    net = build(CROCO)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    report = initialise_from(net, saved(tmp_path, {"model": theirs}))
    assert holds(net, "enc_blocks.1.attn.qkv.weight", theirs["blocks.1.attn.qkv.weight"])
    assert holds(net, "enc_pos_embed", theirs["pos_embed"][0, 1:])
    assert set(report.missing) == {
        name for name in before if not name.startswith(("enc_", "patch_embed"))
    }
    assert all(holds(net, name, before[name]) for name in report.missing)
    assert report.unexpected == ("cls_token",)
    assert report.notes == ("trained with a class token, the network has none",)
    assert "dec_blocks (48)" in str(report)


def test_mae_full_fills_a_masked_autoencoder(tmp_path):
    theirs = peers.mae_full()
    config = MaskedAutoencoderConfig(
        encoder=small_encoder(class_token=True, **SQUARE), decoder=small_decoder()
    )
    net = build(config)
    content = {"model": theirs, "args": argparse.Namespace(blr=1e-4), "epoch": 3}
    report = initialise_from(net, saved(tmp_path, content))
    assert report.missing == report.unexpected == report.notes == ()
    assert holds(net, "dec_blocks.1.norm2.weight", theirs["decoder_blocks.1.norm2.weight"])
    assert holds(net, "prediction_head.bias", theirs["decoder_pred.bias"])


def test_the_decoder_of_mae_is_not_taken_for_crocos(tmp_path):
    """norm2 stands before the MLP in one and before the cross-attention in the other."""
    net = build(completion(class_token=True, **SQUARE))
    before = net.state_dict()["dec_blocks.0.norm2.weight"].clone()
    report = initialise_from(net, saved(tmp_path, {"model": peers.mae_full()}))
    assert holds(net, "dec_blocks.0.norm2.weight", before)
    assert "dec_blocks.0.norm2.weight" in report.unexpected
    assert "decoder_embed.weight" in report.unexpected
    assert "dec_blocks.0.norm2.weight" in report.missing
    assert any("decoder" in note for note in report.notes)


def test_mimic_fills_croco_with_a_class_token(tmp_path):
    theirs = peers.mimic()
    net = build(completion(class_token=True, **SQUARE))
    report = initialise_from(net, saved(tmp_path, {"model": theirs}))
    assert report.missing == report.unexpected == report.unfit == ()
    assert "(MIMIC's names)" in report.source
    name = "cross_attn.projv.weight"
    assert holds(net, f"dec_blocks.1.{name}", theirs[f"decoder_blocks_croco.1.{name}"])


def test_croco_into_alligat0r_leaves_the_head_as_drawn(tmp_path):
    """Pixels of three colours and of three classes have one shape and two meanings."""
    net = build(segmenter(**SQUARE))
    report = initialise_from(net, saved(tmp_path, {"model": peers.croco_file()}))
    assert set(report.missing) == {"segmentation_head.weight", "segmentation_head.bias"}
    assert set(report.unexpected) == {
        *("mask_token", "prediction_head.weight", "prediction_head.bias")
    }


TIMM_SIZES = {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}


@pytest.mark.parametrize("no_embed_class", [False, True])
def test_a_timm_vit_gives_our_encoder_its_features(tmp_path, no_embed_class):
    """Whether or not its positions have a row for the class token."""
    timm = pytest.importorskip("timm")
    options = {"num_classes": 5, "no_embed_class": no_embed_class, **TIMM_SIZES}
    vit = timm.create_model("vit_base_patch16_224", **options).eval()
    torch.nn.init.normal_(vit.pos_embed)
    torch.nn.init.normal_(vit.cls_token)
    encoder = Encoder(small_encoder(class_token=True, **SQUARE)).eval()
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    report = initialise_from(encoder, tmp_path / "vit.safetensors")
    assert report.missing == ()
    assert set(report.unexpected) == {"head.weight", "head.bias"}
    view = images(2, views=None, size=(8, 8))
    with torch.no_grad():
        torch.testing.assert_close(encoder(view), vit.forward_features(view))


def test_positions_are_read_as_the_networks_grid_has_them(tmp_path):
    """Of 2 x 4 patches and the class token: as many rows as 3 x 3 patches have."""
    theirs = peers.mae_encoder()
    theirs["pos_embed"] = torch.randn(1, 9, 24, generator=torch.Generator().manual_seed(1))
    encoder = Encoder(small_encoder(class_token=True, image_size=(8, 16)))
    report = initialise_from(encoder, saved(tmp_path, {"model": theirs}))
    assert report.reshaped == ()
    assert holds(encoder, "enc_pos_embed", theirs["pos_embed"][0, 1:])


@pytest.mark.parametrize(
    ("name", "options", "parts"),
    [
        ("deit3_small_patch16_224", {}, "blocks.ls1.gamma, blocks.ls2.gamma"),
        ("vit_base_patch16_224", {"pre_norm": True}, "norm_pre.bias, norm_pre.weight"),
        (
            "vit_base_patch16_224",
            {"qk_norm": True},
            "blocks.attn.k_norm.bias, blocks.attn.k_norm.weight, blocks.attn.q_norm",
        ),
        ("vit_base_patch16_224", {"reg_tokens": 2}, "reg_token"),
        ("deit_base_distilled_patch16_224", {}, "dist_token"),
    ],
)
def test_a_timm_vit_with_parts_that_ours_has_not_is_refused(tmp_path, name, options, parts):
    timm = pytest.importorskip("timm")
    vit = timm.create_model(name, pretrained=False, **TIMM_SIZES, **options)
    path = tmp_path / "vit.safetensors"
    save_file(vit.state_dict(), path)
    encoder = Encoder(small_encoder(class_token=True, **SQUARE))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(TrainError) as refused:
        initialise_from(encoder, path)
    said = str(refused.value)
    assert said.startswith(f"{path} is of an encoder with {parts}")
    assert "which ours has not, so its features would be others here; choose" in said
    assert all(holds(encoder, name, value) for name, value in before.items())


def test_blocks_that_a_shallower_network_has_no_use_for_are_none_of_another_kind(tmp_path):
    encoder = Encoder(small_encoder(depth=1, **SQUARE))
    report = initialise_from(encoder, saved(tmp_path, {"model": peers.croco_file()}))
    assert "enc_blocks.1.norm1.bias" in report.unexpected


def test_positions_go_to_another_grid(tmp_path):
    theirs = peers.croco_file()
    net = build(completion(image_size=(16, 12)))
    report = initialise_from(net, saved(tmp_path, {"model": theirs}))
    assert report.reshaped == ("enc_pos_embed", "dec_pos_embed")
    found = net.state_dict()["enc_pos_embed"].reshape(4, 3, 24)
    assert found[0, 0, 5].item() == pytest.approx(cubic(theirs["enc_pos_embed"], 5, 0, 0), abs=1e-5)
    assert found[2, 1, 7].item() == pytest.approx(cubic(theirs["enc_pos_embed"], 7, 2, 1), abs=1e-5)
    assert "interpolated" in str(report)
    assert net(images(2, size=(16, 12)), torch.tensor([[0], [11]])).shape == (2, 12, 48)


def cubic(positions, channel, row, col):
    """Bicubic (a = -0.75), corners not aligned: 2 x 2 values asked for at a place of 4 x 3."""
    values = positions.reshape(2, 2, -1)[..., channel]

    def weights(at):
        base = int(at // 1)
        out = {}
        for i in range(base - 1, base + 3):
            t = abs(at - i)
            near = 1.25 * t**3 - 2.25 * t**2 + 1
            far = -0.75 * t**3 + 3.75 * t**2 - 6 * t + 3
            clamped = min(max(i, 0), 1)
            out[clamped] = out.get(clamped, 0) + (near if t <= 1 else far)
        return out

    y, x = weights((row + 0.5) * 2 / 4 - 0.5), weights((col + 0.5) * 2 / 3 - 0.5)
    return sum(y[i] * x[j] * values[i, j].item() for i in y for j in x)


def test_a_run_of_ours_with_rectangular_positions_is_read_by_its_own_grid(tmp_path):
    net = drawn(completion(image_size=(8, 16)))
    path = saved(tmp_path, {"format": 1, "net": net.to_dict(), "model": net.state_dict()})
    wider = build(completion(image_size=(16, 16)))
    assert initialise_from(wider, path).reshaped == ("enc_pos_embed", "dec_pos_embed")
    kept = wider.state_dict()["enc_pos_embed"].reshape(4, 4, 24)
    assert torch.allclose(kept[1:3].mean(0), net.enc_pos_embed.reshape(2, 4, 24).mean(0), atol=1e-5)


def test_a_run_of_ours_holds_two_sets_of_weights(tmp_path):
    net, average = drawn(CROCO, seed=1), drawn(CROCO, seed=2)
    wrapped = {f"net._orig_mod.{name}": value for name, value in net.state_dict().items()}
    content = {"format": 1, "method": "croco", "net": net.to_dict(), "model": wrapped, "step": 5}
    path = saved(tmp_path, {**content, "ema": average.state_dict()})
    other = build(CROCO)
    assert initialise_from(other, path).missing == ()
    assert holds(other, "mask_token", net.mask_token)
    initialise_from(other, path, weights="ema")
    assert holds(other, "mask_token", average.mask_token)
    with pytest.raises(TrainError, match="no averaged weights"):
        initialise_from(other, saved(tmp_path, {**content, "ema": None}), weights="ema")


def test_a_partial_fit_is_told_in_five_lines(tmp_path):
    theirs = peers.croco_file()
    theirs["teacher.weight"] = torch.zeros(2)
    net = build(completion(decoder=small_decoder(width=32, depth=3), **SQUARE))
    report = initialise_from(net, saved(tmp_path, {"model": theirs}))
    assert "dec_blocks.0.norm1.weight 16, here 32" in report.unfit
    assert "teacher.weight" in report.unexpected
    assert "dec_blocks.2.norm1.weight" in report.missing
    assert "dec_blocks.0.norm1.weight" not in report.missing
    words = str(report)
    assert words.count("\n") <= 4
    assert f"{len(report.loaded)} of the network's {len(net.state_dict())} weights" in words
    assert max(map(len, words.splitlines())) < 250
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.loaded = ()


def test_nothing_that_fits_is_an_error(tmp_path):
    net = build(autoencoder(width=36, **SQUARE))
    with pytest.raises(TrainError, match=r"nothing in .*weights\.pth fits"):
        initialise_from(net, saved(tmp_path, {"model": peers.croco_file()}))


class Command:
    """What a hostile file would hold."""

    def __reduce__(self):
        return (print, ("this must not run",))


def test_a_file_that_holds_code_is_refused_and_not_run(tmp_path, capsys):
    path = saved(tmp_path, {"model": peers.croco_file(), "args": Command()})
    with pytest.raises(TrainError, match=r"weights\.pth holds .*print"):
        read_checkpoint(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("damage", ["absent", "cut off", "text", "list", "foreign", "bare pickle"])
def test_a_file_that_is_no_checkpoint_is_one_sentence(tmp_path, damage):
    path = tmp_path / "weights.pth"
    if damage == "cut off":
        saved(tmp_path, {"model": peers.croco_file()})
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "text":
        path.write_text("hello")
    elif damage == "list":
        saved(tmp_path, [1, 2])
    elif damage == "foreign":
        saved(tmp_path, {"model": {"layer1.weight": torch.zeros(1)}})
    elif damage == "bare pickle":
        path.write_bytes(pickle.dumps({"model": 3}, protocol=2))
    with pytest.raises(TrainError, match=r"weights\.pth") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_the_call_of_a_network_is_read_and_never_run():
    assert parsed_call("CroCoNet(enc_depth=24, pos_embed='RoPE100', f=open('x'))") == {
        "enc_depth": 24,
        "pos_embed": "RoPE100",
    }
    for wrong in ("__import__('os')", "CroCoNet(", "3", ""):
        with pytest.raises(TrainError, match=r"args\.model"):
            parsed_call(wrong)


@pytest.mark.parametrize(
    "config",
    [
        CROCO,
        completion(positions="rope", rope_base=50.0),
        completion(mlp_ratio=2.0, decoder=small_decoder(mlp_ratio=2.0), **SQUARE),
    ],
)
def test_crocos_arguments_go_both_ways(config):
    kwargs = kwargs_for(config.encoder, config.decoder)
    assert config_of(kwargs) == config
    assert kwargs_of({"croco_kwargs": kwargs}) == kwargs


def test_crocos_defaults_are_v1():
    assert config_of(kwargs_of({})) == CrossViewCompletionConfig.from_dict(
        {"encoder": {"size": "base"}, "decoder": {"size": "small"}}
    )


def test_an_unknown_kind_of_positions_is_refused():
    with pytest.raises(TrainError, match="learnt"):
        config_of({**kwargs_of({}), "pos_embed": "learnt"})
    with pytest.raises(TrainError, match=r"encoder\.width"):
        config_of({**kwargs_of({}), "enc_embed_dim": "768"})
