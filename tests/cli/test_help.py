"""The help teaches: every command shows its purpose, its examples and its options."""

from __future__ import annotations

import inspect
import shlex

import pytest
import typer

from pipelines.cli import run
from pipelines.cli.app import COMMANDS, app

NAMES = [name for name, *_ in COMMANDS]


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")


def _options(name: str) -> set[str]:
    command = typer.main.get_command(app).commands[name]
    return {option for param in command.params for option in param.opts if option.startswith("--")}


def test_the_top_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    printed = capsys.readouterr().out
    assert set(NAMES) == {
        *(
            "plan",
            "mine",
            "pack",
            "stats",
            "inspect",
            "verify",
            "retry",
            "demo",
            "import",
            "export",
            "label",
            "reconstruct",
        )
    }
    assert all(name in printed for name in NAMES)


@pytest.mark.parametrize(("name", "panel", "command", "examples"), COMMANDS, ids=NAMES)
def test_help_of_a_command(name, panel, command, examples, capsys) -> None:
    assert run([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert inspect.getdoc(command).splitlines()[0] in printed
    assert all(example in printed for example in examples)
    assert all(option in printed for option in _options(name))


@pytest.mark.parametrize(
    ("name", "example"), [(name, example) for name, _, _, all_ in COMMANDS for example in all_]
)
def test_examples_use_what_exists(name: str, example: str) -> None:
    words = shlex.split(example)
    assert words[:2] == ["mimic", name]
    assert {word for word in words if word.startswith("--")} <= _options(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_can_be_debugged_and_read_by_machines(name: str) -> None:
    assert {"--json", "--quiet", "--debug"} <= _options(name)


def test_the_same_option_means_the_same_everywhere() -> None:
    helps: dict[str, set[str]] = {}
    for name in NAMES:
        for param in typer.main.get_command(app).commands[name].params:
            for option in param.opts:
                if option not in {"--out", "--source"}:
                    helps.setdefault(option, set()).add(param.help or "")
    assert {option: texts for option, texts in helps.items() if len(texts) > 1} == {}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mimic 0.")


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    printed = capsys.readouterr()
    assert "mine" in printed.out + printed.err
    assert "error:" not in printed.err
