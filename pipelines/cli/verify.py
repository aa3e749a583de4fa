"""``mimic verify``: whether shards are what their manifest says."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from mimic.errors import DamagedError
from pipelines.cli import options as o
from pipelines.cli import say

if TYPE_CHECKING:
    from mimic.shards.verify import Decode

_SHOWN = 20


def verify(
    shards: o.Shards,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also decode all that is stored.", rich_help_panel=o.WHAT),
    ] = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Check shards against their manifest.

    Sizes, hashes, schema, that nothing is missing or too much; exit code 5 if anything is damaged.
    """
    from mimic.shards.verify import verify as findings_of
    from mimic.storage import Storage

    findings = findings_of(Storage(shards), decode=_decoder() if deep else None)
    if as_json:
        say.document({"damaged": [dataclasses.asdict(finding) for finding in findings]})
    elif findings:
        for finding in findings[:_SHOWN]:
            say.results().print(f"{finding.file}: {finding.problem}", markup=False)
        if len(findings) > _SHOWN:
            say.results().print(f"... and {len(findings) - _SHOWN} more (all with --json)")
    elif not quiet:
        checked = "files, members and pictures" if deep else "files and members"
        say.results().print(f"{shards}: sound ({checked} checked)", markup=False)
    return DamagedError.exit_code if findings else 0


def _decoder() -> Decode:
    from mimic.opencv import decode_image

    return decode_image
