"""What a run writes of itself, also after it was killed between two checkpoints."""

from __future__ import annotations

import json
import math
import struct
import sys
import time

import pytest

torch = pytest.importorskip("torch")

from runs import config_of, make_shards, same_state, state_after

from train.config import ReportConfig
from train.engine import loop
from train.engine.metrics import JsonLines, Meter, sinks
from train.engine.numerics import Stepper
from train.engine.run import Run
from train.engine.say import Progress
from train.engine.session import Asked, run_session
from train.engine.world import World
from train.errors import TrainError

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
    meter.add({"loss": (8.0, 8.0), "accuracy": (1.0, 2.0)}, 8, 0.0)
    meter.add({"loss": (24.0, 8.0), "accuracy": (0.0, 6.0)}, 8, 0.0)
    world = World(0, 1, CPU)
    first = meter.read(world)
    assert first["loss"] == 2.0
    assert first["accuracy"] == 1 / 8
    assert first["samples_per_s"] > 0
    meter.add({"loss": (56.0, 8.0)}, 8, 0.0)
    assert meter.read(world)["loss"] == 7.0


def test_a_step_that_is_not_finite_says_nothing_of_the_others(tmp_path):
    meter, world = Meter(CPU), World(0, 1, CPU)
    meter.add({"loss": (8.0, 8.0)}, 8, 0.0)
    meter.add({"loss": (float("nan"), 8.0)}, 8, 0.0)
    assert meter.read(world)["loss"] == 1.0
    meter.add({"loss": (float("inf"), 8.0)}, 8, 0.0)
    values = meter.read(world)
    assert math.isnan(values["loss"])
    sink = JsonLines(tmp_path / "metrics.jsonl", 0)
    sink.write(1, {"loss": values["loss"]})
    sink.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "loss": null}\n'


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


def test_a_line_that_does_not_fit_leaves_the_others_whole(tmp_path, monkeypatch):
    sink = JsonLines(tmp_path / "metrics.jsonl", 0)
    sink.write(1, {"loss": 0.5})
    write = sink._file.write

    def full(data):
        if len(data) < 5:
            raise OSError(28, "No space left on device")
        return write(data[:-4])

    monkeypatch.setattr(sink, "_file", Stub(write=full, base=sink._file))
    with pytest.raises(TrainError, match=r"metrics\.jsonl: could not be written \(No space.*room"):
        sink.write(2, {"loss": 0.25})
    sink.close()
    assert lines(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": 0.5}]


def test_lines_that_cannot_be_copied_when_a_run_goes_on_stay_where_they_are(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    first = JsonLines(path, 0)
    first.write(1, {"loss": 0.5})
    first.close()

    def full(_sink, _text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JsonLines, "_append", full)
    with pytest.raises(TrainError, match=r"metrics\.jsonl: could not be written"):
        JsonLines(path, 1)
    assert lines(path) == [{"step": 1, "loss": 0.5}]
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]


class Stub:
    """A file whose ``write`` is another."""

    def __init__(self, write, base):
        self.write, self.base = write, base

    def __getattr__(self, name):
        return getattr(self.base, name)


def poisoned_run(tmp_path, monkeypatch, samples, **changes):
    """A run in which some samples of each batch have a pixel that is no number."""
    before = Run.views

    def views(run, batch, train=True):
        found = before(run, batch, train)
        found.images[:samples, 0, 0, 0, 0] = float("nan")
        return found

    monkeypatch.setattr(Run, "views", views)
    config = config_of(make_shards(tmp_path / "shards"), report={"validate_batches": 0}, **changes)
    run_session(config, Asked(tmp_path / "run"), lambda _w: Progress(0, quiet=True))


def test_samples_that_are_not_finite_are_named_when_their_budget_is_spent(tmp_path, monkeypatch):
    says = (
        r"step 3: .*step 4 of this run .*nan_budget: 3\); 1 of the batch's 4 samples: (\w+): look"
    )
    with pytest.raises(TrainError, match=says):
        poisoned_run(tmp_path, monkeypatch, 1)
    assert state_after(tmp_path / "run", 2)["skipped"] == 2


def test_where_all_are_not_finite_no_sample_is_blamed(tmp_path, monkeypatch):
    says = r"all 4 samples of the batch, so it is the weights.*there is no checkpoint yet: begin"
    with pytest.raises(TrainError, match=says):
        poisoned_run(tmp_path, monkeypatch, 4, numerics={"nan_budget": 0})


@pytest.fixture
def scaled(monkeypatch):
    """fp16's loss scale, which is otherwise for GPUs alone."""
    scales = []
    made = torch.amp.GradScaler

    def scaler(device, enabled):
        del enabled
        scales.append(made(device, init_scale=2.0**16))
        return scales[-1]

    monkeypatch.setattr(torch.amp, "GradScaler", scaler)
    return scales


@pytest.mark.usefixtures("scaled")
def test_losses_that_are_not_finite_stop_a_scaled_run_too(tmp_path, monkeypatch):
    with pytest.raises(TrainError, match=r"step 3: .*nan_budget: 3\); 1 of the batch's 4 samples"):
        poisoned_run(tmp_path, monkeypatch, 1)


def overflowing(monkeypatch, steps):
    """The gradients of some steps are infinite, and their losses are not."""
    before = Stepper.gradients

    def gradients(stepper, views):
        outcome = before(stepper, views)
        if views.step in steps:
            for group in stepper._optimiser.param_groups:
                for parameter in group["params"]:
                    parameter.grad.fill_(float("inf"))
        return outcome

    monkeypatch.setattr(Stepper, "gradients", gradients)


def test_a_scale_that_is_looked_for_is_no_fault(tmp_path, monkeypatch, scaled):
    overflowing(monkeypatch, {0, 1, 3})
    config = config_of(make_shards(tmp_path / "shards"), numerics={"nan_budget": 0})
    assert run_session(config, Asked(tmp_path / "run"), lambda _w: Progress(0, quiet=True))
    assert state_after(tmp_path / "run", 6)["skipped"] == 0
    assert scaled[0].get_scale() == 2.0**13


def test_a_scale_that_is_never_found_stops_the_run(tmp_path, monkeypatch, scaled):
    overflowing(monkeypatch, range(99))
    longer = {"unit": "steps", "length": 99, "warmup": 2}
    config = config_of(make_shards(tmp_path / "shards"), schedule=longer)
    with pytest.raises(TrainError, match=r"step 19: .*nan_budget: 3\); no sample by itself"):
        run_session(config, Asked(tmp_path / "run"), lambda _w: Progress(0, quiet=True))
    assert scaled[0].get_scale() == 2.0**-4


def test_a_run_whose_every_step_was_skipped_goes_on_as_if_it_had_not_stopped(tmp_path, monkeypatch):
    before = Run.views

    def views(run, batch, train=True):
        found = before(run, batch, train)
        if batch.step == 0:
            found.images[:, 0, 0, 0, 0] = float("nan")
        return found

    monkeypatch.setattr(Run, "views", views)
    config = config_of(make_shards(tmp_path / "shards"), report={"validate_batches": 0})
    for name, limits in {"whole": [4], "cut": [1, 4]}.items():
        for limit in limits:
            asked = Asked(tmp_path / name, limit_steps=limit)
            run_session(config, asked, lambda _w: Progress(0, quiet=True))
    one, two = (state_after(tmp_path / name, 4) for name in ("whole", "cut"))
    assert all(same_state(one[part], two[part]) for part in ("model", "ema", "optimiser"))


def test_tensorboard_forgets_what_is_past_the_step_of_resumption(tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first, last, loss in ((0, 5, 1.0), (3, 6, 2.0)):
        places = sinks(tmp_path, ReportConfig(tensorboard=True), first, {})
        for step in range(first + 1, last + 1):
            for place in places:
                place.write(step, {"loss": loss})
        for place in places:
            place.close()
        time.sleep(1.1)  # the name of an event file tells its second
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    told = [(event.step, event.value) for event in read.Scalars("loss")]
    assert told == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 2.0), (6, 2.0)]


def test_weights_and_biases_goes_on_with_the_same_run(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the package wandb is not installed")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    for first in (0, 2):
        places = sinks(tmp_path, ReportConfig(wandb="project"), first, {"seed": 3})
        for place in places:
            place.write(first + 1, {"loss": 1.0})
            place.write(first + 1, {"val_loss": 2.0})
            place.write(first + 2, {"loss": 0.5})
            place.close()
    assert wandb.run is None
    told = []
    for file in sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb")):
        assert file.stem == f"run-{(tmp_path / 'wandb-id.txt').read_text()}"
        for data in records(file.read_bytes()):
            record = Record.FromString(data)
            if record.WhichOneof("record_type") == "history":
                items = {i.key or i.nested_key[0]: i.value_json for i in record.history.item}
                told.append((json.loads(items["_step"]), json.loads(items["loss"])))
    assert sorted(told) == [(1, 1.0), (2, 0.5), (3, 1.0), (4, 0.5)]


def records(data):
    """What a file of Weights & Biases holds: LevelDB's log, in blocks of 32 KiB."""
    at, parts = 7, []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        parts.append(data[at + 7 : at + 7 + size])
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def test_a_package_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    for report in (ReportConfig(wandb="project"), ReportConfig(tensorboard=True)):
        with pytest.raises(
            TrainError, match=r"^report\.(\w+): the package \1 is missing: pip inst"
        ):
            sinks(tmp_path, report, 0, {})


def _with_nan(views):
    views.images[0, 0, 0, 0, 0] = float("nan")
    return views
