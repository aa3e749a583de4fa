"""``mimic retry``: mine again what is in quarantine, and only that."""

from __future__ import annotations

from typing import Annotated

import typer

from mimic.config import load_config
from mimic.errors import MimicError
from pipelines.cli import options as o
from pipelines.cli.mining import say_result, shown


def retry(
    shards: o.Shards,
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason",
            help="Only units that failed for this reason, timeout for instance.",
            show_default=False,
            rich_help_panel=o.WHAT,
        ),
    ] = None,
    assignments: o.Assignments = None,
    keep_parts: o.KeepParts = False,
    executor: o.Executor = None,
    address: o.Address = None,
    cpus: o.Cpus = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Mine again what is in quarantine, and only that.

    After a file was mended, or with another limit.
    """
    settings = o.config_of(
        assignments=assignments,
        keep_parts=keep_parts,
        executor=executor,
        address=address,
        cpus=cpus,
    )
    if settings.decisive() != load_config().decisive():
        raise MimicError(
            "--set: a retry keeps the config that the shards were mined with; only values under "
            "run, such as run.timeout_s, may be set"
        )
    from pipelines.mine import retry as run_retry

    result = shown(
        lambda on_event: run_retry(shards, reason, run=settings.run, on_event=on_event), quiet
    )
    return say_result(shards, result, as_json, quiet)
