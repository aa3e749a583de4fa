"""Two phases are two runs: frozen, begun, stopped and gone on with as runs are; then measured."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from runs import (
    NET,
    SMALL,
    VIEWS,
    config_of,
    make_shards,
    metrics,
    run,
    same_state,
    spawn,
    state_after,
)

from train.cli import run_command
from train.config import TrainConfig, load_train_config
from train.data import Wanted, open_sets
from train.data.pairs import ShardSet
from train.data.sample import CorruptError
from train.engine import checkpoint, loop
from train.engine.evaluate import table_of
from train.errors import TrainError
from train.export import export
from train.finetune import finetune
from train.methods import build_method
from train.methods.pose import RelativePose
from train.models import CovisibilitySegmenterConfig, build
from train.models.checkpoints import read_checkpoint
from train.models.load import initialise_from

LEARNT = ("model", "ema", "optimiser", "step")
STEPS = 3
"""Of each phase."""
WRONG = TrainError.exit_code


def recipe(folder: Path, **changes: object) -> Path:
    """The recipe of a very small run, in a file."""
    schedule = {"schedule": {"unit": "steps", "length": STEPS, "warmup": 1}}
    phases = {"head": schedule, "all": {**schedule, "optimiser": {"base_lr": 0.05}}}
    values = {**SMALL, "data": {"views": VIEWS}, "phases": phases, **changes}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(values))  # JSON is YAML
    return path


def line(shards: Path, out: Path, *more: str) -> list[str]:
    """The options of the command, its recipe beside the run."""
    path = recipe(out.parent)
    return ["--task", "pose", "--shards", str(shards), "--recipe", str(path), "--out", str(out),
            *more]  # fmt: skip


def pose_config(shards: Path, batch: int, **data: object) -> TrainConfig:
    read = {"sets": [{"url": str(shards)}], "views": VIEWS, **data}
    return load_train_config("pose", "tiny", {**SMALL, "batch": batch, "data": read}, (), "all")


def tune(shards: Path, out: Path, *more: str) -> int:
    return run_command(finetune, "finetune", line(shards, out, *more))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert tune(shards, out) == 0
    return out


def ended(out, folder):
    return state_after(out / folder, STEPS)


def first_weights(state):
    config = TrainConfig.model_validate(state["config"])
    torch.manual_seed(config.seed)
    return build_method(config.method, config.options).state_dict()


def changed(before, after):
    return {name for name in after if not torch.equal(before[name], after[name])}


# What each phase trains


def test_the_first_phase_changes_the_head_alone_to_the_bit(undisturbed):
    state = ended(undisturbed, "1-head")
    moved = changed(first_weights(state), state["model"])
    assert moved == {n for n in state["model"] if n.startswith(("net.pose_head.", "net.pose_sc"))}
    assert changed(first_weights(state), state["ema"]) == moved
    assert set(state["optimiser"]["state"]) == moved, "nothing is kept for what is frozen"


def test_the_second_begins_with_it_and_changes_all(undisturbed):
    one, two = ended(undisturbed, "1-head"), ended(undisturbed, "2-all")
    assert two["begun"]["init"] == "step-00000003.pt"
    same = set(one["model"]) - changed(one["model"], two["model"])
    assert {name for name in same if "qkv.bias" not in name and "pos_embed" not in name} == set()
    begun_with = state_after(undisturbed / "2-all", 2)  # from 1-head, a few small steps on
    far = (begun_with["model"]["net.pose_scales"] - one["model"]["net.pose_scales"]).abs().max()
    assert 0 < far < 0.1
    assert two["config"]["options"]["frozen"] is False
    rates = [row["lr"] for row in metrics(undisturbed / "2-all") if "lr" in row]
    assert max(rates) == pytest.approx(0.05 * 4 / 256), "each phase has its own rate"


def test_what_is_regressed_is_swapped_and_measured_with_the_views(undisturbed):
    told = metrics(undisturbed / "2-all")
    assert {"rotation_deg", "translation_m", "covis_loss"} <= set(told[0])
    assert {"val_auc_20", "val_loss_shuffled", "val_accuracy_5deg_2m"} <= set(told[-1])
    assert not any("covis_loss" in row for row in metrics(undisturbed / "1-head"))


# Stopped and gone on


@pytest.mark.parametrize("after", [1, STEPS, STEPS + 2])
def test_stopped_in_either_phase_or_between_it_ends_with_the_same_bits(
    shards, tmp_path, monkeypatch, undisturbed, after
):
    steps = iter(range(1, 100))

    def stopped(state, batch, step=loop.one_step):
        values = step(state, batch)
        if next(steps) == after:
            os.kill(os.getpid(), signal.SIGTERM)
        return values

    out = tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "one_step", stopped)
        assert tune(shards, out) == 130
    assert (out / "2-all").exists() == (after > STEPS)
    assert not (out / "result.json").exists()
    assert tune(shards, out) == 0
    for folder in ("1-head", "2-all"):
        one, two = ended(undisturbed, folder), ended(out, folder)
        assert all(same_state(one[part], two[part]) for part in LEARNT)
    assert _figures(out) == _figures(undisturbed)


def test_a_whole_run_is_only_measured_again(shards, undisturbed, monkeypatch, capsys):
    monkeypatch.setattr(loop, "one_step", None)
    before = _figures(undisturbed)
    (undisturbed / "result.json").unlink()
    assert tune(shards, undisturbed) == 0
    assert _figures(undisturbed) == before
    (undisturbed / "result.json").unlink()
    capsys.readouterr()
    assert tune(shards, undisturbed, "--evaluate", "--json") == 0
    assert json.loads(capsys.readouterr().out)["result"]["network"] == before["network"]
    assert _figures(undisturbed) == before


def test_with_more_steps_the_second_phase_goes_on_and_the_first_stays(shards, tmp_path, capsys):
    assert tune(shards, tmp_path / "run", "--limit-steps", "1") == 0
    assert tune(shards, tmp_path / "run", "--limit-steps", "2") == 0
    steps = [checkpoint.steps_in(tmp_path / "run" / p / "checkpoints") for p in ("1-head", "2-all")]
    assert steps == [[1], [1, 2]]
    said = capsys.readouterr().err
    assert "it stays as it is, for 2-all has begun with it" in said
    assert said.count("from scratch") == 1
    assert tune(shards, tmp_path / "run", "--limit-steps", "1") == 0, "and the first line still"


def test_a_run_that_goes_on_has_its_network_without_its_first_weights(shards, tmp_path, capsys):
    first = tmp_path / "first"
    deeper = {**NET, "encoder": {**NET["encoder"], "depth": 2}}
    assert run(config_of(shards, options=deeper), first, limit_steps=2)
    begun = ["--init", str(checkpoint.latest(first / "checkpoints")), "--limit-steps", "1"]
    assert tune(shards, tmp_path / "run", *begun) == 0
    assert tune(shards, tmp_path / "run", "--limit-steps", "2") == 0
    assert "from scratch" not in capsys.readouterr().err


def test_a_result_says_which_pairs_it_is_of(shards, tmp_path):
    assert tune(shards, tmp_path / "run", "--limit-steps", "1") == 0
    assert _figures(tmp_path / "run")["where"] == [None]
    assert tune(shards, tmp_path / "run", "--evaluate", "--where", "overlap > 0") == 0
    assert _figures(tmp_path / "run")["where"] == ["overlap > 0"]


@pytest.mark.parametrize("parallel", [pytest.param("ddp", marks=pytest.mark.slow), "fsdp"])
def test_two_ranks_are_one_to_rounding(shards, tmp_path, undisturbed, parallel):
    out = tmp_path / parallel
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    args = ["-m", "train.finetune", *line(shards, out, "--set", f"hardware.parallel={parallel}")]
    ranks = [
        spawn(args, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
              MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        for rank in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=150)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], said
    for folder in ("1-head", "2-all"):
        for name in ("loss", "grad_norm", "val_loss"):
            two, one = (
                [row[name] for row in metrics(o / folder) if name in row]
                for o in (out, undisturbed)
            )
            assert two == pytest.approx(one, rel=1e-4), name
    frozen = [n for n in ended(out, "1-head")["model"] if "pose_" not in n]
    assert not changed(ended(undisturbed, "1-head")["model"], ended(out, "1-head")["model"]) & set(
        frozen
    )
    both = _figures(out), _figures(undisturbed)
    assert both[0]["measured"] == both[1]["measured"]
    for name in ("rotation_deg", "translation_m", "auc_20"):
        two, one = (found["network"][name] for found in both)
        assert two == pytest.approx(one, rel=1e-2, abs=1e-3)


# First weights


@pytest.mark.parametrize("method", ["croco", "alligat0r", "mae"])
def test_first_weights_bring_their_network(shards, tmp_path, capsys, method):
    other = {
        "encoder": {**NET["encoder"], "width": 32, "depth": 2},
        "decoder": {**NET["decoder"], "depth": 2},
    }
    config = config_of(shards, method, options=other)
    assert run(config, tmp_path / "first", limit_steps=1)
    path = tmp_path / "first" / "checkpoints" / "step-00000001.pt"
    assert tune(shards, tmp_path / "run", "--init", str(path), "--limit-steps", "1") == 0
    one = state_after(tmp_path / "first", 1)["model"]
    two = state_after(tmp_path / "run" / "1-head", 1)["model"]
    parts = ("net.patch_embed.", "net.enc_")
    if method != "mae":
        parts = (*parts, "net.decoder_embed.", "net.dec_")
    if method == "alligat0r":
        parts = (*parts, "net.segmentation_head.")
    assert {n for n in two if n.startswith(parts)} == {n for n in one if n.startswith(parts)}
    assert not changed(one, {n: value for n, value in two.items() if n.startswith(parts)})
    said = capsys.readouterr().err
    assert "left as they were: pose_scales, joint_scales" in said
    assert ("segmentation_head (2), pose_head (12)" in said) == (method != "alligat0r")
    path.unlink()  # a run that goes on needs it no more
    assert tune(shards, tmp_path / "run", "--init", str(path), "--limit-steps", "1") == 0


def test_first_weights_as_croco_releases_them(shards, tmp_path, capsys):
    other = {"encoder": {**NET["encoder"], "depth": 2, "positions": "rope"}}
    assert run(config_of(shards, "croco", options=other), tmp_path / "first", limit_steps=1)
    path = tmp_path / "first" / "checkpoints" / "step-00000001.pt"
    export(path, "croco", tmp_path / "croco.pth")
    more = ("--init", str(tmp_path / "croco.pth"), "--limit-steps", "1")
    assert tune(shards, tmp_path / "run", *more) == 0
    state = state_after(tmp_path / "run" / "1-head", 1)
    assert state["net"]["encoder"]["positions"] == "rope"
    assert state["net"]["encoder"]["depth"] == 2
    of_both = {n for n in state["model"] if n.startswith(("net.enc_", "net.dec"))}
    assert not changed(state_after(tmp_path / "first", 1)["model"], {
        name: state["model"][name] for name in of_both
    })  # fmt: skip
    bare = torch.load(tmp_path / "croco.pth")["model"]
    torch.save({"model": bare}, tmp_path / "bare.pth")  # it says nothing of its network
    assert tune(shards, tmp_path / "other", "--init", str(tmp_path / "bare.pth"), *more[2:]) == 0
    sizes = ("--set", "options.encoder.depth=2", "--set", "options.encoder.positions=rope")
    capsys.readouterr()
    bare_init = ("--init", str(tmp_path / "bare.pth"), *more[2:], *sizes)
    assert tune(shards, tmp_path / "more", *bare_init) == 0
    assert state_after(tmp_path / "more" / "1-head", 1)["net"] == state["net"]


def test_first_weights_for_other_pictures_have_their_positions_fitted(shards, tmp_path):
    config = config_of(shards, "croco")
    assert run(config, tmp_path / "first", limit_steps=1)
    path = tmp_path / "first" / "checkpoints" / "step-00000001.pt"
    more = ("--init", str(path), "--limit-steps", "1", "--set", "data.views.size=[48,32]")
    assert tune(shards, tmp_path / "run", *more) == 0
    state = state_after(tmp_path / "run" / "1-head", 1)
    assert state["net"]["encoder"]["image_size"] == [32, 48]
    assert state["model"]["net.enc_pos_embed"].shape[0] == 4 * 6


def test_without_first_weights_that_is_said(shards, tmp_path, capsys):
    assert tune(shards, tmp_path / "run", "--limit-steps", "1") == 0
    said = capsys.readouterr().err
    assert said.count("no --init: from scratch") == 1


def test_others_take_of_it_what_they_know(undisturbed, tmp_path):
    path = undisturbed / "2-all" / "checkpoints" / "step-00000003.pt"
    left = export(path, "croco", tmp_path / "croco.pth").left
    assert {"pose_scales", "joint_scales"} <= set(left)
    written = torch.load(tmp_path / "croco.pth")["model"]
    assert not [name for name in written if name.startswith(("pose_", "joint_"))]
    config = read_checkpoint(path).config
    assert isinstance(config, CovisibilitySegmenterConfig)
    assert initialise_from(build(config), path).missing == ()


# Refused


def test_pairs_without_poses_are_missed_at_once(tmp_path, capsys, shards, monkeypatch):
    import factory

    monkeypatch.setattr(factory, "with_poses", lambda part: part)
    plain = make_shards(tmp_path / "plain")
    assert tune(plain, tmp_path / "run") == WRONG
    assert "has no camera poses in metres, which pose learns from" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_labels_are_missed_before_the_first_phase_or_not_at_all(tmp_path, capsys):
    plain = make_shards(tmp_path / "plain", labelled=False)
    assert tune(plain, tmp_path / "run") == WRONG
    said = capsys.readouterr().err
    assert "no co-visibility labels" in said
    assert "--set options.joint=none" in said
    assert not (tmp_path / "run").exists()
    more = ("--limit-steps", "1", "--set", "options.joint=none")
    assert tune(plain, tmp_path / "run", *more) == 0
    assert not any("covis_loss" in row for row in metrics(tmp_path / "run" / "2-all"))


def test_wrong_options_are_one_sentence(shards, tmp_path, undisturbed, capsys):
    init = str(undisturbed / "1-head" / "checkpoints" / "step-00000003.pt")
    for more, said in (
        (("--evaluate",), "there is no checkpoint in"),
        (("--task", "depth"), "--task depth: use one of pose"),
        (("--set", "phases.haed.batch=2"), "phases.haed: use phases.head or phases.all"),
        (("--set", "options.encoder.width=48", "--init", init), "the network is that of --init"),
        (("--set", "data.views.size=[30,32]",), "no whole number of patches of 8"),
        (("--set", "phases.all.batch=4000",), "a batch takes 4000"),
    ):  # fmt: skip
        assert tune(shards, tmp_path / "new", *more) == WRONG
        assert said in capsys.readouterr().err


def test_pretraining_has_no_phases_and_does_not_regress_poses(shards, tmp_path):
    path = recipe(tmp_path)
    with pytest.raises(Exception, match="config key phases is unknown"):
        load_train_config("croco", str(path), {"data": {"sets": [{"url": "x"}]}})


# Recipes


def test_a_phase_has_its_own_values_and_those_said_on_the_line_come_last():
    data = {"data": {"sets": [{"url": "x"}]}}

    def loaded(phase, *sets):
        return load_train_config("pose", "pose", data, sets, phase)

    head, everything = loaded("head"), loaded("all")
    assert (head.optimiser.base_lr, head.schedule.length) == (1e-4, 5)
    assert (everything.optimiser.base_lr, everything.schedule.length) == (5e-5, 10)
    for phase in ("head", "all"):
        both = loaded(phase, "phases.head.seed=5", "seed=3", "schedule.length=2")
        assert both.schedule.length == 2
        assert both.seed == (5 if phase == "head" else 3)
    assert load_train_config("pose", "tiny", data, (), "all").schedule.unit == "steps"


# Measured


def test_every_held_out_pair_is_measured_once(shards):
    config = pose_config(shards, batch=3)
    held_out = open_sets(config.data, "val", Wanted(covis=False, corr=False))
    assert len(held_out) % 3, "or the last batch is not filled up"
    seen = []

    def row(views):
        seen.extend(views.numbers.tolist())
        return torch.stack([views.numbers, views.images.mean((1, 2, 3, 4))], 1)

    alone = table_of(_rank(0, 1), config, held_out, RelativePose, row)
    assert alone.read.all()
    assert alone.rows[:, 0].tolist() == list(range(len(held_out)))
    assert sorted(set(seen)) == list(range(len(held_out)))
    config = pose_config(shards, batch=4)
    ranks = [table_of(_rank(number, 2), config, held_out, RelativePose, row) for number in range(2)]
    added = sum(table.rows for table in ranks)
    torch.testing.assert_close(added, alone.rows, rtol=1e-6, atol=1e-9)
    assert (sum(table.read.int() for table in ranks) == 1).all(), "none twice"
    with pytest.raises(TrainError, match="held-out samples for 99 processes"):
        table_of(_rank(0, 99), config, held_out, RelativePose, row)


def test_what_cannot_be_read_is_not_measured_nor_its_stand_in(shards, monkeypatch):
    config = pose_config(shards, batch=3, max_bad_share=1)
    held_out = open_sets(config.data, "val", Wanted(covis=False, corr=False))

    def broken(self, number, only=None, load=ShardSet.load):
        if number == 4:
            raise CorruptError("four", "torn")
        return load(self, number, only)

    monkeypatch.setattr(ShardSet, "load", broken)
    table = table_of(
        _rank(0, 1), config, held_out, RelativePose, lambda views: views.numbers[:, None] + 1
    )
    assert (~table.read).nonzero().tolist() == [[4]]
    assert [int(x) for x in table.rows[:, 0]] == [
        0 if number == 4 else number + 1 for number in range(len(held_out))
    ]


def test_the_result_is_that_of_the_averaged_weights_on_all_pairs(undisturbed, shards):
    found = _figures(undisturbed)
    config = TrainConfig.model_validate(ended(undisturbed, "2-all")["config"])
    held_out = open_sets(config.data, "val")
    assert found["pairs"] == found["measured"] == len(held_out)
    assert found["checkpoint"] == "2-all/checkpoints/step-00000003.pt"
    assert found["shards"] == [str(shards)]
    model = build_method("pose", config.options)
    model.load_state_dict(ended(undisturbed, "2-all")["ema"])

    def row(views):
        one = views.poses[:, 0, :3, 3] - views.poses[:, 1, :3, 3]  # cameras are not turned
        return (model.eval().predict(views).translations - one).norm(dim=1)[:, None]

    table = table_of(_rank(0, 1), config, held_out, RelativePose, row)
    assert float(table.rows.mean()) == pytest.approx(found["network"]["translation_m"], rel=1e-6)


def test_nothing_held_out_is_said(tmp_path, capsys):
    place = make_shards(tmp_path / "shards", val_share=0.0)
    assert tune(place, tmp_path / "run", "--limit-steps", "1") == 0
    assert "not measured, for nothing is held out" in capsys.readouterr().err
    assert tune(place, tmp_path / "run", "--evaluate") == WRONG
    assert "no split val" in capsys.readouterr().err


def _rank(number, size):
    """A process whose sums are its own."""
    return SimpleNamespace(rank=number, size=size, device=torch.device("cpu"), summed=lambda x: x)


def _figures(out):
    return json.loads((out / "result.json").read_text())
