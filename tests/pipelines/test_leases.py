"""Who has which units, and whose fault a death was: the bookkeeping, without Ray."""

from __future__ import annotations

import dataclasses
import random

import pytest
from fake_work import make_units, report_of

from pipelines.executors.base import Outcome, death_failure, failure
from pipelines.executors.leases import NODE_LOSSES_ALLOWED, Lease, LeaseBook
from schemas import Failure, UnitReport


def good(lease: Lease) -> Outcome:
    return Outcome(report_of(lease.units[0]), True, 0.0, 0.0)


def take(book: LeaseBook, workers: int = 1) -> Lease:
    lease = book.take(workers)
    assert lease is not None
    return lease


def names(lease: Lease) -> list[str]:
    return [unit.item.name[5:9] for unit in lease.units]


def test_leases_follow_the_plan_and_shrink_near_its_end() -> None:
    book = LeaseBook(make_units(20), lease_size=4, attempts=2)
    sizes = []
    while (lease := book.take(workers=2)) is not None:
        sizes.append(len(lease.units))
    assert sum(sizes) == 20
    assert sizes[0] == 4
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)


def test_a_lease_holds_one_resource_class() -> None:
    units = make_units(6)
    units[2] = dataclasses.replace(units[2], resources="gpu")
    book = LeaseBook(units, lease_size=3, attempts=1)
    assert [names(take(book)) for _ in range(3)] == [["0000", "0001"], ["0002"], ["0003"]]


def test_the_first_unfinished_unit_is_the_suspect_and_is_tried_alone() -> None:
    book = LeaseBook(make_units(8), lease_size=4, attempts=2)
    lease = take(book)
    book.reported(lease, good(lease))
    outcome = book.broken(lease, death_failure(lease.units[0]))
    assert outcome is not None
    assert (outcome.result.name, outcome.final) == ("item-0001.mp4", False)
    assert names(take(book)) == ["0001"]
    assert names(take(book))[:2] == ["0002", "0003"]


def test_the_last_attempt_is_final() -> None:
    book = LeaseBook(make_units(1), lease_size=4, attempts=3)
    seen = []
    while (lease := book.take(1)) is not None:
        outcome = book.broken(lease, death_failure(lease.units[0]))
        assert outcome is not None
        assert isinstance(outcome.result, Failure)
        seen.append((outcome.result.attempts, outcome.final))
    assert seen == [(1, False), (2, False), (3, True)]
    assert book.finished


def test_a_final_failure_is_not_tried_again() -> None:
    book = LeaseBook(make_units(1), lease_size=1, attempts=5)
    lease = take(book)
    bad = Outcome(failure(lease.units[0], "truncated", "x"), True, 0.0, 0.0)
    assert book.reported(lease, bad).final
    assert book.finished


def test_a_lost_node_costs_no_attempt_until_it_repeats() -> None:
    book = LeaseBook(make_units(1), lease_size=1, attempts=1)
    for _ in range(NODE_LOSSES_ALLOWED):
        assert book.lost(take(book)) is None
        assert not book.finished
    outcome = book.lost(take(book))
    assert outcome is not None
    assert isinstance(outcome.result, Failure)
    assert (outcome.result.reason, outcome.final) == ("node_lost", True)
    assert book.finished


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_each_unit_ends_once(seed: int) -> None:
    """Random deaths, node losses and failures; every unit is settled exactly once."""
    draw = random.Random(seed)
    units = make_units(50)
    book = LeaseBook(units, lease_size=4, attempts=3)
    flight: list[Lease] = []
    ends: list[str] = []
    while not book.finished:
        while len(flight) < 6 and (lease := book.take(3)) is not None:
            flight.append(lease)
        lease = draw.choice(flight)
        outcome: Outcome | None = None
        match draw.choice(["good", "good", "good", "raise", "die", "lose"]) if lease.units else "":
            case "good":
                outcome = book.reported(lease, good(lease))
            case "raise":
                bad = Outcome(failure(lease.units[0], "X", "x"), False, 0.0, 0.0)
                outcome = book.reported(lease, bad)
            case "die":
                outcome = book.broken(lease, death_failure(lease.units[0]))
                flight.remove(lease)
            case "lose":
                outcome = book.lost(lease)
                flight.remove(lease)
            case _:
                assert book.lost(lease) is None
                flight.remove(lease)
        if outcome is not None and outcome.final:
            assert isinstance(outcome.result, UnitReport | Failure)
            ends.append(outcome.result.unit_id)
    assert sorted(ends) == sorted(unit.unit_id for unit in units)
