"""What is in a data set and why the rest is not: statistics, a page, contact sheets.

Three steps: :func:`collect` streams the tables into a :class:`Stats`; :func:`render_terminal`,
:func:`stats_to_dict` and :func:`write_html` show it; :func:`write_sheets` shows the pairs.
"""

from mimic.report.choice import ORDERS, Choice
from mimic.report.html import write_html
from mimic.report.model import Stats
from mimic.report.plain import stats_to_dict
from mimic.report.sheets import write_sheets
from mimic.report.stats import collect
from mimic.report.terminal import render_terminal
from mimic.report.words import word_of

render_json = stats_to_dict

__all__ = [
    "ORDERS",
    "Choice",
    "Stats",
    "collect",
    "render_json",
    "render_terminal",
    "stats_to_dict",
    "word_of",
    "write_html",
    "write_sheets",
]
