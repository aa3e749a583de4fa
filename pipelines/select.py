"""Selecting again from a measured graph, with other thresholds, without mining.

A stored edge is asked mining's own questions (``mimic.filters``), as far as it was measured: an
edge that a cheap question stopped has nothing to show to the later ones and keeps its old reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from mimic import filters
from mimic.config import Config
from mimic.filters import Evidence
from mimic.graph import measures_of
from mimic.interchange.mimic_folders import VERIFIER
from mimic.layered import ConfigError
from mimic.shards.graph import UnitGraph
from mimic.shards.tables import Row
from mimic.types import KEPT, EdgeMeasures, Verdict

SAMPLING_REASONS = frozenset({"not_smallest", "not_chosen"})
"""Decided by comparing edges while mining; no threshold can take that back."""


_OVERLAP_QUESTIONS = tuple(q for q in filters.QUESTIONS if q[0].startswith("overlap_"))

_MEASURES = ("luminance_p95", "sharpness", "valid_share")
"""Measures of a frame that questions look at."""

_FREE = {
    "seed": None,
    "pack": None,
    "run": None,
    "filters": None,
    "overlap": frozenset({"measure", "low", "high"}),
}
"""What a selection may change; of ``overlap`` only these keys."""


def judged(
    units: Iterable[UnitGraph | Row], mined: Config | None, config: Config
) -> Iterator[UnitGraph | Row]:
    """Units with the verdicts of ``config``; judged anew only where ``mined`` judges otherwise.

    Raises:
        ConfigError: ``config`` changes what only mining decides.
    """
    if mined is not None:
        check_only_selection_differs(mined, config)
    judge_anew = mined is not None and not is_same_selection(mined, config)
    for unit in units:
        if judge_anew and not isinstance(unit, dict):
            unit = replace(unit, edges=rejudged(unit.edges, unit.frames, config))
        yield unit


def rejudged(edges: pa.Table, frames: pa.Table, config: Config) -> pa.Table:
    """The edges of one unit with ``verdict`` and ``value`` as ``config`` decides.

    Args:
        edges: rows of ``schemas.EDGES``.
        frames: rows of ``schemas.FRAMES`` of the same unit.
        config: the thresholds to judge by; what is not a threshold is that of mining.

    Raises:
        ConfigError: the overlap measure that decides was not measured.
    """
    columns = ["frame_id", "width", "height", "shot", *_MEASURES]
    by_id = {row["frame_id"]: row for row in frames.select(columns).to_pylist()}
    verdicts = [verdict_of(row, by_id, config) for row in edges.to_pylist()]
    table = edges
    for name, values in (
        ("verdict", [verdict.reason for verdict in verdicts]),
        ("value", [verdict.value for verdict in verdicts]),
    ):
        place = table.schema.get_field_index(name)
        field = table.schema.field(name)
        table = table.set_column(place, field, pa.array(values, field.type))
    return table


def verdict_of(edge: Row, frames: Mapping[str, Row], config: Config) -> Verdict:
    """The verdict of one stored edge under ``config``."""
    old = Verdict(edge["verdict"], edge["value"])
    if old.reason in SAMPLING_REASONS:
        return old
    if edge["verifier"] == VERIFIER:
        # Their one number is that of the smaller direction; the other one is not known.
        edge = edge | dict.fromkeys(("overlap_patch_12", "overlap_patch_21"), edge["overlap_patch"])
    evidence = _evidence(edge, frames[edge["frame_1"]], frames[edge["frame_2"]])
    if edge["verifier"] == VERIFIER:
        failed = filters.first_failed(_OVERLAP_QUESTIONS, evidence, config)
        return failed or Verdict(KEPT, filters.deciding_overlap(evidence, config).smaller)
    if edge["verifier"] == "depth":
        return filters.judge_evidence(evidence, config)
    answerable = _answerable(evidence.measures)
    if answerable is not filters.QUESTIONS:
        return filters.first_failed(answerable, evidence, config) or old
    return filters.judge_evidence(evidence, config)


def _answerable(measures: EdgeMeasures) -> filters.Questions:
    """The questions that mining got as far as measuring for."""
    if measures.keypoints is None:
        return filters.BEFORE_FEATURES
    if measures.matches is None:
        return filters.BEFORE_MATCHING
    return filters.BEFORE_GEOMETRY if measures.inliers is None else filters.QUESTIONS


def is_same_selection(mined: Config, config: Config) -> bool:
    """Whether both configs judge an edge alike, so that stored verdicts hold."""
    return mined.overlap == config.overlap and mined.filters == config.filters


def check_only_selection_differs(mined: Config, config: Config) -> None:
    """ConfigError naming the first key that a selection cannot change."""
    old, new = mined.decisive(), config.decisive()
    for key in sorted(old):
        free = _FREE.get(key, frozenset())
        if free is None or key == "preset":
            continue
        for name in sorted(_different(old[key], new[key])):
            if name not in free:
                raise ConfigError(
                    f"config {key}.{name}: it was {old[key][name]!r} when these pairs were mined "
                    "and packing cannot change it; mine again with the new value into another --out"
                )


def _different(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [name for name in old if old[name] != new[name]]


def _evidence(edge: Row, frame_1: Row, frame_2: Row) -> Evidence:
    return Evidence(
        measures=measures_of(edge),
        sizes=(
            (frame_1["width"], frame_1["height"]),
            (frame_2["width"], frame_2["height"]),
        ),
        shots=(frame_1["shot"], frame_2["shot"]),
        luminance=(frame_1["luminance_p95"], frame_2["luminance_p95"]),
        sharpness=(frame_1["sharpness"], frame_2["sharpness"]),
        valid_share=(frame_1["valid_share"], frame_2["valid_share"]),
    )
