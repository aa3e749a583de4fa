"""Reading shards: by offset, from anywhere, with clear words where there is nothing to read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import factory
import numpy as np
import pytest
from s3_server import BUCKET, S3

from mimic.errors import DamagedError
from mimic.shards.corr import decode_corr, encode_corr
from mimic.shards.reader import Shards
from mimic.storage import MissingError, Storage
from pipelines.pack import pack
from schemas import MANIFEST_NAME, SAMPLES


def make(out: Storage) -> Storage:
    pack(factory.reports(out, *"abcdef"), out, out, factory.config())
    return out


def test_samples_of_a_split_come_in_shard_order(tmp_path: Path) -> None:
    shards = Shards(make(Storage(tmp_path)))
    for split in (None, "train", "val"):
        keys = [sample.key for sample in shards.samples(split)]
        assert keys == shards.index(split)["key"].to_pylist()
        assert keys
    assert list(shards.samples("absent")) == []
    assert len(shards) == len(list(shards.samples()))


def test_the_index_has_the_schema_or_the_columns_asked_for(tmp_path: Path) -> None:
    shards = Shards(make(Storage(tmp_path)))
    assert shards.index().schema.equals(SAMPLES)
    assert shards.index("absent").schema.equals(SAMPLES)
    assert shards.index(columns=["scene", "key"]).column_names == ["scene", "key"]


def test_from_an_object_store_a_sample_is_one_request(tmp_path: Path, s3: S3) -> None:
    local = Shards(make(Storage(tmp_path)))
    remote = Shards(make(Storage(f"s3://{BUCKET}/shards")))
    samples = list(remote.samples())
    before = len(s3.proxy.requests)
    sample = samples[3]
    assert sample.view_bytes(1)
    assert sample.meta["sample_id"] == sample.key
    assert sample.corr().dtype == np.int32
    assert len(s3.proxy.requests) == before + 1
    for ours, theirs in zip(local.samples(), samples, strict=True):
        assert ours.key == theirs.key
        assert ours.view_bytes(2) == theirs.view_bytes(2)


def test_a_member_that_is_not_there_is_named(tmp_path: Path) -> None:
    sample = next(Shards(make(Storage(tmp_path))).samples())
    with pytest.raises(KeyError, match=r"has no view3\.jpg"):
        sample.view_bytes(3)


def test_a_folder_without_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=rf"{tmp_path}: no shards here .*--out"):
        Shards(tmp_path)
    out = make(Storage(tmp_path / "run"))
    out.delete(MANIFEST_NAME)
    out.write(".mimic/plan.parquet", b"")
    with pytest.raises(MissingError, match=r"has not finished .* run the same `mimic mine`"):
        Shards(out)


def test_a_broken_or_foreign_manifest_is_named(tmp_path: Path) -> None:
    out = make(Storage(tmp_path))
    text = out.read(MANIFEST_NAME)
    for data, match in (
        (text[:100], "not a mimic manifest"),
        (b"\xff\xfe", "not a mimic manifest"),
        (text.replace(b'"schema": 1', b'"schema": 7'), "written with schema 7"),
    ):
        out.write(MANIFEST_NAME, data)
        with pytest.raises(DamagedError, match=rf"{MANIFEST_NAME}: {match}"):
            Shards(out)


def test_a_shard_cut_short_or_gone_is_named(tmp_path: Path) -> None:
    out = make(Storage(tmp_path))
    shards = Shards(out)
    samples = list(shards.samples("train"))
    first = tmp_path / "train-000000.tar"
    first.write_bytes(first.read_bytes()[:3000])
    with pytest.raises(DamagedError, match=r"train-000000\.tar: cut short; run `mimic verify"):
        samples[9].view_bytes(2)
    out.delete("train-000000.parquet")
    with pytest.raises(DamagedError, match=r"train-000000\.parquet: not found.*mimic verify"):
        shards.index()


def test_correspondences_are_plain_arrays() -> None:
    corr = np.array([[0, 3], [2, 1]], np.int32)
    np.testing.assert_array_equal(decode_corr(encode_corr(corr)), corr)
    assert encode_corr(corr) == encode_corr(np.asfortranarray(corr.astype(np.int64)))
    with pytest.raises(ValueError, match="allow_pickle"):
        decode_corr(_pickled())


def _pickled() -> bytes:
    import io

    sink = io.BytesIO()
    np.save(sink, np.array({1: 2}, dtype=object), allow_pickle=True)
    return sink.getvalue()


def test_reading_needs_neither_opencv_nor_pyav_nor_ray() -> None:
    code = (
        "import sys, mimic.shards.reader, mimic.shards.verify, mimic.shards.sample;"
        "print([m for m in ('cv2', 'av', 'ray', 'torch', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
