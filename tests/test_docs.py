"""What the documents promise exists: commands, options, snippets that run, links that lead."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from mimic.errors import MimicError
from pipelines.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_COMMANDS = typer.main.get_command(app).commands


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


def _lines(path: Path) -> list[str]:
    """Command lines of a page: in shell blocks and between backquotes."""
    inline = re.findall(r"`(mimic [a-z][^`]*)`", path.read_text())
    shown = [line for block in _blocks(path, "sh") for line in block.splitlines()]
    return [line for line in [*inline, *shown] if re.match(r"mimic [a-z]", line)]


@pytest.mark.parametrize(
    ("page", "line"),
    [(path.name, line) for path in DOCS for line in _lines(path)],
)
def test_commands_and_options_exist(page: str, line: str) -> None:
    words = shlex.split(line.split("|")[0], comments=True)
    command = _COMMANDS.get(words[1])
    assert command is not None, f"{page}: {line}"
    known = {option for param in command.params for option in param.opts}
    assert {word for word in words if word.startswith("--")} <= known | {"--help"}
    for assignment in re.findall(r"--set ([^ `]+)", line):
        from pipelines.cli.options import config_of

        try:
            config_of(assignments=[assignment.replace("'", "")])
        except MimicError as error:
            pytest.fail(f"{page}: {line}: {error}")


@pytest.mark.parametrize(
    "target", re.findall(r"`make ([a-z]+)`", "".join(p.read_text() for p in DOCS))
)
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not link.startswith("https://"):
            assert (path.parent / link).exists(), link


@pytest.mark.parametrize(
    ("page", "code"),
    [
        pytest.param(path.name, code, id=f"{path.name}-{number}")
        for path in DOCS
        for number, code in enumerate(_blocks(path, "python"))
    ],
)
def test_python_snippets_run_on_shards(page: str, code: str, tiny_shards: Path) -> None:
    """The snippets name ``shards/``; they run beside a tiny data set of that name."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tiny_shards.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    if "print(" in code:
        assert done.stdout.strip()


def test_yaml_snippets_are_configs(tmp_path: Path) -> None:
    from mimic.config import load_config

    blocks = [block for path in DOCS for block in _blocks(path, "yaml")]
    assert blocks
    for block in blocks:
        (tmp_path / "c.yaml").write_text(block)
        load_config(file=tmp_path / "c.yaml")


def _words_in_format() -> set[str]:
    return set(re.findall(r"`([a-z_0-9]+)`", (ROOT / "docs" / "format.md").read_text()))


def test_every_reason_is_explained() -> None:
    from mimic.report.words import REASONS

    assert set(REASONS) <= _words_in_format()


def test_every_field_of_a_sample_is_explained(tiny_shards: Path) -> None:
    from mimic.shards.reader import Shards

    meta = next(iter(Shards(tiny_shards).samples())).meta
    overlaps = {name.rsplit("_", 1)[0] for name in meta["edges"][0]["overlap"]}
    fields = {*meta, *meta["source"], *meta["views"][0], *meta["edges"][0], *overlaps}
    assert fields <= _words_in_format()


def _tracked_text() -> list[Path]:
    skip = {".git", ".venv", "demo", "build", "dist", "__pycache__"}
    kinds = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".html", ".cfg", ""}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and path.suffix in kinds
        and not (path.parts[len(ROOT.parts)] in skip or "__pycache__" in path.parts)
        and not any(part.startswith(".") and part.endswith("_cache") for part in path.parts)
        and ".egg-info" not in str(path)
        and ".hypothesis" not in path.parts
    ]


def test_nothing_names_a_machine_or_a_registry() -> None:
    machine = re.compile(r"(?<![\w.:/~-])/(?:root|work|home|Users)/\w")
    registry = re.compile(r"index-url|/simple/|files\.pythonhosted|://pypi")
    found = []
    for path in _tracked_text():
        if path.name == Path(__file__).name:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if machine.search(line) or registry.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert not found
