"""Plan, mine, pack: one command, that finishes what is unfinished and repeats nothing."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mimic.config import Config, RunConfig
from mimic.errors import DamagedError, MimicError
from mimic.shards.graph import known_units
from mimic.shards.poses import POSES_NAME
from mimic.shards.writer import ShardTask
from mimic.sources import Recognised
from mimic.storage import Storage
from mimic.types import Skipped, WorkUnit
from mimic.unit import run_unit
from pipelines.events import (
    Attempted,
    Event,
    Finished,
    Note,
    OnEvent,
    Packing,
    Planned,
    counted,
)
from pipelines.executors import LazyExecutor, Outcome
from pipelines.folder import LOG_NAME, check_folder, prepare_folder, read_config
from pipelines.interrupt import interruptible
from pipelines.ledger import Ledger, MineUnit, commit_unit, compact
from pipelines.limits import crash_point
from pipelines.log import JsonLog
from pipelines.pack import pack
from pipelines.plan import (
    Plan,
    Slice,
    make_plan,
    planned_source,
    read_plan,
    replanned,
    write_plan,
)
from pipelines.poses import check_poses_only, pack_poses
from pipelines.split import one_sided_note, split_words
from schemas import Failure, Manifest, ShardEntry, UnitReport

EXIT_DONE = 0
EXIT_QUARANTINE = 3
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class MineResult:
    """How a run ended.

    ``counts``: totals of the data set (of the manifest, or of the units mined so far without one).
    ``done``: units of the plan (or slice) inside the data set; ``filtered`` those of this run's
    that gave no pair. ``failed``: what is in quarantine. ``message``: one sentence for people.
    """

    counts: dict[str, int]
    done: int
    filtered: int
    failed: tuple[Failure, ...]
    skipped: tuple[Skipped, ...]
    manifest: Manifest | None
    exit_code: int
    message: str


def mine(
    source: str | Recognised,
    out: str,
    config: Config,
    *,
    slice: Slice | None = None,  # noqa: A002  # the command line's word
    on_event: OnEvent | None = None,
    stop: threading.Event | None = None,
    log_file: Path | None = None,
    mine_unit: MineUnit = run_unit,
) -> MineResult:
    """Mine a source into shards at ``out``; run again, it finishes what is missing.

    Args:
        source: what ``mimic.sources.discover`` takes.
        out: a local folder or an fsspec URL.
        config: what to do, and in ``config.run`` how.
        slice: mine only this part of the plan, and do not pack: the command without a slice packs
            once all slices are done.
        on_event: receives :mod:`pipelines.events` (progress).
        stop: set it to end the run early; SIGINT and SIGTERM set it too.
        log_file: the JSON lines log; default ``.mimic/log.jsonl`` where ``out`` is local.
        mine_unit: what makes a unit's part.

    Raises:
        MimicError: wrong input, one sentence. StorageError, ClusterError: out of reach (exit 4).
    """
    if config.labels.depth_model is not None:
        raise MimicError(
            "labels.depth_model: mining predicts no depth; leave it out, and run mimic label "
            "--depth-model on the shards"
        )
    storage, stop = Storage(out), stop or threading.Event()
    try:
        with interruptible(stop, at_once=True):
            manifest = check_folder(storage, config)
            check_poses_only(storage, manifest, config.run)
            plan = make_plan(source, config)
            note = prepare_folder(storage, config)
            with JsonLog(log_file or storage.local_path(LOG_NAME)) as log:
                run = _Run(storage, config, _both(log, on_event), stop, mine_unit)
                if note:
                    run.say(Note(note))
                run.forget_strangers(plan)
                write_plan(plan, storage)
                return run.finish(plan, manifest, slice)
    except KeyboardInterrupt:
        return _interrupted(out)


def retry(
    out: str,
    reason: str | None = None,
    *,
    run: RunConfig | None = None,
    on_event: OnEvent | None = None,
    stop: threading.Event | None = None,
    log_file: Path | None = None,
    mine_unit: MineUnit = run_unit,
) -> MineResult:
    """Take units out of quarantine (all, or those with this ``reason``), mine them, and pack.

    Raises:
        MimicError: ``out`` is no run's folder, or no unit failed for that reason.
    """
    storage, stop = Storage(out), stop or threading.Event()
    recorded = read_config(storage)
    if recorded is None:
        raise MimicError(f"{out}: no run of `mimic mine` was begun here; check the folder")
    config = recorded.resolved(run or RunConfig())
    try:
        with interruptible(stop, at_once=True):
            manifest = check_folder(storage, config)
            plan = read_plan(storage)
            with JsonLog(log_file or storage.local_path(LOG_NAME)) as log:
                again = _Run(storage, config, _both(log, on_event), stop, mine_unit)
                chosen = again.chosen(plan, reason)
                plan = replanned(plan, chosen, config)
                write_plan(plan, storage)
                again.release(chosen)
                return again.finish(plan, manifest, None)
    except KeyboardInterrupt:
        return _interrupted(out)


class _Run:
    """One run over a folder: what is to do, done, failed, and said."""

    def __init__(
        self,
        storage: Storage,
        config: Config,
        say: OnEvent,
        stop: threading.Event,
        mine_unit: MineUnit,
    ) -> None:
        self.say = say
        self._storage = storage
        self._config = config
        self._stop = stop
        self._executor = LazyExecutor(config.run)
        self._ledger = Ledger(storage)
        self._work = partial(commit_unit, config=config, out=storage.url, mine_unit=mine_unit)
        self._packed: set[str] = set()
        self._reports: dict[str, UnitReport] = {}
        self._failures: dict[str, Failure] = {}

    def forget_strangers(self, plan: Plan) -> None:
        """Drop failures of files that have since changed or gone from the same source."""
        if planned_source(self._storage) == plan.source:
            planned = {unit.unit_id for unit in plan.units}
            self._ledger.release(self._ledger.quarantined() - planned)

    def chosen(self, plan: Plan, reason: str | None) -> set[str]:
        """The units in quarantine for this reason (or any)."""
        failures = self._ledger.load().failures.values()
        chosen = {f.unit_id for f in failures if reason is None or f.reason == reason}
        if reason is not None and not chosen:
            reasons = ", ".join(sorted({f.reason for f in failures})) or "none"
            raise MimicError(
                f"--reason {reason}: no unit failed for it (reasons in quarantine: {reasons})"
            )
        planned = {unit.unit_id for unit in plan.units}
        strangers = chosen - planned
        if strangers:
            what = counted(len(strangers), "failure")
            self.say(Note(f"{what} of files that the last plan no longer held: dropped"))
        return chosen

    def release(self, unit_ids: Iterable[str]) -> None:
        """Take units out of quarantine."""
        self._ledger.release(unit_ids)

    def finish(self, plan: Plan, manifest: Manifest | None, part: Slice | None) -> MineResult:
        """Mine what is missing of the plan, and pack it."""
        with self._executor:
            return self._finish(plan, manifest, part)

    def _finish(self, plan: Plan, manifest: Manifest | None, part: Slice | None) -> MineResult:
        self._packed = known_units(self._storage, manifest.graph) if manifest else set()
        units = plan.units if part is None else part.of(plan.units)
        todo = self._open(units)
        self.say(
            Planned(
                units=len(units),
                todo=len(todo),
                done=len(units) - len(todo) - len(self._failures),
                quarantined=len(self._failures),
                skipped=plan.skipped,
            )
        )
        self._mine(todo)
        if self._stop.is_set():
            return self._ended(_interrupted(self._storage.url))
        if part is None:
            manifest = self._packed_into(manifest, units)
            self._note_split(manifest)
        return self._ended(self._result(plan, units, manifest, part, bool(todo)))

    def _open(self, units: Sequence[WorkUnit]) -> list[WorkUnit]:
        """Read the ledger; the units of these that are neither done nor in quarantine."""
        ours = {unit.unit_id for unit in units}
        state = self._ledger.load(self._packed)
        for sentence in state.damaged.values():
            self.say(Note(sentence))
        self._ledger.forget(state.damaged)
        self._reports = {k: v for k, v in state.reports.items() if k in ours}
        self._failures = {k: v for k, v in state.failures.items() if k in ours}
        settled = self._reports.keys() | self._failures.keys() | self._packed
        return [unit for unit in units if unit.unit_id not in settled]

    def _mine(self, todo: Sequence[WorkUnit]) -> None:
        if not todo:
            return
        in_process = self._config.run.executor == "serial"
        executor = self._executor.started()
        with interruptible(self._stop, at_once=in_process):
            executor.run(todo, self._work, self._settle, self._stop)

    def _settle(self, outcome: Outcome) -> None:
        """Take in what came of a unit; a failure is recorded, unless its marker says otherwise."""
        result = outcome.result
        if isinstance(result, Failure) and outcome.final:
            committed = self._ledger.report_of(result.unit_id)  # died between marker and report
            if committed is None:
                self._ledger.quarantine(result)
                self._failures[result.unit_id] = result
            else:
                result = committed
                outcome = dataclasses.replace(outcome, result=result)
        if isinstance(result, UnitReport):
            self._reports[result.unit_id] = compact(result)
        self.say(Attempted(outcome))

    def _packed_into(self, manifest: Manifest | None, units: Sequence[WorkUnit]) -> Manifest | None:
        """Pack what is not in the manifest yet, then let the parts go."""
        self._ledger.tidy()
        if self._config.run.poses_only:
            self._pack_poses()
            return None
        if self._reports:
            self.say(Packing(len(self._reports)))
            with interruptible(self._stop, at_once=True):
                manifest = self._pack(units)
            crash_point("after_manifest")
        if manifest is not None and not self._config.run.keep_parts:
            self._ledger.delete_parts()
        return manifest

    def _note_split(self, manifest: Manifest | None) -> None:
        store = self._storage
        if manifest is not None and (note := one_sided_note(store, manifest, store.url)):
            self.say(Note(note))

    def _pack(self, units: Sequence[WorkUnit]) -> Manifest:
        try:
            return self._pack_once()
        except DamagedError:
            damaged = self._ledger.damaged_parts(self._reports.values())
            if not damaged:
                raise
            for sentence in damaged.values():
                self.say(Note(sentence))
            self._ledger.forget(damaged)
            for unit_id in damaged:
                del self._reports[unit_id]
            self._mine([unit for unit in units if unit.unit_id in damaged])
            return self._pack_once()

    def _pack_poses(self) -> None:
        """All units again: the file is small, and parts without pictures stay for the next time."""
        self.say(Packing(len(self._reports)))
        store = self._storage
        with interruptible(self._stop, at_once=True):
            pack_poses(self._reports.values(), store, store, self._config)

    def _pack_once(self) -> Manifest:
        store = self._storage
        return pack(self._reports.values(), store, store, self._config, run=self._write_shards)

    def _write_shards(
        self, write: Callable[[ShardTask], ShardEntry], tasks: Iterable[ShardTask]
    ) -> Iterator[ShardEntry]:
        """Wherever units are mined: shards are independent, and any order gives the same bytes."""
        yield from self._executor.map(partial(_between_crash_points, write), tasks)
        crash_point("before_manifest")

    def _result(
        self,
        plan: Plan,
        units: Sequence[WorkUnit],
        manifest: Manifest | None,
        part: Slice | None,
        worked: bool,
    ) -> MineResult:
        failed = tuple(self._failures[key] for key in sorted(self._failures))
        counts = manifest.counts if manifest else _total(self._reports.values())
        return MineResult(
            counts=dict(counts),
            done=len(units) - len(failed),
            filtered=sum(report.state == "filtered" for report in self._reports.values()),
            failed=failed,
            skipped=plan.skipped,
            manifest=manifest,
            exit_code=EXIT_QUARANTINE if failed else EXIT_DONE,
            message=self._message(len(units), len(failed), part, worked, counts, manifest),
        )

    def _message(
        self,
        units: int,
        failed: int,
        part: Slice | None,
        worked: bool,
        counts: dict[str, int],
        manifest: Manifest | None,
    ) -> str:
        if failed:
            end = (
                f"; {failed} of {counted(units, 'unit')} failed, in quarantine: `mimic retry "
                f"{self._storage.url}` tries again"
            )
        else:
            end = ""
        if part is not None:
            return (
                f"slice {part.index}/{part.count} is mined ({counted(units - failed, 'unit')}); "
                f"when all slices are, run the same command without --slice to pack{end}"
            )
        pairs = counts.get("samples", counts.get("kept", 0))
        what = f"{counted(units - failed, 'unit')}, {counted(pairs, 'pair')}"
        if self._config.run.poses_only:
            return f"{what}, as poses in {self._storage.join(POSES_NAME)}{end}"
        split = split_words(manifest) if manifest else ""
        if not worked and not self._reports:
            return f"nothing to do: {what} in the shards{split}{end}"
        return f"{what} in {self._storage.url}{split}{end}"

    def _ended(self, result: MineResult) -> MineResult:
        self.say(Finished(result.exit_code, result.message))
        return result


def _between_crash_points(write: Callable[[ShardTask], ShardEntry], task: ShardTask) -> ShardEntry:
    crash_point("before_shard")
    entry = write(task)
    crash_point("after_shard")
    return entry


def _interrupted(out: str) -> MineResult:
    return MineResult(
        counts={},
        done=0,
        filtered=0,
        failed=(),
        skipped=(),
        manifest=None,
        exit_code=EXIT_INTERRUPTED,
        message=f"interrupted; what is done in {out} stays: run the same command to finish it",
    )


def _total(reports: Iterable[UnitReport]) -> Counter[str]:
    total: Counter[str] = Counter()
    for report in reports:
        total.update(report.counts)
    return total


def _both(log: JsonLog, on_event: OnEvent | None) -> OnEvent:
    if on_event is None:
        return log

    def say(event: Event) -> None:
        log(event)
        on_event(event)

    return say


__all__ = ["MineResult", "Slice", "mine", "retry"]
