from __future__ import annotations

import io

import pytest
from fake_work import make_units, report_of
from rich.console import Console

from mimic.types import Skipped
from pipelines.events import Attempted, Event, Finished, Note, Packing, Planned
from pipelines.executors.base import Outcome, failure
from pipelines.log import record
from pipelines.progress import SKIPPED_SHOWN, Tally, show

UNITS = make_units(3)
LOST = Outcome(failure(UNITS[1], "worker_died", "item-0001.mp4: died"), False, 1.0, 1.0)
FAILED = Outcome(failure(UNITS[1], "worker_died", "item-0001.mp4: died"), True, 1.0, 1.0)
STORY: list[Event] = [
    Planned(5, 3, 1, 1, tuple(Skipped(f"s{n}", "empty", f"s{n}: is empty") for n in range(25))),
    Attempted(Outcome(report_of(UNITS[0]), True, 2.0, 1.5)),
    Attempted(LOST),
    Attempted(Outcome(report_of(UNITS[2]), True, 2.0, 1.5)),
    Note("look [here]"),
    Attempted(FAILED),
    Packing(3),
    Finished(3, "all over"),
]


@pytest.mark.parametrize("terminal", [False, True])
def test_both_displays_say_what_matters(terminal: bool) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=200, soft_wrap=True)
    with show(console) as on_event:
        for event in STORY:
            on_event(event)
    said = text.getvalue()
    for sentence in (
        "5 units, 3 to mine, 1 done before, 1 in quarantine",
        "skipped (empty): s0: is empty",
        f"and {25 - SKIPPED_SHOWN} more skipped",
        "will be tried again (worker_died): item-0001.mp4: died",
        "failed (worker_died): item-0001.mp4: died",
        "look [here]",
        "packing 3 units",
        "all over",
    ):
        assert sentence in said
    assert "3/3 units, 2 pairs" in said or terminal
    assert ("\x1b" in said) == terminal


def test_one_is_one_and_a_sentence_is_said_once() -> None:
    text = io.StringIO()
    with show(Console(file=text, width=200)) as on_event:
        for event in (Planned(1, 1, 0, 0, ()), Attempted(FAILED), Attempted(FAILED), Packing(1)):
            on_event(event)
    said = text.getvalue()
    assert "1 unit, 1 to mine" in said
    assert "packing 1 unit into" in said
    assert said.count("failed (worker_died): item-0001.mp4: died") == 1


def test_rates_and_time_left() -> None:
    now = [100.0]
    tally = Tally(_clock=lambda: now[0])
    tally.begin(todo=10)
    assert tally.left_s is None
    now[0] += 4
    for event in STORY:
        if isinstance(event, Attempted):
            tally.add(event)
    assert (tally.units, tally.kept, tally.failed) == (3, 2, 1)
    assert (tally.units_per_s, tally.pairs_per_s) == (0.75, 0.5)
    assert tally.left_s == pytest.approx(7 / 0.75)


def test_log_lines_tell_states_apart() -> None:
    units = [record(event) for event in STORY if isinstance(event, Attempted)]
    assert [unit["state"] for unit in units] == ["done", "retried", "done", "failed"]
    assert units[1]["reason"] == "worker_died"
    assert (units[0]["wall_s"], units[0]["cpu_s"]) == (2.0, 1.5)
    assert record(STORY[0])["skipped"][0] == {
        "name": "s0",
        "reason": "empty",
        "message": "s0: is empty",
    }
