"""The report: one HTML file with everything in it, to be opened anywhere and sent to anyone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from mimic.report.cards import Card, load_cards
from mimic.report.choice import Choice
from mimic.report.colours import LABEL_COLOURS
from mimic.report.files import write_whole
from mimic.report.model import Group, Reason, Stats
from mimic.report.page import page
from mimic.report.sheet_html import cards_html
from mimic.report.sheets import LABEL_KEY, LABEL_LEGEND, LEGEND, REJECTED_LEGEND
from mimic.report.stats import collect
from mimic.report.streams import Histogram
from mimic.report.svg import curve_svg, histogram_svg
from mimic.report.text import bytes_text, count_text, counted, item_text, quartiles_text, share_text
from mimic.report.words import word_of
from mimic.types import KEPT

ROWS = 500
"""Rows of the table of items; the JSON has them all."""
PAIRS, REJECTED, LABELLED = 12, 12, 6
"""Pairs, rejected pairs and pairs with labels on the contact sheets at the end."""


def write_html(url: str, path: str | Path, stats: Stats | None = None) -> Stats:
    """Write the report of the shards at ``url`` to a local HTML file.

    ``stats`` spares collecting them again. Returns the statistics shown.

    Raises:
        StorageError: there are no finished shards at ``url``, or ``path`` cannot be written.
        DamagedError: a table of the data set is not what it should be.
    """
    stats = stats or collect(url)
    kept = load_cards(url, Choice(count=PAIRS)) if stats.samples else []
    measured = stats.has_graph and any(reason.count for reason in stats.rejected)
    rejected = load_cards(url, Choice("rejected", count=REJECTED)) if measured else []
    labelled = load_cards(url, Choice(count=LABELLED, labels=True)) if stats.labels else []
    write_whole(Path(path), report_page(stats, kept, rejected, labelled).encode())
    return stats


def report_page(
    stats: Stats, kept: Sequence[Card], rejected: Sequence[Card], labelled: Sequence[Card] = ()
) -> str:
    """The report as one HTML document."""
    name = stats.url.rstrip("/").rpartition("/")[2]
    sections = [_head(stats, name), _tiles(stats)]
    if stats.candidates == 0 and stats.samples == 0:
        sections.append("<p>Nothing was measured: the data set is empty.</p>")
    else:
        sections += [
            _overlap(stats),
            _reasons(stats),
            _groups("Sources", stats.sources) if len(stats.sources) > 1 else "",
            _groups("Items", stats.item_rows),
            _not_mined(stats),
            _curve(stats),
            _geometry(stats),
            _criteria(stats),
            _labels(stats),
            _frames(stats),
            _sheets(kept, rejected, labelled),
        ]
    return page(f"mimic: {name}", "".join(sections) + _foot(stats))


def _head(stats: Stats, name: str) -> str:
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in stats.notes)
    return f'<h1>{escape(name)}</h1><p class="soft">{escape(stats.url)}</p>{notes}'


def _tiles(stats: Stats) -> str:
    splits = ", ".join(f"{count_text(split.samples)} {split.name}" for split in stats.splits)
    shards = sum(split.shards for split in stats.splits)
    tiles = (
        (count_text(stats.samples), f"pairs ({splits})" if splits else "pairs"),
        (
            share_text(stats.kept, stats.candidates),
            f"kept of {count_text(stats.candidates)} measured",
        ),
        (count_text(stats.items), f"items, {counted(stats.scenes, 'scene')} with pairs"),
        (
            count_text(stats.frames_stored),
            f"frames of {count_text(stats.frames_measured)} measured",
        ),
        (bytes_text(stats.size_bytes), f"in {counted(shards, 'shard')}"),
    )
    shown = "".join(
        f'<div class="tile"><b>{escape(number)}</b><span>{escape(text)}</span></div>'
        for number, text in tiles
    )
    return f'<div class="tiles">{shown}</div>'


_KEY = (
    '<div class="key"><span><i></i>measured</span>'
    '<span><i class="bright"></i>in the data set</span>{more}</div>'
)


def _overlap(stats: Stats) -> str:
    selection = stats.selection
    column = f"overlap_{selection.measure}"
    measured, kept = (
        held.get(column) for held in (stats.measured_histograms, stats.kept_histograms)
    )
    either = measured or kept
    if either is None:
        return ""
    band = selection.low, selection.high
    key = _KEY.format(more='<span><i class="band"></i>range that is kept</span>')
    return (
        f"<h2>Overlap</h2><p>Pairs are chosen by their {escape(selection.measure)} overlap: "
        f"{escape(either.measure.meaning)}. Kept: strictly between {selection.low:g} and "
        f'{selection.high:g}.</p><div class="panel">{key}'
        f"{histogram_svg(measured, kept, (1000, 260), band)}</div>"
    )


def _reasons(stats: Stats) -> str:
    if not stats.candidates:
        return ""
    most = max(reason.count for reason in stats.reasons)
    kept_first = sorted(stats.reasons, key=lambda reason: reason.reason != KEPT)
    rows = "".join(_reason_row(reason, stats.candidates, most) for reason in kept_first)
    return (
        "<h2>What became of the candidates</h2><p>Every measured pair ends as kept or as one named "
        "reason: the first question that it failed, with the value that decided.</p>"
        '<div class="wide"><table><thead><tr><th>Reason</th><th class="n">Pairs</th>'
        '<th class="n">Share</th><th>Deciding value: median (quartiles)</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _reason_row(reason: Reason, candidates: int, most: int) -> str:
    word = word_of(reason.reason)
    kind = "meter kept" if reason.reason == KEPT else "meter"
    code = (
        "" if word.title == reason.reason else f'<code class="soft">{escape(reason.reason)}</code>'
    )
    value = ""
    if word.value and reason.value is not None:
        quartiles = escape(quartiles_text(reason.value, word.digits))
        value = f'{quartiles}<br><span class="soft">{escape(word.value)}</span>'
    return (
        f'<tr><td class="name"><b>{escape(word.title)}</b> {code}'
        f'<br><span class="soft">{escape(word.why)}</span>'
        f'<span class="{kind}" style="width:{100 * reason.count / most:.2f}%"></span></td>'
        f'<td class="n">{count_text(reason.count)}</td>'
        f'<td class="n">{share_text(reason.count, candidates)}</td><td>{value}</td></tr>'
    )


def _groups(title: str, groups: Sequence[Group]) -> str:
    heads = (("Name", ""), ("Measured", "n"), ("Kept", "n"), ("Yield", "n"), ("In data set", "n"))
    head = "".join(
        f'<th class="{kind}"><button type="button">{name}</button></th>' for name, kind in heads
    )
    rows = "".join(_group_row(group) for group in groups[:ROWS])
    more = len(groups) - ROWS
    rest = (
        f'<p class="soft">… and {count_text(more)} more; `mimic stats --json` lists all.</p>'
        if more > 0
        else ""
    )
    return (
        f'<h2>{title}</h2><div class="wide"><table class="sortable"><thead><tr>{head}'
        '<th><button type="button">Most rejected for</button></th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{rest}"
    )


def _group_row(group: Group) -> str:
    share = group.kept / group.candidates if group.candidates else 0.0
    reasons = ", ".join(
        f"{word_of(reason).title} {share_text(count, group.candidates)}"
        for reason, count in list(group.reasons.items())[:3]
    )
    numbers = "".join(
        f'<td class="n" data-value="{value}">{text}</td>'
        for value, text in (
            (group.candidates, count_text(group.candidates)),
            (group.kept, count_text(group.kept)),
            (share, share_text(group.kept, group.candidates)),
            (group.samples, count_text(group.samples)),
        )
    )
    return (
        f'<tr><td class="name">{escape(item_text(group.name))}</td>{numbers}'
        f'<td class="soft">{escape(reasons)}</td></tr>'
    )


def _not_mined(stats: Stats) -> str:
    if not stats.not_mined:
        return ""
    rows = "".join(
        f'<tr><td class="name">{escape(entry.name)}</td><td>{escape(entry.state)}</td>'
        f"<td>{escape(word_of(entry.reason).title)}<br>"
        f'<span class="soft">{escape(entry.message.removeprefix(f"{entry.name}: "))}</span>'
        "</td></tr>"
        for entry in stats.not_mined[:ROWS]
    )
    return (
        "<h2>Found and not mined</h2><p>Skipped when planning, or failed and put aside; "
        "<code>mimic retry</code> tries failed ones again.</p>"
        '<div class="wide"><table><thead><tr><th>Name</th><th>State</th><th>Why</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _curve(stats: Stats) -> str:
    band = stats.selection.low, stats.selection.high
    chart = curve_svg(stats.curve, stats.item_curves, (1000, 320), band)
    if not chart:
        return ""
    return (
        "<h2>Overlap against interval</h2><p>How fast views drift apart: the median overlap of two "
        "frames by the time between them (shaded: the middle half of the pairs; thin: single "
        "sequences). Dashed: the share of pairs that had an overlap at all; the median speaks only "
        "of those. Long intervals are tried where short ones overlap too much, so they show slow "
        f'cameras.</p><div class="panel">{chart}</div>'
    )


def _geometry(stats: Stats) -> str:
    decided = f"overlap_{stats.selection.measure}"
    columns = [
        column
        for column in {**stats.kept_histograms, **stats.measured_histograms}
        if column != decided
    ]
    charts = "".join(
        _chart(stats.measured_histograms.get(column), stats.kept_histograms.get(column))
        for column in columns
    )
    if not charts:
        return ""
    key = _KEY.format(more="")
    return f'<h2>Geometry of the pairs</h2>{key}<div class="charts">{charts}</div>'


def _criteria(stats: Stats) -> str:
    if not stats.criteria:
        return ""
    charts = "".join(_chart(None, held) for held in stats.criteria.values())
    return (
        "<h2>How hard the pairs are</h2><p>The three criteria of RUBIK, from depth and pose, in "
        f'its bins, over the pairs in the data set.</p><div class="charts">{charts}</div>'
    )


def _labels(stats: Stats) -> str:
    if stats.labels is None:
        return ""
    strip = "".join(
        f'<span style="background:rgb{LABEL_COLOURS[held.name]};width:{100 * held.mean:.3f}%" '
        f'title="{held.name} {escape(share_text(held.mean))}"></span>'
        for held in stats.labels.classes
    )
    rows = "".join(
        f'<tr><td><div class="key"><span><i style="background:rgb{LABEL_COLOURS[held.name]}"></i>'
        f'{held.name}</span></div></td><td class="n">{escape(share_text(held.mean))}</td>'
        f"<td>{escape(quartiles_text(held.quartiles))}</td></tr>"
        for held in stats.labels.classes
    )
    return (
        f"<h2>Labels</h2><p>{counted(stats.labels.samples, 'pair')} with label maps. {LABEL_LEGEND}"
        f'</p><div class="strip">{strip}</div><div class="wide"><table class="labels"><thead><tr>'
        '<th>Pixels</th><th class="n">Mean share of a view</th><th>Median (quartiles)</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )


def _frames(stats: Stats) -> str:
    mixing = stats.mixing
    charts = "".join(_chart(held, None) for held in stats.frame_histograms.values())
    return (
        "<h2>Frames and mixing</h2><p>Two samples among "
        f"{mixing.window} consecutive ones show the same scene with a chance of "
        f"{share_text(mixing.rate)}; a perfect shuffle of this data set gives "
        f"{share_text(mixing.expected)}. At least {share_text(stats.near_duplicate_share)} of the "
        "frames in pairs look like another one (perceptual hash within 3 bits).</p>"
        f'<div class="charts">{charts}</div>'
    )


def _chart(measured: Histogram | None, kept: Histogram | None) -> str:
    shown = kept or measured
    if shown is None:
        return ""
    measure = shown.measure
    unit = f" {measure.unit}" if measure.unit else ""
    middle = f"median {quartiles_text(shown.quartiles, measure.digits)}{unit}"
    return (
        f'<div class="panel"><h3>{escape(_sentence(measure.title))}</h3>'
        f"<p>{escape(_sentence(measure.meaning))}</p>{histogram_svg(measured, kept)}"
        f'<p class="value">{escape(middle)}</p></div>'
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sheets(kept: Sequence[Card], rejected: Sequence[Card], labelled: Sequence[Card]) -> str:
    sheets = ""
    if kept:
        sheets += (
            f"<h2>Some pairs</h2><p>From the lowest overlap to the highest. {LEGEND}</p>"
            f"{cards_html(kept, 'pairs')}"
        )
    if labelled:
        sheets += (
            f"<h2>Some labelled pairs</h2><p>{LABEL_LEGEND}</p>"
            f'<div class="key">{LABEL_KEY}</div>{cards_html(labelled, "labelled")}'
        )
    if rejected:
        sheets += (
            f"<h2>Some rejected pairs</h2><p>{REJECTED_LEGEND}</p>"
            f"{cards_html(rejected, 'rejected')}"
        )
    return sheets


def _foot(stats: Stats) -> str:
    versions = ", ".join(f"{name} {text}" for name, text in sorted(stats.versions.items()))
    return (
        f"<footer>preset {escape(stats.preset)}, config {escape(stats.fingerprint)}, seed "
        f"{stats.seed}, patch size {stats.selection.patch_size}, "
        f"{counted(stats.units, 'work unit')}<br>{escape(versions)}</footer>"
    )
