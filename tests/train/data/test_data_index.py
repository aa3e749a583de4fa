"""Which samples there are: the index, conditions, fingerprints."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from loader_shards import config, make_shards, opened

from mimic.shards.reader import Shards
from train.data import DataConfig, Wanted, open_sets
from train.data.index import read_index
from train.data.where import COLUMNS, parse
from train.errors import TrainError


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return Shards(make_shards(tmp_path_factory.mktemp("index"), rich=True))


def test_every_sample_of_the_split_is_there_with_its_members(shards: Shards) -> None:
    index = read_index(shards, "train", [])
    rows = shards.index("train", ["key", "members"]).to_pylist()
    assert [index.key(n) for n in range(len(index))] == [row["key"] for row in rows]
    tars = [s.tar.name for s in shards.shards("train") for _ in range(s.samples)]
    assert len(set(tars)) > 1
    assert [index.place(n).tar.name for n in range(len(index))] == tars
    for number, row in enumerate(rows):
        place = index.place(number)
        members = {m["name"].partition(".")[2]: (m["offset"], m["size"]) for m in row["members"]}
        assert place.members == members
        with (Path(shards.storage.url) / place.tar.name).open("rb") as tar:
            tar.seek(members["view2.jpg"][0])
            assert tar.read(2) == b"\xff\xd8"


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("overlap < 0.7", lambda r, _: r["overlap_area"] < 0.7),
        ("overlap<0.7 and item != {item}", lambda r, i: r["overlap_area"] < 0.7 and r["item"] != i),
        ("overlap<0.7 or source == {item}", lambda r, i: r["overlap_area"] < 0.7 or r["item"] == i),
        ("not (scale_ratio > 1 or item == {item})", lambda r, i: r["item"] != i),
        ("0.7 < overlap < 0.8", lambda r, _: r["overlap_area"] > 0.7),
        ("0.5 < overlap <= 0.625", lambda r, _: r["overlap_area"] <= 0.625),
        ("inliers == matches or overlap >= 0.75", lambda r, _: r["overlap_area"] >= 0.75),
        ("rotation_deg > -1.5 and item == {item}", lambda r, i: r["item"] == i),
        ("labelled and kind == 'video' and item == {item}", lambda r, i: r["item"] == i),
    ],
)
def test_conditions_choose_what_they_say(shards: Shards, text: str, keep) -> None:
    rows = shards.index("train").to_pylist()
    item = rows[0]["item"]
    text = text.format(item=repr(item))
    expected = [row["key"] for row in rows if keep(row, item)]
    assert 0 < len(expected) < len(rows)
    chosen = read_index(shards, "train", [text])
    assert [chosen.key(n) for n in range(len(chosen))] == expected


def test_a_value_that_is_not_there_is_not_chosen_and_neither_is_its_negation(
    shards: Shards,
) -> None:
    assert shards.index("train")["viewpoint_angle_deg"].null_count
    both = [
        read_index(shards, "train", [f"{text} or overlap > 0.7"])
        for text in ("viewpoint_angle_deg < 10", "not viewpoint_angle_deg < 10")
    ]
    assert len(both[0]) == len(both[1]) == len(read_index(shards, "train", ["overlap > 0.7"]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("overlp < 0.7", r"no column overlp; did you mean overlap\?"),
        ("overlap_patc < 0.7", "did you mean overlap_patch"),
        ("zzz < 1", "there are overlap, source"),
        ("views < 1", "no column views"),
        ("overlap", "no comparison"),
        ("overlap +", "cannot be read"),
        ("", "cannot be read"),
        ("__import__('os').system('true') == 0", "neither a column nor"),
        ("overlap < (1).real", "neither a column nor"),
        ("-overlap < 1", "neither a column nor"),
        ("[overlap for overlap in (1,)] == 1", "neither a column nor"),
        ("overlap in (0.5, 0.6)", "In is no comparison"),
        ("overlap < 'x'", "a number is compared with a word"),
        ("overlap < -1", r"chooses none of the \d+ samples of split train"),
    ],
)
def test_what_is_no_condition_is_refused_in_a_sentence(
    shards: Shards, text: str, says: str
) -> None:
    with pytest.raises(TrainError, match=says):
        read_index(shards, "train", [text])


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_does_anything_but_parse_or_raise(text: str) -> None:
    try:
        found = parse(text, "area")
    except TrainError:
        return
    assert found.columns <= {*COLUMNS, "labels_12"}


def test_the_fingerprint_is_of_the_manifest_the_split_and_the_condition(
    shards: Shards, tmp_path: Path
) -> None:
    plain = read_index(shards, "train", []).fingerprint
    assert read_index(Shards(shards.storage.url), "train", []).fingerprint == plain
    chosen = read_index(shards, "train", ["overlap < 0.7"]).fingerprint
    assert chosen == read_index(shards, "train", ["overlap_area<0.70"]).fingerprint
    other = read_index(Shards(make_shards(tmp_path, "ghijk")), "train", []).fingerprint
    assert len({plain, chosen, other, read_index(shards, "val", []).fingerprint}) == 4


def test_a_split_that_is_not_there_is_named(shards: Shards) -> None:
    with pytest.raises(TrainError, match=r"no split test, only train, val"):
        read_index(shards, "test", [])


def test_no_shards_no_manifest_and_a_damaged_index_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"no shards here .*manifest"):
        opened(tmp_path)
    storage = make_shards(tmp_path / "made")
    name = Shards(storage).shards("train")[0].index.name
    storage.write(name, storage.read(name)[:-7])
    with pytest.raises(TrainError, match=rf"{name}: not the index .*mimic verify"):
        opened(storage)
    storage.delete(name)
    with pytest.raises(TrainError, match=rf"{name}.*mimic verify"):
        opened(storage)


def test_sets_are_numbered_through(shards: Shards, tmp_path: Path) -> None:
    other = make_shards(tmp_path, "ghijk")
    both = open_sets(config(shards.storage, other), "train", Wanted(False, False, False))
    first, second = both.sizes
    assert len(both) == first + second
    assert both.key(0) == both.sets[0].key(0)
    assert both.key(first - 1) == both.sets[0].key(first - 1)
    assert both.key(first) == both.sets[1].key(0)
    with pytest.raises(IndexError):
        both.key(first + second)


def test_weights_are_given_to_all_sets_or_to_none(shards: Shards) -> None:
    url = shards.storage.url
    with pytest.raises(ValueError, match="to every data set or to none"):
        DataConfig.model_validate({"sets": [{"url": url, "weight": 1}, {"url": url}]})
