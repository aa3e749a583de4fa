"""What ``mine``, ``retry`` and ``demo`` share: show a run while it goes, and say how it ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipelines.cli import say

if TYPE_CHECKING:
    from pipelines.events import Event, OnEvent
    from pipelines.mine import MineResult
    from schemas import Failure

_SHOWN = 10


def shown(work: Callable[[OnEvent | None], MineResult], quiet: bool) -> MineResult:
    """Run ``work`` with its progress on stderr, and name what is in quarantine at the end."""
    from pipelines.events import Attempted, Finished
    from pipelines.progress import show

    if quiet:
        return work(None)
    named: set[str] = set()
    with show() as display:

        def on_event(event: Event) -> None:
            if isinstance(event, Attempted):
                named.add(event.outcome.result.unit_id)
            if not isinstance(event, Finished):  # the result says it
                display(event)

        result = work(on_event)
    _name_quarantine([failure for failure in result.failed if failure.unit_id not in named])
    return result


def _name_quarantine(failures: list[Failure]) -> None:
    """Failures of earlier runs, which the progress of this one did not name."""
    lines = list(dict.fromkeys(f"in quarantine ({f.reason}): {f.message}" for f in failures))
    for line in lines[:_SHOWN]:
        say.notes().print(line, markup=False)
    if len(lines) > _SHOWN:
        say.notes().print(f"... and {len(lines) - _SHOWN} more in quarantine")


def say_result(out: str, result: MineResult, as_json: bool, quiet: bool) -> int:
    """Print how a run ended; its exit code is returned."""
    if as_json:
        say.document(_document(out, result))
        return result.exit_code
    say.results().print(result.message, markup=False)
    if result.manifest is not None and result.counts.get("samples") and not quiet:
        say.notes().print(f"look: mimic stats {out}, mimic inspect {out}", markup=False)
    return result.exit_code


def _document(out: str, result: MineResult) -> dict[str, Any]:
    from pipelines.split import split_counts

    failed = [dataclasses.asdict(failure) for failure in result.failed]
    for failure in failed:
        del failure["traceback"]
    return {
        "out": out,
        "exit_code": result.exit_code,
        "message": result.message,
        "counts": result.counts,
        "done": result.done,
        "filtered": result.filtered,
        "failed": failed,
        "skipped": [dataclasses.asdict(skipped) for skipped in result.skipped],
        "shards": len(result.manifest.shards) if result.manifest else 0,
        "splits": split_counts(result.manifest) if result.manifest else {},
    }
