"""``mimic stats``: what is in a data set, and why the rest is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import options as o
from pipelines.cli import say


def stats(
    shards: o.Shards,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Also write a report with plots, one file that opens anywhere.",
            show_default=False,
            rich_help_panel=o.SAY,
        ),
    ] = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Say what is in a data set, and why the rest is not.

    Overlap histogram, sources, rejection reasons with the values that decided.
    """
    from mimic.report import collect, render_terminal, stats_to_dict, write_html

    found = collect(shards)
    if html is not None:
        write_html(shards, html)
    if as_json:
        say.document(stats_to_dict(found))
    elif not (quiet and html):
        render_terminal(found, say.results())
    if html is not None and not quiet:
        say.notes().print(f"report: {html}")
    return 0
