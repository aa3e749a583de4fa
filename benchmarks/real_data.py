"""What both presets make of real footage, file by file, as markdown tables.

    python benchmarks/real_data.py [--data ../shared/data] [--into docs/results.md]

Mines, in this process, every video, photo group, frame sequence and pair list of a data folder. The
pair lists (stereo, optical flow, posed pairs) are made on the fly.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from document import print_tables

from mimic import sources
from mimic.config import Config, load_config
from mimic.errors import MimicError
from mimic.filters import QUESTIONS
from mimic.presets import PRESETS, PresetName
from mimic.types import KEPT, SourceItem, WorkUnit
from mimic.unit import run_unit

BY_PREFIX = r"source.photos.group_regex='([a-z_]+?)_\d'"
REASONS = [reason for reason, _ in QUESTIONS]


@dataclass(frozen=True)
class Input:
    """Something to mine: its name in the table, where it is, and config values it needs."""

    name: str
    where: str
    assignments: tuple[str, ...] = ()


def inputs(data: Path, lists: Path) -> Iterator[Input]:
    """All that the data folder holds, videos first; pair lists are written to ``lists``."""
    for video in sorted((data / "videos").iterdir()):
        yield Input(video.name, str(video), ("source.kind=video",))
    for folder in sorted((data / "photos").iterdir()):
        grouped = (BY_PREFIX,) if folder.name == "phototourism" else ()
        yield Input(f"photos/{folder.name}", str(folder), ("source.kind=photos", *grouped))
    for frames in ("seg/camvid/images", "rgbd/icl_livingroom1/color"):
        yield Input(frames, str(data / frames), ("source.kind=frames",))
    for name, pairs in pair_lists(data).items():
        path = lists / f"{name}.jsonl"
        rows = [json.dumps({"path1": str(a), "path2": str(b)}) for a, b in pairs]
        path.write_text("\n".join(rows))
        yield Input(f"pairs: {name}", str(path), ("source.kind=pairs",))


def pair_lists(data: Path) -> dict[str, list[tuple[Path, Path]]]:
    """Pairs of pictures by kind."""
    data = data.resolve()
    stereo, flow = data / "stereo", data / "flow"
    posed = data / "pose_pairs" / "scannet"
    lines = (posed / "pairs_with_gt.txt").read_text().splitlines()
    chairs = flow / "flyingchairs"
    return {
        "stereo": [
            (stereo / "aloe" / "aloeL.jpg", stereo / "aloe" / "aloeR.jpg"),
            (stereo / "kitti_gray" / "left.png", stereo / "kitti_gray" / "right.png"),
        ],
        "flow": [
            (flow / "rubberwhale" / "rubberwhale1.png", flow / "rubberwhale" / "rubberwhale2.png"),
            *((first, Path(str(first).replace("img0", "img1"))) for first in firsts(chairs)),
        ],
        "scannet": [(posed / a, posed / b) for a, b, *_ in (line.split() for line in lines)],
    }


def firsts(folder: Path) -> list[Path]:
    """The first pictures of the pairs of a folder."""
    return sorted(folder.glob("*-img0.png"))


def mined_row(given: Input, preset: PresetName) -> str:
    """One line: frames, candidates, kept, rejected by reason; or why it was not mined."""
    try:
        config = load_config(preset, assignments=given.assignments)
        frames, verdicts = mined(given.where, config)
    except MimicError as error:
        return f"| {given.name} | | | | not mined: {getattr(error, 'reason', str(error))} |"
    kept = verdicts.pop(KEPT, 0)
    order = [*REASONS, *sorted(set(verdicts) - set(REASONS))]
    why = ", ".join(f"{reason} {verdicts[reason]}" for reason in order if verdicts[reason])
    return f"| {given.name} | {frames} | {kept + verdicts.total()} | {kept} | {why} |"


def mined(where: str, config: Config) -> tuple[int, Counter[str]]:
    """Number of frames in measured pairs, and verdicts."""
    frames: set[str] = set()
    verdicts: Counter[str] = Counter()
    items = [item for item in sources.discover(where, config) if isinstance(item, SourceItem)]
    for unit in [unit for item in items for unit in sources.split(item, config)]:
        if not isinstance(unit, WorkUnit):
            raise MimicError(unit.reason)
        part = run_unit(unit, config)
        frames |= {row["frame_id"] for row in part.frames}
        verdicts.update(row["verdict"] for row in part.edges)
    return len(frames), verdicts


def tables(data: Path) -> Iterator[str]:
    """The lines of both tables."""
    for preset in PRESETS:
        yield f"Preset `{preset}`:\n"
        yield "| file | frames | candidates | kept | rejected |"
        yield "| --- | --- | --- | --- | --- |"
        with tempfile.TemporaryDirectory() as lists:
            for given in inputs(data, Path(lists)):
                yield mined_row(given, preset)
        yield ""


if __name__ == "__main__":
    print_tables(__doc__, "real_data", tables)
