"""What a run writes of itself, also after it was killed between two checkpoints."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from runs import config_of, make_shards, state_after

from train.engine import loop
from train.engine.metrics import JsonLines, Meter
from train.engine.say import Progress
from train.engine.session import Asked, run_session
from train.engine.world import World

CPU = torch.device("cpu")


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_past_the_step_of_resumption_go_and_so_does_one_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (10, 20, 30):
        first = JsonLines(path, 1000)
        first.write(step, {"loss": 0.5})
        first.close()
    with path.open("a") as file:
        file.write('{"step": 5, "lo')
    again = JsonLines(path, 20)
    again.write(25, {"loss": 0.25})
    again.close()
    assert lines(path) == [
        {"step": 10, "loss": 0.5},
        {"step": 20, "loss": 0.5},
        {"step": 25, "loss": 0.25},
    ]
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_meter_tells_means_and_starts_anew():
    meter = Meter(CPU)
    meter.add({"loss": 1.0}, 8, 0.0)
    meter.add({"loss": 3.0}, 8, 0.0)
    world = World(0, 1, CPU)
    first = meter.read(world)
    assert first["loss"] == 2.0
    assert first["samples_per_s"] > 0
    meter.add({"loss": 7.0}, 8, 0.0)
    assert meter.read(world)["loss"] == 7.0


def test_a_step_that_is_not_finite_changes_no_weight_and_is_counted(tmp_path, monkeypatch):
    config = config_of(make_shards(tmp_path / "shards"), report={"validate_batches": 0})
    before = loop.one_step

    def poisoned(run, batch):
        if batch.step == 3:
            held = [p.clone() for p in run.method.parameters()]
            views = run.views
            run.views = lambda b: _with_nan(views(b))
            values = before(run, batch)
            run.views = views
            assert all(
                torch.equal(a, b) for a, b in zip(held, run.method.parameters(), strict=True)
            )
            return values
        return before(run, batch)

    monkeypatch.setattr(loop, "one_step", poisoned)
    assert run_session(config, Asked(tmp_path / "run"), lambda _w: Progress(0, quiet=True))
    state = state_after(tmp_path / "run", 6)
    assert state["skipped"] == 1
    assert all(value.isfinite().all() for value in state["model"].values())


def _with_nan(views):
    views.images[0, 0, 0, 0, 0] = float("nan")
    return views
