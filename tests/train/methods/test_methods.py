"""Each method's loss is its formula, and depends on nothing but its batch, seed and step."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mimic.layered import ConfigError
from train.errors import TrainError
from train.methods import METHODS, build_method
from train.methods.base import Views, shuffled_reference
from train.methods.completion import mask_of
from train.methods.draws import mask_noise
from train.methods.options import MaskOptions

SIZE, PATCH = 32, 8
NET = {
    "encoder": {"size": "tiny", "width": 48, "depth": 2, "heads": 3, "patch": PATCH,
                "image_size": [SIZE, SIZE]},
    "decoder": {"size": "tiny", "width": 32, "heads": 2},
}  # fmt: skip


def method(name):
    torch.manual_seed(1)
    return build_method(name, NET)


def views(name="croco", count=4, step=0, seed=0, numbers=None):
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(count, 2, 3, SIZE, SIZE, generator=generator)
    covis = torch.randint(0, 3, (count, 2, SIZE, SIZE), generator=generator).to(torch.uint8)
    if METHODS[name].singles:
        images, covis = images[:, :1], covis[:, :1]
    numbers = torch.arange(count) if numbers is None else numbers
    return Views(images, covis, numbers, step, seed)


def part(whole, rows):
    return dataclasses.replace(
        whole, images=whole.images[rows], covis=whole.covis[rows], numbers=whole.numbers[rows]
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_is_the_mean_of_its_samples_however_it_is_cut(name):
    model, whole = method(name), views(name)
    together = model(whole).losses
    alone = torch.cat([model(part(whole, [row])).losses for row in range(4)])
    assert torch.allclose(together, alone, rtol=1e-5)
    backwards = model(part(whole, [3, 1, 2, 0])).losses
    assert torch.allclose(together[[3, 1, 2, 0]], backwards, rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_what_is_measured_does_not_depend_on_how_a_batch_is_cut(name):
    model, whole = method(name), views(name)
    whole.covis[1] = 255
    whole.covis[2, 0] = 255
    together = model(whole).sums()
    alone = [model(part(whole, [row])).sums() for row in range(4)]
    for measure, total in together.items():
        torch.testing.assert_close(total, sum(one[measure] for one in alone))
    assert together["loss"][1] == 4


def test_a_sample_without_labels_counts_in_no_share_of_alligat0rs():
    model, whole = method("alligat0r"), views("alligat0r")
    whole.covis[:2] = 255
    whole.covis[2:] = 2
    whole.covis[2, :, :8] = 0  # a quarter of one of two
    sums = model(whole).sums()
    assert {int(count) for name, (_, count) in sums.items() if name != "loss"} == {2}
    means = {name: (total / count).item() for name, (total, count) in sums.items()}
    told = model.told(means)
    assert set(told) == {"loss", "accuracy", "majority"}
    assert told["majority"] == pytest.approx(1 - 1 / 8)


def test_a_network_that_ignores_its_reference_is_as_good_with_a_wrong_one():
    model, whole = method("alligat0r"), views("alligat0r")
    whole.covis.copy_((whole.images.mean(2) > 0) * 2)

    def blind(images):
        class_of = ((images.mean(2) > 0) * 2).long()
        return torch.nn.functional.one_hot(class_of, 3).permute(0, 1, 4, 2, 3) * 9.0

    model.net.forward = blind
    right, wrong = model(whole), model(shuffled_reference(whole))
    assert right.losses.max() < 0.01
    torch.testing.assert_close(wrong.losses, right.losses)
    seen = shuffled_reference(whole)
    assert torch.equal(seen.images[:, 0], whole.images[:, 0])
    assert not torch.equal(seen.images[:, 1], whole.images[:, 1])


@pytest.mark.parametrize("name", METHODS)
def test_every_weight_learns(name):
    model = method(name)
    model(views(name)).loss.backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # A class token or a bias before a softmax may have none; here there is no class token.
    assert [n for n in idle if "qkv.bias" not in n and "projk.bias" not in n] == []


@pytest.mark.parametrize("name", METHODS)
def test_the_pictures_are_colours_of_the_right_shape(name):
    panels = method(name).pictures(views(name))
    assert panels.shape[0] == 4
    assert panels.shape[2:] == (3, SIZE, SIZE)
    assert panels.isfinite().all()


@pytest.mark.parametrize("name", ["croco", "mae"])
def test_the_loss_is_the_error_of_hidden_patches_by_hand(name):
    model, seen = method(name), views(name)
    noise = mask_noise(0, 0, seen.numbers, 16).numpy()
    hidden_count = {"croco": int(0.9 * 16), "mae": 16 - int(16 * (1 - 0.75))}[name]
    order = np.argsort(noise, axis=1)
    kept = torch.from_numpy(np.sort(order[:, : 16 - hidden_count], axis=1))
    images = seen.images if name == "croco" else seen.images[:, 0]
    predicted = model.net(images, kept).detach().numpy()
    for row in range(4):
        errors = []
        for place in order[row, 16 - hidden_count :]:
            y, x = place // 4 * PATCH, place % 4 * PATCH
            window = seen.images[row, 0, :, y : y + PATCH, x : x + PATCH]
            target = window.permute(1, 2, 0).reshape(-1).numpy().astype(np.float64)
            target = (target - target.mean()) / math.sqrt(target.var(ddof=1) + 1e-6)
            errors.append(np.mean((predicted[row, place] - target) ** 2))
        assert float(model(seen).losses[row].detach()) == pytest.approx(np.mean(errors), rel=1e-4)


def test_croco_looks_at_its_reference_and_mae_has_none():
    model, seen = method("croco"), views()
    other = shuffled_reference(seen)
    assert torch.equal(other.images[:, 0], seen.images[:, 0])
    assert torch.equal(other.images[0, 1], seen.images[3, 1])
    assert not torch.allclose(model(seen).losses, model(other).losses)


def test_alligat0r_ignores_the_unknown_and_counts_each_sample_once():
    model, seen = method("alligat0r"), views()
    covis = seen.covis.clone()
    covis[0, :, : SIZE // 2] = 255
    covis[1] = 255
    logits = model.net(seen.images).log_softmax(2).detach()
    got = model(dataclasses.replace(seen, covis=covis))
    known = covis[0] != 255
    of_right = logits[0].gather(1, covis[0].long().clamp(max=2)[:, None])[:, 0]
    assert float(got.losses[0].detach()) == pytest.approx(-float(of_right[known].mean()), rel=1e-5)
    assert float(got.losses[1].detach()) == 0


def test_masks_are_functions_of_seed_step_and_sample_alone():
    numbers = torch.tensor([3, 7_000_000_000, 3])
    noise = mask_noise(1, 5, numbers, 16)
    assert torch.equal(noise[0], noise[2])
    assert torch.equal(noise[1], mask_noise(1, 5, numbers[1:2], 16)[0])
    for changed in (mask_noise(2, 5, numbers, 16), mask_noise(1, 6, numbers, 16)):
        assert not torch.equal(noise, changed)
    assert not torch.equal(noise[0], noise[1])
    many = mask_noise(0, 0, torch.arange(500), 196)
    assert 0.49 < float(many.mean()) < 0.51


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_masks_are_the_same_on_a_gpu_and_the_host_does_not_wait_for_them():
    here = views()
    there = dataclasses.replace(here, images=here.images.cuda())
    options = MaskOptions()
    mask_of(there, PATCH, options)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = mask_of(there, PATCH, options)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = mask_of(here, PATCH, options)
    assert all(torch.equal(a.cpu(), b) for a, b in zip(found, expected, strict=True))


def test_a_wrong_option_is_one_sentence():
    with pytest.raises(ConfigError, match="mask_ration is unknown: did you mean mask_ratio"):
        build_method("croco", {"mask_ration": 0.5})
    with pytest.raises(TrainError, match=r"encoder.widht is not known; did you mean width"):
        build_method("croco", {"encoder": {"size": "tiny", "widht": 3}})
    with pytest.raises(TrainError, match="--method crocodile: use one of mae, croco, alligat0r"):
        build_method("crocodile", {})


def test_what_a_sample_costs_falls_with_what_is_hidden():
    half = build_method("croco", {**NET, "mask_ratio": 0.5}).training_flops()
    most = build_method("croco", {**NET, "mask_ratio": 0.9}).training_flops()
    assert 0 < most < half
    assert method("alligat0r").training_flops() > 0
