"""``mimic label``: co-visibility labels for shards that carry depth and pose."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from mimic.config import Config
from pipelines.cli import options as o
from pipelines.cli import say

if TYPE_CHECKING:
    from mimic.depth import DepthModel
    from pipelines.executors import LazyExecutor
    from pipelines.label import LabelResult
    from pipelines.label_shard import LabelTask
    from schemas import ShardEntry

WORTH_STARTING_SAMPLES = 2048
"""More pairs than this, in several shards, are worth starting an executor for (some 15 s)."""
WORTH_STARTING_PREDICTIONS = 64
"""The same where depth is predicted, which takes the CPU a second or so a pair."""


def label(
    shards: o.Shards,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            help="Folder or address that receives the labelled shards; made if absent.",
            show_default=False,
            rich_help_panel=o.WHAT,
        ),
    ],
    depth_model: o.DepthModelName = None,
    assignments: o.Assignments = None,
    only_labelled: Annotated[
        bool,
        typer.Option(
            "--only-labelled",
            help="Leave out pairs without depth or pose (default: they stay, without labels).",
            rich_help_panel=o.KEEP,
        ),
    ] = False,
    executor: o.Executor = None,
    address: o.Address = None,
    cpus: o.Cpus = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Label which pixels the other view sees, from depth and pose; into new shards.

    Co-visible, occluded, outside the field of view, or unknown: a map a view. The old shards stay
    as they are; what was interrupted goes on where it stopped. With --depth-model also pairs that
    have poses in metres and no depth: it is predicted.
    """
    settings = o.config_of(
        assignments=assignments,
        depth_model=depth_model,
        executor=executor,
        address=address,
        cpus=cpus,
    )
    o.check_only(settings, "label", "labels.depth_", "run.")
    try:
        result = _labelled(shards, out, only_labelled, settings, quiet)
    except KeyboardInterrupt:
        say.notes().print(
            f"interrupted; what is done in {out} stays: run the same command to finish it",
            markup=False,
        )
        return 130
    if as_json:
        manifest = result.manifest
        totals = {
            "shards": len(manifest.shards),
            "samples": sum(s.samples for s in manifest.shards),
        }
        say.document({"out": out, "counts": result.counts, **totals})
    elif not quiet:
        say.results().print(_sentence(out, result, only_labelled), markup=False)
    return 0


def _labelled(
    shards: str, out: str, only_labelled: bool, settings: Config, quiet: bool
) -> LabelResult:
    from mimic.storage import Storage
    from pipelines.executors import LazyExecutor
    from pipelines.interrupt import interruptible
    from pipelines.label import label as label_shards

    depth = o.depth_model_of(settings, here=settings.run.executor == "serial")
    with (
        interruptible(threading.Event(), at_once=True),
        LazyExecutor(settings.run) as executor,
        _progress(quiet) as on_shard,
    ):
        return label_shards(
            Storage(shards),
            Storage(out),
            only_labelled=only_labelled,
            depth=depth,
            run=starting_if_worth_it(executor, depth),
            on_shard=on_shard,
        )


def starting_if_worth_it(
    executor: LazyExecutor, depth: DepthModel | None
) -> Callable[[Callable[[LabelTask], ShardEntry], Iterable[LabelTask]], Iterator[ShardEntry]]:
    """Shards are few and large: not their number tells whether workers are worth starting.

    Those of a cluster may have the GPU that this process lacks: then they are started always.
    """
    on_gpu = depth is not None and depth.device == "cuda"

    def run(
        function: Callable[[LabelTask], ShardEntry], tasks: Iterable[LabelTask]
    ) -> Iterator[ShardEntry]:
        listed = list(tasks)
        enough = WORTH_STARTING_SAMPLES if depth is None else WORTH_STARTING_PREDICTIONS
        if on_gpu or (len(listed) > 1 and sum(t.shard.samples for t in listed) > enough):
            executor.started()
        return executor.map(function, listed, "gpu" if on_gpu else "cpu")

    return run


def _sentence(out: str, result: LabelResult, only_labelled: bool) -> str:
    counts = result.counts
    total = sum(counts.values())
    lacking = [
        f"{counts[status]:,} {what}"
        for status, what in (
            ("missing_depth", "without depth"),
            ("missing_pose", "without pose"),
            ("unscaled", "with poses in an unknown unit"),
            ("as_before", "with labels that they had before"),
        )
        if counts.get(status)
    ]
    predicted = counts.get("predicted", 0)
    labelled = counts.get("labelled", 0) + predicted
    text = f"{labelled:,} of {total:,} pairs labelled in {out}"
    if predicted:
        text += f", {predicted:,} of them by predicted depth"
    if not lacking:
        return text
    unlabelled = total - labelled - counts.get("as_before", 0)
    fate = " left out" if only_labelled and unlabelled else ""
    return f"{text}; {', '.join(lacking)}{fate}"


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[ShardEntry, int], None] | None]:
    """A bar on a terminal, a plain line now and then elsewhere, on stderr."""
    if quiet:
        yield None
        return
    console = say.notes()
    if console.is_terminal:
        from rich.progress import Progress

        with Progress(console=console) as progress:
            bar = progress.add_task("labelling shards", total=None)
            yield lambda _, total: progress.update(bar, advance=1, total=total)
        return
    yield _Lines()


class _Lines:
    def __init__(self) -> None:
        self._done, self._pairs, self._last = 0, 0, time.monotonic()

    def __call__(self, shard: ShardEntry, total: int) -> None:
        from pipelines.progress import PLAIN_EVERY_S

        self._done += 1
        self._pairs += shard.samples
        now = time.monotonic()
        if now - self._last >= PLAIN_EVERY_S or self._done == total:
            self._last = now
            say.notes().print(f"{self._done}/{total} shards, {self._pairs:,} pairs", markup=False)
