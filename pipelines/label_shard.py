"""Labelling one shard: a pure function of its task, so that any executor may run it, or repeat it.

Samples stream through: each is read, labelled and written before the next one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from mimic import depth, opencv
from mimic.depth import DepthModel
from mimic.errors import DamagedError
from mimic.geometry.covisibility import PosedDepth
from mimic.labels import PairLabels, label_pair
from mimic.shards.covis import COVIS_SUFFIXES, share_columns
from mimic.shards.depth import Depth, Millimetres, depth_m
from mimic.shards.sample import FLAT_FIELDS, edge_meta, meta_bytes
from mimic.shards.tables import Row, completed, from_parquet, table_of
from mimic.shards.tar import TarReader, TarWriter
from mimic.shards.writer import commit_index, file_entry, finished
from mimic.sources.posed import UNSCALED_KIND
from mimic.storage import MissingError, Storage
from mimic.views import depth_mm
from pipelines.limits import crash_point
from schemas import SAMPLES, FileEntry, ShardEntry

LABELLED, PREDICTED, AS_BEFORE, MISSING_DEPTH, MISSING_POSE, UNSCALED = (
    "labelled",
    "predicted",
    "as_before",
    "missing_depth",
    "missing_pose",
    "unscaled",
)
"""What becomes of a sample: it is labelled, from its depth or from depth that is predicted; it has
labels already and lacks the depth to make them anew; it lacks what labels are made of, or has poses
in a unit that is not known, which predicted metres do not go with."""

UNLABELLED = frozenset({MISSING_DEPTH, MISSING_POSE, UNSCALED})

STATUS_COLUMNS = ("members", "views", "kind")
"""Columns of an index that tell what becomes of its samples."""

_KEPT_DEPTHS = 256
"""Predictions kept for the next pairs with the same view: 40 MB at 256 x 340."""


@dataclass(frozen=True, slots=True)
class LabelTask:
    """One shard to label: ``shard`` of ``source`` becomes the shard ``name`` of ``out``.

    ``fingerprint`` is that of the config of the new shards; with ``only_labelled`` samples that
    cannot be labelled are left out. ``depth`` predicts the depth of views that have none.
    """

    shard: ShardEntry
    name: str
    source: Storage
    out: Storage
    fingerprint: str
    only_labelled: bool
    versions: tuple[tuple[str, str], ...]
    depth: DepthModel | None = None

    @property
    def digest(self) -> str:
        """Identifies what is written: equal digests give equal bytes.

        The model for depth is in the fingerprint, what runs it in the versions.
        """
        head = [asdict(self.shard), self.name, self.fingerprint, self.only_labelled, self.versions]
        return hashlib.sha256(json.dumps(head, sort_keys=True).encode()).hexdigest()


def statuses(index: pa.Table, *, predicts: bool = False) -> list[str]:
    """What becomes of each sample of an index (its ``STATUS_COLUMNS``).

    ``predicts``: whether there is a model for the depth of views that have none.
    """
    members, views = (index[name].combine_chunks() for name in ("members", "views"))
    names = pc.list_flatten(members).field("name")
    sample_of = pc.list_parent_indices(members).to_numpy()

    def with_two(pattern: str) -> Any:
        of = sample_of[pc.match_substring_regex(names, pattern).to_numpy(zero_copy_only=False)]
        return np.bincount(of, minlength=len(index)) == 2

    flat, view_of = pc.list_flatten(views), pc.list_parent_indices(views).to_numpy()
    posed = pc.and_(flat.field("intrinsics").is_valid(), flat.field("cam_to_world").is_valid())
    unposed = np.bincount(view_of[~posed.to_numpy(zero_copy_only=False)], minlength=len(index))
    deep, mapped = with_two(r"\.depth[12]\.png$"), with_two(r"\.covis_(1_2|2_1)\.png$")
    scaled = pc.not_equal(index["kind"], UNSCALED_KIND).to_numpy()
    found = np.select(
        [
            deep & (unposed == 0),
            mapped,
            (unposed == 0) & scaled & predicts,
            (unposed == 0) & ~scaled,
            ~deep & (not predicts),
        ],
        [LABELLED, AS_BEFORE, PREDICTED, UNSCALED, MISSING_DEPTH],
        MISSING_POSE,
    )
    return cast("list[str]", found.tolist())


def label_shard(task: LabelTask) -> ShardEntry:
    """Write the labelled shard, tar then index; nothing if this task has been finished before.

    A sample at a time: memory does not grow with the shard.

    Raises:
        DamagedError: the shard is not what the manifest says.
        StorageError: a place cannot be read or written.
        MimicError: the model for depth is not the same here, or cannot be used.
    """
    done = finished(task.out, task.name, task.digest)
    if done is None:
        crash_point("before_shard")
        with threadpool_limits(limits=1):  # products this small only lose by a BLAS's threads
            done = _written(task)
        crash_point("after_shard")
    return ShardEntry(task.shard.split, _rows_in(task, done[1]), *done)


def _rows_in(task: LabelTask, index: FileEntry) -> int:
    if not task.only_labelled:
        return task.shard.samples
    with task.out.open(index.name) as file:
        return int(pq.ParquetFile(file).metadata.num_rows)


def _written(task: LabelTask) -> tuple[FileEntry, FileEntry]:
    table, written = _index_of(task), []
    tar_name = f"{task.name}.tar"
    labeller = _Labeller(task)
    with task.out.staged(tar_name) as path, path.open("xb") as file:
        tar = TarWriter(file)
        found = statuses(table, predicts=task.depth is not None)
        for (row, pieces), status in zip(_samples(task, table), found, strict=True):
            if task.only_labelled and status in UNLABELLED:
                continue
            new_row, contents = labeller.labelled(row, pieces, status)
            members = [tar.add(f"{row['key']}.{name}", data) for name, data in contents.items()]
            written.append(new_row | {"members": [asdict(member) for member in members]})
        tar.close()
    entry = FileEntry(tar_name, tar.size, tar.sha256)
    return entry, commit_index(task.out, task.name, table_of(written, SAMPLES), entry, task.digest)


def _index_of(task: LabelTask) -> pa.Table:
    name = task.shard.index.name
    where = task.source.join(name)
    try:
        data = task.source.read(name)
    except MissingError as error:
        raise _damaged(where, "is missing") from error
    if file_entry(name, data) != task.shard.index:
        raise _damaged(where, _NOT_LISTED)
    return completed(from_parquet(data, where), SAMPLES)


def _samples(task: LabelTask, table: pa.Table) -> Iterator[tuple[Row, dict[str, bytes]]]:
    """Rows and members of all samples; the whole tar is checked on the way."""
    name = task.shard.tar.name
    where = task.source.join(name)
    try:
        with task.source.open(name) as file:
            tar = TarReader(file)
            for row in table.to_pylist():
                prefix = f"{row['key']}."
                yield (
                    row,
                    {m["name"].removeprefix(prefix): tar.member(**m) for m in row["members"]},
                )
            if tar.end() != task.shard.tar.sha256:
                raise _damaged(where, _NOT_LISTED)
    except MissingError as error:
        raise _damaged(where, "is missing") from error
    except ValueError as error:  # the tar reader's
        raise _damaged(where, str(error)) from error


_NOT_LISTED = "is not the file that the manifest lists"


def _damaged(where: str, problem: str) -> DamagedError:
    return DamagedError(f"{where}: {problem}; run `mimic verify`, then mine it again")


class _Labeller:
    """Labels the samples of one task, one after the other."""

    def __init__(self, task: LabelTask) -> None:
        self._task = task
        self._predict = lru_cache(maxsize=_KEPT_DEPTHS)(self._predicted)

    def labelled(
        self, row: Row, pieces: dict[str, bytes], status: str
    ) -> tuple[Row, dict[str, bytes]]:
        """A sample's row and members under the new config, with labels where they can be made."""
        edge = row["edges"][0]
        if status in {LABELLED, PREDICTED}:
            depth_of = self._stored_depth if status == LABELLED else self._predicted_depth
            posed = [_posed(row, number, depth_of(row, pieces, number)) for number in (1, 2)]
            labels = label_pair(*posed)
            edge = edge | _measured(edge, labels)
            pieces = pieces | dict(zip(COVIS_SUFFIXES, labels.maps, strict=True))
            row = row | {"edges": [edge]} | {name: edge[name] for name in FLAT_FIELDS}
        meta = json.loads(pieces["json"])
        meta["config"] = self._task.fingerprint
        meta["edges"][0] |= edge_meta(edge)
        return row, dict(sorted((pieces | {"json": meta_bytes(meta)}).items()))

    def _stored_depth(self, row: Row, pieces: dict[str, bytes], number: int) -> Depth:
        name = f"depth{number}.png"
        try:
            return depth_m(pieces[name])
        except ValueError as error:
            raise self._undecodable(f"{row['key']}.{name}", error) from error

    def _predicted_depth(self, row: Row, pieces: dict[str, bytes], number: int) -> Depth:
        """In whole millimetres, as all depth is that labels are made of."""
        name = f"view{number}.jpg"
        try:
            millimetres = self._predict(pieces[name], tuple(row["views"][number - 1]["intrinsics"]))
        except ValueError as error:
            raise self._undecodable(f"{row['key']}.{name}", error) from error
        return millimetres.astype(np.float32) / np.float32(1000)

    def _predicted(self, picture: bytes, intrinsics: tuple[float, ...]) -> Millimetres:
        assert self._task.depth is not None
        rgb = opencv.decode_image(picture)
        model = depth.opened(self._task.depth)
        return depth_mm(model.predict(rgb, np.array(intrinsics).reshape(3, 3)))

    def _undecodable(self, member: str, error: ValueError) -> DamagedError:
        where = self._task.source.join(self._task.shard.tar.name)
        return _damaged(where, f"{member} cannot be decoded ({error})")


def _posed(row: Row, number: int, depth_m: Depth) -> PosedDepth:
    intrinsics, cam_to_world = (
        np.array(row["views"][number - 1][field]).reshape(side, side)
        for field, side in (("intrinsics", 3), ("cam_to_world", 4))
    )
    return PosedDepth(depth_m, intrinsics, cam_to_world)


def _measured(edge: Row, labels: PairLabels) -> Row:
    """What labels tell of an edge: shares always, measures where there were none."""
    known = {
        "overlap_covis_12": labels.covis.forward,
        "overlap_covis_21": labels.covis.backward,
        "overlap_covis": labels.covis.smaller,
        "scale_ratio": labels.scale_ratio,
        "viewpoint_angle_deg": labels.viewpoint_angle_deg,
    }
    filled = {name: value for name, value in known.items() if edge[name] is None}
    return {**filled, **share_columns(labels.maps)}
