"""``mimic reconstruct``: poses that are the true ones up to a similarity, and nothing half done."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from alignment import angle_deg, similarity
from depth_models import MAX_DEPTH_M, make_model

from mimic.config import load_config
from mimic.demo import orbit
from mimic.depth import model_at, opened
from mimic.errors import MimicError
from mimic.pyav import open_video, write_video
from mimic.reconstruction import Reconstructed, SeenPoints
from mimic.shards.reader import Shards
from mimic.simulators.base import Camera
from mimic.simulators.raycast import Raycaster, load_scene
from mimic.sources.rgbd.lens import size_of, straight_picture, straightened
from mimic.sources.rgbd.listed import Lens, pinhole
from pipelines import reconstruct as module
from pipelines.cli import run

pytest.importorskip("pycolmap")

POSES = orbit(80)[:40]
"""Those of ``tiny_videos``, ten frames a second."""
SEEN = [*POSES[::4], POSES[-1]]
"""Those of the frames that are sampled, a slot each: the last slot is nearest to the last frame."""


@dataclass
class TrueDepth:
    """A model that knows: frames come in order, and it looks up what is there.

    ``off``: the scale of every second frame, from the first.
    """

    poses: list[np.ndarray]
    caster: Raycaster
    off: float = 1.0
    asked: int = field(default=0)

    def predict(self, rgb: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
        camera = Camera((rgb.shape[1], rgb.shape[0]), intrinsics)
        depth_m = self.caster.render(camera, self.poses[self.asked]).depth_m
        self.asked += 1
        return depth_m * np.float32(self.off if self.asked % 2 else 1.0)


def words(source: Path, out: Path, *more: str) -> list[str]:
    return ["reconstruct", "--source", str(source), "--out", str(out), "--quiet", *more]


def poses_in(file: Path) -> dict[int, np.ndarray]:
    """Poses by the slot that their picture is named with."""
    lines = [line.split() for line in file.read_text().splitlines()]
    return {
        int(Path(name).stem): np.array(numbers, float).reshape(4, 4) for name, *numbers in lines
    }


@pytest.fixture(scope="module")
def clip(tiny_videos: Path) -> Path:
    return tiny_videos / "round.mp4"


@pytest.fixture(scope="module")
def sequence(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered clip without depth; read only."""
    out = tmp_path_factory.mktemp("reconstructed") / "seq"
    assert run(words(clip, out, "--interval", "0.4")) == 0
    assert [path.name for path in out.parent.iterdir()] == ["seq"]
    return out


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def deep(
    clip: Path, model_folder: Path, room_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same with depth, aligned; what the model predicts is the truth. Read only."""
    out = tmp_path_factory.mktemp("deep") / "seq"
    knowing = TrueDepth(SEEN, Raycaster(load_scene(room_file, "y")))
    more = ("--interval", "0.4", "--depth-model", str(model_folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "opened", lambda model: knowing)
        assert run(words(clip, out, *more)) == 0
    return out


def lens_of(sequence: Path) -> Lens:
    camera = json.loads((sequence / "reconstruction.json").read_text())["camera"]
    size, distortion = tuple(camera["size"]), tuple(camera["distortion"])
    return Lens(np.array(camera["intrinsics"]), size, distortion=distortion)


def true_and_found(sequence: Path) -> tuple[np.ndarray, np.ndarray]:
    found = poses_in(sequence / "poses_unscaled.txt")
    return np.array([SEEN[slot] for slot in found]), np.array(list(found.values()))


# What is found -------------------------------------------------------------------------------


def test_the_poses_are_the_true_ones_up_to_a_similarity(sequence: Path) -> None:
    true, found = true_and_found(sequence)
    assert len(found) == 11
    for i in range(len(found)):
        for j in range(i):
            theirs = true[i][:3, :3].T @ true[j][:3, :3]
            ours = found[i][:3, :3].T @ found[j][:3, :3]
            assert angle_deg(ours.T @ theirs) < 1.0
    scale, rotation, shift = similarity(found[:, :3, 3], true[:, :3, 3])
    moved = scale * found[:, :3, 3] @ rotation.T + shift
    path_m = np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum()
    assert np.linalg.norm(moved - true[:, :3, 3], axis=1).max() < 0.005 * path_m


def test_the_camera_is_the_one_that_rendered(sequence: Path) -> None:
    lens = np.loadtxt(sequence / "K.txt")
    true = Camera.pinhole((320, 240), 68.0).intrinsics
    assert lens[0, 0] == lens[1, 1] == pytest.approx(true[0, 0], rel=0.02)
    assert lens[:2, 2] == pytest.approx((159.5, 119.5), abs=3)  # less the crop


def test_the_record_tells_what_was_done(sequence: Path) -> None:
    record = json.loads((sequence / "reconstruction.json").read_text())
    assert record["registered"] == record["frames"] == record["models"][0] == 11
    assert record["unit"] == "unknown"
    assert record["scale"] is None
    assert record["points"] > 500
    assert record["reprojection_px"] < 0.5
    assert record["asked"]["interval_s"] == 0.4


@pytest.mark.data
def test_a_walk_outdoors(real_data: Path, tmp_path: Path) -> None:
    clip, out = real_data / "videos" / "gopro_path_walk.mp4", tmp_path / "seq"
    assert run(words(clip, out, "--interval", "1")) == 0
    record = json.loads((out / "reconstruction.json").read_text())
    assert record["registered"] == record["frames"] == 11
    assert record["reprojection_px"] < 1.0
    with open_video(str(clip), clip.name) as video:
        first = next(video.decode()).rgb().astype(float)
    stored = module.sequence.read_picture(out, "000000").astype(float)
    straight = straight_picture(first.astype(np.uint8), lens_of(out)).astype(float)
    assert np.abs(stored - straight).mean() < 3  # of a JPEG
    assert np.abs(stored - first).mean() > 10  # the lens of this camera is wide
    centres = np.array([pose[:3, 3] for pose in poses_in(out / "poses_unscaled.txt").values()])
    steps = np.diff(centres, axis=0)
    assert (steps[:, 2] > 0).all()  # always ahead
    assert np.abs(steps[:, :2]).max() < steps[:, 2].max()


# What can be done with it --------------------------------------------------------------------


def test_it_is_mined_with_poses_and_without_labels(sequence: Path, tmp_path: Path) -> None:
    line = ["mine", "--source", str(sequence), "--out", str(tmp_path / "shards"), "--quiet"]
    assert run([*line, "--executor", "serial"]) == 0
    samples = list(Shards(tmp_path / "shards").samples())
    assert samples
    found = poses_in(sequence / "poses_unscaled.txt")
    for sample in samples:
        assert sample.meta["source"]["kind"] == "unscaled"
        for view in sample.meta["views"]:
            pose = found[int(Path(view["frame"]).stem)]
            np.testing.assert_allclose(view["cam_to_world"], pose)
            lens = view["original_to_stored"] @ straightened(lens_of(sequence)).intrinsics
            np.testing.assert_allclose(view["intrinsics"], lens, atol=1e-9)


def test_with_depth_it_is_mined_with_labels(deep: Path, tmp_path: Path) -> None:
    line = ["mine", "--source", str(deep), "--out", str(tmp_path / "shards"), "--quiet"]
    more = ["labels.covis=true", "overlap.measure=covis", "overlap.low=0.05", "overlap.high=1.0"]
    sets = [word for setting in more for word in ("--set", setting)]
    assert run([*line, "--depth", "--executor", "serial", *sets]) == 0
    samples = list(Shards(tmp_path / "shards").samples())
    assert len(samples) > 20
    for sample in samples:
        assert sample.meta["source"]["kind"] == "rgbd"
        labels = sample.covis(1, 2)
        assert labels is not None
        slots = [int(Path(view["frame"]).stem) for view in sample.meta["views"]]
        if slots[1] - slots[0] == 1:  # 11 degrees round the table
            assert (labels == 0).mean() > 0.5


def test_with_depth_it_is_in_metres(deep: Path) -> None:
    found = poses_in(deep / "poses.txt")
    true = np.array([SEEN[slot][:3, 3] for slot in found])
    centres = np.array([pose[:3, 3] for pose in found.values()])
    steps, due = (np.linalg.norm(at[3:] - at[:-3], axis=1) for at in (centres, true))
    np.testing.assert_allclose(steps, due, rtol=0.02)
    record = json.loads((deep / "reconstruction.json").read_text())
    assert record["unit"] == "metres"
    assert record["scale"]["spread"] < 0.01


def test_a_real_model_predicts_for_it(sequence: Path, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(sequence / "images")
    names = sorted(path.stem for path in (sequence / "images").iterdir())[:2]
    xy = np.random.default_rng(0).uniform(20, 200, (50, 2))
    points = SeenPoints(xy, np.ones(50))
    seen = Reconstructed(tuple(names), (), lens_of(sequence), (points, points), (2,), 1, 0.1)
    model = opened(model_at(str(model_folder), "cpu"))
    scale = module.predict_depth(tmp_path, names, seen, model, False, lambda *_: None)
    assert 0 < scale.metres_per_unit < MAX_DEPTH_M
    for name in names:
        predicted = model.predict(module.sequence.read_picture(tmp_path, name))
        stored = module.sequence.read_depth(tmp_path, name)
        np.testing.assert_allclose(stored, predicted, atol=0.0006)


def test_twice_the_same_bytes_and_depth_only_scales(sequence: Path, deep: Path) -> None:
    """Two reconstructions of one clip, one of them scaled by its depth."""
    for name in ("K.txt", *(f"images/{path.name}" for path in (sequence / "images").iterdir())):
        assert (sequence / name).read_bytes() == (deep / name).read_bytes()
    scale = json.loads((deep / "reconstruction.json").read_text())["scale"]
    bare, scaled = poses_in(sequence / "poses_unscaled.txt"), poses_in(deep / "poses.txt")
    for slot, pose in bare.items():
        np.testing.assert_array_equal(scaled[slot][:3, :3], pose[:3, :3])
        expected = pose[:3, 3] * scale["metres_per_unit"]
        np.testing.assert_array_equal(scaled[slot][:3, 3], expected)
    assert sorted(scale["frames"]) == [f"{slot:06}.jpg" for slot in sorted(bare)]
    assert scale["spread"] > 0


@pytest.mark.parametrize(("off", "align"), [(1.0, False), (1.2, False), (1.2, True)])
def test_depth_that_is_true_gives_metres(
    sequence: Path, room_file: Path, tmp_path: Path, off: float, align: bool
) -> None:
    true, found = true_and_found(sequence)
    lens = lens_of(sequence)
    camera = Camera(size_of(straightened(lens)), straightened(lens).intrinsics)
    caster = Raycaster(load_scene(room_file, "y"))
    expected, _, _ = similarity(found[:, :3, 3], true[:, :3, 3])
    names = sorted(path.stem for path in (sequence / "images").iterdir())
    points = []
    for pose in true:
        depth_m = caster.render(camera, pose).depth_m
        rows, columns = (grid.ravel() for grid in np.mgrid[20:220:20, 20:300:20])
        xy = np.stack([columns, rows], axis=1) + 0.5
        points.append(SeenPoints(xy, depth_m[rows, columns] / expected))
    seen = Reconstructed(tuple(names), tuple(found), lens, tuple(points), (11,), 1, 0.1)
    (tmp_path / "images").symlink_to(sequence / "images")
    model = TrueDepth(list(true), caster, off)
    scale = module.predict_depth(tmp_path, names, seen, model, align, lambda *_: None)
    if off == 1.0:
        assert scale.metres_per_unit == pytest.approx(expected, rel=1e-3)
        assert scale.spread < 1e-3
        return
    assert scale.spread > 0.05
    depths = [module.sequence.read_depth(tmp_path, name) for name in names[:2]]
    ratios = [
        np.median(depth[depth > 0] / caster.render(camera, pose).depth_m[depth > 0])
        for depth, pose in zip(depths, true, strict=False)
    ]
    assert ratios[0] / ratios[1] == pytest.approx(1.0 if align else 1.2, rel=2e-3)


# Run again, and what goes wrong --------------------------------------------------------------


def test_a_finished_one_is_left_alone_and_another_is_not_overwritten(
    clip: Path, sequence: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in sequence.rglob("*")}
    assert run(words(clip, sequence, "--interval", "0.4", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["was_there"] is True
    assert run(words(clip, sequence, "--interval", "0.5")) == 2
    assert "another reconstruction" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in sequence.rglob("*")}


def test_other_things_are_not_overwritten(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    assert run(words(clip, tmp_path)) == 2
    assert "holds other things" in capsys.readouterr().err
    assert (tmp_path / "diary.txt").exists()


def test_what_cannot_be_reconstructed_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    clip = tmp_path / "noise.mp4"
    write_video(clip, rng.integers(0, 256, (4, 48, 64, 3), dtype=np.uint8), fps=1)
    assert run(words(clip, tmp_path / "seq", "--interval", "1")) == 2
    said = capsys.readouterr().err
    assert "no reconstruction from 4 frames" in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["noise.mp4"]


def found_of(registered: int, radial: float = 0.0) -> Reconstructed:
    lens = Lens(pinhole(90, 90, 50, 40, shift=0), (100, 80), distortion=(radial, 0, 0, 0, 0))
    names = tuple(f"{number:06}.png" for number in range(registered))
    return Reconstructed(names, (), lens, (), (registered, 7, 3), 10, 0.5)


def test_few_frames_and_a_camera_that_is_none_are_refused(clip: Path) -> None:
    item = module._clip(str(clip), load_config())
    assert module._checked(item, found_of(10), 20, 0.5) is not None
    with pytest.raises(MimicError, match=r"only 9 of 20 frames .* have 7, 3; .* --min-share"):
        module._checked(item, found_of(9), 20, 0.5)
    assert module._checked(item, found_of(9), 20, 0.4) is not None
    with pytest.raises(MimicError, match="none that there is"):
        module._checked(item, found_of(20, radial=30.0), 20, 0.5)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--interval", "3"), "2 frames at an interval of 3 s"),
        (("--min-share", "2"), "between 0 and 1"),
        (("--raw-depth",), "without --depth-model"),
        (("--set", "image.size=64"), "mimic reconstruct takes only"),
    ],
)
def test_wrong_wishes_are_one_sentence(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    assert run(words(clip, tmp_path / "seq", *more)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_one_clip_is_one_clip(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "two").mkdir(exist_ok=True)
        write_video(tmp_path / "two" / name, np.zeros((2, 48, 64, 3), np.uint8) + len(name), fps=1)
    (tmp_path / "two" / "b.mp4").write_bytes(clip.read_bytes())
    assert run(words(tmp_path / "two", tmp_path / "seq")) == 2
    assert "holds 2 videos; name one" in capsys.readouterr().err


def test_interrupted_nothing_stays(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.colmap, "reconstruct", interrupted)
    assert run(words(clip, tmp_path / "seq")) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_the_work_of_colmap(clip: Path, tmp_path: Path) -> None:
    """A signal while another thread is busy inside COLMAP is heard at once."""
    import signal
    import subprocess
    import time

    program = f"import sys; from pipelines.cli import run; sys.exit(run({words(clip, tmp_path / 's', '--interval', '0.1')!r}))"  # noqa: E501
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not any(tmp_path.glob(".s.*/colmap/database.db")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert "nothing was written" in said
    assert list(tmp_path.iterdir()) == []


def test_the_missing_extra_is_named(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pycolmap", None)  # as if it were not installed
    assert run(words(clip, tmp_path / "seq")) == 2
    assert "pip install 'mimic[poses]'" in capsys.readouterr().err


def test_the_sentence_tells_what_is_next(
    clip: Path, sequence: Path, deep: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["reconstruct", "--source", str(clip), "--interval", "0.4", "--out"]
    assert run([*line, str(sequence)]) == 0
    said = capsys.readouterr()
    assert "11 of 11 frames found their place" in said.out
    assert "unknown unit" in said.out
    assert "--depth-model" in said.err
    more = ["--depth-model", str(model_folder)]
    assert run([*line, str(deep), *more]) == 0
    said = capsys.readouterr()
    assert "in metres, by frames whose scales differ by ±" in said.out
    assert "labels.covis=true" in said.err
