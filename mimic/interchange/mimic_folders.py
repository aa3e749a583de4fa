"""The layout of MIMIC's published data: a folder per pair.

``<scene>/<pair>/0000.jpg``, ``0001.jpg`` and ``corresponding.npy``, a pickled ``{patch: patch}``
over the 14 x 14 grid of a 224 x 224 picture. How a pair was found is not in it, so imported edges
have the verifier ``imported``, their patch overlap, and nothing else.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from mimic.config import Config
from mimic.errors import MimicError, SourceError
from mimic.ids import stable_id
from mimic.interchange.jpeg import jpeg_size
from mimic.interchange.safe_pickle import read_corresponding, write_corresponding
from mimic.shards.corr import Corr, encode_corr
from mimic.shards.graph import GraphWriter, UnitGraph, nowhere
from mimic.shards.layout import lay_out
from mimic.shards.pairs import PAIR_EDGES, PAIR_FRAMES, Pairs, Place
from mimic.shards.part import UnitSource
from mimic.shards.reader import Shards
from mimic.shards.sample import Context, pair_key
from mimic.shards.tables import Row, table_of
from mimic.shards.versions import versions
from mimic.shards.writer import ShardTask, write_shard
from mimic.storage import Storage
from mimic.types import KEPT
from schemas import EDGES, FRAMES, MANIFEST_NAME, FileEntry, Manifest

PICTURES = ("0000.jpg", "0001.jpg")
CORRESPONDING = "corresponding.npy"
PAIRS_CSV = "pairs.csv"
VERIFIER = "imported"
KIND = "mimic"
PEER_SIZE = [224, 224]
PEER_PATCH = 16

_UNSAFE = re.compile(r"[^A-Za-z0-9._/-]")


@dataclass(frozen=True, slots=True)
class _Found:
    """A pair in a folder: its frames by content, and what the files say."""

    folder: str
    scene: str
    frames: tuple[str, str]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    bytes: tuple[int, int]
    count: int

    @property
    def key(self) -> str:
        return pair_key(*self.frames)


def import_mimic(
    folder: Storage,
    out: Storage,
    config: Config,
    *,
    on_skip: Callable[[str, str], None] = lambda folder, why: None,
) -> Manifest:
    """Bring a folder of published pairs into shards; pictures pass through untouched.

    Args:
        folder: where the pair folders are, at any depth; the folder above a pair is its scene.
        out: an empty place for the shards.
        config: ``overlap.patch_size`` is that of the data; ``source.dataset``, ``seed`` and
            ``pack`` decide the rest. The preset ``mimic`` fits.
        on_skip: told of every pair folder that is left out, and why; they are counted as well.

    Raises:
        MimicError: there are no pairs, or ``out`` holds shards.
        SourceError: a pickle asks for more than plain data (reason ``unsafe_pickle``).
        StorageError: a place cannot be read or written.
    """
    if out.exists(MANIFEST_NAME):
        raise MimicError(f"{out.url}: holds shards already; import into an empty --out")
    counts: Counter[str] = Counter()
    found = _unique(_found(folder, config, counts, on_skip), counts)
    if not found:
        raise MimicError(
            f"{folder.url}: no pairs in MIMIC's layout (folders with 0000.jpg, 0001.jpg and "
            "corresponding.npy)"
        )
    counts.update(candidates=len(found), kept=len(found), samples=len(found))
    graph, units = _write_graph(found, out, config)
    made = versions()
    tasks = _tasks(found, folder, out, config, made)
    manifest = Manifest(
        config=config.decisive(),
        fingerprint=config.fingerprint(),
        preset=config.preset,
        seed=config.seed,
        versions=made,
        shards=tuple(write_shard(task) for task in tasks),
        graph=graph,
        counts=dict(sorted(counts.items())),
        units=units,
    )
    out.write(MANIFEST_NAME, manifest.to_json().encode())
    return manifest


def export_mimic(
    shards: Shards, folder: Storage, *, split: str | None = None, any_size: bool = False
) -> int:
    """Write pairs as MIMIC's folders, and ``pairs.csv`` (path1, path2) that its training reads.

    Args:
        shards: finished shards.
        folder: where the folders go; ``pairs.csv`` is written last.
        split: only this split.
        any_size: also write pairs that the peer's loader would misread: pictures other than
            224 x 224 or patches other than 16 x 16.

    Returns:
        How many pairs were written.

    Raises:
        MimicError: such a pair was met without ``any_size``.
    """
    listing = io.StringIO()
    table = csv.writer(listing, lineterminator="\n")
    table.writerow(["path1", "path2"])
    count = 0
    for sample in shards.samples(split):
        if not any_size:
            _check_fits(sample.meta, sample.key)
        name = str(PurePosixPath(_safe(sample.meta["source"]["scene"])) / sample.key)
        pairs = {int(a): int(b) for a, b in sample.corr()}
        for number, picture in enumerate(PICTURES, start=1):
            folder.write(f"{name}/{picture}", sample.view_bytes(number))
        folder.write(f"{name}/{CORRESPONDING}", write_corresponding(pairs))
        table.writerow([f"{name}/{picture}" for picture in PICTURES])
        count += 1
    folder.write(PAIRS_CSV, listing.getvalue().encode())
    return count


def _check_fits(meta: dict[str, Any], key: str) -> None:
    sizes = [view["size"] for view in meta["views"]]
    if sizes != [PEER_SIZE, PEER_SIZE] or meta["patch_size"] != PEER_PATCH:
        raise MimicError(
            f"pair {key}: pictures {sizes} with patches of {meta['patch_size']}, MIMIC's layout "
            "means 224 x 224 and 16: mine with --preset mimic, or export with --any-size"
        )


def _safe(scene: str) -> str:
    """A scene's name as a relative path without surprises."""
    parts = [part for part in _UNSAFE.sub("_", scene).split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "scene"


def _found(
    folder: Storage, config: Config, counts: Counter[str], on_skip: Callable[[str, str], None]
) -> Iterator[_Found]:
    """The pairs, by folder name."""
    names = (PurePosixPath(entry.name) for entry in folder.list())
    ours = [name for name in names if name.name in {*PICTURES, CORRESPONDING}]
    by_folder = sorted(ours, key=lambda name: str(name.parent))
    for parent, files in groupby(by_folder, key=lambda name: name.parent):
        try:
            yield _read_pair(folder, parent, {file.name for file in files}, config)
        except SourceError as error:
            if error.reason == "unsafe_pickle":
                raise
            counts[error.reason] += 1
            on_skip(str(parent), str(error))


def _read_pair(folder: Storage, parent: PurePosixPath, files: set[str], config: Config) -> _Found:
    absent = sorted({*PICTURES, CORRESPONDING} - files)
    where = folder.join(str(parent))
    if absent:
        raise SourceError("incomplete", f"{where}: has no {', '.join(absent)}")
    pictures = [folder.read(str(parent / name)) for name in PICTURES]
    sizes = [
        jpeg_size(data, f"{where}/{name}") for data, name in zip(pictures, PICTURES, strict=True)
    ]
    corr = _read_corr(folder, parent, (sizes[0], sizes[1]), config.overlap.patch_size)
    return _Found(
        folder=str(parent),
        scene=str(parent.parent) if len(parent.parts) > 1 else str(parent),
        frames=(_content_id(pictures[0]), _content_id(pictures[1])),
        sizes=(sizes[0], sizes[1]),
        bytes=(len(pictures[0]), len(pictures[1])),
        count=len(corr),
    )


def _content_id(data: bytes) -> str:
    return stable_id("imported", hashlib.sha256(data).hexdigest())


def _read_corr(
    folder: Storage,
    parent: PurePosixPath,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    patch_size: int,
) -> Corr:
    """The checked correspondence of a pair, by rising patch of view 1."""
    name = str(parent / CORRESPONDING)
    where = folder.join(name)
    pairs = read_corresponding(folder.read(name), where)
    corr = np.array(sorted(pairs.items()), dtype=np.int64).reshape(-1, 2)
    patches = [_patches(size, patch_size) for size in sizes]
    if ((corr < 0) | (corr >= patches)).any():
        raise SourceError(
            "damaged", f"{where}: names patches outside the grids of {patches[0]}, {patches[1]}"
        )
    if len(np.unique(corr[:, 1])) != len(corr):
        raise SourceError("damaged", f"{where}: uses a patch of the second view twice")
    return corr.astype(np.int32)


def _patches(size: tuple[int, int], patch_size: int) -> int:
    return (size[0] // patch_size) * (size[1] // patch_size)


def _unique(found: Iterable[_Found], counts: Counter[str]) -> list[_Found]:
    """The first of each key, by folder name."""
    by_key: dict[str, _Found] = {}
    for pair in found:
        if pair.key in by_key:
            counts["duplicates"] += 1
        by_key.setdefault(pair.key, pair)
    return list(by_key.values())


def _write_graph(
    found: list[_Found], out: Storage, config: Config
) -> tuple[tuple[FileEntry, ...], int]:
    """Each scene is a unit of the graph."""
    by_scene = sorted(found, key=lambda pair: pair.scene)
    units = 0
    with GraphWriter(out, 0, config.overlap.measure) as graph:
        for scene, pairs in groupby(by_scene, key=lambda pair: pair.scene):
            held = list(pairs)
            frames = {row["frame_id"]: row for pair in held for row in _frame_rows(pair)}
            edges = [_edge_row(pair, config.overlap.patch_size) for pair in held]
            graph.add(
                UnitGraph(
                    source=_source(scene, config),
                    frames=table_of(list(frames.values()), FRAMES),
                    edges=table_of(edges, EDGES),
                    places=nowhere(len(frames)),
                    depths=nowhere(len(frames)),
                    corrs=nowhere(len(edges)),
                    covis=(nowhere(len(edges)), nowhere(len(edges))),
                )
            )
            units += 1
    return graph.entries, units


def _source(scene: str, config: Config) -> UnitSource:
    return UnitSource(_unit_id(scene), KIND, config.source.dataset, scene, scene)


def _unit_id(scene: str) -> str:
    return stable_id("unit", VERIFIER, scene)


def _tasks(
    found: list[_Found], folder: Storage, out: Storage, config: Config, made: dict[str, str]
) -> Iterator[ShardTask]:
    plans = lay_out(
        [pair.key for pair in found],
        [pair.scene for pair in found],
        seed=config.seed,
        val_share=config.pack.val_share,
        samples_per_shard=config.pack.samples_per_shard,
        first={},
    )
    for plan in plans:
        yield ShardTask(
            split=plan.split,
            name=plan.name,
            pairs=_pairs([found[i] for i in plan.samples], folder, config),
            source=folder,
            out=out,
            context=Context.of(config),
            versions=tuple(sorted(made.items())),
        )


def _pairs(found: list[_Found], folder: Storage, config: Config) -> Pairs:
    patch_size = config.overlap.patch_size
    corrs, pictures = [], []
    for pair in found:
        parent = PurePosixPath(pair.folder)
        corrs.append(encode_corr(_read_corr(folder, parent, pair.sizes, patch_size)))
        pictures += [
            Place(str(parent / name), 0, size)
            for name, size in zip(PICTURES, pair.bytes, strict=True)
        ]
    edges = table_of([_edge_row(pair, patch_size) for pair in found], EDGES)
    frames = table_of([row for pair in found for row in _frame_rows(pair)], FRAMES)
    return Pairs(
        keys=tuple(pair.key for pair in found),
        sources=tuple(_source(pair.scene, config) for pair in found),
        edges=edges.select(PAIR_EDGES.names),
        frames=frames.select(PAIR_FRAMES.names),
        pictures=tuple(pictures),
        depths=(None,) * len(pictures),
        corrs=tuple(corrs),
        covis=(None,) * len(pictures),
    )


def _frame_rows(pair: _Found) -> tuple[Row, Row]:
    rows = [
        dict.fromkeys(FRAMES.names)
        | {
            "unit_id": _unit_id(pair.scene),
            "frame_id": frame,
            "slot": slot,
            "frame": str(PurePosixPath(pair.folder) / name),
            "width": size[0],
            "height": size[1],
        }
        for slot, (frame, name, size) in enumerate(
            zip(pair.frames, PICTURES, pair.sizes, strict=True)
        )
    ]
    return rows[0], rows[1]


def _edge_row(pair: _Found, patch_size: int) -> Row:
    """The peer stores the map of its smaller direction: its share is the pair's overlap."""
    patches = max(_patches(size, patch_size) for size in pair.sizes)
    overlap = pair.count / patches if patches else 0.0
    return dict.fromkeys(EDGES.names) | {
        "unit_id": _unit_id(pair.scene),
        "frame_1": pair.frames[0],
        "frame_2": pair.frames[1],
        "slot_1": 0,
        "slot_2": 1,
        "verdict": KEPT,
        "value": overlap,
        "verifier": VERIFIER,
        "overlap_patch": overlap,
    }
