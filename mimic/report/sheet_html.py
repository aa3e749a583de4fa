"""Cards as HTML: stored JPEGs untouched, with the patch map as a tiny picture laid over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from mimic.report.cards import Card
from mimic.report.colours import Colours
from mimic.report.pictures import data_uri, encode_png
from mimic.report.stored import Panel

_TALLEST_PX = 300


def cards_html(cards: Sequence[Card], anchor: str) -> str:
    """A section of cards with a switch that lifts the colours off the pictures."""
    if not cards:
        return '<p class="soft">There is no such pair.</p>'
    switch = '<label class="switch"><input type="checkbox" checked> show matching patches</label>'
    shown = "".join(_card_html(card) for card in cards)
    return (
        f'<section id="{escape(anchor)}"><p>{switch}</p><div class="cards">{shown}</div></section>'
    )


def _card_html(card: Card) -> str:
    colours = card.colours()
    layers: tuple[Colours | None, Colours | None] = colours or (None, None)
    views = "".join(
        _view_html(view, layer, card) for view, layer in zip(card.views, layers, strict=True)
    )
    facts = "".join(
        f"<li><span>{escape(name)}</span> {escape(value)}</li>" for name, value in card.facts
    )
    corr = json.dumps(card.corr.tolist(), separators=(",", ":"))
    labels = " → ".join(view.label for view in card.views)
    kind = "kept" if card.kept else "rejected"
    wide = sum(_ratio(view) for view in card.views)
    return (
        f'<article class="panel card {kind}" data-patch="{card.patch_size}" data-corr="{corr}">'
        f'<div class="pair" style="max-width:{_TALLEST_PX * wide:.0f}px">{views}</div>'
        f"<h3>{escape(card.title)}</h3>"
        f'<p class="why">{escape(card.verdict_text())}</p>'
        f'<ul class="facts">{facts}<li><span>frames</span> {escape(labels)}</li></ul></article>'
    )


def _view_html(view: Panel, layer: Colours | None, card: Card) -> str:
    width, height = view.size
    # Widths in proportion to the aspect ratios give both views the same height.
    share = f"flex:{_ratio(view):.4f} 1 0"
    if view.jpeg is None:
        ratio = f"aspect-ratio:{width or 4}/{height or 3}"
        text = f"<b>{escape(view.label)}</b><br>{escape(view.missing)}"
        return f'<div class="view gone" style="{share};{ratio}"><span>{text}</span></div>'
    picture = f'<img src="{data_uri(view.jpeg, "jpeg")}" alt="frame {escape(view.label)}">'
    return (
        f'<div class="view" style="{share}" data-size="{width}x{height}">{picture}'
        f'{_map_html(layer, view, card)}<div class="mark"></div></div>'
    )


def _ratio(view: Panel) -> float:
    width, height = view.size
    return width / height if height else 4 / 3


def _map_html(layer: Colours | None, view: Panel, card: Card) -> str:
    if layer is None:
        return ""
    rows, columns = layer.shape[:2]
    width = 100 * columns * card.patch_size / view.size[0]
    height = 100 * rows * card.patch_size / view.size[1]
    return (
        f'<img class="map" alt="" src="{data_uri(encode_png(layer), "png")}" '
        f'style="width:{width:.4f}%;height:{height:.4f}%">'
    )
