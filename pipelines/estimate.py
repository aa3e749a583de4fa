"""A plan's estimates, sharpened by opening a few of the small videos that planning does not open.

For people only: units, their order and their ids stay as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from mimic.config import Config
from mimic.sources.parallel import in_order
from mimic.sources.video import VideoSource, duration_s, estimated
from mimic.types import WorkUnit
from pipelines.plan import Plan

MOST_OPENED = 200
"""Videos opened for an estimate, spread evenly over the plan."""


def sharpened(plan: Plan, config: Config) -> Plan:
    """The same plan, the footage of videos of unknown length estimated from a sample of them.

    A sampled file gets the length that its header says; the others get the sample's seconds a
    byte. Files that cannot be opened count as no footage. Where no header says anything, the plan
    stays as it is.
    """
    unknown = [i for i, unit in enumerate(plan.units) if _is_unknown(unit)]
    chosen = _spread(unknown, MOST_OPENED)
    found = list(in_order(lambda i: duration_s(plan.units[i].item, config), chosen))
    lengths = {i: length for i, length in zip(chosen, found, strict=True) if length is not None}
    sampled_bytes = sum(plan.units[i].item.size_bytes for i in lengths)
    if not any(lengths.values()):
        return plan
    s_per_byte = sum(lengths.values()) / sampled_bytes
    units = list(plan.units)
    for i in unknown:
        footage_s = lengths.get(i, units[i].item.size_bytes * s_per_byte)
        units[i] = estimated(units[i], footage_s, config)
    return dataclasses.replace(plan, units=tuple(units))


def _is_unknown(unit: WorkUnit) -> bool:
    return unit.item.kind == VideoSource.kind and unit.item.footage_s is None


def _spread(indices: Sequence[int], most: int) -> list[int]:
    """At most so many of them, evenly apart; the same ones every time."""
    if len(indices) <= most:
        return list(indices)
    return [indices[i * len(indices) // most] for i in range(most)]
