from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_datasets import edge, frame, sample, view, write_dataset

from mimic.errors import MimicError
from mimic.report import Choice, write_sheets
from mimic.report.cards import Card, load_cards
from mimic.report.choice import choose_rows
from mimic.report.colours import DIM_ALPHA, PATCH_ALPHA, Layer, patch_colours, tinted
from mimic.report.sheet_html import cards_html
from mimic.report.sheet_png import draw_sheet, painted
from mimic.report.stored import NOT_STORED

SIDE = 16
SIZE = (70, 48)  # 4 x 3 whole patches and a rest of 6 px
CORR = np.array([(0, 5), (1, 6), (4, 9), (7, 0)], np.int32)


def grey(value: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), value, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    samples = []
    for number, overlap in enumerate((0.52, 0.58, 0.61, 0.66, 0.74)):
        item = "street/a.mp4" if number % 2 else "walk.mp4"
        row = sample(f"k{number}", (f"f{number}", f"f{number + 1}"), item=item, corr_count=4)
        row |= {"overlap_patch": overlap, "edges": [{"overlap_patch": overlap, "interval_s": 1.0}]}
        row["views"] = [view(f"f{number}", SIZE), view(f"f{number + 1}", SIZE)]
        samples.append(row)
    shift = [1.0, 0, 16, 0, 1, 0, 0, 0, 1]
    edges = [
        edge("kept", frame_1="f0", frame_2="f1", overlap_patch=0.52),
        edge("overlap_low", frame_1="f0", frame_2="f4", value=0.31, homography=shift),
        edge("overlap_high", frame_1="f0", frame_2="f5", value=0.9),
        *(edge("cut", frame_1=f"x{n}", frame_2="f2", value=1.0) for n in range(9)),
        edge("cut", frame_1="f1", frame_2="f2", value=1.0),
    ]
    names = [*(f"f{n}" for n in range(6)), *(f"x{n}" for n in range(9))]
    frames = [frame(name, width=SIZE[0], height=SIZE[1]) for name in names]
    pictures = {f"f{n}": grey(20 * n + 60) for n in range(6)}
    units = [{"unit_id": "u1", "kind": "video", "item": "walk.mp4"}]
    graph = {"edges": edges, "frames": frames, "units": units}
    corr = {row["key"]: CORR for row in samples}
    return write_dataset(tmp_path / "shards", samples, pictures, corr, graph)


def patch(image: np.ndarray, number: int) -> np.ndarray:
    row, column = divmod(number, image.shape[1] // SIDE)
    return image[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]


def only(image: np.ndarray, number: int) -> tuple[int, ...]:
    colours = np.unique(patch(image, number).reshape(-1, 3), axis=0)
    assert len(colours) == 1
    return tuple(int(value) for value in colours[0])


def test_partners_wear_the_same_colour_and_the_rest_is_dim() -> None:
    layers = patch_colours((4, 3), (4, 3), CORR)
    first, second = (tinted(grey(128), layer, SIDE) for layer in layers)
    for one, two in CORR:
        assert only(first, one) == only(second, two)
    matched = [only(first, one) for one, _ in CORR]
    assert len(set(matched)) == len(CORR)
    dim = {only(first, number) for number in set(range(12)) - set(CORR[:, 0].tolist())}
    assert dim == {only(second, number) for number in set(range(12)) - set(CORR[:, 1].tolist())}
    assert len(dim) == 1
    assert max(dim.pop()) < 70
    assert (first[:, 64:] < 70).all()  # beyond the whole patches


def test_colours_are_smooth_over_view_1() -> None:
    every = np.stack([np.arange(20 * 15)] * 2, axis=1).astype(np.int32)
    colours = patch_colours((20, 15), (20, 15), every)[0][..., :3].astype(int)
    sideways = np.abs(np.diff(colours, axis=1)).sum(axis=2)
    down = np.abs(np.diff(colours, axis=0)).sum(axis=2)
    assert sideways.min() > 0
    assert sideways.max() < 110
    assert down.max() < 60
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) == 300
    turned = every[:, ::-1][::-1] * (1, -1) + (0, 299)
    few = patch_colours((20, 15), (20, 15), turned[::7].astype(np.int32))[0].reshape(-1, 4)
    rows = turned[::7, 0]
    assert (few[rows, :3] == colours.reshape(-1, 3)[rows]).all()  # whatever the partner
    luma = colours @ (0.299, 0.587, 0.114)
    assert (np.diff(luma, axis=0) < 0).all()  # darker from row to row


def test_a_picture_shines_through() -> None:
    layer = patch_colours((4, 3), (4, 3), CORR)[0]
    dark, light = (only(tinted(grey(value), layer, SIDE), 0) for value in (40, 200))
    change = (255 - PATCH_ALPHA) / 255 * 160
    assert np.subtract(light, dark) == pytest.approx(change, abs=1)
    assert DIM_ALPHA > PATCH_ALPHA


@pytest.mark.parametrize("bad", [(12, 0), (0, 12), (-1, 0)])
def test_patches_beyond_the_grid_are_refused(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="beyond grids"):
        patch_colours((4, 3), (4, 3), np.array([bad], np.int32))


def test_a_card_has_all_of_a_stored_pair(folder: Path) -> None:
    cards = load_cards(str(folder), Choice(order="lowest", count=2))
    assert [card.key for card in cards] == ["k0", "k1"]
    card = cards[0]
    assert (card.title, card.kept, card.patch_size) == ("walk.mp4", True, 16)
    assert card.corr.tolist() == CORR.tolist()
    assert dict(card.facts) == {"patch": "0.52", "interval": "1.00 s"}
    with Image.open(io.BytesIO(card.views[1].jpeg or b"")) as image:
        assert image.size == SIZE
        assert image.getpixel((5, 5)) == (80, 80, 80)


def test_the_pictures_of_a_sheet_are_painted_alike(folder: Path) -> None:
    card = load_cards(str(folder), Choice(count=1))[0]
    layers = card.colours()
    assert layers is not None
    first, second = (
        painted(view, Layer(layer, SIDE)) for view, layer in zip(card.views, layers, strict=True)
    )
    assert first is not None
    assert second is not None
    # The views differ by 20 in grey, of which 1 - alpha shines through.
    difference = 20 * (255 - PATCH_ALPHA) / 255
    for one, two in CORR:
        shift = patch(second, two).mean(axis=(0, 1)) - patch(first, one).mean(axis=(0, 1))
        assert shift == pytest.approx(difference, abs=2)


def test_html_lays_the_same_colours_over_untouched_pictures(folder: Path) -> None:
    card = load_cards(str(folder), Choice(count=1))[0]
    html = cards_html([card], "x")
    maps = re.findall(r'class="map" alt="" src="data:image/png;base64,([^"]+)"', html)
    layers = [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in maps]
    for layer, expected in zip(layers, card.colours() or (), strict=True):
        assert (layer == expected).all()
    for one, two in CORR:
        assert (layers[0].reshape(-1, 4)[one] == layers[1].reshape(-1, 4)[two]).all()
    # 4 x 16 of 70 px wide, 3 x 16 of 48 high
    assert 'style="width:91.4286%;height:100.0000%"' in html
    assert base64.b64encode(card.views[0].jpeg or b"").decode() in html


@pytest.mark.parametrize("order", ["spread", "lowest", "highest", "random"])
def test_the_choice_is_the_same_every_time(order: str) -> None:
    overlap = np.random.default_rng(0).uniform(0.5, 0.75, 500)
    overlap[::50] = np.nan
    choice = Choice(order=order, count=20)
    chosen = choose_rows(overlap, np.arange(500) * 3, choice, "seed")
    assert chosen == choose_rows(overlap, np.arange(500) * 3, choice, "seed")
    assert len(set(chosen)) == 20
    assert all(row % 3 == 0 for row in chosen)
    shown = overlap[np.array(chosen) // 3]
    if order == "lowest":
        assert shown.tolist() == np.sort(overlap)[:20].tolist()
    if order == "highest":
        assert shown.tolist() == np.sort(overlap[~np.isnan(overlap)])[::-1][:20].tolist()
    if order == "spread":
        known = shown[~np.isnan(shown)]
        assert (np.diff(known) > 0).all()
        assert known[0] < 0.53
        assert known[-1] > 0.72
    if order in {"spread", "random"}:
        assert chosen != choose_rows(overlap, np.arange(500) * 3, choice, "other")


def test_a_choice_of_more_than_there_is_shows_all() -> None:
    assert sorted(choose_rows(np.arange(3.0), np.arange(3), Choice(), "s")) == [0, 1, 2]


@pytest.mark.parametrize("item", ["street", "street/*", "street/a.mp4"])
def test_items_can_be_filtered(folder: Path, item: str) -> None:
    cards = load_cards(str(folder), Choice(item=item))
    assert [card.key for card in cards] == ["k1", "k3"]


def test_no_such_item_is_an_empty_sheet(folder: Path, tmp_path: Path) -> None:
    assert write_sheets(str(folder), tmp_path / "a.png", Choice(item="nowhere")) == []
    assert write_sheets(str(folder), tmp_path / "a.html", Choice(item="nowhere")) == []
    assert "no such pair" in (tmp_path / "a.html").read_text()


def rejected(folder: Path, what: str, count: int) -> list[Card]:
    return load_cards(str(folder), Choice(what, count=count))


def test_rejected_pairs_come_evenly_by_reason_with_their_value(folder: Path) -> None:
    cards = rejected(folder, "rejected", 5)
    words = ["cut", "cut", "cut", "overlap_high", "overlap_low"]
    assert sorted(card.verdict for card in cards) == words
    texts = {card.verdict_text() for card in cards}
    assert texts == {
        "across a cut (cuts between the frames: 1)",
        "overlap too high (overlap: 0.90)",
        "overlap too low (overlap: 0.31)",
    }
    assert {card.title for card in cards} == {"walk.mp4"}


def test_a_rejected_pair_is_coloured_by_its_homography(folder: Path) -> None:
    card = rejected(folder, "overlap_low", 1)[0]
    # One patch to the right: the last column has no target.
    expected = [(k, k + 1) for k in range(12) if k % 4 != 3]
    assert card.corr.tolist() == [list(pair) for pair in expected]
    # f0 is the first view of a sample, f4 the second of one and the first of another.
    for panel, grey_value in zip(card.views, (60, 140), strict=True):
        with Image.open(io.BytesIO(panel.jpeg or b"")) as image:
            assert image.getpixel((5, 5)) == (grey_value,) * 3


def test_a_frame_that_is_only_a_second_view_is_found(folder: Path) -> None:
    card = rejected(folder, "overlap_high", 1)[0]
    with Image.open(io.BytesIO(card.views[1].jpeg or b"")) as image:
        assert image.getpixel((5, 5)) == (160, 160, 160)


def test_frames_that_are_not_stored_are_said_and_come_last(folder: Path) -> None:
    assert rejected(folder, "cut", 1)[0].views[0].label == "f1"
    cards = rejected(folder, "cut", 10)
    missing = [card for card in cards if card.views[0].jpeg is None]
    assert len(missing) == 9
    assert missing[0].views[0].missing == NOT_STORED
    assert missing[0].views[0].size == SIZE
    assert NOT_STORED in cards_html(missing[:1], "x")
    assert painted(missing[0].views[0], None) is None
    assert draw_sheet(missing[:1]).ndim == 3


def test_sheets_are_written_and_the_same_again(folder: Path, tmp_path: Path) -> None:
    for name in ("a.html", "a.png"):
        write_sheets(str(folder), tmp_path / "one" / name, Choice("rejected"))
        write_sheets(str(folder), tmp_path / "two" / name, Choice("rejected"))
        one, two = ((tmp_path / run / name).read_bytes() for run in ("one", "two"))
        assert one == two
    with Image.open(tmp_path / "one" / "a.png") as image:
        assert image.width > 1400


@pytest.mark.parametrize(
    ("choice", "out", "words"),
    [
        ({"what": "zoom"}, "a.png", "'zoom': use kept, rejected, cut, overlap_high, overlap_low"),
        ({"order": "sideways"}, "a.png", "order 'sideways' is unknown"),
        ({"count": 0}, "a.png", "count 0 shows nothing"),
        ({}, "a.pdf", "written as .html or .png"),
    ],
)
def test_wrong_wishes_get_one_sentence(
    folder: Path, tmp_path: Path, choice: dict, out: str, words: str
) -> None:
    with pytest.raises(MimicError, match=re.escape(words)):
        write_sheets(str(folder), tmp_path / out, Choice(**choice))


def test_a_png_loses_no_fact_and_no_card(folder: Path) -> None:
    from mimic.report.pictures import filled

    facts = [f"measure{number} 0.{number}" for number in range(12)]
    lines = filled(facts, 12, 300)
    assert len(lines) > 1
    assert "   ".join(lines) == "   ".join(facts)

    few, many = (load_cards(str(folder), Choice(count=count)) for count in (1, 5))
    heights = [draw_sheet(cards, columns=1).shape[0] for cards in (few, many)]
    assert heights[1] > 4 * (heights[0] - 60)
