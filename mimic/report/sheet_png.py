"""Cards on one picture: the same colours as in HTML, painted into the pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mimic.report.cards import Card
from mimic.report.colours import LABEL_COLOURS, Layer, grey, tinted
from mimic.report.pictures import Canvas, decode, filled
from mimic.report.stored import Panel
from mimic.report.text import shortened
from mimic.types import UInt8Image

VIEW_HEIGHT = 240
_CARD_WIDTH = 720
_GAP, _MARGIN = 6, 16
_TITLE, _LINE, _KEY = 40, 17, 26
_PAPER, _INK, _SOFT, _BRIGHT, _WARN, _GONE = (
    (251, 251, 249),
    (28, 31, 34),
    (102, 109, 116),
    (11, 122, 143),
    (154, 91, 0),
    (233, 233, 229),
)


def draw_sheet(cards: Sequence[Card], columns: int = 2) -> UInt8Image:
    """All cards in rows of ``columns``, as one RGB picture."""
    columns = max(1, min(columns, len(cards)))
    rows = [cards[start : start + columns] for start in range(0, len(cards), columns)]
    heights = [max(_card_height(card) for card in row) + _MARGIN for row in rows]
    width = columns * (_CARD_WIDTH + _MARGIN) + _MARGIN
    key = _KEY if any(card.labels for card in cards) else 0
    canvas = Canvas(width, key + sum(heights) + 3 * _MARGIN, _PAPER)
    if not cards:
        canvas.text("There is no such pair.", _MARGIN, _MARGIN, 16, _SOFT, _CARD_WIDTH)
    if key:
        _draw_key(canvas)
    top = _MARGIN + key
    for row, height in zip(rows, heights, strict=True):
        for column, card in enumerate(row):
            _draw_card(canvas, card, _MARGIN + column * (_CARD_WIDTH + _MARGIN), top)
        top += height
    return canvas.array()


def _draw_key(canvas: Canvas) -> None:
    """What the colours of labels mean."""
    for number, (name, colour) in enumerate(LABEL_COLOURS.items()):
        x = _MARGIN + number * 120
        canvas.box(x, _MARGIN, (13, 13), colour)
        canvas.text(name, x + 19, _MARGIN - 2, 13, _INK, 100)


def _card_height(card: Card) -> int:
    pictures = max(height for _, height in _fitted([view.size for view in card.views]))
    return pictures + _TITLE + _LINE * len(_fact_lines(card))


def _fact_lines(card: Card) -> list[str]:
    """The facts in as many lines as the card's width asks for."""
    return filled([f"{name} {value}" for name, value in card.facts], 12, _CARD_WIDTH)


def painted(view: Panel, layer: Layer | None) -> UInt8Image | None:
    """The stored picture with its patches or labels, in stored pixels; None if it is not stored."""
    if view.jpeg is None:
        return None
    rgb = decode(view.jpeg)
    if layer is None:
        return rgb
    return tinted(grey(rgb) if layer.on_grey else rgb, layer.colours, layer.side)


def _draw_card(canvas: Canvas, card: Card, x: int, y: int) -> None:
    sizes = _fitted([view.size for view in card.views])
    left = x
    for view, layer, size in zip(card.views, card.layers(), sizes, strict=True):
        picture = painted(view, layer)
        if picture is None:
            canvas.box(left, y, size, _GONE)
            inner = size[0] - 24
            about = [f"frame {_label(view)}", *filled(view.missing.split(), 13, inner, gap=" ")]
            for number, line in enumerate(about):
                canvas.text(line, left + 12, y + 12 + 18 * number, 13, _SOFT, inner)
        else:
            canvas.paste(picture, left, y, size)
        left += size[0] + _GAP
    below = y + max(height for _, height in sizes) + 5
    labels = " → ".join(_label(view) for view in card.views)
    colour = _BRIGHT if card.kept else _WARN
    canvas.text(shortened(card.title, 90), x, below, 14, _INK, _CARD_WIDTH)
    canvas.text(f"{card.verdict_text()}   frames {labels}", x, below + 18, 12, colour, _CARD_WIDTH)
    for number, line in enumerate(_fact_lines(card)):
        canvas.text(line, x, below + 35 + number * _LINE, 12, _SOFT, _CARD_WIDTH)


def _label(view: Panel) -> str:
    return shortened(view.label, 24)


def _fitted(sizes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Both views at the same height, as large as fits the card."""
    ratios = [width / height if height else 4 / 3 for width, height in sizes]
    height = min(VIEW_HEIGHT, (_CARD_WIDTH - _GAP * (len(sizes) - 1)) / sum(ratios))
    return [(int(np.floor(height * ratio)), int(height)) for ratio in ratios]
