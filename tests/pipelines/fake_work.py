"""Cheap, picklable work for the tests of plan, ledger and executors. Imported by Ray workers."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mimic.config import Config
from mimic.errors import SourceError, StorageError
from mimic.ids import generator_of, stable_id
from mimic.types import Part, SourceItem, Span, WorkUnit
from pipelines.limits import CRASH_VARIABLE
from schemas import UnitReport

PIXELS = 64
HANG_S = 3600


def make_units(count: int, uri: str = "/nowhere") -> list[WorkUnit]:
    return [make_unit(f"item-{number:04d}.mp4", uri) for number in range(count)]


def make_unit(name: str, uri: str = "/nowhere", first: int = 0) -> WorkUnit:
    unit_id = stable_id("test", name, first)
    item = SourceItem("video", f"{uri}/{name}", name, stable_id(name), 1000, name)
    return WorkUnit(unit_id, item, Span(first, None), 7, 60.0, 10.0, 20.0)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, or ends within ten seconds."""
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.1)
    return False


def report_of(unit: WorkUnit) -> UnitReport:
    return UnitReport(unit.unit_id, unit.item.name, "done", {"candidates": 2, "kept": 1})


@dataclass(frozen=True)
class Work:
    """Does to a unit what ``deeds`` says of its name; each attempt leaves a file in ``trace``."""

    trace: str
    deeds: dict[str, str] = field(default_factory=dict)

    def __call__(self, unit: WorkUnit) -> UnitReport:
        tries = len(list(Path(self.trace).glob(f"{unit.unit_id}.*")))
        Path(self.trace, f"{unit.unit_id}.{tries}").touch()
        deed, _, once = self.deeds.get(unit.item.name, "").partition(" ")
        if deed and (not once or tries == 0):
            do(deed, unit)
        return report_of(unit)

    def tries(self, unit: WorkUnit) -> int:
        return len(list(Path(self.trace).glob(f"{unit.unit_id}.*")))


@dataclass(frozen=True)
class Resources:
    """Writes down what Ray has assigned to the worker of each unit."""

    trace: str

    def __call__(self, unit: WorkUnit) -> UnitReport:
        Path(self.trace, unit.unit_id).write_text(json.dumps(assigned(0)))
        return report_of(unit)


def assigned(_task: object) -> dict[str, float]:
    """The CPUs and the GPU share that Ray has assigned to this worker, and the GPU's number."""
    import ray

    context = ray.get_runtime_context()
    ids = context.get_accelerator_ids().get("GPU", [])
    return {**context.get_assigned_resources(), "ids": ids}


def do(deed: str, unit: WorkUnit) -> None:
    """One way to go wrong."""
    match deed:
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(1)
        case "sleep":
            time.sleep(HANG_S)
        case "hold_gil":
            ctypes.PyDLL(None).sleep(HANG_S)  # PyDLL does not release the interpreter lock
        case "allocate":
            held = []
            while True:
                held.append(bytearray(16 << 20))
        case "allocate_in_c":
            np.ones((1 << 40,), np.uint8)
        case "raise":
            raise RuntimeError(f"bad luck with {unit.item.name}")
        case "source_error":
            raise SourceError("truncated", f"{unit.item.name}: ends too early")
        case "store_down":
            raise StorageError("cannot write s3://bucket: out of reach")
        case "short_sleep":
            time.sleep(0.3)
        case _:
            raise AssertionError(deed)


def mine_photos(unit: WorkUnit, config: Config) -> Part:
    """A part that depends on the bytes of a photo folder, the unit and the config, like a real one:
    one kept pair of frames and one rejected."""
    from mimic import opencv

    folder = Path(unit.item.uri)
    names = [member.rpartition("#")[0] for member in unit.item.members]
    content = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]
    ids = [stable_id(unit.unit_id, digest, slot) for slot, digest in enumerate(content)]
    noise = generator_of(unit.unit_id, config.seed)
    pictures = noise.integers(0, 255, (len(ids), PIXELS, PIXELS, 3), dtype=np.uint8)
    return Part(
        unit=unit,
        frames=tuple(_frame(unit, slot, frame) for slot, frame in enumerate(ids)),
        edges=(_edge(unit, ids, 0, 1, "kept"), _edge(unit, ids, 0, 2, "overlap_low")),
        jpegs={ids[slot]: opencv.encode_jpeg(pictures[slot], 95) for slot in (0, 1)},
    )


@dataclass(frozen=True)
class Mine:
    """:func:`mine_photos`, with a deed done first and a crash asked for, by the item's name."""

    deeds: dict[str, str] = field(default_factory=dict)
    crash_at: str = ""
    crash_item: str = ""

    def __call__(self, unit: WorkUnit, config: Config) -> Part:
        if unit.item.name == self.crash_item:
            os.environ[CRASH_VARIABLE] = self.crash_at
        if deed := self.deeds.get(unit.item.name):
            do(deed, unit)
        return mine_photos(unit, config)


@dataclass(frozen=True)
class PowerLost:
    """The real work; at a point of committing a later unit of an item, driver and worker die."""

    driver: int
    point: str

    def __call__(self, unit: WorkUnit, config: Config) -> Part:
        from mimic.unit import run_unit
        from pipelines import ledger

        if unit.span.first > 0:
            ledger.crash_point = self._lose
        return run_unit(unit, config)

    def _lose(self, point: str) -> None:
        if point == self.point:
            os.kill(self.driver, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


def make_photos(folder: Path, groups: int) -> Path:
    """Folders of three small pictures each; a folder is an item and a unit."""
    from mimic import opencv

    for group in range(groups):
        target = folder / f"group-{group:02d}"
        target.mkdir(parents=True)
        for number in range(3):
            noise = generator_of("photo", group, number)
            picture = noise.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            (target / f"{number}.jpg").write_bytes(opencv.encode_jpeg(picture, 90))
    return folder


def files_of(out: Path) -> dict[str, str]:
    """SHA-256 of every file of an output folder but the log, by name."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "log.jsonl"
    }


def _frame(unit: WorkUnit, slot: int, frame_id: str) -> dict[str, object]:
    return {
        "unit_id": unit.unit_id,
        "frame_id": frame_id,
        "slot": slot,
        "frame": f"{slot}.jpg",
        "width": PIXELS,
        "height": PIXELS,
        "original_width": PIXELS,
        "original_height": PIXELS,
        "original_to_stored": [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        "shot": 0,
    }


def _edge(unit: WorkUnit, ids: list[str], a: int, b: int, verdict: str) -> dict[str, object]:
    return {
        "unit_id": unit.unit_id,
        "frame_1": ids[a],
        "frame_2": ids[b],
        "slot_1": a,
        "slot_2": b,
        "verdict": verdict,
        "value": 0.6,
        "verifier": "homography",
        "homography": [1.0, 0, 16, 0, 1, 0, 0, 0, 1],
        "matches": 50,
        "inliers": 40,
        "overlap_coverage_12": 0.6,
        "overlap_coverage_21": 0.6,
        "overlap_coverage": 0.6,
    }
