"""MIMIC's folders in and out, CroCo's listing out, and pickles of strangers refused."""

from __future__ import annotations

import csv
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import factory
import numpy as np
import pyarrow.parquet as pq
import pytest

from mimic import opencv
from mimic.config import Config, load_config
from mimic.errors import MimicError, SourceError
from mimic.interchange import export_croco, export_mimic, import_mimic
from mimic.interchange.jpeg import jpeg_size
from mimic.interchange.safe_pickle import read_corresponding, write_corresponding
from mimic.shards.reader import Shards
from mimic.shards.verify import verify
from mimic.storage import Storage
from pipelines.pack import pack, repack


def picture(seed: int, size: int = 224) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (size // 16, size // 16, 3), dtype=np.uint8)
    return opencv.encode_jpeg(np.ascontiguousarray(coarse.repeat(16, 0).repeat(16, 1)), 95)


def write_pair(folder: Path, seed: int, pairs: dict[Any, Any]) -> None:
    """As the peer writes: np.save of a dict."""
    folder.mkdir(parents=True)
    (folder / "0000.jpg").write_bytes(picture(2 * seed))
    (folder / "0001.jpg").write_bytes(picture(2 * seed + 1))
    np.save(folder / "corresponding.npy", pairs)  # type: ignore[arg-type]


def shifted(by: int, count: int = 130) -> dict[int, int]:
    return {patch: patch + by for patch in range(count)}


@pytest.fixture
def published(tmp_path: Path) -> Storage:
    root = tmp_path / "published"
    for number, scene in enumerate(("hall", "garden/east", "roof")):
        for pair in range(4):
            write_pair(root / scene / str(pair), 10 * number + pair, shifted(pair, 100 + pair))
    write_pair(root / "demon_style", 999, shifted(3))
    return Storage(root)


def config(**pack: Any) -> Config:
    return load_config("mimic", overrides={"source": {"dataset": "published"}, "pack": pack})


def test_published_pairs_become_shards(published: Storage, tmp_path: Path) -> None:
    out = Storage(tmp_path / "out")
    manifest = import_mimic(published, out, config(samples_per_shard=5))
    assert [shard.samples for shard in manifest.shards] == [5, 5, 3]
    assert verify(out, decode=opencv.decode_image) == []
    assert manifest.counts == {"candidates": 13, "kept": 13, "samples": 13}
    root = published.local_path()
    assert root is not None
    for sample in Shards(out).samples():
        view, edge = sample.meta["views"][0], sample.meta["edges"][0]
        folder = root / Path(view["frame"]).parent
        assert sample.view_bytes(1) == (folder / "0000.jpg").read_bytes()
        assert sample.view_bytes(2) == (folder / "0001.jpg").read_bytes()
        pairs = np.load(folder / "corresponding.npy", allow_pickle=True).item()
        assert dict(sample.corr().tolist()) == pairs
        assert edge["overlap"]["patch"] == len(pairs) / 196
        assert edge["verifier"] == "imported"
        assert edge["homography"] is None
        scene = str(folder.parent.relative_to(root))
        assert sample.meta["source"]["scene"] == ("demon_style" if scene == "." else scene)
        assert sample.meta["source"]["dataset"] == "published"


def test_importing_is_reproducible(published: Storage, tmp_path: Path) -> None:
    manifests = [import_mimic(published, Storage(tmp_path / n), config()) for n in "ab"]
    assert manifests[0] == manifests[1]
    with pytest.raises(MimicError, match="holds shards already"):
        import_mimic(published, Storage(tmp_path / "a"), config())


def test_bad_folders_are_skipped_and_counted_by_name(published: Storage, tmp_path: Path) -> None:
    root = published.local_path()
    assert root is not None
    (root / "hall/0/0001.jpg").unlink()
    (root / "hall/1/0000.jpg").write_bytes(b"not a picture")
    (root / "hall/2/corresponding.npy").write_bytes(b"not an array")
    np.save(root / "hall/3/corresponding.npy", {0: 196})  # type: ignore[arg-type]
    np.save(root / "roof/0/corresponding.npy", {0: 5, 1: 5})  # type: ignore[arg-type]
    np.save(root / "roof/1/corresponding.npy", np.zeros((3, 2)))
    np.save(root / "roof/2/corresponding.npy", {"0": 5})  # type: ignore[arg-type]
    twin = root / "twin/0"
    twin.mkdir(parents=True)
    for name in ("0000.jpg", "0001.jpg", "corresponding.npy"):
        (twin / name).write_bytes((root / "roof/3" / name).read_bytes())
    skipped: dict[str, str] = {}
    manifest = import_mimic(
        published, Storage(tmp_path / "out"), config(), on_skip=skipped.__setitem__
    )
    assert set(skipped) == {"hall/0", "hall/1", "hall/2", "hall/3", "roof/0", "roof/1", "roof/2"}
    assert "has no 0001.jpg" in skipped["hall/0"]
    assert "not a JPEG" in skipped["hall/1"]
    assert "not a .npy file" in skipped["hall/2"]
    assert "outside the grids" in skipped["hall/3"]
    assert "twice" in skipped["roof/0"]
    assert "float64 (3, 2)" in skipped["roof/1"]
    assert "not a map from patch to patch" in skipped["roof/2"]
    assert manifest.counts == {
        "candidates": 6,
        "damaged": 6,
        "duplicates": 1,
        "incomplete": 1,
        "kept": 6,
        "samples": 6,
    }


def test_a_folder_without_pairs_is_named(tmp_path: Path) -> None:
    with pytest.raises(MimicError, match="no pairs in MIMIC's layout"):
        import_mimic(Storage(tmp_path / "empty"), Storage(tmp_path / "out"), config())
    assert Storage(tmp_path / "out").list() == []


def test_imported_shards_can_be_selected_again(published: Storage, tmp_path: Path) -> None:
    out, again = Storage(tmp_path / "out"), Storage(tmp_path / "again")
    import_mimic(published, out, config())
    tight = load_config(
        "mimic",
        overrides={
            "source": {"dataset": "published"},
            "overlap": {"low": 101.5 / 196},
            "pack": {"samples_per_shard": 4},
        },
    )
    repack(out, again, tight)
    assert verify(again) == []
    before = {s.key: s.corr() for s in Shards(out).samples()}
    after = {s.key: s.corr() for s in Shards(again).samples()}
    assert set(after) == {key for key, corr in before.items() if len(corr) > 101}
    assert len(after) == 7
    for key, corr in after.items():
        np.testing.assert_array_equal(corr, before[key])


# ---------------------------------------------------------------- pickles


class _Evil:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def npy(content: object) -> bytes:
    sink = io.BytesIO()
    np.save(sink, content, allow_pickle=True)  # type: ignore[arg-type]
    return sink.getvalue()


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    folder = tmp_path / "published/scene/0"
    write_pair(folder, 1, {0: _Evil(str(marker))})
    with pytest.raises(SourceError, match=r"scene/0/corresponding\.npy: refused.*(posix|nt)\.sys"):
        import_mimic(Storage(tmp_path / "published"), Storage(tmp_path / "out"), config())
    assert not marker.exists()
    np.load(folder / "corresponding.npy", allow_pickle=True)
    assert marker.exists(), "the pickle does not do what this test means to refuse"


@pytest.mark.parametrize(
    "call",
    [
        "cnumpy\nload\n(V/etc/passwd\ntR.",
        "cbuiltins\neval\n(V1+1\ntR.",
        "cnumpy.core.multiarray\narray\n(l.",
        "cnumpy\nndarray\n.",
        "cbuiltins\ngetattr\n(cnumpy\nndarray\nV__class__\ntR.",
    ],
)
def test_names_off_the_list_are_refused(call: str) -> None:
    header = npy({})[: npy({}).index(b"\x80")]
    with pytest.raises(SourceError) as raised:
        read_corresponding(header + b"\x80\x02" + call.encode(), "there")
    assert "there: " in str(raised.value)
    expected = "damaged" if call.startswith("cnumpy\nndarray") else "unsafe_pickle"
    assert raised.value.reason == expected


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.dtype(">i4")])
def test_patches_may_be_numpy_integers(dtype: Any) -> None:
    values = np.array([3, 130, 7, 120], dtype)
    found = read_corresponding(npy({values[0]: values[1], values[2]: values[3]}), "x")
    assert found == {3: 130, 7: 120}
    assert all(type(n) is int for pair in found.items() for n in pair)


def test_old_pickle_protocols_and_module_names_are_read() -> None:
    for protocol in (2, 3, 4, 5):
        array = np.array({1: 2}, dtype=object)
        header = npy({})[: npy({}).index(b"\x80")]
        data = header + pickle.dumps(array, protocol=protocol)
        assert read_corresponding(data, "x") == {1: 2}
        if protocol < 4:  # later ones give each name its length
            old = data.replace(b"numpy._core.", b"numpy.core.")
            assert read_corresponding(old, "x") == {1: 2}


def test_too_large_and_cut_short_files_are_damaged() -> None:
    data = npy(shifted(1))
    for bad in (data[:-10], data[:20], b"", data + b"x" * (1 << 20)):
        with pytest.raises(SourceError) as raised:
            read_corresponding(bad, "there")
        assert raised.value.reason == "damaged"


# ---------------------------------------------------------------- out again


def test_import_then_export_is_the_identity(published: Storage, tmp_path: Path) -> None:
    out, back = Storage(tmp_path / "out"), tmp_path / "back"
    import_mimic(published, out, config())
    assert export_mimic(Shards(out), Storage(back)) == 13
    root = published.local_path()
    assert root is not None

    def content(top: Path) -> set[tuple[bytes, bytes, str]]:
        return {
            (
                (file.parent / "0000.jpg").read_bytes(),
                (file.parent / "0001.jpg").read_bytes(),
                str(sorted(np.load(file, allow_pickle=True).item().items())),
            )
            for file in top.rglob("corresponding.npy")
        }

    assert content(back) == content(root)
    with (back / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13
    assert all((back / row["path1"]).is_file() and (back / row["path2"]).is_file() for row in rows)
    assert (back / "garden/east").is_dir()


def test_the_written_map_names_no_module_that_old_numpy_lacks(tmp_path: Path) -> None:
    data = write_corresponding({5: 6, 0: 1})
    assert b"numpy._core" not in data
    assert b"numpy.core.multiarray" in data
    (tmp_path / "c.npy").write_bytes(data)
    code = "import numpy, sys; print(numpy.load(sys.argv[1], allow_pickle=True).item())"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, tmp_path / "c.npy"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "{5: 6, 0: 1}"


def test_pairs_that_the_peer_would_misread_are_not_exported_silently(tmp_path: Path) -> None:
    out = Storage(tmp_path / "out")
    pack(factory.reports(out, "a"), out, out, factory.config())
    with pytest.raises(MimicError, match=r"224 x 224 and 16.* --any-size"):
        export_mimic(Shards(out), Storage(tmp_path / "x"))
    assert export_mimic(Shards(out), Storage(tmp_path / "x"), any_size=True) == 11


def test_scene_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    out, target = Storage(tmp_path / "out"), tmp_path / "deep" / "target"
    reports = [factory.report(factory.make_part("../../../evil name"), out)]
    pack(reports, out, out, factory.config())
    export_mimic(Shards(out), Storage(target), any_size=True)
    assert (target / "evil_name").is_dir()
    assert {p.name for p in tmp_path.iterdir()} == {"out", "deep"}


def test_croco_listing_stores_each_frame_once(tmp_path: Path) -> None:
    out, target = Storage(tmp_path / "out"), tmp_path / "croco"
    pack(factory.reports(out, "a", "b"), out, out, factory.config())
    assert export_croco(Shards(out), Storage(target)) == 22
    lines = (target / "pairs.txt").read_text().splitlines()
    for line, sample in zip(lines, Shards(out).samples(), strict=True):
        first, second = line.split()
        assert (target / first).read_bytes() == sample.view_bytes(1)
        assert (target / second).read_bytes() == sample.view_bytes(2)
    stored = {view["frame_id"] for s in Shards(out).samples() for view in s.meta["views"]}
    assert len(list((target / "images").rglob("*.jpg"))) == len(stored) == 16


def test_jpeg_sizes_are_read_from_real_headers(real_data: Path) -> None:
    files = sorted(real_data.rglob("*.jpg"))[:60]
    assert files
    for file in files:
        data = file.read_bytes()
        height, width = opencv.cv2.imdecode(
            np.frombuffer(data, np.uint8), opencv.cv2.IMREAD_IGNORE_ORIENTATION
        ).shape[:2]
        assert jpeg_size(data, str(file)) == (width, height)
    with pytest.raises(SourceError, match="x: not a JPEG"):
        jpeg_size(b"\x89PNG....", "x")
    with pytest.raises(SourceError, match="x: not a JPEG"):
        jpeg_size(files[0].read_bytes()[:30], "x")


def test_the_graph_of_imported_pairs_is_complete(published: Storage, tmp_path: Path) -> None:
    out = Storage(tmp_path / "out")
    import_mimic(published, out, config())
    edges = pq.read_table(tmp_path / "out/graph/edges-000000.parquet").to_pylist()
    assert len(edges) == 13
    assert {edge["verdict"] for edge in edges} == {"kept"}
