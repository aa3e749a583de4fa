"""Options become config values, and what is wrong becomes one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimic.config import load_config
from mimic.errors import DamagedError, MimicError, StorageError
from pipelines.cli import _sentence_and_code, options, run


def test_options_that_were_not_given_change_nothing() -> None:
    given = options.config_of(preset=None, seed=None, size=None, keep_parts=False, cpus=None)
    assert given == load_config()


def test_each_option_sets_its_key(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("image: {size: 100, jpeg_quality: 80}\n")
    config = options.config_of(
        file,
        ["filters.min_matches=20"],
        overlap=(0.3, 0.8),
        preset="mimic",
        seed=7,
        kind="photos",
        dataset="d",
        size=128,
        patch_size=8,
        keep_edges=0.2,
        val_share=0.1,
        samples_per_shard=9,
        executor="serial",
        address="here",
        cpus=2,
        keep_parts=True,
    )
    assert (config.preset, config.seed, config.source.kind) == ("mimic", 7, "photos")
    assert (config.source.dataset, config.image.size, config.image.jpeg_quality) == ("d", 128, 80)
    assert (config.overlap.low, config.overlap.high, config.overlap.patch_size) == (0.3, 0.8, 8)
    assert (config.pack.keep_edges, config.pack.val_share) == (0.2, 0.1)
    assert (config.pack.samples_per_shard, config.run.executor) == (9, "serial")
    assert (config.run.address, config.run.cpus, config.run.keep_parts) == ("here", 2, True)
    assert config.filters.min_matches == 20
    assert config.match.ratio == 0.7  # the preset is below the file and the options


@pytest.mark.parametrize(("error", "code"), [(MimicError, 2), (StorageError, 4), (DamagedError, 5)])
def test_exit_codes_of_our_errors(error: type[MimicError], code: int) -> None:
    assert _sentence_and_code(error("what, and what to do")) == ("what, and what to do", code)


def test_an_unexpected_error_is_called_a_bug() -> None:
    sentence, code = _sentence_and_code(ValueError("two\nlines"))
    assert code == 1
    assert sentence.startswith("unexpected ValueError: two lines")
    assert "--debug" in sentence


def _error_of(args: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = run(args)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert printed.err.count("\n") == 1, "one sentence"
    return code, printed.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["mien"], ["mien", "Did you mean", "mine"]),
        (["plan", "--sorce", "x"], ["--sorce", "--source", "mimic plan --help"]),
        (["plan"], ["--source", "mimic plan --help"]),
        (["plan", "--source", "x", "--seed", "a"], ["--seed"]),
        (["plan", "--source", "x", "--preset", "fast"], ["fast", "default, mimic"]),
        (
            ["plan", "--source", "x", "--set", "filters.min_match=3"],
            ["did you mean filters.min_matches"],
        ),
        (["plan", "--source", "x", "--set", "nonsense"], ["--set nonsense", "key.subkey=value"]),
        (
            ["plan", "--source", "x", "--set", "overlap.low=0.99"],
            ["low (0.99)", "high (0.", "swap"],
        ),
        (["mine", "--source", "x", "--out", "y", "--overlap", "0.8", "0.5"], ["low (0.8)", "swap"]),
        (
            ["plan", "--source", "x", "--set", "source.photos.group_regex=abc"],
            ["abc", "(parentheses)"],
        ),
        (
            ["plan", "--source", "x", "--set", "source.photos.group_regex=(a"],
            ["(a", "regular expression"],
        ),
        (["plan", "--source", "x", "--config", "absent.yaml"], ["absent.yaml", "cannot be read"]),
        (["mine", "--source", "x", "--out", "y", "--slice", "4/4"], ["--slice 4/4", "0/4"]),
        (
            ["mine", "--source", "x", "--out", "y", "--executor", "spark"],
            ["run.executor", "serial"],
        ),
    ],
)
def test_a_wrong_option_is_one_sentence(args, words, capsys) -> None:
    code, sentence = _error_of(args, capsys)
    assert code == 2
    assert sentence.startswith("error: ")
    for word in words:
        assert word in sentence


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--source", "x", "--set", "nonsense", "--debug"]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.splitlines()[-1].startswith("error: --set nonsense")
