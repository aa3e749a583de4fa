"""What commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table


def document(value: dict[str, Any]) -> None:
    """The one JSON document of ``--json``."""
    sys.stdout.write(json.dumps(value, indent=2, sort_keys=True) + "\n")


def results() -> Console:
    """The console for results."""
    return Console(highlight=False, soft_wrap=True)


def notes() -> Console:
    """The console for progress and notes, on stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def facts(rows: list[tuple[str, str]]) -> Table:
    """Names and values in two columns."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
