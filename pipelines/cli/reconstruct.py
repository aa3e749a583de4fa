"""``mimic reconstruct``: camera poses, and learned depth, of a plain video."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options as o
from pipelines.cli import say

if TYPE_CHECKING:
    from mimic.config import Config
    from pipelines.reconstruct import OnStage, Summary, Wishes

_DOING = {
    "frames": "sampling frames",
    "features": "finding features",
    "matching": "matching frames",
    "mapping": "placing frames",
    "depth": "predicting depth",
}


def reconstruct(
    source: Annotated[
        str,
        typer.Option(
            "--source",
            help="One video, or one folder of extracted frames.",
            show_default=False,
            rich_help_panel=o.WHAT,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Folder that is made: pictures, poses, intrinsics, and depth if asked for.",
            show_default=False,
            rich_help_panel=o.WHAT,
        ),
    ],
    depth_model: o.DepthModelName = None,
    raw_depth: Annotated[
        bool,
        typer.Option(
            "--raw-depth",
            help="Leave the depth of each frame as predicted (default: scaled to agree with the "
            "points that all frames share, and so with the other frames).",
            rich_help_panel=o.HOW,
        ),
    ] = False,
    interval_s: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            help="Time between two frames (default 0.333). Closer for fast cameras.",
            show_default=False,
            rich_help_panel=o.HOW,
        ),
    ] = None,
    min_share: Annotated[
        float,
        typer.Option(
            "--min-share",
            help="Share of the frames that must find their place.",
            rich_help_panel=o.HOW,
        ),
    ] = 0.5,
    assignments: o.Assignments = None,
    seed: o.Seed = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Find the camera poses of a plain video, by structure from motion (needs pycolmap).

    With --depth-model also its depth and the scale in metres: what comes out is mined like any
    RGB-D sequence, labels included. Without, poses are in a unit that nobody knows: they are
    stored with the pairs, and no labels can be made of them. Try clips of up to a few hundred
    frames, in which the camera moves past things with texture.
    """
    settings = o.config_of(
        assignments=assignments, depth_model=depth_model, seed=seed, interval_s=interval_s
    )
    o.check_only(settings, "reconstruct", "labels.depth_", "run.gpu_share", "seed", "source.video.")
    try:
        result = _reconstructed(source, out, settings, min_share, not raw_depth, quiet)
    except KeyboardInterrupt:
        say.notes().print("interrupted; nothing was written", markup=False)
        return 130
    if as_json:
        say.document({"out": result.out, "was_there": result.was_there, **result.record})
    elif not quiet:
        say.results().print(_sentence(result), markup=False)
        say.notes().print(_next(result), markup=False)
    return 0


def _reconstructed(
    source: str, out: Path, settings: Config, min_share: float, align_depth: bool, quiet: bool
) -> Summary:
    from pipelines.interrupt import interruptible
    from pipelines.reconstruct import reconstruct as run

    wishes = _wishes(settings, min_share, align_depth)
    with interruptible(threading.Event(), at_once=True), _progress(quiet) as on_stage:
        return run(source, out, settings, wishes, on_stage)


def _wishes(settings: Config, min_share: float, align_depth: bool) -> Wishes:
    from mimic.errors import MimicError
    from pipelines.reconstruct import Wishes

    if not 0 <= min_share <= 1:
        raise MimicError(f"--min-share {min_share:g}: give a share between 0 and 1")
    depth = o.depth_model_of(settings, here=True)
    if depth is None and not align_depth:
        raise MimicError("--raw-depth: there is no depth without --depth-model")
    return Wishes(min_share, depth, align_depth and depth is not None)


def _sentence(result: Summary) -> str:
    record = result.record
    others = len(record["models"]) - 1
    apart = f", {others} smaller part(s) left out" if others else ""
    text = (
        f"{result.out}: {record['registered']} of {record['frames']} frames found their place"
        f"{apart}; {record['points']:,} points, {record['reprojection_px']:.2f} px off on average"
    )
    if result.was_there:
        text = f"{text} (made before)"
    if result.scale is None:
        return f"{text}; poses in an unknown unit"
    return f"{text}; in metres, by frames whose scales differ by ±{result.scale['spread']:.1%}"


def _next(result: Summary) -> str:
    if result.scale is not None:
        return (
            f"next: mimic mine --source {result.out} --out shards/ --depth --set labels.covis=true"
        )
    return (
        f"next: mimic mine --source {result.out} --out shards/ stores poses and intrinsics with "
        "the pairs; for labels, reconstruct with --depth-model"
    )


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[OnStage | None]:
    """A bar on a terminal, a line a stage elsewhere, on stderr."""
    if quiet:
        yield None
        return
    console = say.notes()
    if console.is_terminal:
        from rich.progress import Progress

        with Progress(console=console) as progress:
            bar = progress.add_task("", total=None)
            yield lambda stage, done, total: progress.update(
                bar, description=_DOING[stage], completed=done, total=total
            )
        return
    said: set[str] = set()

    def tell(stage: str, done: int, total: int | None) -> None:
        if stage not in said:
            said.add(stage)
            of = f" of {total}" if total else ""
            console.print(f"{_DOING[stage]}{of}", markup=False)

    yield tell
