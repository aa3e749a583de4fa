"""Hugging Face's depth models: metres for every pixel, one identity, and plain words when not."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from depth_models import MAX_DEPTH_M, make_model

from mimic.depth import device_for, model_at, opened
from mimic.errors import MimicError

RGB = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def test_every_pixel_has_metres_and_twice_the_same(folder: Path) -> None:
    model = opened(model_at(str(folder), "cpu"))
    depth_m = model.predict(RGB)
    assert depth_m.shape == RGB.shape[:2]
    assert depth_m.dtype == np.float32
    assert (depth_m >= 0).all()
    assert (depth_m <= MAX_DEPTH_M * 1.001).all()
    assert depth_m.std() > 0.01
    np.testing.assert_array_equal(model.predict(RGB), depth_m)


def test_the_number_of_threads_that_torch_had_decides_nothing(folder: Path) -> None:
    import torch

    here = opened(model_at(str(folder), "cpu")).predict(RGB)
    torch.set_num_threads(4)
    opened.cache_clear()
    np.testing.assert_array_equal(opened(model_at(str(folder), "cpu")).predict(RGB), here)
    assert torch.get_num_threads() == 1


def test_a_model_is_its_content_not_its_place(folder: Path, tmp_path: Path) -> None:
    model = model_at(str(folder), "cpu")
    assert model.name == "tiny"
    moved = model_at(str(copied(folder, tmp_path / "tiny")), "cpu")
    assert replace(moved, address=model.address) == model
    other = model_at(str(make_model(tmp_path / "other", seed=1)), "cpu")
    assert other.sha256 != model.sha256
    names = [name for name, _ in model.versions]
    assert names == ["torch", "torchvision", "transformers", "depth_device"]


def test_a_sum_that_is_asked_for_must_be_there(folder: Path) -> None:
    sha256 = model_at(str(folder), "cpu").sha256
    assert model_at(str(folder), "cpu", sha256).sha256 == sha256
    with pytest.raises(MimicError, match=r"labels\.depth_sha256"):
        model_at(str(folder), "cpu", "0" * 64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "another model here"),
        ({"versions": (("torch", "1"), ("torchvision", "1"), ("transformers", "1"))}, "torch is"),
    ],
)
def test_a_worker_refuses_what_would_give_other_bytes(
    folder: Path, change: dict[str, object], said: str
) -> None:
    model = model_at(str(folder), "cpu")
    if "versions" in change:
        change = {"versions": (*change["versions"], ("depth_device", "cpu"))}  # type: ignore[misc]
    with pytest.raises(MimicError, match=said):
        opened(replace(model, **change))


def test_relative_depth_is_refused(tmp_path: Path) -> None:
    relative = make_model(tmp_path / "relative", "relative")
    with pytest.raises(MimicError, match="does not say that it predicts metres"):
        model_at(str(relative), "cpu")


def test_a_known_metric_family_need_not_say_so(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "zoe")
    config = json.loads((copy / "config.json").read_text())
    del config["depth_estimation_type"]
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "zoedepth"}))
    assert model_at(str(copy), "cpu").name == "zoe"
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "dpt"}))
    with pytest.raises(MimicError, match="metres"):
        model_at(str(copy), "cpu")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/nowhere/model", "there is no such folder"),
        ("not a name/at all", "neither a folder nor a hub name"),
    ],
)
def test_what_is_no_model_is_named(folder: Path, name: str, said: str) -> None:
    with pytest.raises(MimicError, match=said):
        model_at(name, "cpu")


def test_a_hub_name_without_a_hub_is_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MimicError, match="cannot be had from the Hugging Face hub"):
        model_at("nobody/nothing", "cpu")


def test_incomplete_files_are_refused(folder: Path, tmp_path: Path) -> None:
    bare = copied(folder, tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    with pytest.raises(MimicError, match="no weights in safetensors"):
        model_at(str(bare), "cpu")
    (bare / "config.json").unlink()
    with pytest.raises(MimicError, match=r"no config\.json"):
        model_at(str(bare), "cpu")
    cut = copied(folder, tmp_path / "cut")
    data = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(MimicError, match="cannot be loaded"):
        opened(model_at(str(cut), "cpu"))


def test_weights_that_lack_a_tensor_are_not_filled_with_noise(folder: Path, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    lacking = copied(folder, tmp_path / "lacking")
    tensors = safetensors.load_file(lacking / "model.safetensors")
    del tensors["head.conv3.weight"]
    safetensors.save_file(tensors, lacking / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MimicError, match=r"lack 1 tensors .* head\.conv3\.weight"):
        opened(model_at(str(lacking), "cpu"))


def test_a_gpu_is_taken_where_one_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    assert device_for(0.5, here=False) == "cuda"
    assert device_for(0.0, here=False) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_for(0.0, here=True) == "cuda"
    assert device_for(0.0, here=False) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_for(0.0, here=True) == "cpu"
    with pytest.raises(MimicError, match="torch sees no GPU here"):
        opened(model_at(str(folder), "cuda"))


@pytest.mark.parametrize("package", ["torch", "torchvision", "transformers"])
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(MimicError, match=r"torch|transformers") as caught:
        model_at(str(tmp_path), "cpu")
    assert "pip install 'mimic[depth]'" in str(caught.value)
