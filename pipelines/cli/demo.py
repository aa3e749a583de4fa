"""``mimic demo``: from nothing to a report, to see what comes out."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import options as o
from pipelines.cli import say
from pipelines.cli.mining import say_result, shown


def demo(
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FOLDER", help="Receives everything.", rich_help_panel=o.WHAT
        ),
    ] = Path("demo"),
    executor: o.Executor = None,
    cpus: o.Cpus = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Render three short videos, mine them and write a report.

    Takes a minute or two and needs no data: the videos show a furnished
    room that mimic renders itself.
    """
    from mimic.report import collect, render_terminal, stats_to_dict, write_html
    from pipelines.mine import mine

    videos, shards, report = out / "videos", out / "shards", out / "report.html"
    _render(videos, quiet)
    # So that rejected pairs can be looked at, too.
    config = o.config_of(executor=executor, cpus=cpus, keep_edges=0.0)
    result = shown(
        lambda on_event: mine(str(videos), str(shards), config, on_event=on_event), quiet
    )
    if result.manifest is None:
        return say_result(str(shards), result, as_json, quiet)
    stats = collect(str(shards))
    write_html(str(shards), report, stats)
    if as_json:
        say.document(stats_to_dict(stats))
    elif not quiet:
        render_terminal(stats, say.results())
        _say_what_next(shards, report)
    return result.exit_code


def _render(folder: Path, quiet: bool) -> None:
    from mimic.demo import VIDEOS, make_videos

    notes = say.notes()
    if all((folder / name).is_file() for name, *_ in VIDEOS):
        if not quiet:
            notes.print(f"{folder}: rendered before")
        return
    if quiet:
        make_videos(folder)
        return
    with notes.status("rendering") as status:
        make_videos(folder, on_file=lambda name: status.update(f"rendering {folder / name}"))
    notes.print(f"rendered {len(VIDEOS)} videos into {folder}")


def _say_what_next(shards: Path, report: Path) -> None:
    called = Path(sys.argv[0])  # .venv/bin/mimic under `make demo`, when it is not on the path
    mimic = str(called) if called.name == "mimic" and not shutil.which("mimic") else "mimic"
    say.results().print(
        f"\nLook at the pairs:        {report} (in a browser)"
        f"\nLook at rejected ones:    {mimic} inspect {shards} --what rejected"
        f"\nMine your own videos:     {mimic} mine --source videos/ --out shards/",
        markup=False,
    )
