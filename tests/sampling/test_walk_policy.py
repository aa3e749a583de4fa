"""Which pairs of a walk are measured, and which views are rendered for it."""

from __future__ import annotations

import numpy as np
import pytest

from mimic.config import load_config
from mimic.geometry.covisibility import PosedDepth
from mimic.sampling import POLICIES, Window
from mimic.sampling.unseen import Unseen
from mimic.types import Directed, Edge, EdgeMeasures, Frame, FrameInfo, Overlap, Span, Verdict, View

WHOLE = Span(0, None)
K = np.array([[32.0, 0, 32], [0, 32, 32], [0, 0, 1]])


def config(walk="first", **scene):
    return load_config(
        overrides={"sampling": {"walk": walk}, "source": {"scene": {"walk": "mimic", **scene}}}
    )


def probe(shift_m, hole_rows=0):
    """A wall 4 m away, seen from aside: 8 m are in view, so the overlap is 1 - shift / 8."""
    pose = np.eye(4)
    pose[0, 3] = shift_m
    depth_m = np.full((64, 64), 4.0, np.float32)
    depth_m[:hole_rows] = 0
    return PosedDepth(depth_m, K, pose)


class Walks:
    """A source of walks: the shift of each slot's camera; counts what is rendered."""

    def __init__(self, shifts, probed=True, hole_rows=None):
        self.hole_rows = hole_rows or {}
        self.shifts = shifts
        self.rendered = []
        self.left = []
        self.probed = probed

    def frames(self):
        for slot, shift in sorted(self.shifts.items()):
            yield Unseen(
                slot,
                lambda slot=slot: self._render(slot),
                (lambda shift=shift, slot=slot: probe(shift, self.hole_rows.get(slot, 0)))
                if self.probed
                else None,
            )

    def _render(self, slot):
        self.rendered.append(slot)
        return Frame(str(slot), slot, str(slot), None, 0, np.zeros((2, 2, 3), np.uint8))

    def edges(self, config, verdict, span=WHOLE):
        window = Window(
            self.frames(),
            prepare=lambda frame: View(
                FrameInfo(frame.frame_id, frame.slot, frame.label, None, 0, (2, 2)),
                frame.rgb, np.eye(3), frame.rgb[..., 0], frame.rgb[..., 0], None,
            ),
            detect=lambda view: view,
            on_leave=lambda view: self.left.append(view.info.slot),
        )  # fmt: skip

        def measure(view_1, view_2):
            value, reason = verdict(view_1.info.slot, view_2.info.slot)
            measures = EdgeMeasures(overlap=Overlap(support=Directed(value, value)))
            return Edge(
                view_1.info.frame_id, view_2.info.frame_id, view_1.info.slot, view_2.info.slot,
                measures, Verdict(reason, value),
            )  # fmt: skip

        return list(POLICIES["walk"](window, measure, span, config))


def kept(_slot_1, _slot_2):
    return 0.6, "kept"


def one_walk(base=0):
    """Slot ``base`` looks at x = 0; of the others three are in range, with overlaps .8, .5, .6."""
    shifts = {base: 0.0} | {base + n: 100.0 + 20 * n for n in range(1, 24)}
    return shifts | {base + 8: 1.6, base + 12: 4.0, base + 20: 3.2}


def test_the_smallest_covisibility_in_range_is_tried_first_and_ends_the_walk():
    walks = Walks(one_walk())
    edges = walks.edges(config(), kept)
    assert [(edge.slot_1, edge.slot_2) for edge in edges] == [(0, 12)]
    assert walks.rendered == [0, 12], "no other view is rendered"
    assert walks.left == [0, 12]


def test_the_next_in_order_is_tried_where_one_fails():
    walks = Walks(one_walk())
    edges = walks.edges(config(), lambda a, b: (0.6, "few_matches" if b == 12 else "kept"))
    assert [(edge.slot_2, edge.verdict.reason) for edge in edges] == [
        (12, "few_matches"),
        (20, "kept"),
    ]


def test_a_view_with_a_hole_is_not_rendered_while_another_will_do():
    walks = Walks(one_walk() | {12: 2.4}, hole_rows={12: 33})
    assert [edge.slot_2 for edge in walks.edges(config(), kept)] == [20]
    assert walks.rendered == [0, 20]


def test_where_nothing_else_will_do_one_hole_is_looked_at_and_tells_why():
    walks = Walks(one_walk() | {12: 2.4}, hole_rows={12: 33, 8: 33})
    edges = walks.edges(config(), lambda *_: (0.2, "hole"))
    assert [edge.slot_2 for edge in edges] == [20, 12]


def test_holes_are_no_matter_where_they_are_not_asked_about():
    unasked = load_config(overrides={"filters": {"min_valid_share": None}})
    walks = Walks(one_walk() | {12: 2.4}, hole_rows={12: 33})
    assert [edge.slot_2 for edge in walks.edges(unasked, kept)] == [12]


def test_the_range_is_that_of_the_overlap():
    narrow = load_config(overrides={"overlap": {"low": 0.55, "high": 0.7}})
    edges = Walks(one_walk()).edges(narrow, lambda *_: (0.6, "few_matches"))
    assert [edge.slot_2 for edge in edges] == [20]


def test_views_without_a_probe_are_all_tried():
    walks = Walks({3: 0.0, 17: 0.0}, probed=False)
    assert [(e.slot_1, e.slot_2) for e in walks.edges(config(), kept)] == [(3, 17)]


@pytest.mark.parametrize(("mode", "kept_pairs"), [("smallest", 1), ("all", 128)])
def test_all_pairs_of_references_and_others_are_measured_otherwise(mode, kept_pairs):
    walks = Walks(one_walk())
    edges = walks.edges(config(mode), lambda a, b: (0.5 + (a * 24 + b) / 1e4, "kept"))
    assert len({(edge.slot_1, edge.slot_2) for edge in edges}) == 8 * 16
    assert {edge.slot_1 for edge in edges} == set(range(8))
    assert {edge.slot_2 for edge in edges} == set(range(8, 24))
    assert sum(edge.verdict.kept for edge in edges) == kept_pairs
    if mode == "smallest":
        best = next(edge for edge in edges if edge.verdict.kept)
        assert (best.slot_1, best.slot_2) == (0, 8)
        assert {e.verdict.reason for e in edges if e is not best} == {"not_smallest"}


def test_walks_do_not_mix_and_spans_end_where_they_say():
    shifts = one_walk(0) | one_walk(24) | one_walk(48)
    walks = Walks(shifts)
    edges = walks.edges(config(), kept, Span(24, 48))
    assert [(edge.slot_1, edge.slot_2) for edge in edges] == [(24, 36)]


def test_a_walk_that_came_to_nothing_is_passed_over():
    edges = Walks(one_walk(48)).edges(config(), kept, Span(0, 72))
    assert [(edge.slot_1, edge.slot_2) for edge in edges] == [(48, 60)]
