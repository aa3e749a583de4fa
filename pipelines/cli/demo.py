"""``mimic demo``: from nothing to a report, to see what comes out."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import options as o
from pipelines.cli import say
from pipelines.cli.mining import say_result, shown

SCENE_SAMPLES = 100
"""Walks through the room: enough to look at."""
_UNIT_SAMPLES = 10  # so that all cores have something to do


@dataclass(frozen=True, slots=True)
class _Paths:
    """Where the demo's things lie: those of the videos and of the scene side by side."""

    room: Path
    videos: Path
    shards: Path
    report: Path

    @classmethod
    def below(cls, out: Path, scene: bool) -> _Paths:
        of = "scene-" if scene else ""
        room = out / "scenes" / "room.glb"
        return cls(room, out / "videos", out / f"{of}shards", out / f"{of}report.html")


def demo(
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FOLDER", help="Receives everything.", rich_help_panel=o.WHAT
        ),
    ] = Path("demo"),
    scene: Annotated[
        bool,
        typer.Option(
            "--scene",
            help="Walk through the room itself, a 3D scene, instead of mining videos of it.",
            rich_help_panel=o.WHAT,
        ),
    ] = False,
    executor: o.Executor = None,
    cpus: o.Cpus = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Render three short videos, mine them and write a report.

    Takes a minute or two and needs no data: the videos show a furnished
    room that mimic makes itself. With --scene, it is the room that is mined.
    """
    from mimic.report import collect, render_terminal, stats_to_dict, write_html
    from pipelines.mine import mine

    paths = _Paths.below(out, scene)
    _make_room(paths.room, quiet)
    if not scene:
        _render(paths.room, paths.videos, quiet)
    source = str(paths.room.parent if scene else paths.videos)
    walks = {"max_samples": SCENE_SAMPLES, "unit_samples": _UNIT_SAMPLES}
    config = o.config_of(
        executor=executor,
        cpus=cpus,
        keep_edges=0.0,  # so that rejected pairs can be looked at, too
        keep_parts=True,
        assignments=[f"source.scene.{key}={value}" for key, value in walks.items()],
    )
    result = shown(
        lambda on_event: mine(source, str(paths.shards), config, on_event=on_event), quiet
    )
    if result.manifest is None:
        return say_result(str(paths.shards), result, as_json, quiet)
    stats = collect(str(paths.shards))
    write_html(str(paths.shards), paths.report, stats)
    if as_json:
        say.document(stats_to_dict(stats))
    elif not quiet:
        render_terminal(stats, say.results())
        _say_what_next(paths, "scenes" if scene else "videos")
    return result.exit_code


def _make_room(room: Path, quiet: bool) -> None:
    from mimic.demo import write_room

    if room.is_file():
        return
    write_room(room)
    if not quiet:
        say.notes().print(f"made a furnished room: {room}", markup=False)


def _render(room: Path, folder: Path, quiet: bool) -> None:
    from mimic.demo import VIDEOS, make_videos

    notes = say.notes()
    if all((folder / name).is_file() for name, *_ in VIDEOS):
        if not quiet:
            notes.print(f"{folder}: rendered before")
        return
    if quiet:
        make_videos(room, folder)
        return
    with notes.status("rendering") as status:
        make_videos(room, folder, on_file=lambda name: status.update(f"rendering {folder / name}"))
    notes.print(f"rendered {len(VIDEOS)} videos into {folder}")


def _say_what_next(paths: _Paths, own: str) -> None:
    called = Path(sys.argv[0])  # .venv/bin/mimic under `make demo`, when it is not on the path
    mimic = str(called) if called.name == "mimic" and not shutil.which("mimic") else "mimic"
    say.results().print(
        f"\nLook at the pairs:        {paths.report} (in a browser)"
        f"\nLook at rejected ones:    {mimic} inspect {paths.shards} --what rejected"
        f"\nMine your own {own}:     {mimic} mine --source {own}/ --out shards/",
        markup=False,
    )
