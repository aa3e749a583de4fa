"""Numbers as people read them, shared by the terminal and the page."""

from __future__ import annotations

from mimic.report.streams import Quartiles

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


NBSP = "\u00a0"
"""Keeps a number and its unit on one line."""


def count_text(count: int | None) -> str:
    """12,345; a dash for what is not known."""
    return "–" if count is None else f"{count:,}"


def counted(count: int, noun: str) -> str:
    """``1 shard``, ``2 shards``."""
    return f"{count_text(count)} {noun}{'' if count == 1 else 's'}"


def share_text(part: float | None, whole: float = 1.0) -> str:
    """A share in percent, with one decimal below ten; a dash where it has no meaning."""
    if part is None or not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return f"<0.1{NBSP}%"
    return f"{percent:.1f}{NBSP}%" if percent < 10 else f"{percent:.0f}{NBSP}%"


def bytes_text(size: int) -> str:
    """Bytes in decimal units: 1.2 GB."""
    value, unit = float(size), _BYTE_UNITS[0]
    for unit in _BYTE_UNITS:
        if value < 1000 or unit == _BYTE_UNITS[-1]:
            break
        value /= 1000
    digits = 0 if unit == "B" or value >= 100 else 1
    return f"{value:.{digits}f}{NBSP}{unit}"


def number_text(value: float | None, digits: int = 2) -> str:
    """A number with fixed decimals; a dash for none, powers of ten for what is absurdly large."""
    if value is None:
        return "–"
    return f"{value:.1e}" if abs(value) >= 1e6 and digits else f"{value:,.{digits}f}"


def quartiles_text(quartiles: Quartiles | None, digits: int = 2) -> str:
    """``median (q25 – q75)``."""
    if quartiles is None:
        return "–"
    low, middle, high = (
        number_text(value, digits) for value in (quartiles.q25, quartiles.median, quartiles.q75)
    )
    return middle if low == high else f"{middle} ({low} – {high})"


def item_text(name: str) -> str:
    """The name of an item; pictures that lie directly in the source folder make one called '.'."""
    return "(the source folder)" if name == "." else name


def shortened(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters, the middle left out: both ends of a path tell."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"
