from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
from fake_work import make_unit, make_units
from hypothesis import given
from hypothesis import strategies as st

from mimic.config import Config, load_config
from mimic.errors import DamagedError, MimicError, StorageError
from mimic.storage import Storage
from mimic.types import Skipped, SourceItem
from pipelines import estimate
from pipelines.plan import (
    PLAN_NAME,
    Slice,
    make_plan,
    plan_of,
    planned_source,
    read_plan,
    replanned,
    write_plan,
)

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


def test_estimates_are_sharpened_by_opening_a_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten files of 100 kB, of which four are opened: 2 s each, but one that cannot be opened."""
    for number in range(10):
        (tmp_path / f"{number}.mp4").write_bytes(bytes([number]) * 100_000)
    opened: list[str] = []

    def duration_s(item: SourceItem, config: Config) -> float | None:
        opened.append(item.name)
        return 0.0 if item.name == "2.mp4" else 2.0

    monkeypatch.setattr(estimate, "duration_s", duration_s)
    monkeypatch.setattr(estimate, "MOST_OPENED", 4)
    config = load_config()
    plan = make_plan(str(tmp_path), config)
    sharper = estimate.sharpened(plan, config)
    assert sorted(opened) == ["0.mp4", "2.mp4", "5.mp4", "7.mp4"]
    assert [u.unit_id for u in sharper.units] == [u.unit_id for u in plan.units]
    assert [u.footage_s for u in sharper.units] == pytest.approx(
        [2, 1.5, 0, 1.5, 1.5, 2, 1.5, 2, 1.5, 1.5]
    )
    assert sharper.summary(config).footage_s == pytest.approx(15)
    more = load_config(overrides={"source": {"video": {"interval_s": 1 / 6}}})
    twice = estimate.sharpened(plan, more).summary(more)
    assert twice.estimated_pairs == pytest.approx(2 * sharper.summary(config).estimated_pairs)


def test_without_any_length_the_estimate_stays(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    plan = make_plan(str(tmp_path), load_config())
    assert estimate.sharpened(plan, load_config()) == plan


def test_a_plan_names_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    storage = Storage(tmp_path / "out")
    assert planned_source(storage) is None
    monkeypatch.chdir(tmp_path)
    plan = make_plan("a.mp4", load_config())
    write_plan(plan, storage)
    assert read_plan(storage) == plan
    assert planned_source(storage) == str(tmp_path / "a.mp4")


def test_a_mended_file_is_planned_anew_and_nothing_else(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(name.encode())
    plan = make_plan(str(tmp_path), load_config())
    a, b, c = plan.units
    (tmp_path / "a.mp4").unlink()
    for name in "bcd":
        (tmp_path / f"{name}.mp4").write_bytes(f"{name}, mended".encode())
    fresh = make_plan(str(tmp_path / "b.mp4"), load_config()).units[0]
    again = replanned(plan, {a.unit_id, b.unit_id}, load_config())
    assert [u.unit_id for u in again.units] == [a.unit_id, fresh.unit_id, c.unit_id]
    for name in "bcd":
        (tmp_path / f"{name}.mp4").unlink()
    assert replanned(plan, {b.unit_id}, load_config()) == plan


def test_photos_on_disk(photos: Path) -> None:
    (photos / "group-03" / "1.jpg").write_bytes(b"")
    plan = make_plan(str(photos), load_config())
    assert [unit.item.name for unit in plan.units] == [f"group-{n:02d}" for n in range(6)]
    assert [skipped.name for skipped in plan.skipped] == ["group-03/1.jpg"]
