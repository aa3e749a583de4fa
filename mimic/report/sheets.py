"""Contact sheets: pairs side by side with matching patches in matching colours."""

from __future__ import annotations

from html import escape
from pathlib import Path

from mimic.errors import MimicError
from mimic.report.cards import Card, load_cards
from mimic.report.choice import Choice
from mimic.report.colours import LABEL_COLOURS
from mimic.report.files import write_whole
from mimic.report.page import page
from mimic.report.pictures import encode_png
from mimic.report.sheet_html import cards_html
from mimic.report.sheet_png import draw_sheet

_ORDER_WORDS = {
    "spread": "spread evenly over the overlaps",
    "lowest": "lowest overlap first",
    "highest": "highest overlap first",
    "random": "drawn at random (the same draw every time)",
}


LEGEND = (
    "Patches with the same colour match; dark ones have no partner. Point at a patch to see where "
    "it goes."
)
LABEL_LEGEND = (
    "What the other view sees of each pixel, from depth and pose: co-visible; occluded there by "
    "something nearer; outside its field of view; unknown, for want of a depth."
)
LABEL_KEY = "".join(
    f'<span><i style="background:rgb{colour}"></i>{name}</span>'
    for name, colour in LABEL_COLOURS.items()
)
REJECTED_LEGEND = (
    "Each with its reason and the value that decided. Colours show where the homography sends the "
    "patches. Pairs whose pictures are stored come first: a frame that no kept pair uses is stored "
    "only under <code>--keep-edges</code>."
)


def write_sheets(url: str, out: str | Path, choice: Choice | None = None) -> list[Card]:
    """Write a contact sheet of the data set at ``url`` to ``out`` (``.html`` or ``.png``).

    Returns the cards that are shown.

    Raises:
        MimicError: the suffix is neither, or the reason asked for does not occur.
        StorageError: there are no finished shards at ``url``, or ``out`` cannot be written.
    """
    out, choice = Path(out), choice or Choice()
    if out.suffix not in {".html", ".png"}:
        raise MimicError(f"{out}: a contact sheet is written as .html or .png; name it so")
    cards = load_cards(url, choice)
    if out.suffix == ".png":
        write_whole(out, encode_png(draw_sheet(cards)))
    else:
        write_whole(out, sheet_page(url, cards, choice).encode())
    return cards


def sheet_page(url: str, cards: list[Card], choice: Choice) -> str:
    """The sheet as one HTML document."""
    what = {"kept": "Pairs", "rejected": "Rejected pairs"}.get(
        choice.what, f"Pairs rejected as {choice.what}"
    )
    where = f", items matching {choice.item}" if choice.item else ""
    order = _ORDER_WORDS[choice.order]
    how = order if choice.what == "kept" else f"evenly over reasons, {order}"
    legend = f"<p>{LEGEND if choice.what == 'kept' else REJECTED_LEGEND}</p>"
    if choice.labels:
        legend = f'<p>{LABEL_LEGEND}</p><div class="key">{LABEL_KEY}</div>'
    body = (
        f'<h1>{escape(what)}</h1><p class="soft">{escape(url)}: {len(cards)} shown, '
        f"{escape(how + where)}.</p>{legend}"
        f"{cards_html(cards, 'cards')}"
    )
    return page(f"mimic: {what.lower()}", body)
