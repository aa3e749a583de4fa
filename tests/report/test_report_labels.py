"""Label maps in reports: their colours, their shares, the bins of the criteria."""

from __future__ import annotations

import numpy as np
import pytest
from report_datasets import MemoryTables, manifest, sample, table

from mimic.errors import MimicError
from mimic.report import Choice
from mimic.report.cards import Card
from mimic.report.colours import LABEL_COLOURS, Layer, grey, label_colours, tinted
from mimic.report.model import Stats
from mimic.report.plain import stats_to_dict
from mimic.report.stats import collect_from
from mimic.report.stored import Panel
from schemas import SAMPLES


def stats(*rows: dict) -> Stats:
    named = [sample(f"k{n}", (f"a{n}", f"b{n}"), **row) for n, row in enumerate(rows)]
    return collect_from(MemoryTables(manifest(), {"samples": table(SAMPLES, named)}))


def test_each_label_has_its_colour_over_a_grey_picture() -> None:
    labels = np.array([[0, 1], [2, 255]], np.uint8)
    layer = Layer(label_colours(labels), 1, on_grey=True)
    picture = np.full((2, 2, 3), (200, 10, 90), np.uint8)
    luma = grey(picture)
    assert (luma == luma[..., :1]).all()
    painted = tinted(luma, layer.colours, layer.side).reshape(4, 3).astype(int)
    alpha = layer.colours[0, 0, 3] / 255
    for colour, expected in zip(painted, LABEL_COLOURS.values(), strict=True):
        mixed = luma[0, 0, 0] * (1 - alpha) + np.array(expected) * alpha
        assert colour == pytest.approx(mixed, abs=1)
    green, red, blue, unknown = painted
    assert green.argmax() == 1
    assert red.argmax() == 0
    assert blue.argmax() == 2
    assert np.ptp(unknown) <= 1


def test_a_card_with_labels_shows_them_and_not_its_patches() -> None:
    panel = Panel(None, "0", (4, 2))
    maps = np.zeros((2, 4), np.uint8), np.full((2, 4), 2, np.uint8)
    card = Card("t", "k", "kept", None, (panel, panel), np.zeros((0, 2), np.int32), 2, ())
    assert card.layers() == (None, None)
    shown = Card(*(getattr(card, name) for name in Card.__slots__[:-1]), maps)
    first, second = shown.layers()
    assert first is not None
    assert second is not None
    assert (first.side, first.on_grey, first.colours.shape) == (1, True, (2, 4, 4))
    assert tuple(second.colours[0, 0, :3]) == LABEL_COLOURS["outside"]


def test_shares_are_counted_over_both_views() -> None:
    found = stats(
        {"labels_12": [0.5, 0.25, 0.25, 0.0], "labels_21": [0.7, 0.0, 0.2, 0.1]},
        {},
        {"labels_12": [0.6, 0.1, 0.3, 0.0], "labels_21": [0.2, 0.4, 0.1, 0.3]},
    )
    assert found.labels is not None
    assert found.labels.samples == 2
    means = {held.name: held.mean for held in found.labels.classes}
    assert means == pytest.approx(
        {"co-visible": 0.5, "occluded": 0.1875, "outside": 0.2125, "unknown": 0.1}
    )
    assert found.labels.classes[0].quartiles.median == pytest.approx(0.55)


def test_criteria_are_counted_in_the_bins_of_rubik() -> None:
    rows = [
        {"overlap_covis": covis, "scale_ratio": scale, "viewpoint_angle_deg": angle}
        for covis, scale, angle in (
            (0.01, 1.0, 0.0),
            (0.05, 1.5, 30.0),
            (0.39, 2.4, 59.0),
            (0.4, 4.0, 60.0),
            (1.0, 9.0, 180.0),
        )
    ]
    found = stats_to_dict(stats(*rows, {}))["criteria"]
    assert found["overlap_covis"]["edges"] == [0, 0.05, 0.2, 0.4, 0.6, 0.8, 1]
    assert found["overlap_covis"]["counts"] == [1, 1, 1, 1, 0, 1]
    assert found["scale_ratio"]["counts"] == [1, 2, 0, 2]
    assert found["viewpoint_angle_deg"]["edges"] == [0, 30, 60, 120, 180]
    assert found["viewpoint_angle_deg"]["counts"] == [1, 2, 1, 1]


def test_without_depth_there_are_neither() -> None:
    """A homography has a scale ratio, too, but no depth stands behind it."""
    found = stats({"scale_ratio": 1.2})
    assert found.labels is None
    assert found.criteria == {}


def test_rejected_pairs_have_no_labels() -> None:
    with pytest.raises(MimicError, match="only pairs of the data set are labelled"):
        Choice("rejected", labels=True)
