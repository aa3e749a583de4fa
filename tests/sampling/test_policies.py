"""Policies: every measured edge once, the right strides, nothing lost where units meet."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mimic.config import Config, load_config
from mimic.sampling import POLICIES, Window, margin_slots
from mimic.types import (
    KEPT,
    Directed,
    Edge,
    EdgeMeasures,
    Frame,
    FrameMeasures,
    Overlap,
    Span,
    Verdict,
    View,
)

PIXEL = np.zeros((1, 1, 3), np.uint8)


def frames(slots: list[int]):
    for slot in slots:
        yield Frame(f"f{slot}", slot, str(slot), slot / 3, 0, PIXEL)


def prepare(frame: Frame) -> View:
    measures = FrameMeasures(0, 0, 0, 0, 0, "0")
    thumb = np.full((1, 1), 11 * (frame.slot % 23), np.uint8)
    return View(frame.info, PIXEL, np.eye(3), PIXEL[..., 0], thumb, measures)


def run(order: str, config: Config, slots: list[int], span: Span, overlap_of, prepare=prepare):
    """Walk a policy over fake views whose overlap is a function of the two slots."""
    left: list[int] = []
    window = Window(frames(slots), prepare, lambda v: v, lambda v: left.append(v.info.slot))

    def measure(a: View, b: View) -> Edge:
        value = overlap_of(a.info.slot, b.info.slot)
        low, high = config.overlap.low, config.overlap.high
        reason = "overlap_low" if value <= low else "overlap_high" if value >= high else KEPT
        both = Overlap(**{config.overlap.measure: Directed(value, value)})
        return Edge(
            a.info.frame_id, b.info.frame_id, a.info.slot, b.info.slot,
            EdgeMeasures(overlap=both), Verdict(reason, value),
        )  # fmt: skip

    edges = list(POLICIES[order](window, measure, span, config))
    return edges, left


def speed(per_slot: float):
    return lambda a, b: max(0.0, 1 - per_slot * (b - a))


def with_sampling(**values) -> Config:
    return load_config(overrides={"sampling": values})


@pytest.mark.parametrize("per_slot", [0.02, 0.05, 0.1, 0.2, 0.35])
def test_search_finds_a_pair_for_every_anchor_at_any_speed(per_slot):
    config = with_sampling(strides=[1, 2, 3, 4, 5, 6, 8, 12, 16, 24])
    edges, _ = run("sequence", config, list(range(60)), Span(0, 30), speed(per_slot))
    kept = [e for e in edges if e.verdict.kept]
    assert {e.slot_1 for e in kept} == set(range(30))
    assert len(edges) < 2 * 30 + 10  # after the first anchor, the stride is known


def test_a_pause_of_the_camera_gives_its_pair_once():
    """Frames 0 to 9 show the same picture; what follows moves on."""

    def pausing(frame: Frame) -> View:
        view = prepare(frame)
        still = np.full((1, 1), 255, np.uint8)
        return dataclasses.replace(view, thumb=still) if frame.slot < 10 else view

    def overlap_of(a: int, b: int) -> float:
        return max(0.0, 1 - 0.2 * (max(b, 9) - max(a, 9)))

    config = with_sampling(strides=[1, 2, 3, 4, 5, 6, 8, 12, 16, 24])
    edges, _ = run("sequence", config, list(range(60)), Span(0, 30), overlap_of, pausing)
    kept = [edge.slot_1 for edge in edges if edge.verdict.kept]
    assert len([slot for slot in kept if slot < 10]) == 1
    assert [slot for slot in kept if slot >= 10] == list(range(10, 30))


def test_search_measures_no_pair_twice_and_stops_when_nothing_fits():
    config = with_sampling(strides=[1, 2, 4])
    jump = run(
        "sequence", config, list(range(20)), Span(0, 10), lambda a, b: 0.9 if b - a < 2 else 0.1
    )
    pairs = [(e.slot_1, e.slot_2) for e in jump[0]]
    assert len(pairs) == len(set(pairs))
    assert not any(e.verdict.kept for e in jump[0])


def test_a_static_sequence_costs_one_measurement_an_anchor():
    config = with_sampling(strides=[1, 2, 4, 8])
    edges, _ = run("sequence", config, list(range(100)), Span(0, 80), lambda a, b: 1.0)
    assert len(edges) <= 80 + 4


def test_retry_tries_the_next_frame_only_when_too_close_and_skips_after_a_pair():
    config = load_config("mimic")
    edges, _ = run("sequence", config, list(range(8)), Span(0, 8), speed(0.2))
    # overlap 0.8 after one slot (too close), 0.6 after two: kept, continue at the second frame
    assert [(e.slot_1, e.slot_2, e.verdict.kept) for e in edges] == [
        (0, 1, False), (0, 2, True), (2, 3, False), (2, 4, True),
        (4, 5, False), (4, 6, True), (6, 7, False),
    ]  # fmt: skip


def test_retry_does_not_go_on_when_the_overlap_is_too_low():
    edges, _ = run("sequence", load_config("mimic"), list(range(4)), Span(0, 4), speed(0.6))
    assert [(e.slot_1, e.slot_2) for e in edges] == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("order", ["sequence", "group"])
def test_units_that_meet_lose_and_double_no_edge(order):
    config = with_sampling(strides=[3], group_window=4)
    slots = [s for s in range(50) if s % 7]  # with gaps
    whole, _ = run(order, config, slots, Span(0, None), speed(0.1))
    margin = margin_slots(order, config.sampling)
    joined: list[Edge] = []
    for first in range(0, 50, 10):
        seen = [s for s in slots if first <= s < first + 10 + margin]
        joined += run(order, config, seen, Span(first, first + 10), speed(0.1))[0]
    assert [(e.slot_1, e.slot_2, e.verdict) for e in joined] == [
        (e.slot_1, e.slot_2, e.verdict) for e in whole
    ]


def test_group_smallest_keeps_one_and_names_the_others():
    config = with_sampling(group="smallest")
    edges, _ = run("group", config, list(range(6)), Span(0, 6), speed(0.14))
    kept = [e for e in edges if e.verdict.kept]
    assert len(edges) == 15
    assert len(kept) == 1
    in_range = [e for e in edges if e.verdict.kept or e.verdict.reason == "not_smallest"]
    smallest = min(e.measures.overlap.support.smaller for e in in_range)
    assert kept[0].measures.overlap.support.smaller == smallest
    assert all(e.verdict.value > smallest or e.slot_1 > kept[0].slot_1
               for e in in_range if not e.verdict.kept)  # fmt: skip


def test_listed_pairs_are_slots_two_by_two():
    edges, _ = run("listed", load_config(), [0, 1, 2, 4, 5], Span(0, None), speed(0.3))
    assert [(e.slot_1, e.slot_2) for e in edges] == [(0, 1), (4, 5)]


def test_every_view_leaves_once_in_order_and_the_window_stays_small():
    held: list[int] = []
    window = Window(
        frames(list(range(40))), prepare, lambda v: v, lambda v: held.append(v.info.slot)
    )
    largest = 0
    for view in window.anchors(Span(0, 40)):
        window.get(view.info.slot + 3)
        largest = max(largest, len(window._views))
    assert held == list(range(40))
    assert largest <= 4


def test_a_stream_out_of_order_is_a_programming_error():
    window = Window(frames([1, 0]), prepare, lambda v: v, lambda v: None)
    with pytest.raises(AssertionError, match="slot 0 came after slot 1"):
        list(window.anchors(Span(0, None)))


def test_search_finds_the_view_of_a_camera_that_turned_away_and_back():
    config = with_sampling(strides=[1, 2, 3, 4, 5, 6, 8], near_slots=6)
    back_after_four = run(
        "sequence", config, list(range(5)), Span(0, 1), lambda a, b: 0.6 if b - a == 4 else 0.1
    )
    assert [(e.slot_2, e.verdict.kept) for e in back_after_four[0]] == [
        (1, False), (2, False), (3, False), (4, True)
    ]  # fmt: skip


def test_search_tries_no_stride_beyond_the_near_ones_when_lost():
    config = with_sampling(strides=[1, 2, 3, 8], near_slots=3)
    lost = run("sequence", config, list(range(20)), Span(0, 1), lambda a, b: 0.1)
    assert [e.slot_2 for e in lost[0]] == [1, 2, 3]
