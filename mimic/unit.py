"""The whole path of one work unit: from a span of a source to its part of the graph.

``run_unit`` is a pure function of (source bytes, config, unit) (law 1): no clock, no randomness
but the unit's seed, nothing kept between calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from threadpoolctl import threadpool_limits

from mimic import filters, opencv, sources, views
from mimic.config import Config
from mimic.graph import edge_row, frame_row
from mimic.labels import label_pair
from mimic.matching.by_depth import measure_by_depth
from mimic.matching.measure import measure as measure_matches
from mimic.sampling import POLICIES, Window, margin_slots
from mimic.types import Correspondences, Edge, EdgeMeasures, Part, View, WorkUnit


def run_unit(unit: WorkUnit, config: Config) -> Part:
    """Mine one unit.

    Raises:
        SourceError: the item cannot be read; nothing of it is counted.
    """
    with threadpool_limits(limits=1):  # products this small only lose by a BLAS's threads
        return _mined(unit, config)


def _mined(unit: WorkUnit, config: Config) -> Part:
    book = _Book(unit.unit_id, config)
    order = sources.source_of(unit.item.kind).order
    margin = margin_slots(order, config.sampling)
    with sources.open_unit(unit, config, margin) as frames:
        window = Window(
            frames,
            prepare=lambda frame: views.stored_view(frame, config),
            detect=lambda view: views.with_features(view, config),
            on_leave=book.add_view,
        )
        for edge in POLICIES[order](window, _measure_in(window, config), unit.span, config):
            book.add_edge(edge)
    return book.part(unit)


def _measure_in(window: Window, config: Config) -> Callable[[View, View], Edge]:
    """Measure and judge a pair; features are detected only if no cheap gate answers first."""

    def measured(view_1: View, view_2: View) -> EdgeMeasures:
        interval_s = _interval_s(view_1, view_2)
        if config.overlap.measure == "covis":
            return measure_by_depth(view_1, view_2, interval_s, config)
        return measure_matches(view_1, view_2, interval_s, config, window.with_features)

    def measure(view_1: View, view_2: View) -> Edge:
        measures = measured(view_1, view_2)
        verdict = filters.judge(view_1, view_2, measures, config)
        labels = None
        if config.labels.covis and (verdict.kept or _above_floor(measures, config)):
            measures, labels = _labelled(view_1, view_2, measures)
        return Edge(
            frame_1=view_1.info.frame_id,
            frame_2=view_2.info.frame_id,
            slot_1=view_1.info.slot,
            slot_2=view_2.info.slot,
            measures=measures,
            verdict=verdict,
            labels=labels,
        )

    return measure


def _labelled(
    view_1: View, view_2: View, measures: EdgeMeasures
) -> tuple[EdgeMeasures, tuple[bytes, bytes] | None]:
    """The label maps of a pair, and its measures with the angle that only depth tells."""
    posed_1, posed_2 = views.stored_posed_depth(view_1), views.stored_posed_depth(view_2)
    if posed_1 is None or posed_2 is None:
        return measures, None
    found = label_pair(posed_1, posed_2)
    if measures.viewpoint_angle_deg is None:
        measures = replace(measures, viewpoint_angle_deg=found.viewpoint_angle_deg)
    return measures, found.maps


def _interval_s(view_1: View, view_2: View) -> float | None:
    if view_1.info.pts_s is None or view_2.info.pts_s is None:
        return None
    return view_2.info.pts_s - view_1.info.pts_s


class _Book:
    """Gathers the rows of a unit, and the pictures that its edges ask to store.

    Every view's picture is encoded when it leaves the window, because a group's verdicts come only
    after all its views have left; what no edge asked for in the end is dropped. Memory holds JPEGs
    of one unit, never its frames.
    """

    def __init__(self, unit_id: str, config: Config) -> None:
        self._unit_id = unit_id
        self._config = config
        self._frames: dict[str, dict[str, Any]] = {}
        self._edges: dict[tuple[str, str], dict[str, Any]] = {}
        self._jpegs: dict[str, bytes] = {}
        self._depths: dict[str, bytes] = {}
        overlap = config.overlap
        self._corrs = Correspondences(overlap.patch_size, overlap.outside_votes, {})
        self._covis: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        self._asked: set[str] = set()

    def add_edge(self, edge: Edge) -> None:
        self._edges.setdefault((edge.frame_1, edge.frame_2), edge_row(self._unit_id, edge))
        if edge.verdict.kept or _above_floor(edge.measures, self._config):
            frames = (edge.frame_1, edge.frame_2)
            self._asked |= set(frames)
            if edge.measures.corr is not None:
                self._corrs.pairs.setdefault(frames, edge.measures.corr)
            if edge.labels is not None and not self._config.run.poses_only:
                self._covis[frames] = edge.labels

    def add_view(self, view: View) -> None:
        frame_id = view.info.frame_id
        if frame_id not in self._frames:
            self._frames[frame_id] = frame_row(self._unit_id, view)
            if self._config.run.poses_only:
                return
            self._jpegs[frame_id] = opencv.encode_jpeg(view.stored, self._config.image.jpeg_quality)
            if self._config.image.depth and view.depth_m is not None:
                self._depths[frame_id] = opencv.encode_png(views.depth_mm(view.depth_m))

    def part(self, unit: WorkUnit) -> Part:
        edges = tuple(self._edges.values())
        named = {row["frame_1"] for row in edges} | {row["frame_2"] for row in edges}
        frames = (row for row in self._frames.values() if row["frame_id"] in named)
        return Part(
            unit=unit,
            frames=tuple(sorted(frames, key=lambda row: (row["slot"], row["frame_id"]))),
            edges=edges,
            jpegs={name: self._jpegs[name] for name in sorted(self._asked & self._jpegs.keys())},
            corrs=self._corrs,
            depths={name: self._depths[name] for name in sorted(self._asked & self._depths.keys())},
            covis=self._covis,
        )


def _above_floor(measures: EdgeMeasures, config: Config) -> bool:
    floor = config.pack.keep_edges
    overlap = getattr(measures.overlap, config.overlap.measure)
    return floor is not None and overlap is not None and overlap.smaller >= floor
