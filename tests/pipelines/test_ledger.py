"""Nothing counts until its marker exists."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_work import Mine, make_photos

from mimic.config import load_config
from mimic.errors import SourceError, StorageError
from mimic.storage import MissingError, Storage
from mimic.types import Part, WorkUnit
from pipelines.ledger import DONE, PARTS, Ledger, commit_unit
from pipelines.plan import make_plan
from schemas import Failure

CONFIG = load_config()


@pytest.fixture
def units(photos: Path) -> tuple[WorkUnit, ...]:
    return make_plan(str(photos), CONFIG).units


@pytest.fixture
def storage(tmp_path: Path, units: tuple[WorkUnit, ...]) -> Storage:
    """A ledger in which the first three units are done."""
    out = Storage(tmp_path / "out")
    for unit in units[:3]:
        commit_unit(unit, config=CONFIG, out=out.url, mine_unit=Mine())
    return out


def test_a_committed_unit_is_done(storage: Storage, units: tuple[WorkUnit, ...]) -> None:
    state = Ledger(storage).load()
    assert set(state.reports) == {unit.unit_id for unit in units[:3]}
    assert not state.failures
    assert not state.damaged
    report = state.reports[units[0].unit_id]
    assert report.state == "done"
    assert report.counts == {
        "candidates": 2,
        "frames": 3,
        "kept": 1,
        "overlap_low": 1,
        "stored": 2,
    }
    assert report.part is not None
    assert storage.size(report.part.name) == report.part.size


def damage_nothing(storage: Storage, unit_id: str) -> None:
    pass


def lose_part(storage: Storage, unit_id: str) -> None:
    storage.delete(f"{PARTS}/{unit_id}.tar")


def cut_part(storage: Storage, unit_id: str) -> None:
    name = f"{PARTS}/{unit_id}.tar"
    storage.write(name, storage.read(name)[:-512])


def lose_marker(storage: Storage, unit_id: str) -> None:
    storage.delete(f"{DONE}/{unit_id}.json")


def cut_marker(storage: Storage, unit_id: str) -> None:
    name = f"{DONE}/{unit_id}.json"
    storage.write(name, storage.read(name)[:20])


@pytest.mark.parametrize(
    ("harm", "named"),
    [(lose_part, "is missing"), (cut_part, "has"), (lose_marker, None), (cut_marker, "not JSON")],
)
def test_what_is_half_there_does_not_count(
    storage: Storage, units: tuple[WorkUnit, ...], harm: object, named: str | None
) -> None:
    victim = units[1].unit_id
    harm(storage, victim)  # type: ignore[operator]
    state = Ledger(storage).load()
    assert set(state.reports) == {units[0].unit_id, units[2].unit_id}
    assert (victim in state.damaged) == (named is not None)
    if named:
        assert named in state.damaged[victim]


def test_a_packed_unit_needs_no_part(storage: Storage, units: tuple[WorkUnit, ...]) -> None:
    storage.delete_tree(PARTS)
    packed = {unit.unit_id for unit in units[:2]}
    state = Ledger(storage).load(packed)
    assert set(state.damaged) == {units[2].unit_id}


def test_a_changed_byte_in_a_part_is_found(storage: Storage, units: tuple[WorkUnit, ...]) -> None:
    ledger = Ledger(storage)
    reports = ledger.load().reports
    assert ledger.damaged_parts(reports.values()) == {}
    name = f"{PARTS}/{units[2].unit_id}.tar"
    data = bytearray(storage.read(name))
    data[600] ^= 1
    storage.write(name, bytes(data))
    assert set(ledger.damaged_parts(reports.values())) == {units[2].unit_id}


def test_quarantine_and_release(storage: Storage, units: tuple[WorkUnit, ...]) -> None:
    ledger = Ledger(storage)
    bad = Failure(units[4].unit_id, units[4].item.name, "timeout", "too slow", 2)
    done = Failure(units[0].unit_id, units[0].item.name, "timeout", "too slow", 2)
    ledger.quarantine(bad)
    ledger.quarantine(done)  # a marker wins over a record that an earlier attempt left
    assert ledger.load().failures == {bad.unit_id: bad}
    ledger.release([bad.unit_id])
    assert ledger.load().failures == {}


def test_a_source_that_is_gone_is_the_units_fault_and_a_store_is_not(
    tmp_path: Path, units: tuple[WorkUnit, ...]
) -> None:
    def gone(unit: WorkUnit, config: object) -> Part:
        raise MissingError("cannot read x: not found")

    def down(unit: WorkUnit, config: object) -> Part:
        raise StorageError("cannot read x: out of reach")

    with pytest.raises(SourceError, match="not found"):
        commit_unit(units[0], config=CONFIG, out=str(tmp_path), mine_unit=gone)
    with pytest.raises(StorageError, match="out of reach"):
        commit_unit(units[0], config=CONFIG, out=str(tmp_path), mine_unit=down)


def test_on_an_object_store(tmp_path: Path) -> None:
    out = Storage("memory://ledger-test")
    units = make_plan(str(make_photos(tmp_path / "p", 2)), CONFIG).units
    for unit in units:
        commit_unit(unit, config=CONFIG, out=out.url, mine_unit=Mine())
    assert set(Ledger(out).load().reports) == {unit.unit_id for unit in units}
