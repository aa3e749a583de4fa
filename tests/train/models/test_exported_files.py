"""Exports: timm gives the same features, and CroCo's names and arguments come back."""

from __future__ import annotations

import json
import os

import pytest

torch = pytest.importorskip("torch")

import peers_files as peers
from small_nets import CONFIGS, autoencoder, completion, drawn, images, segmenter

from train.errors import TrainError
from train.export import (
    export,
    main,
    timm_arguments,
)
from train.models import build, encoder_config
from train.models.checkpoints import read_checkpoint
from train.models.load import initialise_from


def run_file(folder, net, ema=None):
    content = {"format": 1, "method": "any", "net": net.to_dict(), "step": 3, "ema": ema}
    path = folder / "step-00000003.pt"
    torch.save({**content, "model": {f"net.{k}": v for k, v in net.state_dict().items()}}, path)
    return path


@pytest.mark.parametrize(
    "config",
    [
        completion(),
        completion("cat"),
        autoencoder(class_token=True),
        completion(image_size=(8, 8), mlp_ratio=2.0),
        segmenter(),
    ],
)
def test_timm_gives_the_same_features(tmp_path, config):
    timm = pytest.importorskip("timm")
    net = drawn(config)
    out = tmp_path / "vit.safetensors"
    export(run_file(tmp_path, net), "timm", out)
    told = json.loads((tmp_path / "vit.json").read_text())
    vit = timm.create_model(told["architecture"], checkpoint_path=str(out), **told["model_args"])
    view = images(2, views=None, size=config.encoder.image_size)
    with torch.no_grad():
        ours = net.encode(view)
        torch.testing.assert_close(vit.eval().forward_features(view), ours)
        pooled = ours[:, 0] if config.encoder.class_token else ours.mean(1)
        torch.testing.assert_close(vit(view), pooled)


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ("small", "vit_small_patch16_224"),
        ("base", "vit_base_patch16_224"),
        ("large", "vit_large_patch16_224"),
        ("huge", "vit_huge_patch14_224"),
    ],
)
def test_named_sizes_are_timms(size, name):
    timm = pytest.importorskip("timm")
    found, arguments = timm_arguments(encoder_config(size))
    assert found == name
    with torch.device("meta"):
        plain = timm.create_model(name, class_token=False, global_pool="avg", fc_norm=False)
        ours = timm.create_model(name, **arguments)
    shapes = {k: v.shape for k, v in plain.state_dict().items() if not k.startswith("head.")}
    assert {k: v.shape for k, v in ours.state_dict().items()} == shapes


@pytest.mark.parametrize("positions", ["cosine", "rope"])
def test_crocos_file_comes_back_whole(tmp_path, positions):
    config = completion(positions=positions, image_size=(8, 8))
    net = drawn(config)
    out = tmp_path / "croco.pth"
    export(run_file(tmp_path, net), "croco", out)
    content = torch.load(out, weights_only=True)
    wanted = peers.croco_file(cosine=positions == "cosine")
    assert {k: v.shape for k, v in content["model"].items()} == {
        k: v.shape for k, v in wanted.items()
    }
    assert content["croco_kwargs"]["pos_embed"] == (
        "cosine" if positions == "cosine" else "RoPE100"
    )
    assert read_checkpoint(out).config == config
    again = build(config)
    assert initialise_from(again, out).missing == ()
    assert all(torch.equal(again.state_dict()[k], v) for k, v in net.state_dict().items())


@pytest.mark.parametrize(
    ("config", "left"),
    [
        (segmenter(image_size=(8, 8)), {"segmentation_head"}),
        (
            completion("cat", image_size=(8, 8)),
            {
                *("decoder_embed", "dec_pos_embed", "dec_blocks", "dec_norm", "mask_token"),
                *("prediction_head", "view_embed"),
            },
        ),
    ],
)
def test_what_croco_has_no_name_for_is_left_out_and_said(tmp_path, config, left):
    done = export(run_file(tmp_path, drawn(config)), "croco", tmp_path / "croco.pth")
    assert {name.split(".")[0] for name in done.left} == left
    assert "strict=False" in done.how
    written = torch.load(tmp_path / "croco.pth", weights_only=True)["model"]
    assert written.keys() <= peers.croco_file().keys()


def test_a_croco_file_goes_to_timm(tmp_path):
    timm = pytest.importorskip("timm")
    net = drawn(completion(image_size=(8, 8)))
    export(run_file(tmp_path, net), "croco", tmp_path / "croco.pth")
    export(tmp_path / "croco.pth", "timm", tmp_path / "vit.safetensors")
    told = json.loads((tmp_path / "vit.json").read_text())
    vit = timm.create_model(
        told["architecture"], checkpoint_path=tmp_path / "vit.safetensors", **told["model_args"]
    )
    view = images(1, views=None, size=(8, 8))
    with torch.no_grad():
        torch.testing.assert_close(vit.eval().forward_features(view), net.encode(view))


def test_the_command_writes_and_says_how_to_load(tmp_path, capsys):
    net, average = drawn(CONFIGS["croco"], 1), drawn(CONFIGS["croco"], 2)
    path = run_file(tmp_path, net, {f"net.{k}": v for k, v in average.state_dict().items()})
    out = tmp_path / "new" / "vit.safetensors"
    words = ["--checkpoint", str(path), "--to", "timm", "--out", str(out), "--weights", "ema"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "timm.create_model(" in said
    assert "dec_blocks" in said
    assert sorted(file.name for file in out.parent.iterdir()) == ["vit.json", "vit.safetensors"]
    from safetensors.torch import load_file

    assert torch.equal(load_file(out)["norm.bias"], average.enc_norm.bias)


@pytest.mark.parametrize(
    ("config", "to", "out", "words"),
    [
        (completion(positions="rope"), "timm", "x.safetensors", "RoPE.*--to croco"),
        (completion(class_token=True), "croco", "x.pth", "class token.*--to timm"),
        (completion(), "croco", "x.pth", "square.*--to timm"),
        (completion(mlp_ratio=2.0, image_size=(8, 8)), "croco", "x.pth", "one mlp_ratio"),
        (completion(), "timm", "x.pth", "safetensors"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(tmp_path, capsys, config, to, out, words):
    path = run_file(tmp_path, drawn(config))
    with pytest.raises(TrainError, match=words):
        export(path, to, tmp_path / out)
    arguments = ["--checkpoint", str(path), "--to", to, "--out", str(tmp_path / out)]
    assert main(arguments) != 0
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not (tmp_path / out).exists()


def test_a_file_that_does_not_tell_its_network_cannot_be_exported(tmp_path):
    torch.save({"model": peers.mae_full()}, tmp_path / "mae.pth")
    with pytest.raises(TrainError, match="does not say what network"):
        export(tmp_path / "mae.pth", "timm", tmp_path / "x.safetensors")


@pytest.mark.parametrize("through", ["itself", "link", "second name", "other spelling"])
def test_the_checkpoint_itself_is_never_written_over(tmp_path, capsys, through):
    path = run_file(tmp_path, drawn(completion(image_size=(8, 8))))
    before = path.read_bytes()
    out = tmp_path / "croco.pth"
    if through == "link":
        out.symlink_to(path)
    elif through == "second name":
        out.hardlink_to(path)
    else:
        out = path if through == "itself" else tmp_path / "sub" / ".." / path.name
        (tmp_path / "sub").mkdir()
    assert main(["--checkpoint", str(path), "--to", "croco", "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"error: --out {out}: that is the --checkpoint")
    assert path.read_bytes() == before
    assert out.samefile(path)


@pytest.mark.parametrize(
    ("to", "name", "ends"),
    [
        ("croco", "config.yaml", ".pth"),
        ("croco", "step-00000009.pt", ".pth"),
        ("timm", "metrics.jsonl", ".safetensors"),
    ],
)
def test_what_is_no_export_is_not_replaced(tmp_path, capsys, to, name, ends):
    path = run_file(tmp_path, drawn(completion(image_size=(8, 8))))
    out = tmp_path / name
    out.write_text("mine")
    assert main(["--checkpoint", str(path), "--to", to, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert f"--out {out}: already there" in said
    assert f"ends in {ends};" in said
    assert out.read_text() == "mine"


@pytest.mark.parametrize(("to", "name"), [("croco", "x.pth"), ("timm", "x.safetensors")])
def test_an_earlier_export_is_replaced_and_readable_as_any_new_file(tmp_path, to, name):
    path = run_file(tmp_path, drawn(completion(image_size=(8, 8))))
    out = tmp_path / name
    out.write_text("earlier")
    before = os.umask(0o026)
    try:
        done = export(path, to, out)
    finally:
        os.umask(before)
    assert out.read_bytes() != b"earlier"
    assert {file.stat().st_mode & 0o777 for file in done.files} == {0o640}


@pytest.mark.parametrize("option", ["--checkpoint", "--out"])
def test_files_are_of_this_machine(tmp_path, capsys, option):
    words = {"--checkpoint": str(tmp_path / "step.pt"), "--to": "croco", "--out": "x.pth"}
    words[option] = "s3://bucket/x.pth"
    assert main([word for pair in words.items() for word in pair]) == 2
    said = capsys.readouterr().err
    assert option in said
    assert "s3://bucket/x.pth" in said
