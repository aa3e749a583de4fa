"""Labelling: co-visibility maps added to finished shards that carry depth and pose, in new shards.

A pure map, shard by shard: the samples, their order, splits and shards stay as they are. The
manifest is written last; after a crash at any point the same call goes on where it stopped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from mimic.config import Config, LabelConfig, config_from
from mimic.depth import DepthModel
from mimic.errors import MimicError
from mimic.shards.layout import shard_name
from mimic.shards.reader import Shards
from mimic.shards.tables import metadata_of
from mimic.shards.versions import merged, versions
from mimic.storage import Storage
from pipelines.label_graph import label_graph
from pipelines.label_shard import (
    LABELLED,
    MISSING_DEPTH,
    MISSING_POSE,
    PREDICTED,
    STATUS_COLUMNS,
    UNLABELLED,
    UNSCALED,
    LabelTask,
    label_shard,
    statuses,
)
from pipelines.limits import crash_point
from pipelines.pack import remove_strays
from schemas import MANIFEST_NAME, Manifest, ShardEntry

_INDEX = re.compile(r"(train|val)-\d{6}\.parquet")


Run = Callable[[Callable[[LabelTask], ShardEntry], Iterable[LabelTask]], Iterable[ShardEntry]]
"""Runs independent tasks, in any order and place (see :mod:`pipelines.pack`)."""


@dataclass(frozen=True, slots=True)
class LabelResult:
    """What was written. ``counts``: samples by what became of them (``LABELLED``, ...)."""

    manifest: Manifest
    counts: dict[str, int]


def label(
    shards: Storage,
    out: Storage,
    *,
    only_labelled: bool = False,
    depth: DepthModel | None = None,
    run: Run = map,
    on_shard: Callable[[ShardEntry, int], None] | None = None,
) -> LabelResult:
    """Write the samples of finished shards, with labels, to another folder.

    Args:
        shards: where the manifest is; nothing is changed there.
        out: where the new shards go. What an interrupted call has finished is not done again.
        only_labelled: leave out samples without depth or pose (otherwise they stay as they are).
        depth: predicts the depth of samples with pose and intrinsics that have none. It is not
            stored: labels are all that is made of it.
        run: runs the shard tasks.
        on_shard: is told of each shard that is done, and how many there are.

    Raises:
        MimicError: ``out`` is the folder of ``shards`` or holds other ones, no sample has depth
            and pose, or some were labelled by another model's depth.
        DamagedError: a file of the shards is damaged; the message names it.
    """
    if shards == out:
        raise MimicError(f"{out.url}: shards cannot be labelled in their own folder; name another")
    source = Shards(shards)
    config = _labelled_config(shards, source.manifest, depth)
    found = [
        statuses(source.shard_index(shard, list(STATUS_COLUMNS)), predicts=depth is not None)
        for shard in source.shards()
    ]
    counts = sum(map(Counter, found), Counter[str]())
    _check_any(shards, counts, depth)
    made = versions() | dict(depth.versions if depth else ())
    tasks = _tasks(source, out, found, config.fingerprint(), only_labelled, depth, made)
    _check_out(out, tasks)
    entries = _run_all(tasks, run, on_shard)
    crash_point("before_manifest")
    manifest = _manifest(source.manifest, config, entries, made, counts, only_labelled)
    manifest = replace(manifest, graph=label_graph(source, out, entries))
    remove_strays(out, manifest)
    out.write(MANIFEST_NAME, manifest.to_json().encode())
    return LabelResult(manifest, dict(sorted(counts.items())))


def _labelled_config(shards: Storage, manifest: Manifest, depth: DepthModel | None) -> Config:
    config = config_from(manifest.config)
    labels = LabelConfig(
        covis=True, depth_model=config.labels.depth_model, depth_sha256=config.labels.depth_sha256
    )
    if depth is not None:
        if labels.depth_sha256 not in (None, depth.sha256):
            raise MimicError(
                f"{shards.url}: labelled with the depth of another model ({labels.depth_model}); "
                "label the shards that those were made of"
            )
        labels = LabelConfig(covis=True, depth_model=depth.name, depth_sha256=depth.sha256)
    return config.model_copy(update={"labels": labels})


def _check_any(shards: Storage, counts: Counter[str], depth: DepthModel | None) -> None:
    if counts[LABELLED] or counts[PREDICTED]:
        return
    total = counts.total()
    if counts[UNSCALED]:
        raise MimicError(
            f"{shards.url}: {counts[UNSCALED]:,} of its {total:,} pairs have poses in a unit that "
            "is not known, which depth in metres does not go with, and none has all that labels "
            "are made of: run mimic reconstruct with --depth-model, and mine what it writes"
        )
    if depth is not None:
        raise MimicError(
            f"{shards.url}: none of its {total:,} pairs has both poses and both intrinsics, and "
            "labels are made of them: mine a source that knows them, or run mimic reconstruct"
        )
    raise MimicError(
        f"{shards.url}: none of its {total:,} pairs has depth and pose "
        f"({counts[MISSING_DEPTH]:,} lack depth, {counts[MISSING_POSE]:,} only the pose), and "
        "labels are made of them: mine with --depth, from a source that knows both, or have the "
        "depth of posed views predicted with --depth-model"
    )


def _check_out(out: Storage, tasks: list[LabelTask]) -> None:
    """Only what this very call has begun may be there."""
    ours = {f"{task.name}.parquet": task.digest for task in tasks}
    strange = out.exists(".mimic/plan.parquet")
    for entry in out.list(recursive=False):
        if _INDEX.fullmatch(entry.name):
            digest = _digest_at(out, entry.name)
            strange |= digest is not None and digest != ours.get(entry.name)
    if strange:
        raise MimicError(
            f"{out.url}: holds other shards than the labelled ones of these (or of another version "
            "of mimic); name another --out"
        )


def _digest_at(out: Storage, name: str) -> str | None:
    """The task that a shard's index answers; None if it is not a whole index."""
    with out.open(name) as file:
        try:
            return str(metadata_of(pq.ParquetFile(file).schema_arrow, "task"))
        except (pa.ArrowException, OSError):
            return None


def _tasks(
    source: Shards,
    out: Storage,
    found: list[list[str]],
    fingerprint: str,
    only_labelled: bool,
    depth: DepthModel | None,
    made: dict[str, str],
) -> list[LabelTask]:
    """A task for each shard in which something is left, numbered without holes."""
    numbers: Counter[str] = Counter()
    tasks = []
    for shard, of_shard in zip(source.shards(), found, strict=True):
        if only_labelled and UNLABELLED.issuperset(of_shard):
            continue
        tasks.append(
            LabelTask(
                shard=shard,
                name=shard_name(shard.split, numbers[shard.split]),
                source=source.storage,
                out=out,
                fingerprint=fingerprint,
                only_labelled=only_labelled,
                versions=tuple(sorted(made.items())),
                depth=depth,
            )
        )
        numbers[shard.split] += 1
    return tasks


def _run_all(
    tasks: list[LabelTask], run: Run, on_shard: Callable[[ShardEntry, int], None] | None
) -> tuple[ShardEntry, ...]:
    entries = []
    for entry in run(label_shard, tasks):
        entries.append(entry)
        if on_shard is not None:
            on_shard(entry, len(tasks))
    return tuple(sorted(entries, key=lambda entry: entry.tar.name))


def _manifest(
    source: Manifest,
    config: Config,
    entries: tuple[ShardEntry, ...],
    made: dict[str, str],
    counts: Counter[str],
    only_labelled: bool,
) -> Manifest:
    totals = dict(source.counts)
    left_out = sum(counts[status] for status in UNLABELLED)
    if only_labelled and left_out:
        totals["samples"] = sum(entry.samples for entry in entries)
        totals["unlabelled"] = totals.get("unlabelled", 0) + left_out
    return replace(
        source,
        config=config.decisive(),
        fingerprint=config.fingerprint(),
        versions=merged(source.versions, made),
        shards=entries,
        counts=dict(sorted(totals.items())),
    )
