"""``mimic export``: shards in the layouts that other projects read."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from pipelines.cli import options as o
from pipelines.cli import say


class Layout(StrEnum):
    """What can be written."""

    MIMIC = "mimic"
    CROCO = "croco"
    POSES = "poses"


def export_shards(
    shards: o.Shards,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            help="Folder or address that receives the pairs; made if absent.",
            show_default=False,
            rich_help_panel=o.WHAT,
        ),
    ],
    layout: Annotated[
        Layout,
        typer.Option(
            "--layout",
            help="mimic: a folder a pair with its patches. croco: pictures and a list of pairs. "
            "poses: of walks through scenes, where the cameras stood, to render them again.",
            rich_help_panel=o.WHAT,
        ),
    ] = Layout.MIMIC,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            help="Only this split, train or val (default: all).",
            show_default=False,
            rich_help_panel=o.WHAT,
        ),
    ] = None,
    any_size: Annotated[
        bool,
        typer.Option(
            "--any-size",
            help="Layout mimic: also pictures that are not 224 x 224, which its loader misreads.",
            rich_help_panel=o.WHAT,
        ),
    ] = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Write shards in another layout: MIMIC's folders, CroCo's list, or poses without pictures.

    The list of pairs is written last.
    """
    from mimic.interchange import export_croco, export_mimic
    from mimic.shards.reader import Shards
    from mimic.storage import Storage

    found, target = Shards(shards), Storage(out)
    if layout is Layout.CROCO:
        count = export_croco(found, target, split=split)
    elif layout is Layout.POSES:
        from pipelines.poses import poses_of_shards

        count = poses_of_shards(found, target, split=split).samples
    else:
        count = export_mimic(found, target, split=split, any_size=any_size)
    if as_json:
        say.document({"out": out, "layout": layout.value, "pairs": count})
    elif not quiet:
        say.results().print(f"{out}: {count} pairs", markup=False)
    return 0
