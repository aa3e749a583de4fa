"""The statistics in a terminal, readable at 80 columns."""

from __future__ import annotations

from itertools import pairwise, zip_longest

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mimic.report.model import Group, LabelStats, Stats
from mimic.report.streams import Histogram
from mimic.report.text import (
    bytes_text,
    count_text,
    counted,
    item_text,
    quartiles_text,
    share_text,
    shortened,
)
from mimic.report.words import word_of

BAR_WIDTH = 40
ROWS = 20
"""Rows of the per-item table; the rest is summed up in one line."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = " ▁▂▃▄▅▆▇█"
_ACCENT, _QUIET = "cyan", "bright_black"


def render_terminal(stats: Stats, console: Console) -> None:
    """Print the statistics: totals, overlap, reasons, sources and items."""
    console.print(_headline(stats), highlight=False)
    for note in stats.notes:
        console.print(f"note: {note}", style="yellow", highlight=False)
    if stats.candidates == 0 and stats.samples == 0:
        console.print("\nNothing was measured: the data set is empty.")
        return
    histogram = _overlap_histogram(stats)
    if histogram is not None:
        console.print(_bars(stats, *histogram), highlight=False)
    console.print(_reason_table(stats))
    if len(stats.sources) > 1:
        console.print(_group_table("Sources", stats.sources))
    console.print(_group_table("Items", stats.item_rows))
    console.print(_measure_table(stats))
    if stats.criteria:
        console.print(_criteria_table(stats))
    if stats.labels is not None:
        console.print(_label_table(stats.labels))
    if stats.not_mined:
        console.print(_not_mined_table(stats))


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A bar of ``share`` (0 to 1) of ``width`` characters, to an eighth of one."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    if share > 0:
        eighths = max(eighths, 1)
    whole, part = divmod(eighths, 8)
    return _EIGHTHS[8] * whole + (_EIGHTHS[part] if part else "")


def sparkline(counts: tuple[int, ...]) -> str:
    """One character a bin, its height the count; a bin that is not empty is never invisible."""
    top = max(counts, default=0)
    if top == 0:
        return ""
    return "".join(
        _LEVELS[max(1, round(8 * count / top))] if count else _LEVELS[0] for count in counts
    )


def _headline(stats: Stats) -> Text:
    splits = ", ".join(f"{split.name} {count_text(split.samples)}" for split in stats.splits)
    shards = sum(split.shards for split in stats.splits)
    mixing = stats.mixing
    text = Text()
    text.append(counted(stats.samples, "pair"), style="bold")
    text.append(f" ({splits}) " if splits else " ")
    text.append(f"in {counted(shards, 'shard')}, {bytes_text(stats.size_bytes)}\n")
    text.append(
        f"{counted(stats.items, 'item')}, {counted(stats.scenes, 'scene')} with pairs, "
        f"{count_text(stats.frames_measured)} frames measured, "
        f"{count_text(stats.frames_stored)} in pairs\n"
    )
    text.append(
        f"{count_text(stats.candidates)} candidates measured, {count_text(stats.kept)} kept "
        f"({share_text(stats.kept, stats.candidates)})\n"
    )
    text.append(
        f"same scene within {mixing.window} samples {share_text(mixing.rate)} "
        f"(ideal {share_text(mixing.expected)}), "
        f"near-duplicate frames {share_text(stats.near_duplicate_share)}\n",
        style=_QUIET,
    )
    text.append(
        f"{stats.url}  preset {stats.preset}  config {stats.fingerprint}  seed {stats.seed}",
        style=_QUIET,
    )
    return text


def _overlap_histogram(stats: Stats) -> tuple[Histogram | None, Histogram | None] | None:
    """(measured, kept) of the measure that decides, or None where there is neither."""
    column = f"overlap_{stats.selection.measure}"
    both = stats.measured_histograms.get(column), stats.kept_histograms.get(column)
    return None if both == (None, None) else both


def _bars(stats: Stats, measured: Histogram | None, kept: Histogram | None) -> Table:
    """One line a bin: all measured pairs as the bar, kept ones as its bright beginning."""
    longer = measured or kept
    assert longer is not None
    edges, selection = longer.measure.edges, stats.selection
    empty = (0,) * len(longer.counts)
    kept_counts = kept.counts if kept else empty
    totals = tuple(map(max, longer.counts, kept_counts))
    top = max(totals)
    title = (
        f"Overlap ({longer.measure.title.removesuffix(' overlap')}): "
        f"kept strictly between {selection.low:g} and {selection.high:g}"
    )
    table = _table(title)
    table.add_column("overlap", no_wrap=True)
    table.add_column("pairs", no_wrap=True, min_width=BAR_WIDTH)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("in data set", justify="right", no_wrap=True)
    for index, (total, chosen) in enumerate(zip(totals, kept_counts, strict=True)):
        table.add_row(
            f"{edges[index]:.2f} – {edges[index + 1]:.2f}",
            _two_tone(total / top, chosen / top),
            count_text(longer.counts[index]) if measured else "–",
            Text(count_text(chosen), style=_ACCENT if chosen else _QUIET),
        )
    return table


def _two_tone(total: float, kept: float) -> Text:
    whole, bright = bar(total), bar(kept)
    text = Text(whole, style=_QUIET)
    text.stylize(_ACCENT, 0, len(bright))
    return text


def _reason_table(stats: Stats) -> Table:
    table = _table("Why pairs were not kept")
    table.add_column("reason", no_wrap=True)
    table.add_column("pairs", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("value: median (quartiles)", ratio=1)
    for reason in stats.rejected:
        word = word_of(reason.reason)
        value = Text(quartiles_text(reason.value, word.digits) if word.value else "–")
        if word.value and reason.value is not None:
            value.append(f" {word.value}", style=_QUIET)
        table.add_row(
            reason.reason,
            count_text(reason.count),
            share_text(reason.count, stats.candidates),
            value,
        )
    return table


def _group_table(title: str, groups: tuple[Group, ...]) -> Table:
    table = _table(title)
    table.add_column("name", no_wrap=True, max_width=32)
    for name in ("measured", "kept", "yield", "in set"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("most rejected for", no_wrap=True, ratio=1)
    for group in groups[:ROWS]:
        table.add_row(*_group_row(group))
    rest = groups[ROWS:]
    if rest:
        candidates, kept = sum(row.candidates for row in rest), sum(row.kept for row in rest)
        samples = sum(row.samples for row in rest)
        summed = Group(f"… and {count_text(len(rest))} more", candidates, kept, samples, {})
        table.add_row(*_group_row(summed), style=_QUIET)
    return table


def _group_row(group: Group) -> tuple[str, ...]:
    worst = next(iter(group.reasons.items()), None)
    return (
        shortened(item_text(group.name), 32),
        count_text(group.candidates),
        count_text(group.kept),
        share_text(group.kept, group.candidates),
        count_text(group.samples),
        "" if worst is None else f"{worst[0]} {share_text(worst[1], group.candidates)}",
    )


def _measure_table(stats: Stats) -> Table:
    table = _table("In the data set")
    table.add_column("measure", no_wrap=True)
    table.add_column("range", justify="right", no_wrap=True)
    table.add_column("histogram", no_wrap=True, style=_ACCENT)
    table.add_column("median (quartiles)", no_wrap=True)
    for histogram in (*stats.kept_histograms.values(), *stats.frame_histograms.values()):
        measure = histogram.measure
        table.add_row(
            f"{measure.title}{f' ({measure.unit})' if measure.unit else ''}",
            f"{measure.edges[0]:g} … {measure.edges[-1]:g}",
            sparkline(histogram.counts),
            quartiles_text(histogram.quartiles, measure.digits),
        )
    return table


def _criteria_table(stats: Stats) -> Table:
    """A criterion a pair of columns, a bin a row."""
    table = _table("In RUBIK's bins")
    columns: list[list[str]] = []
    for histogram in stats.criteria.values():
        unit = histogram.measure.unit
        table.add_column(histogram.measure.title + (f" ({unit})" if unit else ""), no_wrap=True)
        table.add_column("pairs", justify="right", no_wrap=True, style=_ACCENT)
        edges = [f"{edge:g}" for edge in histogram.measure.edges]
        columns += [
            [f"{low} – {high}" for low, high in pairwise(edges)],
            [count_text(count) for count in histogram.counts],
        ]
    for row in zip_longest(*columns, fillvalue=""):
        table.add_row(*row)
    return table


def _label_table(labels: LabelStats) -> Table:
    table = _table(f"Labels of {counted(labels.samples, 'pair')}")
    table.add_column("pixels", no_wrap=True)
    table.add_column("of a view", no_wrap=True, min_width=BAR_WIDTH // 2, style=_ACCENT)
    table.add_column("mean", justify="right", no_wrap=True)
    table.add_column("median (quartiles)", no_wrap=True)
    for of_class in labels.classes:
        table.add_row(
            of_class.name,
            bar(of_class.mean, BAR_WIDTH // 2),
            share_text(of_class.mean),
            quartiles_text(of_class.quartiles),
        )
    return table


def _not_mined_table(stats: Stats) -> Table:
    table = _table("Found and not mined")
    table.add_column("name", no_wrap=True, max_width=32)
    table.add_column("", no_wrap=True)
    table.add_column("why", ratio=1)
    for entry in stats.not_mined[:ROWS]:
        why = entry.message.removeprefix(f"{entry.name}: ")
        table.add_row(shortened(entry.name, 32), entry.state, f"{entry.reason}: {why}")
    rest = len(stats.not_mined) - ROWS
    if rest > 0:
        table.add_row(f"… and {count_text(rest)} more", "", "", style=_QUIET)
    return table


def _table(title: str) -> Table:
    return Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style=_QUIET,
        expand=False,
    )
