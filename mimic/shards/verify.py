"""Checking shards: every file against the manifest, every member against the index."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from mimic.errors import DamagedError
from mimic.shards.corr import decode_corr
from mimic.shards.covis import COVIS_SUFFIXES, SHARE_COLUMNS, decode_labels, label_shares
from mimic.shards.depth import decode_depth
from mimic.shards.layout import SPLITS, shard_name
from mimic.shards.reader import read_manifest
from mimic.shards.sample import OVERLAPS
from mimic.shards.tables import Row, completed, from_parquet
from mimic.shards.tar import TarReader
from mimic.storage import MissingError, Storage
from schemas import SAMPLES, FileEntry, Manifest, SchemaError, ShardEntry, check_schema

Decode = Callable[[bytes], Any]
"""Encoded picture to an array (height, width, ...); raises ValueError if it is not a picture."""

_SHARD_FILE = re.compile(r"(train|val)-(\d{6})\.(tar|parquet)")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A damaged file (its name relative to the shards) and what is wrong with it."""

    file: str
    problem: str


def verify(storage: Storage, *, decode: Decode | None = None) -> list[Finding]:
    """Check a folder of shards; [] if all is well.

    Sizes and SHA-256 of all files, tars against their index (contiguous, same members, same
    headers), JSON against the index, correspondences one-to-one and within the grid, keys unique,
    numbering without holes, nothing that the manifest does not list.

    Args:
        storage: where the manifest is.
        decode: if given, every stored picture is decoded as well and its size checked, and so is
            every depth and every label map (``mimic verify --deep``).

    Raises:
        MissingError: there is no manifest.
        DamagedError: the manifest itself is damaged.
    """
    manifest = read_manifest(storage)
    findings = [*_numbering(manifest), *_unlisted(storage, manifest)]
    damaged = damaged_files(storage, manifest)
    findings += damaged
    absent = {finding.file for finding in damaged if finding.problem == _MISSING}
    keys: dict[str, str] = {}
    for shard in manifest.shards:
        if not absent & {shard.tar.name, shard.index.name}:
            findings += _check_shard(storage, shard, manifest, keys, decode)
    return sorted(set(findings))


_MISSING = "is missing"


def damaged_files(storage: Storage, manifest: Manifest) -> list[Finding]:
    """The files that are not what the manifest says: missing, of another size or hash."""
    shards = [file for shard in manifest.shards for file in (shard.tar, shard.index)]
    findings = (check_file(storage, file) for file in (*shards, *manifest.graph))
    return [finding for finding in findings if finding is not None]


def check_file(storage: Storage, file: FileEntry) -> Finding | None:
    """What is wrong with a file that a manifest lists; None if it is what it should be."""
    try:
        size = storage.size(file.name)
        if size != file.size:
            return Finding(file.name, f"has {size} bytes, the manifest says {file.size}")
        with storage.open(file.name) as opened:
            digest = _sha256(opened)
    except MissingError:
        return Finding(file.name, _MISSING)
    if digest != file.sha256:
        return Finding(file.name, "its SHA-256 is not the manifest's")
    return None


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _numbering(manifest: Manifest) -> Iterator[Finding]:
    for split in SPLITS:
        names = [shard.tar.name for shard in manifest.shards if shard.split == split]
        for number, name in enumerate(names):
            if name != f"{shard_name(split, number)}.tar":
                yield Finding(name, f"breaks the numbering: {shard_name(split, number)}.tar due")
                break


def _unlisted(storage: Storage, manifest: Manifest) -> Iterator[Finding]:
    listed = {file.name for shard in manifest.shards for file in (shard.tar, shard.index)}
    for entry in storage.list(recursive=False):
        if _SHARD_FILE.fullmatch(entry.name) and entry.name not in listed:
            yield Finding(entry.name, "is not in the manifest")


def _check_shard(
    storage: Storage,
    shard: ShardEntry,
    manifest: Manifest,
    keys: dict[str, str],
    decode: Decode | None,
) -> Iterator[Finding]:
    index, tar = shard.index.name, shard.tar.name
    try:
        table = from_parquet(storage.read(index), storage.join(index))
    except (DamagedError, SchemaError) as error:
        yield Finding(index, str(error).removeprefix(f"{storage.join(index)}: "))
        return
    if set(table.column_names) ^ set(SAMPLES.names) <= set(SHARE_COLUMNS):
        table = completed(table, SAMPLES)  # as an earlier version wrote it
    if not table.schema.equals(SAMPLES):
        yield Finding(index, "its columns are not those of the schema")
        return
    if len(table) != shard.samples:
        yield Finding(index, f"has {len(table)} samples, the manifest says {shard.samples}")
    yield from _repeated_keys(table, index, keys)
    with storage.open(tar) as file:
        yield from _check_tar(file, tar, table.to_pylist(), manifest, decode)


def _repeated_keys(table: pa.Table, name: str, keys: dict[str, str]) -> Iterator[Finding]:
    for key in table["key"].to_pylist():
        if key in keys:
            yield Finding(name, f"sample {key} is also in {keys[key]}")
        keys[key] = name


def _check_tar(
    file: Any, name: str, rows: list[Row], manifest: Manifest, decode: Decode | None
) -> Iterator[Finding]:
    """Walk the tar once, with the index: each header must be the one that its member asks for."""
    tar = TarReader(file)
    try:
        for row in rows:
            prefix = f"{row['key']}."
            pieces = {m["name"].removeprefix(prefix): tar.member(**m) for m in row["members"]}
            for problem in _check_sample(row, pieces, manifest, decode):
                yield Finding(name, f"sample {row['key']}: {problem}")
        tar.end()
    except ValueError as error:
        yield Finding(name, str(error))


def _check_sample(
    row: Row, pieces: dict[str, bytes], manifest: Manifest, decode: Decode | None
) -> Iterator[str]:
    numbers = range(1, len(row["views"]) + 1)
    maps = {n: suffix for n, suffix in enumerate(COVIS_SUFFIXES, 1) if row["labels_12"] is not None}
    depths = {n: f"depth{n}.png" for n in numbers if f"depth{n}.png" in pieces}
    pictures = {n: f"view{n}.jpg" for n in numbers}
    expected = ["corr_1_2.npy", *maps.values(), *depths.values(), "json", *pictures.values()]
    if list(pieces) != expected:
        yield f"its members are {list(pieces)}, not {expected}"
        return
    try:
        meta = json.loads(pieces["json"])
        check_schema(meta["schema"], "json")
        yield from _json_against_index(meta, row, manifest)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        yield f"its JSON does not fit the schema ({error})"
    yield from _corr_problems(pieces["corr_1_2.npy"], row)
    if decode is not None:
        images: tuple[tuple[str, dict[int, str], Decode], ...] = (
            ("view", pictures, decode),
            ("depth", depths, decode_depth),
            ("label map of view", maps, decode_labels),
        )
        for kind, members, read in images:
            for number, name in members.items():
                view = row["views"][number - 1]
                yield from _image_problems(pieces[name], f"{kind} {number}", view, read)
        yield from _share_problems(pieces, row)


_SOURCE_FIELDS = ("kind", "dataset", "item", "scene", "unit")


def _json_against_index(meta: dict[str, Any], row: Row, manifest: Manifest) -> Iterator[str]:
    source, edge, index_edge = meta["source"], meta["edges"][0], row["edges"][0]
    pairs = {
        "sample_id": (meta["sample_id"], row["sample_id"]),
        "config": (meta["config"], manifest.fingerprint),
        "seed": (meta["seed"], manifest.seed),
        "patch_size": (meta["patch_size"], row["patch_size"]),
        **{
            name: (source[name], row[name]) for name in ("kind", "dataset", "item", "scene", "unit")
        },
        "frames": (
            [view["frame_id"] for view in meta["views"]],
            [view["frame_id"] for view in row["views"]],
        ),
        "sizes": (
            [view["size"] for view in meta["views"]],
            [[view["width"], view["height"]] for view in row["views"]],
        ),
        **{
            name: (
                [_flattened(view[name]) for view in meta["views"]],
                [view[name] for view in row["views"]],
            )
            for name in ("intrinsics", "cam_to_world")
        },
        "homography": (_flattened(edge["homography"]), index_edge["homography"]),
        **{name: (edge[name], index_edge[name]) for name in ("matches", "inliers", "scale_ratio")},
        **{name: (edge.get(name), index_edge[name]) for name in SHARE_COLUMNS},
        **{n: (edge["overlap"][n], index_edge[f"overlap_{n}"]) for n in OVERLAPS},
    }
    for name, (said, indexed) in pairs.items():
        if said != indexed:
            yield f"its JSON and the index differ in {name}"


def _flattened(matrix: list[list[float]] | None) -> list[float] | None:
    return None if matrix is None else [value for line in matrix for value in line]


def _corr_problems(data: bytes, row: Row) -> Iterator[str]:
    try:
        corr = decode_corr(data)
    except (ValueError, EOFError) as error:
        yield f"its correspondence is not an array ({error})"
        return
    if corr.dtype != np.int32 or corr.ndim != 2 or corr.shape[1] != 2:
        yield f"its correspondence is {corr.dtype} {corr.shape}, not int32 (N, 2)"
        return
    if len(corr) != row["corr_count"]:
        yield f"it has {len(corr)} correspondences, the index says {row['corr_count']}"
    for number, view in enumerate(row["views"][:2]):
        patches = corr[:, number]
        size = row["patch_size"]
        if len(np.unique(patches)) != len(patches):
            yield f"its correspondence uses a patch of view {number + 1} twice"
        inside = (patches >= 0) & (patches < (view["width"] // size) * (view["height"] // size))
        if not inside.all():
            yield f"its correspondence leaves the patch grid of view {number + 1}"


def _share_problems(pieces: dict[str, bytes], row: Row) -> Iterator[str]:
    """Whether the numbers of the index are those of the label maps, as far as these are whole."""
    for name, suffix in zip(SHARE_COLUMNS, COVIS_SUFFIXES, strict=True):
        try:
            counted = label_shares(decode_labels(pieces[suffix])) if suffix in pieces else None
        except ValueError:
            continue
        if row[name] != counted:
            yield f"the index and its label map differ in {name}"


def _image_problems(data: bytes, what: str, view: Row, decode: Decode) -> Iterator[str]:
    try:
        height, width = decode(data).shape[:2]
    except ValueError as error:
        yield f"{what} cannot be decoded ({error})"
        return
    if (width, height) != (view["width"], view["height"]):
        yield f"{what} is {width} x {height}, the index says otherwise"
