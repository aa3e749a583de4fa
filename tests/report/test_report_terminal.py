from __future__ import annotations

import io

import pytest
from report_datasets import MemoryTables, edge, manifest, sample, table
from rich.console import Console

from mimic.filters import QUESTIONS
from mimic.report.stats import collect_from
from mimic.report.terminal import ROWS, bar, render_terminal, sparkline
from mimic.report.text import bytes_text, number_text, share_text, shortened
from mimic.report.words import REASONS, word_of
from schemas import EDGES, SAMPLES, FileEntry

GRAPH = (FileEntry("graph/edges-000000.parquet", 10, "0"),)


def rendered(tables: MemoryTables, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    render_terminal(collect_from(tables), console)
    return console.file.getvalue().replace("\u00a0", " ")


def data_set(items: int = 2) -> MemoryTables:
    samples = [sample("a", ("f0", "f1"), overlap_patch=0.6)]
    edges = [edge("kept", overlap_patch=0.6, value=0.6)]
    edges += [
        edge("overlap_high", unit_id=f"u{n}", overlap_patch=0.9, value=0.9) for n in range(items)
    ]
    tables = {"samples": table(SAMPLES, samples), "edges": table(EDGES, edges)}
    return MemoryTables(manifest(graph=GRAPH), tables)


def test_everything_is_said_within_80_columns() -> None:
    text = rendered(data_set())
    assert max(map(len, text.splitlines())) <= 80
    for expected in ("1 pair", "3 candidates measured, 1 kept (33 %)", "0.60 – 0.65", "█"):
        assert expected in text
    row = next(line for line in text.splitlines() if line.startswith("overlap_high"))
    assert row.split()[:4] == ["overlap_high", "2", "67", "%"]
    assert "0.90 overlap" in row


def test_a_long_list_of_items_is_summed_up() -> None:
    text = rendered(data_set(items=ROWS + 7))
    line = next(line for line in text.splitlines() if "more" in line)
    # u1 holds the kept pair too and comes first; of 27 items 20 are shown.
    assert line.split()[:4] == ["…", "and", "7", "more"]
    assert line.split()[4] == "7"


def test_an_empty_data_set_says_so() -> None:
    assert "the data set is empty" in rendered(MemoryTables(manifest()))


def test_no_kept_pair_still_shows_the_reasons() -> None:
    edges = table(EDGES, [edge("cut", value=1.0)])
    text = rendered(MemoryTables(manifest(graph=GRAPH), {"edges": edges}))
    assert "0 pairs" in text
    assert any(line.startswith("cut") for line in text.splitlines())


def test_bars() -> None:
    assert bar(1.0, 4) == "████"
    assert bar(0.5, 4) == "██"
    assert bar(0.40625, 4) == "█▋"
    assert bar(0.0, 4) == ""
    assert bar(1e-9, 4) == "▏"
    assert sparkline((0, 1, 4, 8)) == " ▁▄█"
    assert sparkline((0, 1, 1000)) == " ▁█"
    assert sparkline((0, 0)) == ""


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (share_text(1, 3), "33\u00a0%"),
        (share_text(1, 0), "–"),
        (share_text(1, 100_000), "<0.1\u00a0%"),
        (share_text(0, 5), "0.0\u00a0%"),
        (bytes_text(999), "999\u00a0B"),
        (bytes_text(1_234_000), "1.2\u00a0MB"),
        (bytes_text(2_500 * 10**15), "2500\u00a0PB"),
        (number_text(None), "–"),
        (number_text(1234.567, 1), "1,234.6"),
        (number_text(1.1e8), "1.1e+08"),
        (shortened("a/very/long/path/video.mp4", 16), "a/ver…/video.mp4"),
        (shortened("short", 16), "short"),
    ],
)
def test_numbers_as_people_read_them(found: str, expected: str) -> None:
    assert found == expected


def test_every_reason_of_the_filters_has_plain_words() -> None:
    asked = {reason for reason, _ in QUESTIONS} | {"not_smallest", "not_chosen", "kept"}
    assert asked <= set(REASONS)


def test_an_unknown_reason_stands_for_itself() -> None:
    assert word_of("eaten_by_dog").title == "eaten by dog"
    assert word_of("eaten_by_dog").value == ""
