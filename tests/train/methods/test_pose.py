"""Relative poses: their geometry, their errors, and what is learnt from them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.spatial.transform import Rotation

from train.errors import TrainError
from train.methods import METHODS, build_method, method_of
from train.methods.base import Views
from train.methods.pose import joint_losses, pose_losses
from train.methods.pose_errors import (
    Poses,
    relative,
    rotation_deg,
    scores,
    translation_deg,
)
from train.methods.pose_picture import from_above
from train.methods.pose_result import result_of
from train.methods.rotations import matrices, mean_quaternion, nearer, quaternions

SIZE = 32
NET = {
    "encoder": {"size": "tiny", "width": 48, "depth": 2, "heads": 3, "patch": 8,
                "image_size": [SIZE, SIZE], "positions": "rope"},
    "decoder": {"size": "tiny", "width": 32, "heads": 2},
}  # fmt: skip


def as_scipy(found):
    """(w, x, y, z) as scipy has them."""
    return Rotation.from_quat(found.numpy(), scalar_first=True)


def rotations(count=500, seed=0):
    """Any rotation, and many half turns, of which w is 0 or about it."""
    generator = np.random.default_rng(seed)
    axes = generator.normal(size=(count, 3))
    axes[:6] = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]]
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = generator.uniform(0, math.pi, count)
    angles[: count // 3] = math.pi
    near = generator.uniform(3, 15, len(angles[count // 3 : count // 2]))
    angles[count // 3 : count // 2] = math.pi - 10.0**-near
    return Rotation.from_rotvec(axes * angles[:, None])


def turn(degrees, axis=(0.0, 1.0, 0.0)):
    found = Rotation.from_rotvec(np.radians(degrees) * np.array(axis)).as_quat(scalar_first=True)
    return torch.from_numpy(found)[None]


def poses_of(count=4, seed=7):
    """Camera poses [B, 2, 4, 4] float32, anywhere."""
    generator = np.random.default_rng(seed)
    found = np.tile(np.eye(4), (count, 2, 1, 1))
    found[..., :3, :3] = Rotation.random(2 * count, rng=generator).as_matrix().reshape(-1, 2, 3, 3)
    found[..., :3, 3] = generator.normal(size=(count, 2, 3))
    return torch.from_numpy(found)


def views(count=4, poses=None):
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(count, 2, 3, SIZE, SIZE, generator=generator)
    covis = torch.randint(0, 3, (count, 2, SIZE, SIZE), generator=generator).to(torch.uint8)
    given = poses_of(count).float() if poses is None else poses
    return Views(images, covis, torch.arange(count), 0, 0, given)


def method(**options):
    torch.manual_seed(1)
    return build_method("pose", {**NET, **options})


# Geometry


def test_matrices_become_quaternions_and_matrices_again():
    there = rotations()
    given = torch.from_numpy(there.as_matrix())
    found = quaternions(given)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(500).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(matrices(found), given, atol=1e-12, rtol=0)
    assert (as_scipy(found) * there.inv()).magnitude().max() < 1e-12
    wanted = torch.from_numpy(there.as_quat(scalar_first=True))
    torch.testing.assert_close(nearer(found, wanted), wanted, atol=1e-12, rtol=0)


def test_quaternions_of_any_leading_shape_and_type():
    given = torch.from_numpy(rotations(12).as_matrix())
    assert torch.equal(quaternions(given.view(2, 6, 3, 3)).view(12, 4), quaternions(given))
    assert quaternions(given.float()).dtype == torch.float32
    assert quaternions(torch.full((1, 3, 3), math.nan)).isnan().all()


def test_the_relative_pose_takes_points_of_camera_1_to_camera_2():
    world = np.random.default_rng(3).normal(size=(20, 3)) * 5
    cameras = poses_of(6)
    found = relative(cameras)
    for row in range(6):
        one, two = (np.linalg.inv(cameras[row, view].numpy()) for view in range(2))
        in_1, in_2 = (world @ c[:3, :3].T + c[:3, 3] for c in (one, two))
        moved = in_1 @ matrices(found.rotations[row]).numpy().T + found.translations[row].numpy()
        np.testing.assert_allclose(moved, in_2, atol=1e-12)


def test_camera_1_two_metres_ahead_of_camera_2_is_at_z_2():
    cameras = torch.eye(4).repeat(1, 2, 1, 1)
    cameras[0, 0, :3, 3] = torch.tensor([3.0, 0.0, 2.0])
    cameras[0, 1, :3, 3] = torch.tensor([3.0, 0.0, 0.0])
    found = relative(cameras)
    assert found.translations.tolist() == [[0, 0, 2]]
    assert found.rotations.abs().tolist() == [[1, 0, 0, 0]]


def test_swapped_views_have_the_inverse_pose():
    cameras = poses_of(5)
    there, back = relative(cameras), relative(cameras.flip(1))
    turned = matrices(there.rotations)
    torch.testing.assert_close(matrices(back.rotations), turned.mT, atol=1e-12, rtol=0)
    moved = -(turned.mT @ there.translations[..., None])[..., 0]
    torch.testing.assert_close(back.translations, moved, atol=1e-12, rtol=0)


@pytest.mark.parametrize("degrees", [0.0, 1e-7, 0.5, 90.0, 179.0, 179.999999, 180.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_known_turns_have_their_degrees(degrees, sign):
    axis = np.array([2.0, -1.0, 2.0]) / 3
    start = turn(70, (0.0, 0.0, 1.0))
    end = Rotation.from_rotvec(np.radians(degrees) * axis) * as_scipy(start)
    found = rotation_deg(sign * torch.from_numpy(end.as_quat(scalar_first=True)), start)
    assert float(found[0]) == pytest.approx(degrees, abs=1e-9)


def test_directions_are_not_folded():
    ahead = torch.tensor([[0.0, 0.0, 2.0]]).double()
    right = torch.tensor([[5.0, 0.0, 0.0]]).double()
    nowhere = torch.zeros(1, 3).double()
    assert translation_deg(3 * ahead, ahead).tolist() == [0]
    assert translation_deg(right, ahead).tolist() == pytest.approx([90])
    assert translation_deg(-ahead, ahead).tolist() == [180], "peers would call it right"
    assert translation_deg(nowhere, ahead).tolist() == pytest.approx([90])
    assert translation_deg(right, nowhere + 1e-4).tolist() == [0], "there is none to get wrong"


def test_the_mean_of_rotations_knows_no_sign():
    signs = torch.tensor([1.0, -1, 1, -1]).double()[:, None]
    quarter = torch.cat([turn(a) for a in (10, 20, 30, 40)]) * signs
    assert rotation_deg(mean_quaternion(quarter)[None], turn(25)).tolist() == pytest.approx(
        [0], abs=1e-6
    )


# Figures


def test_the_figures_by_hand():
    truth = Poses(torch.tensor([[0.0, 0, 4]] * 5).double(), turn(0).repeat(5, 1))
    aside = 4 * math.tan(math.radians(2))  # metres: two degrees of direction
    moves = torch.zeros(5, 3).double()
    moves[0, 0], moves[1, 2], moves[2, 2], moves[4, 0] = aside, 1.0, 4.5, 4 * math.tan(0.3)
    turns = torch.cat([turn(1), turn(3), turn(4), turn(7), turn(15)])
    found = scores(Poses(truth.translations + moves, turns), truth)
    means = {name: float(values.mean()) for name, values in found.items()}
    assert means["rotation_deg"] == pytest.approx((1 + 3 + 4 + 7 + 15) / 5)
    assert means["translation_m"] == pytest.approx((aside + 1 + 4.5 + 0 + 4 * math.tan(0.3)) / 5)
    assert means["accuracy_5deg_2m"] == 2 / 5, "the third is too far off, the fourth turned"
    assert means["accuracy_10deg_5m"] == 4 / 5
    worst = [2, 3, 4, 7, math.degrees(0.3)]
    for limit in (5, 10, 20):
        by_hand = sum(max(0, 1 - e / limit) for e in worst) / 5
        assert means[f"auc_{limit}"] == pytest.approx(by_hand, abs=1e-9)


def test_the_mean_is_the_area_below_the_curve_of_recall():
    errors = torch.from_numpy(np.random.default_rng(2).gamma(2, 4, 60))
    truth = Poses(torch.tensor([[0.0, 0, 1]] * 60).double(), turn(0).repeat(60, 1))
    off = Poses(truth.translations, torch.cat([turn(float(e)) for e in errors]))
    for limit in (5.0, 10.0, 20.0):
        exact = float(scores(off, truth)[f"auc_{limit:g}"].mean())
        grid = (np.arange(200_000) + 0.5) / 200_000 * limit
        recall = (np.sort(errors.numpy())[:, None] <= grid[None, ::100]).mean(0)
        assert exact == pytest.approx(recall.mean(), abs=1e-3)
        assert 0 <= _trapezoid(errors.numpy(), limit) - exact <= 1 / (2 * 60) + 1e-12


def _trapezoid(errors, limit):
    """As SuperGlue's and its followers' code has it."""
    errors = np.concatenate([[0.0], np.sort(errors)])
    recall = np.arange(len(errors)) / (len(errors) - 1)
    last = np.searchsorted(errors, limit)
    return (
        np.trapezoid(np.append(recall[:last], recall[last - 1]), np.append(errors[:last], limit))
        / limit
    )


def test_the_result_has_the_figures_of_the_mean_pose_beside():
    turns = torch.cat([turn(20 + off) for off in (-40, 30, 0, 40, -30, 5, -5, 10, -10)])
    cameras = Poses(relative(poses_of(9)).translations, turns)
    found = result_of(cameras, cameras, 12)
    assert (found.pairs, found.measured) == (12, 9)
    assert found.network["rotation_deg_median"] == pytest.approx(0, abs=1e-6)
    assert found.network["accuracy_5deg_2m"] == 1
    off = (cameras.translations - cameras.translations.mean(0)).norm(dim=1)
    assert found.constant["translation_m"] == pytest.approx(float(off.mean()))
    assert found.constant["rotation_deg"] == pytest.approx(170 / 9), "the mean turn is of 20"
    assert found.constant["rotation_deg_median"] == pytest.approx(10)
    assert found.constant["translation_m_median"] == pytest.approx(float(np.median(off)))
    text = str(found)
    assert "9 of 12 held-out pairs" in text
    assert "100.00" in text


# Losses


def test_the_loss_is_equation_8():
    predicted = Poses(torch.tensor([[1.0, 2, 3]]), turn(20).float())
    truth = Poses(torch.tensor([[1.5, 2, 1]]), turn(50).float())
    scales = torch.tensor([0.3, -1.2])
    chord = 2 * math.sin(math.radians(30) / 4)  # between unit quaternions at half the angle
    s_t, s_q = math.exp(0.3), math.exp(-1.2)
    by_hand = (0.25 + 4) / (2 * s_t**2) + chord**2 / (2 * s_q**2) + math.log(s_t) + math.log(s_q)
    assert float(pose_losses(predicted, truth, scales)) == pytest.approx(by_hand, rel=1e-5)
    for one, two in ((1, -1), (-1, 1), (-1, -1)):
        flipped = Poses(predicted.translations, one * predicted.rotations)
        there = Poses(truth.translations, two * truth.rotations)
        assert float(pose_losses(flipped, there, scales)) == pytest.approx(by_hand, rel=1e-5)


def test_the_best_scales_are_the_errors():
    """Kendall et al.: at the least loss s^2 is the squared error."""
    predicted = Poses(torch.tensor([[0.0, 0, 0]]), turn(0).float())
    truth = Poses(torch.tensor([[0.6, 0, 0.8]]), turn(90).float())
    squares = [1.0, (2 * math.sin(math.pi / 8)) ** 2]
    scales = torch.tensor([math.log(square) / 2 for square in squares], requires_grad=True)
    pose_losses(predicted, truth, scales).sum().backward()
    assert scales.grad.tolist() == pytest.approx([0, 0], abs=1e-5)


@pytest.mark.parametrize("fixed", [False, True])
def test_the_joint_loss_is_equation_9(fixed):
    of_poses, of_labels = torch.tensor([1.5, 1.5, -2.0]), torch.tensor([0.7, 0.0, 0.3])
    scales = torch.tensor([0.4, -0.5])
    posed, labelled = torch.tensor([True, True, False]), torch.tensor([True, False, True])
    found = joint_losses(of_poses, of_labels, scales, posed, labelled, fixed=fixed)
    s_p, s_s = math.exp(0.4), math.exp(-0.5)
    pose = 1.5 if fixed else 1.5 / (2 * s_p**2) + 0.4
    labels = [0.7 / (2 * s_s**2) - 0.5, 0, 0.3 / (2 * s_s**2) - 0.5]
    by_hand = [pose + labels[0], pose, labels[2]]
    assert found.tolist() == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"joint": "none"}])
def test_a_batch_is_the_mean_of_its_samples_however_it_is_cut(options):
    model, whole = method(**options), views()
    together = model(whole)
    alone = [model(whole.rows(slice(row, row + 1))) for row in range(4)]
    torch.testing.assert_close(together.losses, torch.cat([one.losses for one in alone]))
    for name, value in together.measures.items():
        parts = torch.cat([one.measures[name] for one in alone])
        torch.testing.assert_close(value, parts, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "learns"),
    [
        ({"frozen": True}, {"pose_head", "pose_scales"}),
        ({"joint": "none"}, {"patch_embed", "enc_blocks", "enc_norm", "decoder_embed",
                            "dec_blocks", "dec_norm", "pose_head", "pose_scales"}),
        ({}, {"patch_embed", "enc_blocks", "enc_norm", "decoder_embed", "dec_blocks", "dec_norm",
              "pose_head", "pose_scales", "segmentation_head", "joint_scales"}),
    ],
)  # fmt: skip
def test_what_learns_is_what_is_said_to(options, learns):
    model = method(**options)
    model(views()).loss.backward()
    parts = {name.split(".")[0] for name, p in model.net.named_parameters() if p.requires_grad}
    assert parts == learns
    idle = {n for n, p in model.named_parameters() if p.requires_grad and not p.grad.any()}
    assert {n for n in idle if "qkv.bias" not in n and "projk.bias" not in n} == set()
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


def test_a_pair_without_a_pose_teaches_nothing_and_spoils_nothing():
    model, whole = method(joint="none"), views()
    poses = whole.poses.clone()
    poses[1, 0] = math.nan
    outcome = model(dataclasses.replace(whole, poses=poses))
    assert outcome.losses[1].item() == 0
    assert torch.equal(outcome.losses[[0, 2, 3]], model(whole).losses[[0, 2, 3]])
    outcome.losses.sum().backward()
    got = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model(whole).losses[[0, 2, 3]].sum().backward()
    for name, parameter in model.named_parameters():
        if name in got:
            torch.testing.assert_close(got[name], parameter.grad, rtol=1e-4, atol=1e-6)
    model.eval()
    others = torch.tensor([0, 2, 3])
    rest = Views(whole.images[others], whole.covis[others], others, 0, 0, whole.poses[others])
    with_nan, without = (model(v).measures for v in (dataclasses.replace(whole, poses=poses), rest))
    for name, value in with_nan.items():
        assert value[1].isnan()
        torch.testing.assert_close(value[others], without[name], rtol=1e-5, atol=1e-7)


def test_a_pair_without_a_pose_may_still_have_labels():
    model, whole = method(), views()
    outcome = model(dataclasses.replace(whole, poses=torch.full_like(whole.poses, math.nan)))
    assert outcome.losses.isfinite().all()
    assert outcome.losses.all()
    outcome.loss.backward()
    assert model.net.segmentation_head.weight.grad.any()
    assert not model.net.pose_head.shared[0].weight.grad.any()


def test_training_tells_two_figures_and_validation_all():
    model = method(joint="none")
    assert set(model(views()).measures) == {"rotation_deg", "translation_m"}
    assert set(model.eval()(views()).measures) == {
        "rotation_deg", "translation_m", "accuracy_5deg_2m", "accuracy_10deg_5m",
        "auc_5", "auc_10", "auc_20",
    }  # fmt: skip


def test_first_predictions_are_about_no_movement_and_have_all_digits():
    model = method()
    with torch.autocast("cpu", torch.bfloat16):
        seen = model.net(views().images)
    assert seen.translations.dtype == seen.rotations.dtype == torch.float32
    assert not torch.equal(seen.translations, seen.translations.bfloat16().float())
    assert seen.translations.abs().max() < 0.5
    assert (
        rotation_deg(torch.nn.functional.normalize(seen.rotations, dim=1), turn(0).float()).max()
        < 40
    )
    found = model.predict(views())
    torch.testing.assert_close(found.rotations.norm(dim=1), torch.ones(4).double())


def test_the_pose_depends_on_both_views_and_on_their_order():
    model = method()
    given = views().images
    one, swapped = (model.net(i).translations for i in (given, given.flip(1)))
    other = model.net(torch.stack([given[:, 0], given[:, 1].roll(1, 0)], 1)).translations
    assert not torch.allclose(one, swapped)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize(("options", "panels"), [({}, 5), ({"frozen": True}, 3)])
def test_the_pictures_are_colours_of_the_right_shape(options, panels):
    found = method(**options).pictures(views())
    assert found.shape == (4, panels, 3, SIZE, SIZE)
    assert found.isfinite().all()


def test_the_map_has_ahead_above_and_right_at_the_right():
    truth = torch.tensor([[0.0, 0, 2], [2.0, 0, 0]])
    maps = from_above(truth, torch.full_like(truth, 1e9), (40, 60))
    green = (maps[:, 1] > 0.8) & (maps[:, 0] < 0.5)
    (_, rows, columns) = green.nonzero().unbind(1)
    assert rows[:9].float().mean() == 20 - 14
    assert columns[:9].float().mean() == 30
    assert rows[9:].float().mean() == 20
    assert columns[9:].float().mean() == 30 + 14


def test_labels_are_read_where_they_are_learnt_from():
    kind = method_of("pose")
    assert kind.reads_labels(NET)
    assert not kind.reads_labels({**NET, "frozen": True})
    assert not kind.reads_labels({**NET, "joint": "none"})


def test_it_is_no_method_to_pretrain_with():
    assert "pose" not in METHODS
    with pytest.raises(TrainError, match=r"--method pose: use one of mae, croco, alligat0r$"):
        method_of("pose", METHODS)
