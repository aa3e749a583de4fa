"""What the commands make of a recipe and their options; wrong ones end in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import train.finetune
import train.pretrain
from train.cli import run_command
from train.config import TrainConfig

WRONG = 2
FINETUNE = ("finetune", "--task", "pose", "--shards", "absent")
"""How a line for the other command begins."""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch):
    """The config that a line of ``train.pretrain`` runs; nothing is trained."""
    ran: list[TrainConfig] = []

    def run_session(config: TrainConfig, *_: object) -> bool:
        ran.append(config)
        return True

    def of(*args: str) -> TrainConfig:
        assert run_command(train.pretrain.pretrain, "pretrain", [*args, "--out", "out"]) == 0
        return ran.pop()

    monkeypatch.setattr(train.pretrain, "run_session", run_session)
    return of


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]):
    """The sentence that a line ends in, before anything is written."""

    def of(*args: str, out: str = "out") -> str:
        line = [*args, "--out", out]
        command, line = (
            (train.finetune.finetune, line[1:])
            if line[0] == "finetune"
            else (train.pretrain.pretrain, line)
        )
        before = sorted(Path().iterdir())
        assert run_command(command, "command", line) == WRONG
        sentence = capsys.readouterr().err
        assert sentence.startswith("error: ")
        assert sentence.count("\n") == 1
        assert "unexpected" not in sentence
        assert sorted(Path().iterdir()) == before
        return sentence

    return of


def recipe(text: str) -> str:
    Path("mine.yaml").write_text(text)
    return "mine.yaml"


# Data sets

SETS = "data: {sets: [{url: a/, weight: 2}, {url: b/, weight: 1}]}"


def test_data_sets_of_a_recipe_are_mixed_by_its_weights(config):
    sets = config("--recipe", recipe(SETS)).data.sets
    assert [(part.url, part.weight) for part in sets] == [("a/", 2), ("b/", 1)]
    (part,) = config("--set", "data.sets=[{url: c/}]").data.sets
    assert part.url == "c/"
    sets = config(
        "--recipe", recipe("data: {sets: []}"), "--shards", "d", "--shards", "e"
    ).data.sets
    assert [part.url for part in sets] == ["d", "e"]


def test_data_sets_of_a_method_in_a_recipe(config):
    text = "methods: {mae: {data: {sets: [{url: m/}]}}, croco: {data: {sets: [{url: c/}]}}}"
    (part,) = config("--recipe", recipe(text), "--method", "mae").data.sets
    assert part.url == "m/"


def test_a_config_of_a_run_is_a_recipe_by_itself(config):
    first = config("--recipe", "mae", "--shards", "a", "--batch", "64")
    again = config("--recipe", recipe(first.model_dump_json()))
    assert again.fingerprint() == first.fingerprint()


@pytest.mark.parametrize("command", [(), FINETUNE[:3]])
def test_nothing_to_train_on(refused, command):
    assert "give --shards, or data.sets in the recipe" in refused(*command, "--recipe", "tiny")


def test_data_sets_named_twice(refused):
    said = refused("--recipe", recipe(SETS), "--shards", "c")
    assert "--shards and data.sets of --recipe mine.yaml both name data sets" in said
    said = refused("--recipe", "tiny", "--shards", "c", "--set", "data.sets=[{url: d}]")
    assert "--shards and --set data.sets both name data sets" in said
    assert "--shards and data.sets of" in refused(*FINETUNE, "--recipe", recipe(SETS))


def test_finetuning_reads_the_data_sets_of_a_recipe(refused):
    said = refused(*FINETUNE[:3], "--recipe", "tiny", "--set", "data.sets=[{url: nowhere}]")
    assert "nowhere: no shards here" in said


# The method


@pytest.mark.parametrize(
    ("args", "method"),
    [
        ((), "croco"),
        (("--recipe", "tiny"), "croco"),
        (("--recipe", "mae"), "mae"),
        (("--recipe", "crocov2"), "croco"),
        (("--method", "mae"), "mae"),
        (("--recipe", "tiny", "--method", "alligat0r"), "alligat0r"),
    ],
)
def test_the_method_is_asked_for_or_that_of_the_recipe(config, args, method):
    assert config("--shards", "a", *args).method == method


def test_the_method_that_a_recipe_says(config, refused):
    path = recipe("method: mae")
    for more in ((), ("--method", "mae")):
        assert config("--shards", "a", "--recipe", path, *more).method == "mae"
    said = refused("--shards", "a", "--recipe", path, "--method", "croco")
    assert "--method croco: --recipe mine.yaml says method: mae" in said
    assert "--task pose: --recipe mine.yaml says method: mae" in refused(
        *FINETUNE, "--recipe", path
    )


@pytest.mark.parametrize(("text", "name"), [("method: pose", "pose"), ("method: 3", "3")])
def test_a_recipe_of_what_is_no_method_to_pretrain_with(refused, text, name):
    said = refused("--shards", "a", "--recipe", recipe(text))
    assert f"--recipe mine.yaml: its method is {name}; pretraining knows mae, croco" in said


def test_a_method_or_a_recipe_is_no_value_of_the_recipe(refused):
    said = refused("--shards", "a", "--set", "method=mae")
    assert "--set method=mae: a method is chosen with --method" in said
    said = refused("--shards", "a", "--set", "recipe=mae")
    assert "--set recipe=mae: a recipe is chosen with --recipe" in said


# Values and recipes that do not fit


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("schedule.length=inf", "config schedule.length: Input should be a finite number"),
        ("schedule.length=.nan", "config schedule.length: Input should be a finite number"),
        ("schedule.length=1e308", "config schedule.length: Input should be less than or equal"),
        ("optimiser.weight_decay=.inf", "config optimiser.weight_decay: Input should be a finite"),
        ("optimiser.betas=[2,3]", "config optimiser: betas must lie in [0, 1), not (2.0, 3.0)"),
        ("optimiser.betas=[0.9,1]", "config optimiser: betas must lie in [0, 1)"),
        ("data.colour.std=[0,0,0]", "config data.colour: std must be above 0"),
        ("data.colour.mean=[.nan,0,0]", "config data.colour.mean.0: Input should be a finite"),
        ("seed=99999999999999999999", "config seed: Input should be less than"),
        ("seed=2020-13-01", "--set seed=2020-13-01: the value is not valid YAML"),
        ("methods=3", "config key methods is unknown"),
        ("phases=3", "config key phases is unknown"),
    ],
)
def test_values_that_do_not_fit(refused, assignment, says):
    assert says in refused("--shards", "a", "--set", assignment)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("methods: 3", "methods must be a mapping of keys to values, not 3"),
        ("methods: [croco]", "methods must be a mapping of keys to values, not ['croco']"),
        ("methods: {croco: 3}", "methods.croco must be a mapping of keys to values, not 3"),
        ("methods: {1: {}, 2: {}}", "says nothing of method croco (but of 1, 2)"),
        ("phases: 3", "config key phases is unknown"),
        ("foo: 3", "config key foo is unknown"),
        ("optimiser: {betas: [0, 2]}", "config optimiser: betas must lie in [0, 1)"),
        ("data: {sets: [{url: a, wieght: 2}]}", "did you mean data.sets.0.weight?"),
    ],
)
def test_recipes_that_do_not_fit_are_named(refused, text, says):
    shards = () if "sets" in text else ("--shards", "a")
    said = refused(*shards, "--recipe", recipe(text))
    assert "--recipe mine.yaml: " in said
    assert says in said


def test_what_the_line_says_is_not_put_down_to_the_recipe(refused):
    said = refused("--shards", "a", "--recipe", recipe("batch: 4"), "--set", "batch=x")
    assert "mine.yaml" not in said
    assert "config batch: " in said


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff\xfe\x00", "is not UTF-8 text"), (b"seed: 2020-13-01", "not valid YAML")],
)
def test_recipes_that_cannot_be_read(refused, content, says):
    Path("binary.yaml").write_bytes(content)
    said = refused("--shards", "a", "--recipe", "binary.yaml")
    assert f"config binary.yaml: {says}" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("phases: 3", "phases must be a mapping of keys to values, not 3"),
        ("phases: {head: 3}", "phases.head must be a mapping of keys to values, not 3"),
        ("methods: {pose: {phases: 3}}", "phases must be a mapping of keys to values, not 3"),
        ("phases: {1: {}, a: {}}", "phases.1: use phases.head or phases.all"),
    ],
)
def test_phases_that_do_not_fit(refused, text, says):
    assert f"--recipe mine.yaml: {says}" in refused(*FINETUNE, "--recipe", recipe(text))


def test_phases_of_the_line_that_do_not_fit(refused):
    for assignment in ("phases=3", "phases.head=3"):
        name = assignment.removesuffix("=3")
        said = refused(*FINETUNE, "--recipe", "tiny", "--set", assignment)
        assert f"--set {name} must be a mapping of keys to values, not 3" in said


# Addresses


@pytest.mark.parametrize("command", [("--shards", "a"), FINETUNE])
def test_an_address_is_no_path(refused, command):
    for place in ("s3://foo/bar", "file:///tmp/run"):
        said = refused(*command, out=place)
        assert f"'--out': {place} is an address; give a path of this machine" in said
    said = refused(*command, "--init", "s3://x/y.pt")
    assert "'--init': s3://x/y.pt is an address; give a path of this machine" in said
