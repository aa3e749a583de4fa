"""Other layouts: MIMIC's folders and plain tars of pairs."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import factory
import numpy as np
import pytest
from s3_server import BUCKET, S3

torch = pytest.importorskip("torch")

from mimic import opencv
from mimic.interchange.safe_pickle import write_corresponding
from mimic.storage import Storage
from train.data import DataConfig, Loader, Transform, open_sets
from train.data.config import CacheConfig, ViewsConfig
from train.data.folders import read_corresponding
from train.data.plain import PlainPair, PlainSet, PlainTar
from train.data.sample import CorruptError, Wanted
from train.errors import TrainError

VIEWS = Transform(ViewsConfig(size=(32, 32)))
MAP = {3: 5, 0: 195, 7: 7}


def dataset(url: Path, layout: str, **values: object) -> DataConfig:
    return DataConfig.model_validate({"sets": [{"url": str(url), "layout": layout, **values}]})


def jpeg_224(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (14, 14, 3), dtype=np.uint8)
    return opencv.encode_jpeg(np.ascontiguousarray(coarse.repeat(16, 0).repeat(16, 1)), 90)


def folders(top: Path, scenes: int = 6) -> Path:
    for scene in range(scenes):
        for pair in range(3):
            folder = top / f"scene{scene}" / str(pair)
            folder.mkdir(parents=True)
            for view in (0, 1):
                picture = jpeg_224(scene * 7 + pair * 2 + view)
                (folder / f"000{view}.jpg").write_bytes(picture)
            if pair:
                (folder / "corresponding.npy").write_bytes(write_corresponding(MAP))
    return top


def test_mimics_folders_are_read_with_their_correspondences(tmp_path: Path) -> None:
    data = open_sets(dataset(folders(tmp_path), "mimic", val_share=0), "train")
    assert len(data) == 18
    assert data.key(4) == "scene1/1"
    first, second = data.sets[0].load(0), data.sets[0].load(1)
    assert first.corr is None
    assert second.corr.tolist() == [[0, 195], [3, 5], [7, 7]]
    assert data.sets[0].load(1, only=1).images[0].equal(second.images[1])
    batch = next(Loader(data, data.order(0, 4), VIEWS, threads=1).batches())
    assert batch.images.shape == (4, 2, 3, 32, 32)
    assert batch.homography.isnan().all()


def test_scenes_are_held_out_whole(tmp_path: Path) -> None:
    folders(tmp_path, scenes=12)
    found = {
        split: open_sets(dataset(tmp_path, "mimic", val_share=0.4), split)
        for split in ("train", "val")
    }
    scenes = {
        split: {data.key(n).split("/")[0] for n in range(len(data))}
        for split, data in found.items()
    }
    assert not scenes["train"] & scenes["val"]
    assert len(scenes["train"] | scenes["val"]) == 12
    assert found["train"].fingerprint != found["val"].fingerprint


def test_a_broken_picture_is_one_corrupt_sample(tmp_path: Path) -> None:
    data = open_sets(dataset(folders(tmp_path), "mimic", val_share=0), "train")
    picture = tmp_path / "scene0" / "1" / "0001.jpg"
    picture.write_bytes(picture.read_bytes()[:100])
    with pytest.raises(CorruptError, match="scene0/1"):
        data.sets[0].load(1)
    picture.unlink()
    with pytest.raises(CorruptError, match=r"0001\.jpg is gone"):
        data.sets[0].load(1)


def test_a_map_of_patches_that_the_pictures_do_not_have_is_one_corrupt_sample(tmp_path) -> None:
    data = open_sets(dataset(folders(tmp_path), "mimic", val_share=0), "train")
    (tmp_path / "scene0" / "1" / "0001.jpg").write_bytes(factory.jpeg(0))
    with pytest.raises(CorruptError, match="scene0/1: correspondences of patches"):
        data.sets[0].load(1)


class Hostile:
    def __reduce__(self):
        return (print, ("it was run",))


def saved(value: object) -> bytes:
    array = np.empty((), dtype=object)
    array[()] = value
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=True)
    return sink.getvalue()


@pytest.mark.parametrize(
    "pairs", [{}, {1: 2}, {np.int64(3): np.int32(4), 5: np.uint8(200 - 100)}, dict(MAP)]
)
def test_maps_are_read_as_numpy_writes_them(pairs: dict[int, int]) -> None:
    found = read_corresponding(saved(pairs))
    assert found.tolist() == sorted([int(a), int(b)] for a, b in pairs.items())


@pytest.mark.parametrize(
    "data",
    [
        saved(Hostile()),
        saved({1: Hostile()}),
        saved([1, 2]),
        saved({1: 2.5}),
        saved({1: 196}),
        saved({-1: 2}),
        b"",
        b"\x93NUMPY",
        pickle.dumps({1: 2}),
        saved(MAP)[:-5],
        saved(MAP) + bytes(1 << 20),
    ],
)
def test_nothing_but_a_map_of_patches_is_accepted_and_nothing_is_run(data: bytes, capsys) -> None:
    with pytest.raises(ValueError, match=r"corresponding\.npy"):
        read_corresponding(data)
    assert "it was run" not in capsys.readouterr().out


def tars(top: Path, count: int = 3, names: tuple[str, str] = ("a.jpg", "b.jpg")) -> Path:
    top.mkdir(exist_ok=True)
    for number in range(count):
        with tarfile.open(top / f"part-{number}.tar", "w") as tar:
            for sample in range(4):
                for view, suffix in enumerate((*names, "txt")):
                    data = factory.jpeg((number * 11 + sample * 3 + view) % 64)
                    info = tarfile.TarInfo(f"sub/{number:02d}{sample}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return top


def test_plain_tars_of_pairs_are_read(tmp_path: Path) -> None:
    from train.data.decode import decode_picture

    config = dataset(tars(tmp_path), "pairs", pictures=["a.jpg", "b.jpg"], val_share=0)
    data = open_sets(config, "train")
    assert len(data) == 12
    assert data.key(5) == "sub/011"
    sample = data.sets[0].load(5)
    assert torch.equal(sample.images[1], decode_picture(bytearray(factory.jpeg(11 + 3 + 1))))
    batch = next(Loader(data, data.order(0, 4), VIEWS, threads=1).batches())
    assert batch.images.shape == (4, 2, 3, 32, 32)
    assert (batch.covis == 255).all()


def at(s3: S3, top: Path) -> str:
    """The tars of a folder, in an object store."""
    store = Storage(f"s3://{BUCKET}/pairs")
    for tar in top.glob("*.tar"):
        store.put(tar, tar.name)
    return store.url


def test_plain_tars_of_an_object_store_are_fetched_once_and_read_alike(tmp_path, s3: S3) -> None:
    local = tars(tmp_path / "tars")
    url, cache = at(s3, local), {"folder": str(tmp_path / "cache")}
    names = {"pictures": ["a.jpg", "b.jpg"], "val_share": 0}
    here = open_sets(dataset(local, "pairs", **names), "train")
    s3.proxy.requests.clear()
    for _run in range(2):
        config = dataset(url, "pairs", **names).model_copy(update={"cache": CacheConfig(**cache)})
        there = open_sets(config, "train")
        assert there.fingerprint == here.fingerprint
        for number in range(len(here)):
            one, two = here.sets[0].load(number), there.sets[0].load(number)
            assert one.key == two.key
            assert all(torch.equal(a, b) for a, b in zip(one.images, two.images, strict=True))
    gets = [path for method, path in s3.proxy.requests if method == "GET" and ".tar" in path]
    assert len(gets) == len(set(gets)) == 3
    assert len(list((tmp_path / "cache").glob("*.tar"))) == 3
    one = open_sets(dataset(f"{url}/part-1.tar", "pairs", **names), "train")
    assert [one.key(n) for n in range(len(one))] == [f"sub/01{n}" for n in range(4)]


def test_a_plain_tar_that_made_room_in_the_cache_is_fetched_again(tmp_path, s3: S3) -> None:
    config = dataset(at(s3, tars(tmp_path / "tars")), "pairs", pictures=["a.jpg", "b.jpg"])
    small = CacheConfig(folder=tmp_path / "cache", limit_gb=1e-9)
    data = open_sets(config.model_copy(update={"cache": small}), "train")
    for number in range(len(data)):
        for kept in (tmp_path / "cache").glob("*.tar"):
            kept.unlink()
        assert data.sets[0].load(number).key == data.key(number)


def test_a_tar_that_goes_just_before_it_is_opened_is_looked_for_again(tmp_path) -> None:
    there = tars(tmp_path / "tars") / "part-0.tar"
    places = iter([tmp_path / "gone", there])
    tar = PlainTar("part-0.tar", "s3://x/part-0.tar", lambda: next(places))
    pair = PlainPair("key", tar, ((0, 100), (100, 50)))
    with pytest.raises(CorruptError, match="key: "):
        PlainSet([pair], Wanted()).load(0)  # a header is no picture, but it was read
    assert next(places, None) is None


def test_what_becomes_of_plain_tars_in_an_object_store_is_said(tmp_path, s3: S3) -> None:
    local = tars(tmp_path / "tars", count=1)
    url = at(s3, local)
    config = dataset(url, "pairs", pictures=["a.jpg", "b.jpg"], val_share=0)
    config = config.model_copy(update={"cache": CacheConfig(folder=tmp_path / "cache")})
    data = open_sets(config, "train")
    next((tmp_path / "cache").glob("*.tar")).unlink()
    Storage(url).write("part-0.tar", b"shorter")
    says = r"part-0\.tar: has 7 bytes, and had \d+ when it was listed; restore it"
    with pytest.raises(TrainError, match=says):
        data.sets[0].load(0)
    with pytest.raises(TrainError, match=r"s3://.*part-0\.tar: not a plain tar"):
        open_sets(config, "train")
    with pytest.raises(TrainError, match="no tars there"):
        open_sets(dataset(f"{url}/none", "pairs"), "train")


def test_mined_shards_are_such_tars_too(tmp_path: Path) -> None:
    from loader_shards import make_shards, opened

    make_shards(tmp_path, "abc")
    mined = opened(tmp_path)
    plain = open_sets(dataset(tmp_path, "pairs", val_share=0), "train")
    keys = {plain.key(n): n for n in range(len(plain))}
    for number in range(5):
        one = mined.sets[0].load(number)
        two = plain.sets[0].load(keys[one.key])
        assert all(torch.equal(a, b) for a, b in zip(one.images, two.images, strict=True))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"pictures": ["x.jpg", "b.jpg"]},
            r"no sample has both x\.jpg and b\.jpg .*a\.jpg, b\.jpg",
        ),
        (
            {"pictures": ["a.jpg", "b.jpg"], "where": "overlap < 1"},
            r"no index to choose from; leave out its where='overlap < 1'",
        ),
    ],
)
def test_wrong_options_are_said_in_a_sentence(tmp_path: Path, values, says) -> None:
    with pytest.raises(TrainError, match=says):
        open_sets(dataset(tars(tmp_path), "pairs", **values), "train")


@pytest.mark.parametrize("layout", ["pairs", "mimic"])
def test_conditions_of_all_sets_are_not_ignored_by_those_without_an_index(tmp_path, layout) -> None:
    data = dataset(tmp_path, layout).model_copy(update={"where": "overlap < 0.7"})
    with pytest.raises(TrainError, match=r"no index to choose from; leave out --where 'overlap"):
        open_sets(data, "train")


def test_what_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="no tars there"):
        open_sets(dataset(tmp_path / "no", "pairs"), "train")
    with pytest.raises(TrainError, match="no pairs in MIMIC's layout"):
        open_sets(dataset(tmp_path, "mimic"), "train")
    (tmp_path / "x.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(TrainError, match=r"x\.tar: not a plain tar"):
        open_sets(dataset(tmp_path, "pairs"), "train")
