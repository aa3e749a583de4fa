"""Checking shards: every file against the manifest, every member against the index."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from mimic.errors import DamagedError
from mimic.shards.corr import decode_corr
from mimic.shards.layout import SPLITS, shard_name
from mimic.shards.reader import read_manifest
from mimic.shards.sample import OVERLAPS
from mimic.shards.tables import Row, from_parquet
from mimic.shards.tar import BLOCK, header
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
        decode: if given, every stored picture is decoded as well and its size checked
            (``mimic verify --deep``).

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
    findings = (_check_file(storage, file) for file in (*shards, *manifest.graph))
    return [finding for finding in findings if finding is not None]


def _check_file(storage: Storage, file: FileEntry) -> Finding | None:
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
    at = 0
    for row in rows:
        pieces: dict[str, bytes] = {}
        for member in row["members"]:
            file.seek(at)
            data = file.read(BLOCK + member["size"])
            if (
                member["offset"] != at + BLOCK
                or data[:BLOCK] != header(member["name"], member["size"])
                or len(data) < BLOCK + member["size"]
            ):
                yield Finding(name, f"member {member['name']} is not where the index says")
                return
            pieces[member["name"].removeprefix(f"{row['key']}.")] = data[BLOCK:]
            at += BLOCK + member["size"] + -member["size"] % BLOCK
        for problem in _check_sample(row, pieces, manifest, decode):
            yield Finding(name, f"sample {row['key']}: {problem}")
    file.seek(at)
    rest = file.read()
    if rest.strip(b"\0") or not 2 * BLOCK <= len(rest) <= 2 * BLOCK + tarfile.RECORDSIZE:
        yield Finding(name, "does not end where the index says")


def _check_sample(
    row: Row, pieces: dict[str, bytes], manifest: Manifest, decode: Decode | None
) -> Iterator[str]:
    expected = ["corr_1_2.npy", "json", *(f"view{n + 1}.jpg" for n in range(len(row["views"])))]
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
    for number, view in enumerate(row["views"], start=1):
        yield from _picture_problems(pieces[f"view{number}.jpg"], number, view, decode)


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
        "homography": (_flattened(edge["homography"]), index_edge["homography"]),
        **{name: (edge[name], index_edge[name]) for name in ("matches", "inliers", "scale_ratio")},
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


def _picture_problems(data: bytes, number: int, view: Row, decode: Decode | None) -> Iterator[str]:
    if decode is None:
        return
    try:
        height, width = decode(data).shape[:2]
    except ValueError as error:
        yield f"view {number} cannot be decoded ({error})"
        return
    if (width, height) != (view["width"], view["height"]):
        yield f"view {number} is {width} x {height}, the index says otherwise"
