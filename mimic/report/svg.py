"""Charts as inline SVG. Colours are CSS classes, so that a page's light and dark themes reach them.

Coordinates are those of the view box: the page scales a chart as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mimic.report.measures import Measure
from mimic.report.model import CurvePoint, ItemCurve
from mimic.report.streams import Histogram
from mimic.report.text import count_text, number_text

_LEFT, _RIGHT, _TOP, _BOTTOM = 8.0, 8.0, 18.0, 22.0


def histogram_svg(
    measured: Histogram | None,
    kept: Histogram | None,
    size: tuple[int, int] = (320, 150),
    band: tuple[float, float] | None = None,
) -> str:
    """Bars by bin: all measured pairs quiet, those in the data set bright in front of them.

    ``band`` shades a range of values (of linear bins). Each bar has a tooltip.
    """
    first = measured or kept
    if first is None:
        return ""
    width, height = size
    measure, bins = first.measure, len(first.counts)
    layers = [("quiet", measured), ("bright", kept)]
    peaks = [max(values) for values in zip(*_counts(measured, kept), strict=True)]
    top = max(peaks) or 1
    floor = height - _BOTTOM
    step = (width - _LEFT - _RIGHT) / bins
    parts = [_band(measure, band, (_LEFT, width - _RIGHT), floor)] if band else []
    for name, held in layers:
        if held is not None:
            for index, count in enumerate(held.counts):
                tall = (floor - _TOP) * count / top
                if count:
                    parts.append(
                        f'<rect class="{name}" x="{_LEFT + index * step + 0.5:.1f}" '
                        f'y="{floor - max(tall, 1):.1f}" width="{step - 1:.1f}" '
                        f'height="{max(tall, 1):.1f}" rx="1"/>'
                    )
    parts.append(_line("axis", (_LEFT, floor), (width - _RIGHT, floor)))
    parts.append(_peak_label(peaks, step, size))
    parts += [_bin_label(measure, index, step, height) for index in _tick_bins(bins)]
    parts += [
        f'<rect class="hit" x="{_LEFT + index * step:.1f}" y="0" width="{step:.1f}" '
        f'height="{floor:.1f}"><title>{_tooltip(measure, index, measured, kept)}</title></rect>'
        for index in range(bins)
    ]
    return _svg(size, parts, measure.title)


def curve_svg(
    points: Sequence[CurvePoint],
    items: Sequence[ItemCurve],
    size: tuple[int, int] = (860, 300),
    band: tuple[float, float] | None = None,
) -> str:
    """Overlap against interval: median line, quartile band, thin lines for single sequences.

    Dashed: the share of pairs that had an overlap at all (the line says nothing of the others).
    """
    points = [point for point in points if point.overlap is not None]
    if not points:
        return ""
    width, height = size
    left, floor = 40.0, height - 34.0
    longest = max(point.interval_s for point in points) or 1.0

    def at(interval_s: float, share: float) -> tuple[float, float]:
        x = left + (width - left - _RIGHT) * interval_s / longest
        return x, floor - (floor - _TOP) * share

    parts = []
    if band:
        (x0, y_high), (x1, y_low) = at(0, band[1]), at(longest, band[0])
        parts.append(
            f'<rect class="band" x="{x0:.1f}" y="{y_high:.1f}" width="{x1 - x0:.1f}" '
            f'height="{y_low - y_high:.1f}"/>'
        )
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(_line("grid", at(0, share), at(longest, share)))
        parts.append(_text(f"{share:g}", left - 8, at(0, share)[1] + 4, "end"))
    parts += [
        _text(f"{interval_s:g} s", at(interval_s, 0)[0], floor + 18, "middle")
        for interval_s in _ticks(longest)
    ]
    for item in items:
        inside = [at(*point) for point in item.points if point[0] <= longest]
        parts.append(_path("item", inside, item.item))
    lower = [at(point.interval_s, point.overlap.q25) for point in points if point.overlap]
    upper = [at(point.interval_s, point.overlap.q75) for point in points if point.overlap]
    middle = [at(point.interval_s, point.overlap.median) for point in points if point.overlap]
    parts.append(f'<path class="spread" d="{_steps([*lower, *reversed(upper)])} Z"/>')
    found = [at(point.interval_s, point.with_overlap / point.edges) for point in points]
    parts.append(_path("dashed", found, "share of pairs with an overlap"))
    parts.append(_path("line", middle, "median overlap"))
    for (x, y), point in zip(middle, points, strict=True):
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4">{_says(point)}</circle>')
    return _svg(size, parts, "overlap against frame interval")


def _says(point: CurvePoint) -> str:
    assert point.overlap is not None
    return (
        f"<title>{number_text(point.interval_s)} s: median {number_text(point.overlap.median)} "
        f"({number_text(point.overlap.q25)} – {number_text(point.overlap.q75)}), "
        f"{count_text(point.with_overlap)} of {count_text(point.edges)} pairs</title>"
    )


def _counts(*histograms: Histogram | None) -> list[tuple[int, ...]]:
    return [histogram.counts for histogram in histograms if histogram is not None]


def _peak_label(peaks: list[int], step: float, size: tuple[int, int]) -> str:
    """The largest count, over its bar: the scale of the whole chart."""
    text = count_text(max(peaks))
    reach = 4.0 * len(text)  # half its width
    middle = _LEFT + (peaks.index(max(peaks)) + 0.5) * step
    return _text(text, min(max(middle, reach), size[0] - reach), _TOP - 5, "middle")


def _tooltip(
    measure: Measure, index: int, measured: Histogram | None, kept: Histogram | None
) -> str:
    low, high = (number_text(edge, measure.digits) for edge in measure.edges[index : index + 2])
    counts = [
        f"{count_text(held.counts[index])} {label}"
        for label, held in (("measured", measured), ("in the data set", kept))
        if held is not None
    ]
    return escape(f"{low} – {high} {measure.unit}".strip() + f": {', '.join(counts)}")


def _band(
    measure: Measure, band: tuple[float, float], span: tuple[float, float], floor: float
) -> str:
    low, high = measure.edges[0], measure.edges[-1]
    x0, x1 = (span[0] + (span[1] - span[0]) * (value - low) / (high - low) for value in band)
    return (
        f'<rect class="band" x="{x0:.1f}" y="{_TOP / 2:.1f}" width="{x1 - x0:.1f}" '
        f'height="{floor - _TOP / 2:.1f}"/>'
    )


def _tick_bins(bins: int) -> list[int]:
    """Bin bounds that get a label: four or five of them, both ends included."""
    for parts in (bins,) if bins <= 6 else (4, 5, 3, 2):
        if bins % parts == 0:
            return [bins * part // parts for part in range(parts + 1)]
    return [0, bins]


def _bin_label(measure: Measure, index: int, step: float, height: float) -> str:
    last = index == len(measure.edges) - 1
    anchor = "start" if index == 0 else "end" if last else "middle"
    unit = f" {measure.unit}" if last and measure.unit else ""
    return _text(
        f"{_short(measure.edges[index])}{unit}",
        _LEFT + index * step,
        height - _BOTTOM + 15,
        anchor,
    )


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:.4g}"


def _ticks(longest: float) -> list[float]:
    step = next(
        step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600, longest)
        if longest / step <= 8
    )  # fmt: skip
    return [round(step * index, 6) for index in range(int(longest / step + 1e-9) + 1)]


def _line(name: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<line class="{name}" x1="{start[0]:.1f}" y1="{start[1]:.1f}" '
        f'x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'
    )


def _text(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _path(name: str, points: list[tuple[float, float]], title: str) -> str:
    return f'<path class="{name}" d="{_steps(points)}"><title>{escape(title)}</title></path>'


def _steps(points: list[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg(size: tuple[int, int], parts: list[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )
