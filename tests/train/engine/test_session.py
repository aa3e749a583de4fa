"""A run is a function of (data, config): however it was stopped, resumed, and spread."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from itertools import pairwise
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from runs import (
    NET,
    command,
    config_of,
    make_shards,
    metrics,
    run,
    same_state,
    spawn,
    state_after,
)

from train.config import TrainConfig
from train.data import open_held_out, open_sets
from train.engine import checkpoint
from train.engine.peak import measured_peak, seconds
from train.engine.say import Progress
from train.engine.session import Asked, run_session
from train.errors import TrainError
from train.methods import METHODS
from train.methods.base import Outcome

LEARNT = ("model", "ema", "optimiser", "step")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def undisturbed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert run(config_of(shards), out)
    return out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("first", [2, 3])
def test_stopped_and_resumed_it_ends_with_the_same_bits(shards, tmp_path, method, first):
    config = config_of(shards, method)
    assert run(config, tmp_path / "whole")
    assert run(config, tmp_path / "cut", limit_steps=first)
    assert run(config, tmp_path / "cut")
    one, two = (state_after(tmp_path / name, 6) for name in ("whole", "cut"))
    assert all(same_state(one[part], two[part]) for part in LEARNT)
    assert not same_state(one["model"], state_after(tmp_path / "cut", first)["model"])


def test_the_run_tells_of_every_step_once_however_often_it_was_resumed(
    shards, tmp_path, undisturbed
):
    for limit in (1, 3, 4, 6):
        assert run(config_of(shards), tmp_path / "cut", limit_steps=limit)
    told = [line for line in metrics(tmp_path / "cut") if "loss" in line]
    assert [line["step"] for line in told] == [1, 2, 3, 4, 5, 6]
    whole = [line["loss"] for line in metrics(undisturbed) if "loss" in line]
    assert [line["loss"] for line in told] == whole


def test_a_killed_run_goes_on_from_its_checkpoint(shards, tmp_path, undisturbed):
    out = tmp_path / "killed"
    process = spawn(command(shards, out))
    _wait_for(out / "checkpoints" / "step-00000002.pt", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = spawn(command(shards, out))
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert "goes on after step" in errors
    one, two = state_after(undisturbed, 6), state_after(out, 6)
    assert all(same_state(one[part], two[part]) for part in LEARNT)


def test_sigterm_makes_a_checkpoint_and_says_so(shards, tmp_path):
    endless = ("--set", "schedule.length=9999", "--set", "checkpoint.every=9999",
               "--set", "report.validate_batches=0")  # fmt: skip
    out = tmp_path / "stopped"
    process = spawn(command(shards, out, *endless))
    _wait_for(out / "metrics.jsonl", process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "the same line again goes on" in errors
    (step,) = checkpoint.steps_in(out / "checkpoints")
    for place in (out, tmp_path / "whole"):
        line = command(shards, place, *endless, "--limit-steps", str(step + 2))
        ended = spawn(line)
        _, errors = ended.communicate(timeout=120)
        assert ended.returncode == 0, errors
    one, two = (state_after(tmp_path / name, step + 2) for name in ("whole", "stopped"))
    assert all(same_state(one[part], two[part]) for part in LEARNT)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_ranks_are_one_to_rounding(shards, tmp_path, undisturbed, parallel):
    out = tmp_path / parallel
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    args = command(shards, out, "--set", f"hardware.parallel={parallel}")
    ranks = [
        spawn(args, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
              MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        for rank in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=150)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], said
    # Losses, not weights: Adam makes a step of full length of a gradient that is all rounding.
    for name in ("loss", "grad_norm", "val_loss"):
        two, one = ([line[name] for line in metrics(o) if name in line] for o in (out, undisturbed))
        assert two == pytest.approx(one, rel=1e-4), name
    one_process = config_of(shards, schedule={"length": 8})
    assert run(one_process, out, force_resume=True), "a whole state: one process goes on with it"


def test_another_config_is_refused_and_named(shards, tmp_path):
    assert run(config_of(shards), tmp_path / "run", limit_steps=2)
    other = config_of(shards, optimiser={"weight_decay": 0.5})
    with pytest.raises(TrainError, match=r"optimiser.weight_decay \(0.05 -> 0.5\).*--force-resume"):
        run(other, tmp_path / "run")
    assert run(other, tmp_path / "run", force_resume=True, limit_steps=3)
    elsewhere = config_of(shards, hardware={"decode_threads": 1}, report={"log_every": 2})
    assert run(elsewhere, tmp_path / "run", force_resume=True, limit_steps=4)


def test_a_forced_run_has_the_new_values_and_the_old_moments(shards, tmp_path):
    out = tmp_path / "run"
    assert run(config_of(shards), out, limit_steps=2)
    other = config_of(shards, optimiser={"weight_decay": 0.5, "betas": [0.5, 0.6]})
    assert run(other, out, force_resume=True, limit_steps=3)
    optimiser = state_after(out, 3)["optimiser"]
    assert [group["weight_decay"] for group in optimiser["param_groups"]] == [0.5, 0.0]
    assert [tuple(group["betas"]) for group in optimiser["param_groups"]] == [(0.5, 0.6)] * 2
    assert {float(moments["step"]) for moments in optimiser["state"].values()} == {3.0}


def test_an_average_that_is_first_asked_for_begins_with_the_weights_there_are(shards, tmp_path):
    out = tmp_path / "run"
    assert run(config_of(shards, numerics={"ema_decay": None}), out, limit_steps=4)
    weights = state_after(out, 4)["model"]
    averaging = config_of(shards, numerics={"ema_decay": 0.999999})
    assert run(averaging, out, force_resume=True, limit_steps=5)
    average = state_after(out, 5)["ema"]
    for name, value in weights.items():
        torch.testing.assert_close(average[name], value, rtol=1e-4, atol=1e-6)


def test_another_network_cannot_be_forced_on_a_run(shards, tmp_path):
    out = tmp_path / "run"
    assert run(config_of(shards), out, limit_steps=2)
    deeper = {**NET, "encoder": {**NET["encoder"], "depth": 2}}
    says = r"another network, \d+ of its weights differ \(net\.enc_blocks\.1\..*: none -> .*--init"
    for config in (config_of(shards, options=deeper), config_of(shards, "alligat0r")):
        with pytest.raises(TrainError, match=says if config.method == "croco" else "another netw"):
            run(config, out, force_resume=True)


def test_a_run_that_is_over_keeps_its_record(shards, tmp_path):
    out = tmp_path / "run"
    assert run(config_of(shards), out, limit_steps=2)
    before = (out / "config.yaml").read_bytes()
    other = config_of(shards, optimiser={"weight_decay": 0.5})
    assert run(other, out, force_resume=True, limit_steps=2)
    assert (out / "config.yaml").read_bytes() == before


def test_validation_sees_each_held_out_sample_once(shards, tmp_path, monkeypatch):
    held_out = len(open_held_out(config_of(shards).data)[0])
    assert held_out % 4, "or the last batch is not filled up"
    seen, before = [], Outcome.of

    def of(outcome, chosen):
        seen.append(int(chosen.sum()))
        return before(outcome, chosen)

    monkeypatch.setattr(Outcome, "of", of)
    report = {"validate_every": 6, "validate_batches": 99}
    assert run(config_of(shards, report=report), tmp_path / "run")
    assert sum(seen) == 2 * held_out, "with the right reference and with a wrong one"
    assert min(seen) == held_out % 4


def test_a_set_that_holds_nothing_out_leaves_the_others_theirs(shards, tmp_path, capsys):
    without = make_shards(tmp_path / "without", "xyz", val_share=0.0)
    config = config_of(shards)
    sets = [{"url": str(place), "weight": 1} for place in (shards, without)]
    both = config.data.model_validate({**config.data.model_dump(), "sets": sets})
    held_out, why = open_held_out(both)
    assert len(held_out) == len(open_held_out(config.data)[0])
    assert held_out.weights is None, "each held-out sample counts alike"
    assert len(why) == 1
    assert f"{without}: no split val" in why[0]
    run_session(config.model_copy(update={"data": both}), Asked(tmp_path / "run"), _loud)
    assert f"not validated on: {without}: no split val" in capsys.readouterr().err
    assert any("val_loss" in line for line in metrics(tmp_path / "run"))


def _loud(_world):
    return Progress(0)


def test_an_epoch_of_the_schedule_is_one_of_the_data(shards, tmp_path):
    samples = len(open_sets(config_of(shards).data, "train"))
    assert samples % 4, "or nothing is left over"
    epochs = config_of(shards, schedule={"unit": "epochs", "length": 3, "warmup": 1})
    assert run(epochs, tmp_path / "run")
    last = checkpoint.steps_in(tmp_path / "run" / "checkpoints")[-1]
    assert last == 3 * (samples // 4)


def test_what_does_not_decide_may_change(shards, tmp_path):
    assert run(config_of(shards), tmp_path / "run", limit_steps=2)
    changed = config_of(shards, hardware={"decode_threads": 1}, report={"log_every": 2})
    assert run(changed, tmp_path / "run", limit_steps=3)


def test_other_data_in_the_same_place_is_refused(tmp_path):
    place = make_shards(tmp_path / "shards")
    assert run(config_of(place), tmp_path / "run", limit_steps=2)
    shutil.rmtree(place)
    make_shards(place, "wxyzabc")
    with pytest.raises(TrainError, match=r"started on other data.*--force-resume"):
        run(config_of(place), tmp_path / "run")
    assert run(config_of(place), tmp_path / "run", force_resume=True, limit_steps=3)


def test_shards_that_hold_nothing_out_are_trained_on_all_the_same(tmp_path):
    place = make_shards(tmp_path / "shards", val_share=0.0)
    assert run(config_of(place), tmp_path / "run", limit_steps=3)
    assert not any("val_loss" in line for line in metrics(tmp_path / "run"))


def test_a_loss_that_is_no_number_stops_the_run_with_its_samples(shards, tmp_path):
    config = config_of(
        shards, optimiser={"base_lr": 1e30}, numerics={"nan_budget": 1}, schedule={"warmup": 0}
    )
    with pytest.raises(TrainError, match=r"not finite, step 2 of this run.*base_lr"):
        run(config, tmp_path / "run")


def test_fewer_samples_than_a_batch_is_one_sentence(shards, tmp_path):
    with pytest.raises(TrainError, match="samples but a batch takes 4000"):
        run(config_of(shards, batch=4000), tmp_path / "run")


def test_the_same_few_batches_are_learnt_by_heart(shards, tmp_path):
    config = config_of(shards, schedule={"length": 60, "warmup": 5}, optimiser={"base_lr": 0.5})
    assert run(config, tmp_path / "run", overfit_batches=1)
    losses = [line["loss"] for line in metrics(tmp_path / "run") if "loss" in line]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_pictures_and_config_are_left_beside_the_metrics(undisturbed):
    assert {entry.name for entry in undisturbed.iterdir()} == {
        ".lock", "checkpoints", "config.yaml", "metrics.jsonl", "pictures",
    }  # fmt: skip
    assert [p.name for p in sorted((undisturbed / "pictures").iterdir())] == [
        "step-00000003.png", "step-00000006.png",
    ]  # fmt: skip
    steps = [line["step"] for line in metrics(undisturbed)]
    assert all(a <= b for a, b in pairwise(steps))


def _wait_for(path: Path, process) -> None:
    until = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)


def test_labels_that_are_not_there_are_missed_at_once(tmp_path):
    plain = make_shards(tmp_path / "plain", labelled=False)
    with pytest.raises(TrainError, match=r"no co-visibility labels.*mimic label"):
        run(config_of(plain, "alligat0r"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_go_with_crops_where_depth_is_stored_and_are_refused_where_not(
    tmp_path: Path,
) -> None:
    views = {"crop": "random", "size": [16, 16], "swap": 0.5, "flip": 0.5}
    net = {**NET, "encoder": {**NET["encoder"], "image_size": [16, 16]}}

    def cut(shards: Path) -> TrainConfig:
        data = {"sets": [{"url": str(shards)}], "views": views}
        return config_of(shards, "alligat0r", data=data, options=net)

    assert run(cut(make_shards(tmp_path / "deep", deep=True)), tmp_path / "out")
    assert "val_accuracy" in metrics(tmp_path / "out")[-1]
    with pytest.raises(
        TrainError, match=r"its views may not be cut: set data.views.crop to squash"
    ):
        run(cut(make_shards(tmp_path / "flat")), tmp_path / "none")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_device_has_a_matrix_rate(dtype: torch.dtype) -> None:
    cpu = torch.device("cpu")
    assert measured_peak(cpu, dtype, side=64) > 0
    ran = []
    assert seconds(cpu, lambda: ran.append(1)) >= 0
    assert ran == [1]
