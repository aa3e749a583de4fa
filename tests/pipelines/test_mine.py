"""Runs end to end: resume, increments, retry, and what may go wrong around them."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from fake_work import Mine, files_of, make_photos

from mimic.config import Config, load_config
from mimic.errors import MimicError, StorageError
from mimic.unit import run_unit
from pipelines.events import Attempted, Event, Finished, Note, Packing, Planned
from pipelines.mine import MineResult, Slice, mine, retry
from pipelines.split import split_counts

UNITS = 6


def config_of(*assignments: str, **overrides: Any) -> Config:
    overrides.setdefault("run", {"executor": "serial"})
    return load_config(overrides=overrides, assignments=assignments)


class Run:
    """``mine`` on one source and folder; ``events`` are those of the last call."""

    def __init__(self, source: Path, out: Path) -> None:
        self.source, self.out = source, out
        self.events: list[Event] = []

    def __call__(self, config: Config | None = None, **more: Any) -> MineResult:
        self.events = []
        more.setdefault("mine_unit", Mine())
        return mine(
            str(self.source),
            str(self.out),
            config or config_of(),
            on_event=more.pop("on_event", self.events.append),
            **more,
        )

    def mined(self) -> list[str]:
        return [e.outcome.result.name for e in self.events if isinstance(e, Attempted)]

    def notes(self) -> list[str]:
        return [e.text for e in self.events if isinstance(e, Note)]


@pytest.fixture
def run(photos: Path, tmp_path: Path) -> Run:
    return Run(photos, tmp_path / "out")


def test_events_tell_the_story(run: Run) -> None:
    result = run()
    kinds = [type(event) for event in run.events]
    assert kinds == [Planned, *[Attempted] * UNITS, Packing, Finished]
    assert run.events[0] == Planned(UNITS, UNITS, 0, 0, ())
    assert run.events[-1] == Finished(0, result.message)
    assert (result.done, result.filtered, result.failed, result.exit_code) == (UNITS, 0, (), 0)
    lines = [json.loads(x) for x in (run.out / ".mimic/log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "planned",
        *["unit"] * UNITS,
        "packing",
        "finished",
    ]
    assert all(line["cpu_s"] >= 0 and line["state"] == "done" for line in lines[1 : 1 + UNITS])


def test_a_finished_run_does_nothing_and_says_so(run: Run) -> None:
    first = run()
    before = files_of(run.out)
    again = run(mine_unit=Mine(deeds={f"group-{n:02d}": "raise" for n in range(UNITS)}))
    assert again.exit_code == 0
    assert again.message.startswith("nothing to do: 6 units, 6 pairs")
    assert run.mined() == []
    assert files_of(run.out) == before
    assert again.counts == first.counts


def test_parts_go_unless_they_are_kept(run: Run, tmp_path: Path) -> None:
    run()
    assert not list(run.out.rglob("parts/*"))
    kept = Run(run.source, tmp_path / "kept")
    config = config_of(run={"executor": "serial", "keep_parts": True})
    kept(config)
    assert len(list(kept.out.rglob("parts/*.tar"))) == UNITS
    kept(config)
    assert kept.mined() == []


def test_new_items_add_shards_and_mine_nothing_again(run: Run, tmp_path: Path) -> None:
    first = run()
    old = files_of(run.out)
    extra = make_photos(tmp_path / "more", UNITS + 2)
    for number in (UNITS, UNITS + 1):
        shutil.copytree(extra / f"group-{number:02d}", run.source / f"group-{number:02d}")
    second = run()
    assert sorted(run.mined()) == ["group-06", "group-07"]
    assert second.counts["samples"] == first.counts["samples"] + 2
    new = files_of(run.out)
    tars = {name for name in old if name.startswith("train")}
    assert {name: new[name] for name in tars} == {name: old[name] for name in tars}
    run()
    assert run.mined() == []


def test_a_failed_unit_is_quarantined_then_retried(run: Run) -> None:
    bad = Mine(deeds={"group-02": "source_error", "group-04": "raise"})
    result = run(mine_unit=bad)
    assert result.exit_code == 3
    assert [(f.name, f.reason) for f in sorted(result.failed, key=lambda f: f.name)] == [
        ("group-02", "truncated"),
        ("group-04", "RuntimeError"),
    ]
    assert "mimic retry" in result.message
    again = run()
    assert run.mined() == []
    assert again.exit_code == 3
    with pytest.raises(MimicError, match="RuntimeError, truncated"):
        retry(str(run.out), "timeout", run=config_of().run)
    only = retry(str(run.out), "truncated", run=config_of().run, mine_unit=Mine())
    assert [f.name for f in only.failed] == ["group-04"]
    rest = retry(str(run.out), run=config_of().run, mine_unit=Mine())
    assert rest.exit_code == 0
    assert rest.counts["samples"] == UNITS
    assert not list(run.out.rglob("quarantine/*"))


def test_retry_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(MimicError, match="no run"):
        retry(str(tmp_path))


@pytest.mark.parametrize("harm", ["delete", "cut", "flip_table", "flip_picture"])
def test_a_damaged_part_is_mined_again(run: Run, tmp_path: Path, harm: str) -> None:
    whole = Run(run.source, tmp_path / "whole")
    whole()
    for index in range(2):
        run(slice=Slice(index, 2))
    part = sorted((run.out / ".mimic/parts").glob("*.tar"))[2]
    data = bytearray(part.read_bytes())
    match harm:
        case "delete":
            part.unlink()
        case "cut":
            part.write_bytes(data[: len(data) // 2])
        case "flip_table":
            data[data.index(b"PAR1") + 40] ^= 0xFF
            part.write_bytes(data)
        case "flip_picture":
            data[700] ^= 0xFF
            part.write_bytes(data)
    result = run()
    assert result.exit_code == 0
    assert len(run.mined()) == 1
    assert any("mined again" in note for note in run.notes())
    assert files_of(run.out) == files_of(whole.out)


@pytest.mark.parametrize("how", ["vanish", "change"])
def test_a_file_that_goes_or_changes_after_the_plan(run: Run, how: str) -> None:
    victim = run.source / "group-01" / "1.jpg"

    def meddle(event: Event) -> None:
        if isinstance(event, Planned) and event.todo == UNITS:
            if how == "vanish":
                victim.unlink()
            else:
                victim.write_bytes((run.source / "group-02" / "1.jpg").read_bytes())

    result = run(on_event=meddle, mine_unit=run_unit)
    assert result.exit_code == 3
    assert [f.reason for f in result.failed] == [{"vanish": "vanished", "change": "changed"}[how]]
    assert "group-01" in result.failed[0].message
    assert "1.jpg" in result.failed[0].message
    again = run(mine_unit=run_unit)
    assert run.mined() == ["group-01"]
    assert again.exit_code == 0


@pytest.mark.parametrize("how", ["vanish", "change"])
def test_a_failure_of_a_file_that_is_no_more_is_dropped(run: Run, tmp_path: Path, how: str) -> None:
    bad = Mine(deeds={"group-02": "source_error", "group-04": "raise"})
    assert run(mine_unit=bad).exit_code == 3
    if how == "vanish":
        shutil.rmtree(run.source / "group-02")
    else:
        shutil.copy(run.source / "group-03" / "0.jpg", run.source / "group-02" / "0.jpg")
    elsewhere = Run(make_photos(tmp_path / "elsewhere", 1), run.out)
    elsewhere()
    assert len(list(run.out.rglob("quarantine/*"))) == 2  # another source knows nothing of them
    run()
    assert len(list(run.out.rglob("quarantine/*"))) == 2  # nor does this one: another was between
    result = run()
    assert [f.name for f in result.failed] == ["group-04"]
    assert len(list(run.out.rglob("quarantine/*"))) == 1


def test_the_memory_and_the_clock_do_not_enter_the_folder(run: Run, tmp_path: Path) -> None:
    run()
    other = Run(run.source, tmp_path / "other")
    other()
    assert files_of(run.out) == files_of(other.out)


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("match.ratio=0.6", r"match\.ratio \(0\.8 there, 0\.6 here\); use the same config"),
        ("seed=1", r"seed \(0 there, 1 here\)"),
        ("pack.samples_per_shard=7", r"pack\.samples_per_shard .*mimic pack"),
    ],
)
def test_another_config_is_refused_before_any_work(run: Run, assignment: str, says: str) -> None:
    run()
    with pytest.raises(MimicError, match=says):
        run(config_of(assignment))


def test_another_config_is_refused_before_there_is_a_manifest(run: Run) -> None:
    run(slice=Slice(0, 2))
    with pytest.raises(MimicError, match=r"match\.ratio"):
        run(config_of("match.ratio=0.6"))
    assert run(config_of("pack.samples_per_shard=3")).exit_code == 0


def test_how_it_runs_may_change(run: Run) -> None:
    run(slice=Slice(0, 2))
    assert run(config_of("run.attempts=5")).exit_code == 0


def test_a_folder_that_is_not_ours(run: Run) -> None:
    run.out.mkdir()
    (run.out / "thesis.doc").write_text("precious")
    with pytest.raises(MimicError, match=r"thesis\.doc.*new folder"):
        run()
    assert [path.name for path in run.out.iterdir()] == ["thesis.doc"]


def test_out_is_a_file(run: Run) -> None:
    run.out.write_text("x")
    with pytest.raises(MimicError, match="is a file"):
        run()


def test_an_unwritable_out(photos: Path) -> None:
    with pytest.raises(StorageError, match="cannot write /proc/nowhere") as caught:
        Run(photos, Path("/proc/nowhere"))()
    assert caught.value.exit_code == 4


def test_a_wrong_source_leaves_no_folder(run: Run) -> None:
    run.source = run.source / "nowhere"
    with pytest.raises(MimicError, match="nowhere"):
        run()
    assert not run.out.exists()


def test_everything_failed(run: Run) -> None:
    bad = Mine(deeds={f"group-{n:02d}": "source_error" for n in range(UNITS)})
    result = run(mine_unit=bad)
    assert (result.exit_code, result.done, len(result.failed)) == (3, 0, UNITS)
    assert not (run.out / "manifest.json").exists()


def test_stop_is_resumable(run: Run) -> None:
    stop = threading.Event()
    seen: list[Event] = []

    def after_two(event: Event) -> None:
        seen.append(event)
        if sum(isinstance(e, Attempted) for e in seen) == 2:
            stop.set()

    result = run(on_event=after_two, stop=stop)
    assert result.exit_code == 130
    assert "run the same command" in result.message
    assert not (run.out / "manifest.json").exists()
    assert run().exit_code == 0
    assert len(run.mined()) == UNITS - 2


def test_a_full_disk_stops_the_run_and_loses_nothing(
    photos: Path, small_disk: Path, tmp_path: Path
) -> None:
    run = Run(photos, small_disk / "out")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(900 * 1024))
    with pytest.raises(StorageError, match="no space left") as caught:
        run()
    assert caught.value.exit_code == 4
    assert not (run.out / "manifest.json").exists()
    assert not list(run.out.rglob("quarantine/*"))
    ballast.unlink()
    assert run().exit_code == 0
    whole = Run(photos, tmp_path / "whole")
    whole()
    assert files_of(run.out) == files_of(whole.out)


def test_to_an_object_store_the_log_goes_where_it_is_told(photos: Path, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.jsonl"
    out = "memory://mine-test/shards"
    result = mine(str(photos), out, config_of(), mine_unit=Mine(), log_file=log)
    assert result.exit_code == 0
    assert len(log.read_text().splitlines()) == UNITS + 3
    again = mine(str(photos), out, config_of(), mine_unit=Mine())
    assert again.message.startswith("nothing to do")


@pytest.mark.parametrize(
    ("share", "words", "note"),
    [
        (0.0, "", ""),
        (0.5, ": {train} to train on, {val} held out", ""),
        (1e-9, ": 6 to train on, 0 held out", "nothing is held out, for of 6 scenes none fell to"),
        (1 - 1e-9, ": 0 to train on, 6 held out", "nothing is left to train on, for of 6 scenes"),
    ],
)
def test_what_is_held_out_is_said(run: Run, share: float, words: str, note: str) -> None:
    config = config_of(f"pack.val_share={share}")
    result = run(config)
    assert result.exit_code == 0
    assert result.manifest is not None
    counts = split_counts(result.manifest)
    assert sum(counts.values()) == UNITS
    assert result.message == f"6 units, 6 pairs in {run.out}{words.format(**counts)}"
    assert [text.startswith(note) for text in run.notes()] == ([True] if note else [])
    assert run(config).message == f"nothing to do: 6 units, 6 pairs in the shards{words}".format(
        **counts
    )
    assert len(run.notes()) == bool(note)  # said again
