"""Which pairs are measured: one small policy for each kind of order a source can have.

A policy walks the anchors of a window and calls ``measure``, which judges a pair; it yields every
edge that was measured exactly once, with its final verdict (law 4).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator

from mimic import filters
from mimic.config import Config, SamplingConfig
from mimic.geometry.coarse import CoarseView, coarse_share
from mimic.geometry.posed_depth import PosedDepth
from mimic.sampling.posed import posed
from mimic.sampling.walks import VIEWS
from mimic.sampling.window import Window
from mimic.types import Edge, Span, Verdict, View

Measure = Callable[[View, View], Edge]
Policy = Callable[[Window, Measure, Span, Config], Iterator[Edge]]

PROBE_POINTS = 1024
"""Points of a probe that are looked for in the other: 128 pairs of a walk are scored."""

TOO_CLOSE = frozenset({"overlap_high", "near_duplicate", "static", "unmoved", "moving_foreground"})
"""Reasons that say: the views are too alike, a later frame may do."""


def sequence(window: Window, measure: Measure, span: Span, config: Config) -> Iterator[Edge]:
    """Ordered frames (videos): a ladder of strides from each anchor."""
    choose = {"search": _search, "retry": _retry}[config.sampling.sequence]
    yield from choose(window, measure, span, config)


def group(window: Window, measure: Measure, span: Span, config: Config) -> Iterator[Edge]:
    """Unordered photos: each with all that follow it within the window (MIMIC section 8.1)."""
    edges = [
        measure(anchor, other)
        for anchor in window.anchors(span)
        for other in _following(window, anchor, config.sampling.group_window)
    ]
    yield from edges if config.sampling.group == "all" else _smallest_only(edges, config)


def listed(window: Window, measure: Measure, span: Span, _config: Config) -> Iterator[Edge]:
    """A pair list: slots 2i and 2i + 1 are pair i."""
    for anchor in window.anchors(span):
        slot = anchor.info.slot
        other = window.get(slot + 1) if slot % 2 == 0 else None
        if other is not None:
            yield measure(anchor, other)


def walk(window: Window, measure: Measure, span: Span, config: Config) -> Iterator[Edge]:
    """Walks through a scene: each walk's references with each of its other views.

    Of a walk one pair is enough: that with the smallest overlap in range (MIMIC section 8.1), or
    the first in order of rising co-visibility.
    """
    views, references = VIEWS[config.source.scene.walk]
    for slots in window.groups(span, views):
        pairs = [
            (slot, other)
            for slot in slots
            for other in slots
            if slot % views < references <= other % views
        ]
        if config.sampling.walk == "first":
            yield from _until_kept(_rising(pairs, window, config), window, measure)
        else:
            edges = list(_measured(pairs, window, measure))
            yield from (
                _smallest_only(edges, config) if config.sampling.walk == "smallest" else edges
            )


def _measured(pairs: Iterable[tuple[int, int]], window: Window, measure: Measure) -> Iterator[Edge]:
    for slot, other in pairs:
        view_1, view_2 = window.get(slot), window.get(other)
        if view_1 is not None and view_2 is not None:
            yield measure(view_1, view_2)


def _until_kept(
    pairs: Iterable[tuple[int, int]], window: Window, measure: Measure
) -> Iterator[Edge]:
    for edge in _measured(pairs, window, measure):
        yield edge
        if edge.verdict.kept:
            return


def _rising(pairs: list[tuple[int, int]], window: Window, config: Config) -> list[tuple[int, int]]:
    """The pairs whose co-visibility, probed, lies in the wanted range, the smallest first.

    Of those with a hole in a view only the first is left, as the last of all: where nothing else
    will do, it is looked at and tells why. Where a view has no probe nothing is known, and all
    pairs are tried.
    """
    probes = {
        slot: window.probe(slot) for slot in sorted({slot for pair in pairs for slot in pair})
    }
    known = {slot: probe for slot, probe in probes.items() if probe is not None}
    if len(known) < len(probes):
        return pairs
    holes = {slot for slot, probe in known.items() if _is_hole(probe, config)}
    coarse = {slot: CoarseView.of(probe, points=PROBE_POINTS) for slot, probe in known.items()}
    ranked = []
    for slot, other in pairs:
        covis = min(
            coarse_share(coarse[slot], coarse[other]), coarse_share(coarse[other], coarse[slot])
        )
        if config.overlap.low < covis < config.overlap.high:
            ranked.append((slot in holes or other in holes, covis, slot, other))
    ranked.sort()
    whole = [(slot, other) for hole, _, slot, other in ranked if not hole]
    return whole + [(slot, other) for hole, _, slot, other in ranked if hole][:1]


def _is_hole(probe: PosedDepth, config: Config) -> bool:
    limit = config.filters.min_valid_share
    return limit is not None and int((probe.depth_m > 0).sum()) < limit * probe.depth_m.size


POLICIES: dict[str, Policy] = {
    "sequence": sequence,
    "group": group,
    "listed": listed,
    "walk": walk,
    "posed": posed,
}


def margin_slots(order: str, config: SamplingConfig) -> int:
    """How far past its span a unit must read so that no edge is lost where units meet."""
    margins = {"sequence": max(config.strides), "group": config.group_window, "listed": 1}
    return margins.get(order, 0)


def _retry(window: Window, measure: Measure, span: Span, whole: Config) -> Iterator[Edge]:
    """The first stride, and the next only while the views are too close."""
    config = whole.sampling
    resume_at = span.first
    for anchor in window.anchors(span):
        if anchor.info.slot < resume_at:
            continue
        for stride in config.strides:
            other = window.get(anchor.info.slot + stride)
            if other is None:
                break
            edge = measure(anchor, other)
            yield edge
            if edge.verdict.kept and config.skip_after_pair:
                resume_at = anchor.info.slot + stride
            if edge.verdict.reason not in TOO_CLOSE:
                break


def _search(window: Window, measure: Measure, span: Span, whole: Config) -> Iterator[Edge]:
    """Start where the last anchor ended: overlap changes slowly along a walk.

    Where that finds nothing, the near strides left are tried one by one, because a camera may turn
    away and back; none beyond a cut. While the camera pauses after an anchor with a pair, its other
    frames would give the same pair again: they are no anchors.
    """
    config = whole.sampling
    start, paired = 0, None
    for anchor in window.anchors(span):
        if paired is not None and _is_the_same(paired, anchor, whole):
            continue
        tried: dict[int, Edge | None] = {}

        def look(at: int, view: View = anchor, seen: dict[int, Edge | None] = tried) -> Edge | None:
            other = window.get(view.info.slot + config.strides[at])
            seen[at] = None if other is None else measure(view, other)
            return seen[at]

        start = yield from _climb(look, start, len(config.strides))
        near = [at for at, stride in enumerate(config.strides) if stride <= config.near_slots]
        for at in near:
            if any(edge is not None and _ends_search(edge) for edge in tried.values()):
                break
            if at not in tried and (edge := look(at)) is not None:
                yield edge
        if any(edge is not None and edge.verdict.kept for edge in tried.values()):
            paired = anchor


def _is_the_same(view: View, later: View, config: Config) -> bool:
    verdict = filters.gate(view, later, config)
    return verdict is not None and verdict.reason in {"near_duplicate", "static"}


def _climb(
    look: Callable[[int], Edge | None], start: int, count: int
) -> Generator[Edge, None, int]:
    """Walk the ladder towards the range from ``start``; yields what it measures, returns the end.

    Larger strides while the views are too close, smaller ones otherwise, none twice.
    """
    low, high, at = 0, count - 1, start
    while low <= at <= high:
        edge = look(at)
        if edge is not None:
            yield edge
            if edge.verdict.kept:
                return at
        if edge is not None and edge.verdict.reason in TOO_CLOSE:
            low = at = at + 1
        else:
            high = at = at - 1
    return min(max(at, 0), count - 1)


def _ends_search(edge: Edge) -> bool:
    return edge.verdict.kept or edge.verdict.reason in TOO_CLOSE | {"cut"}


def _following(window: Window, anchor: View, count: int) -> Iterator[View]:
    for slot in range(anchor.info.slot + 1, anchor.info.slot + 1 + count):
        other = window.get(slot)
        if other is not None:
            yield other


def _smallest_only(edges: list[Edge], config: Config) -> list[Edge]:
    def overlap(edge: Edge) -> float:
        value = getattr(edge.measures.overlap, config.overlap.measure)
        return float(value.smaller)

    kept = [edge for edge in edges if edge.verdict.kept]
    if not kept:
        return edges
    best = min(kept, key=lambda edge: (overlap(edge), edge.slot_1, edge.slot_2))
    return [
        dataclasses.replace(edge, verdict=Verdict("not_smallest", overlap(edge)))
        if edge.verdict.kept and edge is not best
        else edge
        for edge in edges
    ]
