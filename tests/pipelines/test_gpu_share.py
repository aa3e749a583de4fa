"""``run.gpu_share`` is what Ray is asked for: of a scene's units, and of labels by learned depth.

Ray believes in GPUs that it is told of, so none is needed; nothing of Ray is replaced.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import factory
import pytest
from depth_models import make_model
from fake_work import Resources, assigned, make_units

from mimic.config import RunConfig, load_config
from mimic.depth import DepthModel, Device
from mimic.sources import source_of
from mimic.storage import Storage
from mimic.types import WorkUnit
from pipelines.cli import run
from pipelines.cli.label import starting_if_worth_it
from pipelines.executors import LazyExecutor, Outcome
from pipelines.executors.ray import RayExecutor
from pipelines.pack import pack

SHARE = RunConfig(gpu_share=0.25)


@pytest.fixture(scope="module")
def one_gpu(importable_here: None) -> Iterator[None]:
    """A local Ray that was told of a GPU."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=100 * 2**20,
    )
    yield
    ray.shutdown()


def model_on(device: Device) -> DepthModel:
    return DepthModel("tiny", "/nowhere/tiny", "0" * 64, device, ())


def mined(units: list[WorkUnit], settings: RunConfig, trace: Path) -> list[dict[str, object]]:
    """What each unit's worker had."""
    outcomes: list[Outcome] = []
    with RayExecutor(settings) as executor:
        executor.run(units, Resources(str(trace)), outcomes.append, threading.Event())
    assert len(outcomes) == len(units)
    return [json.loads((trace / unit.unit_id).read_text()) for unit in units]


def test_units_of_habitat_are_of_the_class_that_asks_for_a_gpu() -> None:
    item = make_units(1)[0].item
    shared = load_config(assignments=("run.gpu_share=0.25",))
    kinds = {
        (kind, settings.run.gpu_share): {
            unit.resources for unit in source_of(kind).split(item, settings)
        }
        for kind in ("habitat", "raycast")
        for settings in (shared, load_config())
    }
    assert kinds[("habitat", 0.25)] == {"gpu"}
    assert kinds[("habitat", 0.0)] == kinds[("raycast", 0.25)] == {"cpu"}


def test_a_unit_of_that_class_gets_its_share(one_gpu: None, tmp_path: Path) -> None:
    units = [dataclasses.replace(unit, resources="gpu") for unit in make_units(2)]
    for had in mined(units, SHARE, tmp_path):
        assert had == {"CPU": 1.0, "GPU": 0.25, "ids": ["0"]}


def test_other_units_get_none(one_gpu: None, tmp_path: Path) -> None:
    assert mined(make_units(1), SHARE, tmp_path) == [{"CPU": 1.0, "ids": []}]


def test_labelling_on_a_gpu_gets_its_share(one_gpu: None) -> None:
    with LazyExecutor(SHARE) as executor:
        on_gpu = starting_if_worth_it(executor, model_on("cuda"))
        assert list(on_gpu(assigned, [_task()])) == [  # type: ignore[arg-type, comparison-overlap]
            {"CPU": 1.0, "GPU": 0.25, "ids": ["0"]}
        ]
        for depth in (model_on("cpu"), None):
            found = starting_if_worth_it(executor, depth)(assigned, [_task()])  # type: ignore[arg-type]
            assert list(found) == [{"CPU": 1.0, "ids": []}]  # type: ignore[comparison-overlap]


def _task() -> object:
    """What the starter looks at of a task."""
    return 0


def test_the_command_hands_its_share_to_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It wants the GPU that it was promised, and finds that there is none."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("here it would work")
    model = make_model(tmp_path / "tiny")
    store = Storage(tmp_path / "shards")
    part = factory.with_poses(factory.make_part("a"))
    pack([factory.report(part, store)], store, store, factory.config())
    line = ["label", store.url, "--out", str(tmp_path / "out"), "--depth-model", str(model)]
    assert run([*line, "--executor", "serial", "--set", "run.gpu_share=0.25", "--quiet"]) == 2
    assert "torch sees no GPU here" in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_cluster_without_a_gpu_is_said_to_be_one(
    one_gpu: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from pipelines.executors import ray as ray_executor

    with RayExecutor(SHARE) as executor:
        assert list(executor.map(assigned, [1], "gpu"))
        assert not caplog.records
        monkeypatch.setattr(ray_executor, "_cluster_resources", lambda: {"CPU": 2.0})
        assert list(executor.map(assigned, [1], "gpu"))
    assert "the Ray cluster has no GPU" in caplog.text
