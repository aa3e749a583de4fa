from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_datasets import edge, frame, sample, view, write_dataset

from mimic.config import load_config
from mimic.errors import DamagedError, StorageError
from mimic.report import collect, write_html, write_sheets
from mimic.report.tables import StoredTables
from pipelines.mine import mine
from schemas import Failure
from schemas.marker import dump

PICTURE = np.full((48, 64, 3), 120, np.uint8)
NASTY = "<b>walk</b> & 'quote'.mp4"


def build(folder: Path, kept: int = 3, rejected: int = 4, graph: bool = True) -> Path:
    names = [f"f{number}" for number in range(kept + 1)]
    samples = []
    for number in range(kept):
        pair = (names[number], names[number + 1])
        row = sample(f"k{number}", pair, item=NASTY, overlap_patch=0.6)
        samples.append({**row, "views": [view(name) for name in pair]})
    edges = [edge("kept", frame_1="f0", frame_2="f1", overlap_patch=0.6, value=0.6)] * kept
    edges += [edge("zoom", frame_1="f0", frame_2="f1", value=1.7, overlap_patch=0.9)] * rejected
    tables = {
        "edges": edges,
        "frames": [frame(name, luminance_mean=90.0, width=64, height=48) for name in names],
        "units": [{"unit_id": "u1", "kind": "video", "item": NASTY}],
        "curves": [{"item": NASTY, "interval_s": 0.5, "edges": 3, "overlap_median": 0.6}],
    }
    corr = {row["key"]: np.array([(0, 1), (1, 2)]) for row in samples}
    pictures = dict.fromkeys(names, PICTURE)
    return write_dataset(folder, samples, pictures, corr, tables if graph else None)


class Reader(html.parser.HTMLParser):
    """Gathers addresses and text, and checks that tags are closed in order."""

    VOID = frozenset({"meta", "link", "img", "br", "input"})
    SELF_CLOSED = frozenset({"rect", "line", "path", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in {"src", "href", "srcset", "action"}
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text())
    assert reader.open == []
    return reader


def test_the_report_needs_nothing_but_itself(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    write_html(str(build(tmp_path / "shards")), out)
    found = read(out)
    assert len(found.addresses) > 6
    assert all(address.startswith("data:") for address in found.addresses)
    text = out.read_text()
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest", text)
    assert "prefers-color-scheme: dark" in text


def test_the_report_says_what_matters(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    stats = write_html(str(build(tmp_path / "shards")), out)
    words = " ".join("".join(read(out).text).replace("\u00a0", " ").split())
    for expected in (
        "kept of 7 measured",
        "43 %",
        "pure zoom",
        "1.70",
        "scale ratio between the views",
        "Overlap against interval",
        "2 matching patches",
        "pure zoom (scale ratio between the views: 1.70)",
    ):
        assert expected in words
    assert stats == collect(str(tmp_path / "shards"))


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    write_html(str(build(tmp_path / "shards")), out)
    assert NASTY not in out.read_text()
    assert NASTY in "".join(read(out).text)


@pytest.mark.parametrize(
    ("kept", "rejected", "graph", "expected"),
    [
        (0, 0, True, "the data set is empty"),
        (0, 3, True, "pure zoom"),
        (2, 0, True, "Some pairs"),
        (2, 0, False, "There is no graph beside the shards"),
    ],
)
def test_sparse_data_sets(
    tmp_path: Path, kept: int, rejected: int, graph: bool, expected: str
) -> None:
    out = tmp_path / "report.html"
    write_html(str(build(tmp_path / "shards", kept, rejected, graph)), out)
    words = "".join(read(out).text)
    assert expected in words
    assert ("Some pairs" in words) == (kept > 0)
    assert ("Some rejected pairs" in words) == (rejected > 0)
    assert not re.search(r"\bnan\b", re.sub(r'data:[^"]*', "", out.read_text()))


def test_a_graph_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    folder = build(tmp_path / "shards")
    for file in (folder / "graph").iterdir():
        file.unlink()
    stats = write_html(str(folder), tmp_path / "report.html")
    assert (stats.has_graph, stats.candidates, stats.kept) == (False, 7, 3)
    assert "not found" in "".join(read(tmp_path / "report.html").text)


def test_no_shards_and_damaged_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no shards here"):
        collect(str(tmp_path))
    folder = build(tmp_path / "shards")
    (folder / "graph" / "edges.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(DamagedError, match=r"edges\.parquet: damaged table"):
        collect(str(folder))


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        write_html(
            str(build(tmp_path / "shards")), tmp_path / "shards" / "manifest.json" / "a.html"
        )


def test_what_was_not_mined_is_listed(tmp_path: Path) -> None:
    folder = build(tmp_path / "shards")
    skipped = [{"name": "a.mp3", "reason": "no_video_stream", "message": "a.mp3: audio only"}]
    metadata = {b"mimic.skipped": json.dumps(skipped).encode()}
    (folder / ".mimic" / "quarantine").mkdir(parents=True)
    plan = pa.schema([("unit_id", pa.string())], metadata=metadata).empty_table()
    pq.write_table(plan, folder / ".mimic" / "plan.parquet")
    failure = Failure("u9", "b.mp4", "timeout", "b.mp4: ran longer than 900 s", 2)
    (folder / ".mimic" / "quarantine" / "u9.json").write_text(dump(failure))
    stats = write_html(str(folder), tmp_path / "report.html")
    assert [(e.name, e.state, e.reason) for e in stats.not_mined] == [
        ("a.mp3", "skipped", "no_video_stream"),
        ("b.mp4", "failed", "timeout"),
    ]
    words = "".join(read(tmp_path / "report.html").text)
    assert "no video stream" in words
    assert "ran longer than 900 s" in words


@pytest.mark.data
def test_what_the_miner_makes_is_reported(tmp_path: Path, real_data: Path) -> None:
    source = real_data / "videos" / "path_walk_rot90.mov"
    config = load_config(overrides={"run": {"executor": "serial"}})
    mined = mine(str(source), str(tmp_path / "shards"), config)
    stats = write_html(str(tmp_path / "shards"), tmp_path / "report.html")
    assert stats.samples == mined.counts["samples"] > 0
    assert stats.candidates == mined.counts["candidates"]
    assert {r.reason: r.count for r in stats.reasons}.items() <= mined.counts.items()
    assert stats.kept_histograms["overlap_coverage"].total == stats.samples
    assert [row.name for row in stats.item_rows] == [source.name]
    assert sum(point.edges for point in stats.curve) == stats.candidates
    cards = write_sheets(str(tmp_path / "shards"), tmp_path / "sheet.png")
    assert all(len(card.corr) > 50 for card in cards)


def test_tables_are_known_by_content(tmp_path: Path) -> None:
    tables = StoredTables(str(build(tmp_path / "shards")))
    for name, column in (("edges", "verdict"), ("frames", "phash"), ("units", "item")):
        (batch,) = tables.batches(name, (column, "no_such_column"))
        assert batch.schema.names == [column]
    (batch,) = tables.batches("curves", ("overlap_median",))
    assert batch.num_rows == 1
