"""Each network's forward pass against the papers' formulas, written out in ``formulas``."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from formulas import Formulas
from small_nets import (
    CONFIGS,
    autoencoder,
    completion,
    drawn,
    images,
    segmenter,
    small_decoder,
)

from train.errors import TrainError
from train.models import (
    CovisibilitySegmenter,
    Encoder,
    MaskedAutoencoder,
    build,
    mask_from_noise,
    masked_error,
    normalised,
    patchify,
)

KEPT = torch.tensor([[4, 1], [0, 5]])
"""Of 2 x 3 patches; not ascending, so that the order must be carried along."""


def run(net, views):
    if isinstance(net, MaskedAutoencoder):
        return net(views[:, 0], KEPT)
    return net(views) if isinstance(net, CovisibilitySegmenter) else net(views, KEPT)


def expected(net, views):
    formulas = Formulas(net)
    rows = []
    for sample, kept in zip(views.numpy(), KEPT.tolist(), strict=True):
        if isinstance(net, MaskedAutoencoder):
            rows.append(formulas.masked_autoencoder(sample[0], kept))
        elif isinstance(net, CovisibilitySegmenter):
            rows.append(formulas.segmentation(sample, net.config.classes))
        else:
            rows.append(formulas.completion(sample, kept))
    return np.array(rows)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_network_computes_what_the_papers_write(name):
    net, views = drawn(CONFIGS[name]).double(), images(2).double()
    with torch.no_grad():
        found = run(net, views)
    wanted = expected(net, views)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-5 * np.abs(wanted).max())


def test_the_decoder_may_be_of_another_width_and_number_of_heads_than_the_encoder():
    config = completion(decoder=small_decoder(width=32, depth=1, heads=4), positions="rope")
    net, views = drawn(config).double(), images(2).double()
    with torch.no_grad():
        np.testing.assert_allclose(run(net, views), expected(net, views), atol=1e-4)


@pytest.mark.parametrize("positions", ["cosine", "rope"])
def test_the_encoder_of_some_patches_is_not_told_of_the_others(positions):
    """Changing a hidden patch changes nothing."""
    net = drawn(completion(positions=positions))
    view = images(2, views=None)
    changed = view.clone()
    changed[0, :, :4, :4] += 1  # patch 0, which sample 0 hides
    with torch.no_grad():
        before, after = net.encode(view, KEPT), net.encode(changed, KEPT)
    assert torch.equal(before[0], after[0])
    with torch.no_grad():
        assert not torch.equal(net.encode(view)[0], net.encode(changed)[0])


def test_completion_reads_the_second_view():
    net, views = drawn(CONFIGS["croco"]), images(2)
    with torch.no_grad():
        assert not torch.allclose(net(views, KEPT), net(views.roll(1, 0), KEPT))
        other = torch.stack([views[:, 0], views[:, 1].roll(1, 0)], dim=1)
        assert not torch.allclose(net(views, KEPT), net(other, KEPT), atol=1e-3)


def test_swapping_the_views_swaps_their_labels():
    net, views = drawn(CONFIGS["alligat0r"]), images(2)
    with torch.no_grad():
        torch.testing.assert_close(net(views).flip(1), net(views.flip(1)))


def test_an_encoder_alone_is_the_networks_encoder():
    net = drawn(CONFIGS["croco with a class token"])
    encoder = Encoder(net.config.encoder)
    encoder.load_state_dict({name: net.state_dict()[name] for name in encoder.state_dict()})
    view = images(2, views=None)
    with torch.no_grad():
        assert torch.equal(encoder(view, KEPT), net.encode(view, KEPT))
        assert encoder(view).shape == (2, 1 + 6, 24)


def test_rope_takes_images_of_any_size_and_cosine_only_the_configured():
    larger = images(2, size=(16, 8))
    net = drawn(segmenter(positions="rope"))
    assert net(larger).shape == (2, 2, 3, 16, 8)
    with pytest.raises(TrainError, match=r"images are 16 x 8.*for 8 x 12"):
        drawn(completion())(larger, KEPT)
    with pytest.raises(TrainError, match="multiple"):
        net(images(2, size=(10, 8)))


def test_rope_knows_how_far_patches_are_apart_and_not_where_they_are():
    """The same picture further down on a larger canvas, all else hidden, encodes the same."""
    net = drawn(autoencoder(positions="rope"))
    view = images(1, views=None)
    canvas = torch.zeros(1, 3, 16, 24)
    canvas[:, :, 8:, 12:] = view
    below = torch.tensor([[15, 16, 17, 21, 22, 23]])  # of 4 x 6 patches
    with torch.no_grad():
        torch.testing.assert_close(net.encode(canvas, below), net.encode(view), atol=1e-5, rtol=0)


def test_the_masked_loss_is_the_mean_over_hidden_patches_of_normalised_pixels():
    view = images(2, views=None).double()
    mask = mask_from_noise(torch.rand(2, 6, generator=torch.Generator().manual_seed(0)), 2)
    predictions = torch.randn(2, 6, 48, generator=torch.Generator().manual_seed(1))
    found = masked_error(predictions, normalised(patchify(view, 4)), mask.masked)
    for sample in range(2):
        total = 0.0
        for number in mask.masked[sample].tolist():
            row, col = divmod(number, 3)
            pixels = view[sample, :, row * 4 : row * 4 + 4, col * 4 : col * 4 + 4].numpy()
            values = [pixels[c, p, q] for p in range(4) for q in range(4) for c in range(3)]
            mean = sum(values) / 48
            deviation = np.sqrt(sum((v - mean) ** 2 for v in values) / 47 + 1e-6)
            target = [(v - mean) / deviation for v in values]
            errors = [
                (a - b) ** 2
                for a, b in zip(predictions[sample, number].tolist(), target, strict=True)
            ]
            total += sum(errors) / 48
        assert found[sample].item() == pytest.approx(total / 4, rel=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_weight_learns(name):
    """A weight without a gradient stops training over several processes."""
    net = drawn(CONFIGS[name])
    run(net, images(2)).square().mean().backward()
    idle = [name for name, weight in net.named_parameters() if weight.grad is None]
    assert idle == []
    assert all(weight.grad.abs().max() > 0 for weight in net.parameters())


@pytest.mark.parametrize("name", ["mae", "croco", "croco v2", "cat with rope", "alligat0r"])
def test_half_precision_keeps_the_residual_stream_whole(name):
    net, views = drawn(CONFIGS[name]), images(2)
    seen = []
    net.enc_blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].dtype))
    net.dec_blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].dtype))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = run(net, views)
    assert set(seen) == {torch.float32}
    with torch.no_grad():
        whole = run(net, views)
    assert (half.float() - whole).norm() < 0.05 * whole.norm()


@pytest.mark.parametrize("name", ["mae with a class token", "croco v2", "cat", "alligat0r"])
def test_a_network_is_one_graph(name):
    """No step of it depends on the data: ``torch.compile`` needs no second graph."""
    net, views = drawn(CONFIGS[name]), images(2)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(run_compiled(compiled, net, views), run(net, views))


def run_compiled(compiled, net, views):
    if isinstance(net, MaskedAutoencoder):
        return compiled(views[:, 0], KEPT)
    return compiled(views) if isinstance(net, CovisibilitySegmenter) else compiled(views, KEPT)


def test_the_same_seed_gives_the_same_first_weights():
    nets = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        nets.append(build(CONFIGS["croco"]).state_dict())
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])
    assert not torch.equal(nets[0]["mask_token"], nets[2]["mask_token"])
