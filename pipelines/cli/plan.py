"""``mimic plan``: what would be done, and what it would cost. Nothing is written."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

from mimic.config import Config
from pipelines.cli import options as o
from pipelines.cli import say

if TYPE_CHECKING:
    from pipelines.plan import Plan

_SHOWN = 20


def plan(
    source: o.Source,
    kind: o.Kind = None,
    walk: o.Walk = None,
    scenes: o.Scenes = None,
    dataset: o.Dataset = None,
    preset: o.Preset = None,
    config: o.ConfigFile = None,
    assignments: o.Assignments = None,
    size: o.Size = None,
    seed: o.Seed = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Say what mining a source would do and cost. Nothing is written.

    What was recognised, what would be skipped and why, and estimates of
    CPU hours, pairs and bytes.
    """
    settings = o.config_of(
        config,
        assignments,
        base=o.recorded_config(source),
        preset=preset,
        size=size,
        seed=seed,
        kind=kind,
        walk=walk,
        scenes=scenes,
        dataset=dataset,
    )
    from pipelines.estimate import sharpened
    from pipelines.plan import make_plan

    made = sharpened(make_plan(source, settings), settings)
    if as_json:
        say.document(_document(source, made, settings))
    else:
        _print(source, made, settings, quiet)
    return 0


def _kinds(made: Plan) -> dict[str, int]:
    """Items by kind."""
    return dict(Counter(kind for kind, _ in {(u.item.kind, u.item.name) for u in made.units}))


def _document(source: str, made: Plan, config: Config) -> dict[str, Any]:
    return {
        "source": source,
        "kinds": _kinds(made),
        **dataclasses.asdict(made.summary(config)),
        "skipped": [dataclasses.asdict(skipped) for skipped in made.skipped],
    }


def _print(source: str, made: Plan, config: Config, quiet: bool) -> None:
    from mimic.report.text import bytes_text, count_text, counted

    total = made.summary(config)
    names = {"video": "video", "photos": "photo group", "frames": "frame folder"}
    kinds = [counted(n, names.get(kind, f"{kind} item")) for kind, n in _kinds(made).items()]
    rows = [
        ("source", source),
        ("recognised", ", ".join(kinds) or "nothing to mine"),
        ("footage", f"about {say.duration(total.footage_s)}"),
        ("units of work", count_text(total.units)),
        ("CPU time", f"about {say.duration(total.estimated_cpu_s)}"),
        ("pairs", f"about {count_text(round(total.estimated_pairs))}"),
        ("reads", bytes_text(total.source_bytes)),
        ("writes", f"about {bytes_text(total.estimated_bytes)}"),
    ]
    say.results().print(say.facts(rows if total.footage_s else [*rows[:2], *rows[3:]]))
    if made.skipped:
        _print_skipped(made, len(made.skipped) if quiet else _SHOWN)


def _print_skipped(made: Plan, shown: int) -> None:
    reasons = Counter(skipped.reason for skipped in made.skipped)
    listed = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    say.results().print(f"\nskipped: {listed}", markup=False)
    for skipped in made.skipped[:shown]:
        say.results().print(f"  {skipped.message}", markup=False)
    if len(made.skipped) > shown:
        say.results().print(f"  ... and {len(made.skipped) - shown} more (all with --json)")
