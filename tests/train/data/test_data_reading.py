"""Reading by offset: what is found, and what a shard may not do under a running job."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from loader_shards import make_shards, opened
from s3_server import BUCKET, S3

from mimic.shards.reader import Shards
from train.data import Wanted
from train.data.cache import ShardCache
from train.data.index import read_index
from train.data.reading import ShardReader
from train.errors import TrainError


@pytest.fixture
def made(tmp_path: Path) -> Shards:
    return Shards(make_shards(tmp_path / "shards", "abc", rich=True))


def reader(shards: Shards, **options: bool) -> ShardReader:
    top = Path(shards.storage.url)
    return ShardReader(lambda entry: top / entry.name, **options)


def test_members_are_those_of_the_shards_own_reader(made: Shards) -> None:
    index, read = read_index(made, "train", []), reader(made)
    for number, sample in enumerate(made.samples("train")):
        wanted = ("view2.jpg", "json", "covis_2_1.png", "depth7.png")
        found = read.read(index.place(number), wanted)
        assert found.keys() == {"view2.jpg", "json", "covis_2_1.png"}
        assert all(data == sample.read(name) for name, data in found.items())


def test_what_is_not_where_its_index_says_is_never_taken_for_it(made: Shards) -> None:
    place = read_index(made, "train", []).place(0)
    wrong = replace(place, members={"json": place.members["view1.jpg"]})
    with pytest.raises(TrainError, match=rf"{place.key} is not where its index says"):
        reader(made).read(wrong, ("json",))


def tar_of(shards: Shards) -> tuple[Path, bytes]:
    path = Path(shards.storage.url) / shards.shards("train")[0].tar.name
    return path, path.read_bytes()


def test_a_missing_shard_says_what_to_do(made: Shards) -> None:
    index, read = read_index(made, "train", []), reader(made)
    path, _ = tar_of(made)
    path.unlink()
    with pytest.raises(TrainError, match=rf"{path.name}: No such file.*restore it"):
        read.read(index.place(0), ("json",))


def test_a_shard_that_is_cut_short_is_named_with_both_sizes(made: Shards) -> None:
    index, read = read_index(made, "train", []), reader(made)
    path, data = tar_of(made)
    path.write_bytes(data[:-512])
    says = rf"{path.name}: has {len(data) - 512} bytes, the manifest says {len(data)}.*restore it"
    with pytest.raises(TrainError, match=says):
        read.read(index.place(0), ("json",))


@pytest.mark.parametrize("how", ["truncated", "overwritten", "replaced and opened again"])
def test_a_shard_that_changes_under_a_running_job_stops_it(made: Shards, how: str) -> None:
    index, read = read_index(made, "train", []), reader(made)
    read.read(index.place(0), ("json",))
    path, data = tar_of(made)
    if how == "truncated":
        os.truncate(path, len(data) // 2)
        says = f"has {len(data) // 2} bytes"
    else:
        changed = bytearray(data)
        changed[index.place(1).members["view1.jpg"][0] + 40] ^= 1
        if how == "overwritten":
            path.write_bytes(changed)
        else:
            path.with_suffix(".new").write_bytes(changed)
            path.with_suffix(".new").rename(path)
            read.close()
        says = "has SHA-256 .*, the manifest says"
    os.utime(path, ns=(1, 1))
    with pytest.raises(TrainError, match=rf"{path.name}: {says}"):
        read.read(index.place(0), ("json",))


def test_a_shard_that_was_only_touched_or_copied_anew_is_read_on(made: Shards) -> None:
    index, read = read_index(made, "train", []), reader(made)
    before = read.read(index.place(0), ("json",))
    path, data = tar_of(made)
    os.utime(path, ns=(1, 1))
    assert read.read(index.place(0), ("json",)) == before
    path.unlink()
    assert read.read(index.place(0), ("json",)) == before, "an open shard stays readable"
    path.write_bytes(data)
    read.close()
    assert read.read(index.place(0), ("json",)) == before


def test_a_changed_byte_is_found_at_first_touch_where_that_is_asked_for(made: Shards) -> None:
    index = read_index(made, "train", [])
    path, data = tar_of(made)
    path.write_bytes(data[:-1] + b"x")
    assert reader(made).read(index.place(0), ("json",))
    with pytest.raises(TrainError, match="SHA-256"):
        reader(made, verify=True).read(index.place(0), ("json",))


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_files_are_closed_and_no_more_are_open_than_allowed(made: Shards, monkeypatch) -> None:
    monkeypatch.setattr("train.data.reading._OPEN_FILES", 1)
    shards = Shards(made.storage)
    index, read = read_index(shards, "train", []), reader(shards)
    before = open_files()
    for number in range(len(index)):
        read.read(index.place(number), ("json",))
    assert len({index.place(n).tar.name for n in range(len(index))}) > 1
    assert open_files() == before + 1
    read.close()
    assert open_files() == before


@pytest.fixture
def remote(s3: S3) -> str:
    return make_shards(f"s3://{BUCKET}/shards", "abc").url


def tars_fetched(s3: S3) -> int:
    return sum(".tar" in str(request) for request in s3.proxy.requests)


def test_shards_of_an_object_store_are_fetched_once_for_all_threads(
    remote: str, s3: S3, tmp_path: Path
) -> None:
    cache = {"folder": tmp_path / "cache"}
    data = opened(remote, Wanted(), cache=cache)
    s3.proxy.requests.clear()
    threads = [
        threading.Thread(target=lambda: [data.sets[0].load(n) for n in range(len(data))])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tars = {entry.name for entry in data.sets[0].index.tars}
    stored = list((tmp_path / "cache").glob("*.tar"))
    assert len(stored) == len(tars)
    first = tars_fetched(s3)
    assert 0 < first <= 2 * len(tars), "a block, and the end"
    again = opened(remote, Wanted(), cache=cache)
    again.sets[0].load(0)
    assert tars_fetched(s3) == first
    assert not [p for p in (tmp_path / "cache").iterdir() if p.name.startswith(".~")]


def test_a_shard_that_is_not_the_manifests_is_never_kept(
    remote: str, s3: S3, tmp_path: Path
) -> None:
    shards = Shards(remote)
    name = shards.shards("train")[0].tar.name
    data = bytearray(shards.storage.read(name))
    data[700] ^= 1
    shards.storage.write(name, bytes(data))
    sets = opened(remote, Wanted(), cache={"folder": tmp_path / "cache"})
    bad = next(n for n in range(len(sets)) if sets.sets[0].index.place(n).tar.name == name)
    with pytest.raises(TrainError, match=rf"{name}: has SHA-256 .* restore it"):
        sets.sets[0].load(bad)
    shards.storage.delete(name)
    with pytest.raises(TrainError, match=rf"{name}.*`mimic verify"):
        sets.sets[0].load(bad)
    entries = {entry.tar.sha256 for entry in shards.shards() if entry.tar.name == name}
    assert not any(p.suffix == ".tar" and p.stem in entries for p in (tmp_path / "cache").iterdir())


def test_the_least_recently_used_shard_makes_room(remote: str, s3: S3, tmp_path: Path) -> None:
    shards = Shards(remote)
    tars = sorted((entry.tar for entry in shards.shards()), key=lambda tar: -tar.size)
    one, two, three = tars[:3]
    cache = ShardCache(tmp_path / "cache", one.size + two.size)
    first = cache.path(shards.storage, one)
    second = cache.path(shards.storage, two)
    os.utime(first, ns=(2, 2))
    os.utime(second, ns=(1, 1))
    with second.open("rb") as held:
        third = cache.path(shards.storage, three)
        assert not second.exists()
        assert held.read(512), "who has it open reads on"
    assert first.exists()
    assert third.exists()
    os.utime(third, ns=(3, 3))
    cache.path(shards.storage, one)  # counts as used now
    cache.path(shards.storage, two)
    assert first.exists()
    assert not third.exists()


def test_a_cache_that_cannot_be_made_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainError, match=r"data\.cache\.folder .* give another"):
        ShardCache(tmp_path / "file" / "cache", 1)


def test_a_data_set_larger_than_its_cache_is_warned_of(
    remote: str, s3: S3, tmp_path, caplog
) -> None:
    opened(remote, Wanted(), cache={"folder": tmp_path, "limit_gb": 1e-9})
    assert "raise data.cache.limit_gb" in caplog.text
