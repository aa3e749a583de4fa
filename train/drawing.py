"""A line chart as SVG: pure strings, readable on light and dark paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 330
LEFT, RIGHT, TOP, BOTTOM = 58, 190, 34, 36
LABEL_GAP = 16
LABEL_LEFT, LETTER = 27, 7.2
"""Where a label begins beyond the frame, and how wide a letter of it is at most, on the whole."""
_TICKS = 5
_BEGINNING = 0.03
"""Share of the steps that does not stretch the axis: a first loss is far above all others."""

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #555c63; }
text.title { font-size: 14px; font-weight: 600; }
.grid { stroke: #e3e3df; } .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.dot { fill: none; stroke-width: 3; } .d1 { stroke-dasharray: 6 3; } .d2 { stroke-dasharray: 2 3; }
.c0 { stroke: #9aa3ab; } .c1 { stroke: #0b7a8f; } .c2 { stroke: #c2571a; } .c3 { stroke: #6a4fb3; }
.c4 { stroke: #2f7d32; } .c5 { stroke: #b3376b; }
@media (prefers-color-scheme: dark) {
  text { fill: #b6bec5; } .grid { stroke: #343b42; }
  .c1 { stroke: #45c4d8; } .c2 { stroke: #f0955a; } .c3 { stroke: #ab95ee; }
  .c4 { stroke: #7cc67f; } .c5 { stroke: #ee86b2; }
}
"""
_COLOURS, _DASHES = 6, 3


@dataclass(frozen=True, slots=True)
class Line:
    """A named curve of (x, y), by rising x; what is not finite is left out."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from ``low`` to ``high`` on pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def chart(lines: Sequence[Line], title: str = "") -> str:
    """The curves in one frame, each named at its end, with its last value.

    The frame is fitted to what comes after the first steps; the picture is as large as the names
    need.
    """
    shown = [line for line in map(_finite, lines) if line.points]
    labels = [f"{line.name} {line.points[-1][1]:.3f}" for line in shown]
    width, height = _size(labels)
    steps = [x for line in shown for x, _ in line.points] or [0.0]
    values = [y for line in shown for y in _settled(line, max(steps))] or [0.0]
    xs, ys = ticks(0, max(steps)), ticks(min(values), max(values))
    across = Axis(0, max(xs[-1], max(steps)), LEFT, WIDTH - RIGHT)
    up = Axis(ys[0], ys[-1], height - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title or 'curves')}</title><style>{_STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>',
        *_grid(xs, ys, across, up),
        _frame(across, up),
        *_curves(shown, labels, across, up),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _finite(line: Line) -> Line:
    return Line(line.name, tuple(point for point in line.points if math.isfinite(point[1])))


def _settled(line: Line, last: float) -> list[float]:
    """The values that the frame is fitted to: all where none comes after the first steps."""
    after = [y for x, y in line.points if x >= _BEGINNING * last]
    return after or [y for _, y in line.points]


def _size(labels: Sequence[str]) -> tuple[int, int]:
    """Width and height of a picture that these labels fit beside the frame of."""
    longest = max(map(len, labels), default=0)
    width = WIDTH - RIGHT + max(RIGHT, math.ceil(LABEL_LEFT + LETTER * longest))
    return width, max(HEIGHT, TOP + BOTTOM + LABEL_GAP * len(labels))


def ticks(low: float, high: float) -> list[float]:
    """Round values, at most a handful, that enclose a range."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * k for k in range(first, last + 1)]


def spread(wanted: Sequence[float], gap: float, end: float = math.inf) -> list[float]:
    """Places near the wanted ones, in their order, ``gap`` or more apart, none beyond ``end``."""
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    placed = [0.0] * len(wanted)
    below = -math.inf
    for k in order:
        below = placed[k] = max(wanted[k], below + gap)
    above = end + gap
    for k in reversed(order):
        above = placed[k] = min(placed[k], above - gap)
    return placed


def _grid(xs: list[float], ys: list[float], across: Axis, up: Axis) -> list[str]:
    left, right, floor = across.start, across.end, up.start
    parts = []
    for y in ys:
        parts += [
            _stroke("grid", (left, up.at(y)), (right, up.at(y))),
            _text(f"{y:.4g}", (left - 8, up.at(y) + 4), "end"),
        ]
    below = [x for x in xs if x <= across.high]
    parts += [_text(f"{x:,.10g}", (across.at(x), floor + 18), "middle") for x in below]
    return [*parts, _text("steps", ((left + right) / 2, floor + BOTTOM - 4), "middle")]


def _curves(lines: Sequence[Line], labels: Sequence[str], across: Axis, up: Axis) -> list[str]:
    heights = spread([up.at(line.points[-1][1]) for line in lines], LABEL_GAP, up.start)
    parts = []
    for number, (line, label, y) in enumerate(zip(lines, labels, heights, strict=True)):
        colour, dash = f"c{number % _COLOURS}", f"d{number // _COLOURS % _DASHES}"
        x = across.end
        parts += [
            _curve(line, colour, dash, across, up),
            _stroke(f"line {colour} {dash}", (x + 8, y), (x + 22, y)),
            _text(label, (x + LABEL_LEFT, y + 4), "start"),
        ]
    return parts


def _curve(line: Line, colour: str, dash: str, across: Axis, up: Axis) -> str:
    """One point alone is a dot, as a line through it would have no length."""
    at = [(across.at(x), up.at(y)) for x, y in line.points]
    if len(at) == 1:
        return f'<circle class="dot {colour}" cx="{at[0][0]:.1f}" cy="{at[0][1]:.1f}" r="1.5"/>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    return f'<polyline class="line {colour} {dash}" points="{points}" clip-path="url(#frame)"/>'


def _frame(across: Axis, up: Axis) -> str:
    """What lies beyond the axes is not drawn."""
    width, height = across.end - across.start + 1, up.start - up.end + 2
    inside = f'<rect x="{across.start}" y="{up.end - 1}" width="{width}" height="{height}"/>'
    return f'<clipPath id="frame">{inside}</clipPath>'


def _stroke(look: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{look}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(text: str, at: tuple[float, float], anchor: str) -> str:
    return f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
