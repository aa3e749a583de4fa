from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_helpers import config_with, only_item, read
from source_media import picture

from mimic import sources
from mimic.errors import MimicError, SourceError
from mimic.opencv import encode_jpeg

PAIRS = [("l/0.jpg", "r/0.jpg"), ("l/1.jpg", "r/1.jpg"), ("l/0.jpg", "r/1.jpg")]


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    for side in ("l", "r"):
        (tmp_path / side).mkdir()
        for i in range(2):
            data = encode_jpeg(picture(i + 20 * (side == "r")), 95)
            (tmp_path / side / f"{i}.jpg").write_bytes(data)
    return tmp_path


def write_list(folder: Path, name: str) -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(
            pa.table({"path2": [b for _, b in PAIRS], "path1": [a for a, _ in PAIRS]}), path
        )
    elif name == "dicts.jsonl":
        path.write_text("".join(json.dumps({"path1": a, "path2": b}) + "\n" for a, b in PAIRS))
    elif name == "lists.jsonl":
        path.write_text("".join(json.dumps([a, b, 1.5]) + "\n" for a, b in PAIRS))
    elif name == "swapped.csv":
        path.write_text("path2,id,path1\n" + "".join(f"{b},7,{a}\n" for a, b in PAIRS))
    elif name == "headed.csv":
        path.write_text("left,right\n" + "".join(f"{a}, {b}\n" for a, b in PAIRS))
    elif name == "columns.txt":
        path.write_text("# made by hand\n" + "".join(f"{a} {b} 0 0 1.0\n" for a, b in PAIRS))
    else:
        path.write_text("".join(f"{a},{b}\n" for a, b in PAIRS))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "bare.csv",
        "headed.csv",
        "swapped.csv",
        "dicts.jsonl",
        "lists.jsonl",
        "t.parquet",
        "columns.txt",
    ],
)
def test_every_form_of_a_list_gives_its_pairs(name: str, stereo: Path) -> None:
    kind = "source.kind=pairs" if name.endswith(".txt") else "source.kind=auto"
    config = config_with("source.photos.unit_images=4", kind)
    item = only_item(write_list(stereo, name), config)
    assert (item.kind, item.name) == ("pairs", name)
    units = sources.split(item, config)
    assert [(u.span.first, u.span.last) for u in units] == [(0, 4), (4, None)]
    frames = [frame for unit in units for frame in read(unit, config, margin=0)]
    assert [(f.slot, f.label) for f in frames] == list(enumerate(p for pair in PAIRS for p in pair))
    assert frames[0].frame_id == frames[4].frame_id
    assert len({f.frame_id for f in frames}) == 4


def test_missing_pictures_are_counted_and_the_first_is_named(stereo: Path) -> None:
    path = write_list(stereo, "bare.csv")
    path.write_text(path.read_text() + "l/8.jpg,r/9.jpg\n")
    with pytest.raises(
        SourceError,
        match=r"pair list bare\.csv: 2 of the 6 pictures it names do not exist, first l/8",
    ):
        only_item(path, config_with())


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"path1,path2\n", "it lists no pair"),
        ("a.csv", b"x.jpg,y.jpg\nz.jpg\n", "line 2 does not name two pictures"),
        ("a.jsonl", b'["x.jpg", "y.jpg"]\n{oops\n', "line 2 is not JSON"),
        ("a.jsonl", b"3\n", "line 1 does not name two pictures"),
        ("a.parquet", b"PAR0", "it is not parquet"),
        ("a.csv", b"\xff\xfe\x00\x81", "it is not UTF-8 text"),
    ],
)
def test_a_bad_list_is_said(name: str, content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MimicError, match=f"pair list {name}: {why}"):
        only_item(tmp_path / name, config_with())
