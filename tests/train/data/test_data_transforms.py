"""Everything that lies in pixels follows the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from train.data.config import ViewsConfig
from train.data.correspond import by_matrix, by_patches, carried, centres, patch_at
from train.data.draws import of_views
from train.data.sample import Geometry, Sample
from train.data.transforms import Transform, near
from train.data.window import Window
from train.data.windows import Plan, _labels, apply
from train.errors import TrainError

STORED = ((48, 40), (56, 44))
SIZE = (32, 24)
rng = np.random.default_rng(0)


def rotation(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def pose(angle: float, where: tuple[float, float, float]) -> np.ndarray:
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = rotation(angle), where
    return found


def geometry() -> Geometry:
    """Two cameras that look at the plane z = 5 m, and the homography that the plane gives."""
    intrinsics = np.array(
        [[[60.0, 0, 23], [0, 62, 21], [0, 0, 1]], [[70, 0, 29], [0, 66, 20], [0, 0, 1]]]
    )
    poses = np.stack([pose(0.05, (0, 0, 0)), pose(-0.1, (0.5, 0.1, -0.2))])
    to_world = []
    for k, p in zip(intrinsics, poses, strict=True):
        plane_to_pixels = k @ np.linalg.inv(p)[:3][:, [0, 1, 3]] + np.outer(
            k @ np.linalg.inv(p)[:3, 2], [0, 0, 5.0]
        )
        to_world.append(plane_to_pixels)
    homography = to_world[1] @ np.linalg.inv(to_world[0])
    return Geometry(intrinsics, poses, homography, np.stack([np.diag([0.5, 0.5, 1])] * 2))


def project(k: np.ndarray, p: np.ndarray, points: np.ndarray) -> np.ndarray:
    camera = (points - p[:3, 3]) @ p[:3, :3]
    pixels = camera @ k.T
    return pixels[:, :2] / pixels[:, 2:]


def move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return moved[:, :2] / moved[:, 2:]


def coded(size: tuple[int, int], covis: bool = False):
    """A picture whose red and green are the column and the row."""
    column, row = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    if covis:
        return torch.from_numpy((column * 7 + row * 3).astype(np.uint8) % 3)
    return torch.from_numpy(np.stack([column, row, 0 * row]).astype(np.uint8))


def sample(covis: bool = False, corr: np.ndarray | None = None) -> Sample:
    return Sample(
        key="k",
        images=tuple(coded(size) for size in STORED),
        covis=tuple(coded(size, covis=True) for size in STORED) if covis else None,
        geometry=geometry(),
        corr=corr,
        patch_size=8,
    )


@st.composite
def plans(draw, uncut: bool = False) -> Plan:
    windows = []
    for width, height in STORED:
        if uncut:
            windows.append(Window(0, 0, width, height))
            continue
        w, h = draw(st.integers(4, width)), draw(st.integers(4, height))
        x, y = draw(st.integers(0, width - w)), draw(st.integers(0, height - h))
        windows.append(Window(x, y, w, h))
    return Plan(tuple(windows), SIZE, draw(st.booleans()), draw(st.booleans()))


@settings(deadline=None)
@given(plan=plans())
def test_matrices_carried_along_are_those_of_moved_points(plan: Plan) -> None:
    """World points, seen by the new cameras, are where the moved pixels are; so says H too."""
    before, after = geometry(), apply(plan, sample()).geometry
    assert after is not None
    matrices = plan.matrices()
    world = np.column_stack([rng.uniform(-1, 1, (20, 2)), np.full(20, 5.0)])
    mirrored = world * ([-1, 1, 1] if plan.flip else [1, 1, 1])
    there = []
    for view in range(2):
        stored = project(before.intrinsics[view], before.cam_to_world[view], world)
        new = 1 - view if plan.swap else view
        found = project(after.intrinsics[new], after.cam_to_world[new], mirrored)
        assert np.allclose(found, move(matrices[view], stored), atol=1e-6)
        assert np.allclose(
            move(after.from_original[new] @ np.diag([2, 2, 1]), stored), found, atol=1e-6
        )
        there.append(found)
    one, two = there[::-1] if plan.swap else there
    assert np.allclose(move(after.homography, one), two, atol=1e-5)
    for p in after.cam_to_world:
        assert np.linalg.det(p[:3, :3]) == pytest.approx(1), "a pose stays a rotation"
    assert (after.intrinsics[:, 0, 0] > 0).all()


@settings(deadline=None)
@given(plan=plans())
def test_pixels_are_where_the_matrix_says(plan: Plan) -> None:
    """Inside the window, a resized ramp is the ramp at the stored point (in pixels' middles)."""
    moved = apply(plan, sample())
    for view, (image, matrix) in enumerate(zip(sample().images, plan.matrices(), strict=True)):
        new = moved.images[1 - view if plan.swap else view]
        assert new.shape[1:] == (SIZE[1], SIZE[0])
        column, row = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
        at = move(np.linalg.inv(matrix), np.column_stack([column.ravel(), row.ravel()]))
        window = plan.windows[view]
        edge = 2 * np.maximum(1, [window.width / SIZE[0], window.height / SIZE[1]]) + 0.5
        low = np.array([window.left, window.top]) + edge
        high = np.array([window.left + window.width, window.top + window.height]) - edge
        inner = ((at > low) & (at < high)).all(1)
        found = new[:2].numpy().reshape(2, -1).T.astype(float) + 0.5
        assert np.abs(found - at)[inner].max(initial=0) <= 1.01, image.shape


@settings(deadline=None)
@given(plan=plans())
def test_labels_take_the_stored_pixel_that_their_middle_lies_in(plan: Plan) -> None:
    for view, size in enumerate(STORED):
        stored = coded(size, covis=True).numpy()
        column, row = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
        at = move(
            np.linalg.inv(plan.matrices()[view]), np.column_stack([column.ravel(), row.ravel()])
        )
        x, y = np.floor(at + 1e-9).astype(int).T
        if plan.flip:  # a middle on the border of two pixels belongs to the one that is later
            x = np.ceil(at[:, 0] - 1e-9).astype(int) - 1
            on_border = np.abs(at[:, 0] - np.round(at[:, 0])) < 1e-9
            x = np.where(on_border, np.round(at[:, 0]).astype(int), x)
        moved = _labels(plan.windows[view].of(torch.from_numpy(stored)), plan).numpy()
        assert np.array_equal(moved.ravel(), stored[y, x])


@settings(deadline=None)
@given(plan=plans(uncut=True))
def test_labels_go_with_their_views(plan: Plan) -> None:
    moved = apply(plan, sample(covis=True))
    assert moved.covis is not None
    for new, view in enumerate((1, 0) if plan.swap else (0, 1)):
        labels = coded(STORED[view], covis=True)
        window = plan.windows[view]
        assert torch.equal(moved.covis[new], _labels(window.of(labels), plan))


def test_labels_of_cut_views_without_depth_are_refused() -> None:
    plan = Plan((Window(0, 0, 48, 40), Window(1, 0, 48, 40)), SIZE)
    with pytest.raises(TrainError, match=r"sample k: .* labels .*set data.views.crop to squash"):
        apply(plan, sample(covis=True))


def shifted(dx: int, size: tuple[int, int] = (48, 40)) -> np.ndarray:
    """Correspondences of views that show the same, ``dx`` patches aside."""
    columns, rows = size[0] // 8, size[1] // 8
    row, column = np.divmod(np.arange(columns * rows), columns)
    kept = (column - dx >= 0) & (column - dx < columns)
    return np.column_stack([np.arange(columns * rows), row * columns + column - dx])[kept]


NO_H = np.full((3, 3), np.nan)


@settings(deadline=None)
@given(x=st.integers(0, 2), y=st.integers(0, 2), dx=st.integers(-3, 3), h=st.booleans())
def test_a_crop_by_whole_patches_keeps_the_correspondences_that_it_does_not_cut(x, y, dx, h):
    size = (48, 40)
    homography = np.array([[1.0, 0, -8 * dx], [0, 1, 0], [0, 0, 1]]) * -3 if h else NO_H
    windows = (Window(8 * x, 8 * y, 24, 24), Window(8, 8, 24, 24))
    matrices = tuple(window.matrix((24, 24)) for window in windows)
    found = carried(shifted(dx), homography, (size, size), matrices, (24, 24), (8, 8))
    expected = []
    for a, b in shifted(dx):
        new = [
            (patch % 6 - w.left // 8, patch // 6 - w.top // 8)
            for patch, w in zip((a, b), windows, strict=True)
        ]
        if all(0 <= c < 3 and 0 <= r < 3 for c, r in new):
            expected.append([r * 3 + c for c, r in new])
    assert found.tolist() == expected


@settings(max_examples=60, deadline=None)
@given(plan=plans(), patch=st.sampled_from([4, 7, 8]), h=st.booleans())
def test_correspondences_are_one_to_one_and_of_centres_that_correspond(plan, patch, h) -> None:
    stored = sample(corr=shifted(1))
    if not h:
        g = geometry()
        stored = Sample(
            "k", stored.images, None, Geometry(g.intrinsics, g.cam_to_world, NO_H, g.from_original),
            shifted(1), 8,
        )  # fmt: skip
    unswapped = Plan(plan.windows, plan.size, plan.flip)
    found = apply(unswapped, stored, patch)
    assert found.corr is not None
    assert found.patch_size == patch
    if not len(found.corr):
        return
    for side in range(2):
        assert len(np.unique(found.corr[:, side])) == len(found.corr)
        assert found.corr[:, side].min() >= 0
        assert found.corr[:, side].max() < (SIZE[0] // patch) * (SIZE[1] // patch)
    assert (np.diff(found.corr[:, 0]) > 0).all()
    if h:
        middles = centres(SIZE, patch)
        landed = move(found.geometry.homography, middles[found.corr[:, 0]])
        assert np.array_equal(patch_at(landed, SIZE, patch), found.corr[:, 1])
        back = move(np.linalg.inv(found.geometry.homography), middles[found.corr[:, 1]])
        assert np.array_equal(patch_at(back, SIZE, patch), found.corr[:, 0])
    swapped = apply(Plan(plan.windows, plan.size, plan.flip, swap=True), stored, patch)
    assert sorted(map(tuple, swapped.corr[:, ::-1])) == sorted(map(tuple, found.corr))
    assert (np.diff(swapped.corr[:, 0]) > 0).all()


def test_points_in_no_corresponding_patch_are_lost() -> None:
    forward = by_patches(np.array([[0, 5]]), ((24, 16), (24, 16)), 8)
    moved = forward(np.array([[1.0, 2], [9, 2], [-1, 2], [23.5, 17]]))
    assert moved[0].tolist() == [17.0, 10.0]
    assert np.isnan(moved[1:]).all()


def test_nothing_done_changes_nothing() -> None:
    images = (coded((32, 24)), coded((32, 24)))
    corr = np.array([[0, 3], [2, 2]])
    before = Sample("k", images, None, geometry(), corr, 8)
    after = apply(Plan((Window(0, 0, 32, 24),) * 2, (32, 24)), before)
    assert after.corr is corr
    assert all(torch.equal(a, b) for a, b in zip(after.images, images, strict=True))
    assert np.array_equal(after.geometry.homography, before.geometry.homography)


def test_patches_are_numbered_by_rows_and_their_middles_are_middles() -> None:
    assert centres((26, 17), 8).tolist() == [
        [4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]
    ]  # fmt: skip
    points = np.array([[0, 0], [23.9, 8], [24, 8], [5, 16], [np.nan, 1], [-0.1, 3]])
    assert patch_at(points, (26, 17), 8).tolist() == [0, 5, -1, -1, -1, -1]


def test_points_behind_the_horizon_are_lost() -> None:
    tilted = np.array([[1.0, 0, 0], [0, 1, 0], [-0.05, 0, 1]])
    moved = by_matrix(tilted)(np.array([[10.0, 4], [20, 4], [30, 4]]))
    assert moved[0].tolist() == [20.0, 8.0]
    assert np.isnan(moved[1:]).all()


def test_a_swap_turns_correspondences_round_and_sorts_them() -> None:
    images = (coded((32, 24)), coded((32, 24)))
    before = Sample("k", images, None, geometry(), np.array([[0, 5], [1, 3], [2, 11]]), 8)
    after = apply(Plan((Window(0, 0, 32, 24),) * 2, (32, 24), swap=True), before)
    assert after.corr.tolist() == [[3, 1], [5, 0], [11, 2]]


names = st.sampled_from(["random", "shared", "resized", "center", "whole", "squash"])


@settings(deadline=None)
@given(
    crop=names,
    size=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    stored=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    seed=st.integers(0, 1000),
)
def test_windows_lie_in_their_views_however_small(crop, size, stored, seed) -> None:
    plan = Transform(ViewsConfig(crop=crop, size=size)).plan(
        (stored, STORED[0]), of_views(seed, 0, 0)
    )
    for window, (width, height) in zip(plan.windows, (stored, STORED[0]), strict=True):
        assert window.width >= 1
        assert window.height >= 1
        assert window.left >= 0
        assert window.top >= 0
        assert window.left + window.width <= width
        assert window.top + window.height <= height


@pytest.mark.parametrize(
    ("crop", "window"),
    [
        ("random", Window(42, 6, 116, 88)),
        ("shared", Window(42, 6, 116, 88)),
        ("center", Window(42, 6, 116, 88)),
        ("resized", Window(33, 0, 133, 100)),
        ("whole", Window(33, 0, 133, 100)),
        ("squash", Window(0, 0, 200, 100)),
    ],
)
def test_held_out_views_are_seen_without_chance_and_at_the_scale_of_training(crop, window) -> None:
    config = ViewsConfig(crop=crop, size=(80, 60), flip=0.5, swap=0.5).plain()
    plans = [Transform(config).plan(((200, 100),), of_views(0, k, 0)) for k in range(20)]
    assert all(plan == Plan((window,), (80, 60)) for plan in plans)


def test_random_crops_differ_between_views_and_reach_everywhere() -> None:
    transform = Transform(ViewsConfig(size=(224, 224)))
    corners = np.array(
        [
            [(w.left, w.top) for w in transform.plan(((256, 256),) * 2, of_views(0, k, 9)).windows]
            for k in range(2000)
        ]
    )
    assert (corners.min(axis=0) == 0).all()
    assert (corners.max(axis=0) == 32).all()
    assert np.corrcoef(corners[:, 0, 0], corners[:, 1, 0])[0, 1] == pytest.approx(0, abs=0.1)
    assert corners.mean() == pytest.approx(16, abs=0.5)


def test_random_crops_of_wide_pictures_stay_near_each_other() -> None:
    transform = Transform(ViewsConfig(size=(224, 224)))
    plans = [transform.plan(((456, 256),) * 2, of_views(0, k, 9)) for k in range(300)]
    apart = [abs(p.windows[0].left - p.windows[1].left) for p in plans]
    assert max(apart) <= 32
    assert max(p.windows[0].left for p in plans) > 200


@pytest.mark.parametrize(
    ("size", "wanted", "window"),
    [
        ((341, 256), (224, 224), (224, 224)),
        ((256, 256), (225, 225), (225, 225)),
        ((256, 256), (223, 223), (224, 224)),
        ((512, 512), (224, 224), (448, 448)),
        ((456, 256), (112, 112), (224, 224)),
        ((200, 160), (224, 224), (160, 160)),
        ((100, 100), (100, 50), (100, 50)),
        ((1, 1), (224, 224), (1, 1)),
    ],
)
def test_crops_are_as_large_as_wanted_but_never_a_small_part(size, wanted, window) -> None:
    assert near(size, wanted) == window


def test_shared_crops_are_shared() -> None:
    transform = Transform(ViewsConfig(crop="shared", size=(32, 32)))
    for step in range(50):
        one, two = transform.plan(((64, 48),) * 2, of_views(0, step, 1)).windows
        assert one == two


@settings(max_examples=20, deadline=None)
@given(scale=st.sampled_from([(0.2, 1.0), (0.5, 0.6)]))
def test_resized_crops_have_areas_and_shapes_in_range(scale) -> None:
    config = ViewsConfig(crop="resized", size=(32, 32), scale=scale)
    plans = [Transform(config).plan(((200, 160),), of_views(1, k, 0)) for k in range(400)]
    windows = [plan.windows[0] for plan in plans]
    areas = np.array([w.width * w.height for w in windows]) / (200 * 160)
    shapes = np.array([w.width / w.height for w in windows])
    assert scale[0] - 0.02 < areas.min() < scale[0] + 0.05
    assert areas.max() < scale[1] + 0.02
    assert 0.73 < shapes.min() < 0.8
    assert 1.25 < shapes.max() < 1.36


def test_flips_and_swaps_come_as_often_as_asked_and_do_not_move_the_windows() -> None:
    still = Transform(ViewsConfig(size=(32, 32)))
    moving = Transform(ViewsConfig(size=(32, 32), flip=0.5, swap=0.25))
    plans = [
        (still.plan(STORED, of_views(0, k, 3)), moving.plan(STORED, of_views(0, k, 3)))
        for k in range(1000)
    ]
    assert all(a.windows == b.windows and not a.flip and not a.swap for a, b in plans)
    assert np.mean([b.flip for _, b in plans]) == pytest.approx(0.5, abs=0.06)
    assert np.mean([b.swap for _, b in plans]) == pytest.approx(0.25, abs=0.06)


def test_a_draw_is_of_seed_step_and_number_alone() -> None:
    first = of_views(1, 2, 3).random()
    assert of_views(1, 2, 3).random() == first
    assert len({of_views(*k).random() for k in [(1, 2, 3), (2, 1, 3), (1, 3, 2), (0, 2, 3)]}) == 4
