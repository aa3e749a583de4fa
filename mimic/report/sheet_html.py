"""Cards as HTML: stored JPEGs untouched, with the patch map as a tiny picture laid over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from mimic.report.cards import Card
from mimic.report.colours import Layer
from mimic.report.pictures import data_uri, encode_png
from mimic.report.stored import Panel

_TALLEST_PX = 300


def cards_html(cards: Sequence[Card], anchor: str) -> str:
    """A section of cards with a switch that lifts the colours off the pictures."""
    if not cards:
        return '<p class="soft">There is no such pair.</p>'
    what = "labels" if any(card.labels for card in cards) else "matching patches"
    switch = f'<label class="switch"><input type="checkbox" checked> show {what}</label>'
    shown = "".join(_card_html(card) for card in cards)
    return (
        f'<section id="{escape(anchor)}"><p>{switch}</p><div class="cards">{shown}</div></section>'
    )


def _card_html(card: Card) -> str:
    views = "".join(
        _view_html(view, layer) for view, layer in zip(card.views, card.layers(), strict=True)
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


def _view_html(view: Panel, layer: Layer | None) -> str:
    width, height = view.size
    # Widths in proportion to the aspect ratios give both views the same height.
    share = f"flex:{_ratio(view):.4f} 1 0"
    if view.jpeg is None:
        ratio = f"aspect-ratio:{width or 4}/{height or 3}"
        text = f"<b>{escape(view.label)}</b><br>{escape(view.missing)}"
        return f'<div class="view gone" style="{share};{ratio}"><span>{text}</span></div>'
    picture = f'<img src="{data_uri(view.jpeg, "jpeg")}" alt="frame {escape(view.label)}">'
    kind = "view grey" if layer is not None and layer.on_grey else "view"
    return (
        f'<div class="{kind}" style="{share}" data-size="{width}x{height}">{picture}'
        f'{_map_html(layer, view)}<div class="mark"></div></div>'
    )


def _ratio(view: Panel) -> float:
    width, height = view.size
    return width / height if height else 4 / 3


def _map_html(layer: Layer | None, view: Panel) -> str:
    if layer is None:
        return ""
    rows, columns = layer.colours.shape[:2]
    width = 100 * columns * layer.side / view.size[0]
    height = 100 * rows * layer.side / view.size[1]
    return (
        f'<img class="map" alt="" src="{data_uri(encode_png(layer.colours), "png")}" '
        f'style="width:{width:.4f}%;height:{height:.4f}%">'
    )
