"""``mimic inspect``: contact sheets of pairs, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from pipelines.cli import options as o
from pipelines.cli import say


def inspect_pairs(
    shards: o.Shards,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The contact sheet: an .html file to point at, or a .png.",
            rich_help_panel=o.WHAT,
        ),
    ] = Path("inspect.html"),
    what: Annotated[
        str,
        typer.Option(
            "--what",
            help="kept, rejected, or one reason such as zoom (docs/format.md lists them).",
            rich_help_panel=o.WHAT,
        ),
    ] = "kept",
    order: Annotated[
        str,
        typer.Option(
            "--order",
            help="spread (over the overlaps), lowest, highest or random.",
            rich_help_panel=o.WHAT,
        ),
    ] = "spread",
    count: Annotated[
        int, typer.Option("--count", help="Pairs on the sheet.", rich_help_panel=o.WHAT)
    ] = 24,
    item: Annotated[
        str | None,
        typer.Option(
            "--item",
            metavar="PATTERN",
            help="Only pairs of items whose name contains or matches this.",
            show_default=False,
            rich_help_panel=o.WHAT,
        ),
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="Show which pixels the other view sees, of pairs that are labelled (mimic label).",
            rich_help_panel=o.WHAT,
        ),
    ] = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Write a contact sheet: pairs with matching patches in matching colours.

    Or the pairs that were rejected, with the reason and the value that decided; or, with --labels,
    what the other view sees: co-visible green, occluded red, outside blue, unknown grey.
    """
    from mimic.report import Choice, write_sheets
    from mimic.report.choice import Order

    choice = Choice(what, cast("Order", order), count, item, labels)
    cards = write_sheets(shards, out, choice)
    if as_json:
        say.document({"sheet": str(out), "pairs": len(cards)})
    elif not quiet:
        say.results().print(f"{out}: {len(cards)} pairs", markup=False)
    return 0
