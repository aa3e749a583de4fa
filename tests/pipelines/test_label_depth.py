"""``mimic label --depth-model``: posed views without depth, labelled by what a model predicts."""

from __future__ import annotations

import json
from pathlib import Path

import factory
import numpy as np
import pytest
from depth_models import make_model
from fake_work import files_of

from mimic import opencv
from mimic.config import RunConfig
from mimic.depth import DepthModel, model_at, opened
from mimic.errors import MimicError
from mimic.geometry.covisibility import PosedDepth, labels
from mimic.shards.reader import Shards, read_manifest
from mimic.shards.verify import verify
from mimic.storage import Storage
from mimic.views import depth_mm
from pipelines.cli import run
from pipelines.executors import make_executor
from pipelines.label import label
from pipelines.pack import pack


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> DepthModel:
    return model_at(str(folder), "cpu")


@pytest.fixture(scope="module")
def posed(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """Pairs with pose and depth, with pose alone, with poses of no known unit, and with neither."""
    store = Storage(tmp_path_factory.mktemp("posed") / "shards")
    parts = [
        factory.with_depth(factory.with_poses(factory.make_part("deep"))),
        factory.with_poses(factory.make_part("posed")),
        factory.with_poses(factory.make_part("unscaled", kind="unscaled")),
        factory.make_part("plain"),
    ]
    pack([factory.report(part, store) for part in parts], store, store, factory.config())
    return store


@pytest.fixture(scope="module")
def undisturbed(
    posed: Storage, model: DepthModel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("labelled") / "out"
    label(posed, Storage(out), depth=model)
    return out


def words(shards: Storage, out: Path, *more: str) -> list[str]:
    line = ["label", shards.url, "--out", str(out), "--executor", "serial", "--quiet"]
    return [*line, *more]


def by_item(shards: Storage, item: str) -> list:  # type: ignore[type-arg]
    return [s for s in Shards(shards).samples() if s.meta["source"]["item"] == item]


def test_labels_are_those_of_the_predicted_depth(
    posed: Storage, undisturbed: Path, model: DepthModel
) -> None:
    assert verify(Storage(undisturbed), decode=opencv.decode_image) == []
    samples = by_item(Storage(undisturbed), "posed")
    assert len(samples) > 5
    for sample in samples:
        views = []
        for number in (1, 2):
            rgb = opencv.decode_image(sample.view_bytes(number))
            depth_m = depth_mm(opened(model).predict(rgb)).astype(np.float32) / np.float32(1000)
            view = sample.meta["views"][number - 1]
            lens, pose = (np.array(view[name]) for name in ("intrinsics", "cam_to_world"))
            views.append(PosedDepth(depth_m, lens, pose))
            assert sample.depth(number) is None
        np.testing.assert_array_equal(sample.covis(1, 2), labels(*views))
        np.testing.assert_array_equal(sample.covis(2, 1), labels(*reversed(views)))
        edge = sample.meta["edges"][0]
        assert edge["labels_12"][0] > 0
        assert sum(edge["labels_12"][:3]) > 0.5
        assert edge["viewpoint_angle_deg"] > 0


def test_stored_depth_comes_before_predicted_depth(
    posed: Storage, undisturbed: Path, tmp_path: Path
) -> None:
    label(posed, Storage(tmp_path))
    alone, both = (by_item(Storage(place), "deep") for place in (tmp_path, undisturbed))
    assert len(both) > 5
    for one, other in zip(alone, both, strict=True):
        np.testing.assert_array_equal(one.covis(1, 2), other.covis(1, 2))


def test_poses_of_no_known_unit_and_none_at_all_stay_unlabelled(
    posed: Storage, model: DepthModel, undisturbed: Path, tmp_path: Path
) -> None:
    counts = label(posed, Storage(tmp_path), depth=model, only_labelled=True).counts
    expected = {
        "labelled": len(by_item(posed, "deep")),
        "predicted": len(by_item(posed, "posed")),
        "unscaled": len(by_item(posed, "unscaled")),
        "missing_pose": len(by_item(posed, "plain")),
    }
    assert counts == expected
    for item in ("unscaled", "plain"):
        assert all(sample.covis() is None for sample in by_item(Storage(undisturbed), item))
        assert by_item(Storage(tmp_path), item) == []


def test_the_manifest_says_which_model(undisturbed: Path, model: DepthModel) -> None:
    manifest = read_manifest(Storage(undisturbed))
    expected = {"covis": True, "depth_model": "tiny", "depth_sha256": model.sha256}
    assert manifest.config["labels"] == expected
    assert manifest.versions["depth_device"] == "cpu"
    assert {"torch", "torchvision", "transformers"} <= manifest.versions.keys()


def test_another_model_makes_another_data_set(
    posed: Storage, undisturbed: Path, tmp_path: Path
) -> None:
    other = model_at(str(make_model(tmp_path / "tiny", seed=1)), "cpu")
    result = label(posed, Storage(tmp_path / "out"), depth=other)
    assert result.manifest.fingerprint != read_manifest(Storage(undisturbed)).fingerprint
    with pytest.raises(MimicError, match="holds other shards"):
        label(posed, Storage(undisturbed), depth=other)
    with pytest.raises(MimicError, match="another model"):
        label(Storage(undisturbed), Storage(tmp_path / "again"), depth=other)


def test_labelled_again_without_the_model_it_stays_what_it_is(
    undisturbed: Path, model: DepthModel, tmp_path: Path
) -> None:
    result = label(Storage(undisturbed), Storage(tmp_path))
    assert result.counts["as_before"] == len(by_item(Storage(undisturbed), "posed"))
    assert result.manifest.config["labels"]["depth_sha256"] == model.sha256


def test_the_command_and_a_second_run_give_the_same_bytes(
    posed: Storage, folder: Path, undisturbed: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    line = words(posed, tmp_path / "out", "--depth-model", str(folder), "--json")
    assert run(line) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["predicted"] > 5
    assert files_of(tmp_path / "out") == files_of(undisturbed)
    (tmp_path / "out" / "manifest.json").unlink()
    (tmp_path / "out" / "train-000000.parquet").unlink()
    assert run(line) == 0
    assert files_of(tmp_path / "out") == files_of(undisturbed)


def test_ray_gives_the_same_bytes(
    two_cpus: None, posed: Storage, model: DepthModel, undisturbed: Path, tmp_path: Path
) -> None:
    """One shard there, so that one worker has to load the model; the others here."""
    with make_executor(RunConfig(executor="ray")) as executor:

        def there_and_here(function, tasks):  # type: ignore[no-untyped-def]
            first, *rest = tasks
            assert rest
            yield from executor.map(function, [first])
            yield from map(function, rest)

        label(posed, Storage(tmp_path), depth=model, run=there_and_here)
    assert files_of(tmp_path) == files_of(undisturbed)


def test_the_sentence_counts_what_was_predicted(
    posed: Storage, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["label", posed.url, "--out", str(tmp_path / "out"), "--executor", "serial"]
    assert run([*line, "--depth-model", str(folder)]) == 0
    said = capsys.readouterr().out
    count = len(by_item(posed, "posed"))
    assert f"{count} of them by predicted depth" in said
    assert f"{len(by_item(posed, 'unscaled'))} with poses in an unknown unit" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--depth-model", "/nowhere"), "there is no such folder"),
        (("--set", "image.size=128"), "mimic label takes only labels.depth_*, run.*"),
        (("--set", "labels.depth_sha256=abc"), "name it with --depth-model"),
    ],
)
def test_wrong_wishes_are_one_sentence(
    posed: Storage, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    assert run(words(posed, tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_shards_without_any_pose_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, said in (("video", "both poses"), ("unscaled", "mimic reconstruct")):
        store = Storage(tmp_path / kind)
        part = factory.make_part("a", kind=kind)
        part = factory.with_poses(part) if kind == "unscaled" else part
        pack([factory.report(part, store)], store, store, factory.config())
        line = words(store, tmp_path / "out", "--depth-model", str(folder))
        assert run(line) == 2
        assert said in capsys.readouterr().err


def test_mining_does_not_pretend_to_predict(
    tiny_videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["mine", "--source", str(tiny_videos), "--out", str(tmp_path / "out"), "--quiet"]
    assert run([*line, "--set", "labels.depth_model=tiny"]) == 2
    assert "mining predicts no depth" in capsys.readouterr().err
