from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
from fake_work import make_unit, make_units
from hypothesis import given
from hypothesis import strategies as st

from mimic.config import load_config
from mimic.errors import DamagedError, MimicError, StorageError
from mimic.storage import Storage
from mimic.types import Skipped
from pipelines.plan import PLAN_NAME, Slice, make_plan, plan_of, read_plan, write_plan

SKIPPED = [Skipped("b.mp4", "empty", "b.mp4: is empty"), Skipped("a.mp4", "empty", "a.mp4: x")]


def test_the_order_of_discovery_does_not_show() -> None:
    units = [make_unit(f"{name}.mp4", first=first) for name in "dabc" for first in (100, 0, 20)]
    plan = plan_of(units, SKIPPED)
    assert [(u.item.name[0], u.span.first) for u in plan.units] == [
        (name, first) for name in "abcd" for first in (0, 20, 100)
    ]
    random.Random(1).shuffle(units)
    assert plan_of(units, SKIPPED[::-1]) == plan


def test_written_and_read_back(tmp_path: Path) -> None:
    units = make_units(5)
    item = dataclasses.replace(units[0].item, members=("a#1", "b#2"), dataset="d", footage_s=3.5)
    units[0] = dataclasses.replace(units[0], item=item, seed=2**63 - 1)
    plan = plan_of(units, SKIPPED)
    storage = Storage(tmp_path)
    write_plan(plan, storage)
    first = storage.read(PLAN_NAME)
    assert read_plan(storage) == plan
    write_plan(plan, storage)
    assert storage.read(PLAN_NAME) == first


@pytest.mark.parametrize("damage", [lambda data: data[:-10], lambda data: b"", lambda data: b"x"])
def test_a_damaged_plan_is_named(tmp_path: Path, damage: object) -> None:
    storage = Storage(tmp_path)
    with pytest.raises(StorageError, match=r"plan\.parquet"):
        read_plan(storage)
    write_plan(plan_of(make_units(3)), storage)
    storage.write(PLAN_NAME, damage(storage.read(PLAN_NAME)))  # type: ignore[operator]
    with pytest.raises(DamagedError, match=r"plan\.parquet"):
        read_plan(storage)


@given(count=st.integers(1, 9), size=st.integers(0, 40))
def test_slices_are_disjoint_and_together_all(count: int, size: int) -> None:
    units = plan_of(make_units(size)).units
    slices = [Slice(index, count).of(units) for index in range(count)]
    assert sorted(u.unit_id for part in slices for u in part) == sorted(u.unit_id for u in units)
    assert max(map(len, slices)) - min(map(len, slices)) <= 1


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "a/b", "1/0", "1/", "/3", "1/2/3"])
def test_a_wrong_slice_is_one_sentence(text: str) -> None:
    with pytest.raises(MimicError, match="i/n with 0 <= i < n"):
        Slice.parse(text)


def test_a_slice_is_parsed() -> None:
    assert Slice.parse("2/3") == Slice(2, 3)


def test_the_summary_adds_up() -> None:
    units = [make_unit("a.mp4"), make_unit("a.mp4", first=180), make_unit("b.mp4")]
    summary = plan_of(units).summary(load_config())
    assert (summary.units, summary.items, summary.source_bytes) == (3, 2, 2000)
    assert (summary.footage_s, summary.estimated_cpu_s, summary.estimated_pairs) == (180, 30, 60)


def test_photos_on_disk(photos: Path) -> None:
    (photos / "group-03" / "1.jpg").write_bytes(b"")
    plan = make_plan(str(photos), load_config())
    assert [unit.item.name for unit in plan.units] == [f"group-{n:02d}" for n in range(6)]
    assert [skipped.name for skipped in plan.skipped] == ["group-03/1.jpg"]
