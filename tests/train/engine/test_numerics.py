"""A step is the same in parts, and what is not finite changes nothing."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from train.config import NumericsConfig, OptimiserConfig
from train.engine.numerics import Stepper
from train.engine.optimiser import adamw, set_rate
from train.methods import build_method
from train.methods.base import Views

CPU = torch.device("cpu")
NET = {
    "encoder": {"size": "tiny", "width": 48, "depth": 1, "heads": 3, "patch": 8,
                "image_size": [16, 16]},
    "decoder": {"size": "tiny", "width": 32, "depth": 1, "heads": 2},
    "mask_ratio": 0.5,
}  # fmt: skip


def views(count=6):
    images = torch.randn(count, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Views(images, torch.zeros(count, 2, 16, 16).byte(), torch.arange(count), 0, 0)


def ready(accumulate=1, precision="fp32", clip=None):
    torch.manual_seed(0)
    method = build_method("croco", NET)
    optimiser = adamw(method, OptimiserConfig())
    set_rate(optimiser, 1e-2)
    numerics = NumericsConfig(accumulate=accumulate, precision=precision)
    return method, Stepper(method, optimiser, numerics, clip, CPU), optimiser


@pytest.mark.parametrize("parts", [2, 3, 4, 6])
def test_gradients_in_parts_are_those_of_the_whole(parts):
    method, stepper, _ = ready()
    whole = stepper.gradients(views())
    norm = stepper.norm()
    gradients = [p.grad.clone() for p in method.parameters()]
    method_2, stepper_2, _ = ready(parts)
    cut = stepper_2.gradients(views())
    assert torch.allclose(whole.losses, cut.losses, rtol=1e-5)
    assert torch.allclose(norm, stepper_2.norm(), rtol=1e-4)
    for a, b in zip(gradients, method_2.parameters(), strict=True):
        assert torch.allclose(a, b.grad, atol=1e-6)


def test_the_gradient_is_clipped_to_the_norm_and_the_norm_told():
    method, stepper, _ = ready(clip=1e-3)
    stepper.gradients(views())
    assert float(stepper.norm()) > 1e-3
    clipped = torch.cat([p.grad.ravel() for p in method.parameters()]).norm()
    assert float(clipped) == pytest.approx(1e-3, rel=1e-3)


def test_what_is_not_finite_changes_no_weight_and_is_seen_in_its_sample():
    method, stepper, _ = ready()
    before = [p.clone() for p in method.parameters()]
    bad = views()
    bad.images[2, 1, 0, 0, 0] = float("nan")
    outcome = stepper.gradients(bad)
    assert outcome.losses.isfinite().tolist() == [True, True, False, True, True, True]
    finite = bool(stepper.norm().isfinite())
    assert not finite
    stepper.update(finite)
    assert all(torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True))


def test_bf16_is_near_fp32_and_keeps_its_weights_in_fp32():
    _, stepper, _ = ready()
    method, rough, _ = ready(precision="bf16")
    assert torch.allclose(
        stepper.gradients(views()).losses, rough.gradients(views()).losses, rtol=3e-2
    )
    assert {p.dtype for p in method.parameters()} == {torch.float32}


def test_biases_and_norms_do_not_decay():
    method, _, optimiser = ready()
    decayed, plain = (group["params"] for group in optimiser.param_groups)
    names = {id(p): name for name, p in method.named_parameters()}
    assert all(names[id(p)].endswith(".weight") or p.ndim > 1 for p in decayed)
    assert {p.ndim for p in plain} == {1}
    assert len(decayed) + len(plain) == len(names)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.05, 0.0]


def test_a_part_keeps_its_samples():
    from train.engine.numerics import _parts

    parts = list(_parts(views(), 4))
    assert torch.equal(torch.cat([part.numbers for part in parts]), torch.arange(6))
    assert torch.equal(torch.cat([part.images for part in parts]), views().images)
    assert dataclasses.asdict(parts[0])["step"] == 0
