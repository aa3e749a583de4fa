"""A sample: its key, its members, its JSON and its row in the index, from rows of the graph.

A pair is a sample of two views and one edge. Everything here is a pure function of rows and bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from mimic.config import Config
from mimic.geometry import patches
from mimic.ids import stable_id
from mimic.shards.corr import Corr, decode_corr, encode_corr
from mimic.shards.covis import (
    COVIS_SUFFIXES,
    SHARE_COLUMNS,
    Labels,
    covis_suffix,
    decode_labels,
    share_columns,
)
from mimic.shards.depth import Depth, depth_m
from mimic.shards.part import UnitSource
from mimic.shards.tables import Row
from mimic.types import KEPT, Part
from schemas import OVERLAP_MEASURES, SCHEMA_VERSION

OVERLAPS = tuple(f"{m}{suffix}" for m in OVERLAP_MEASURES for suffix in ("_12", "_21", ""))
_EDGE_SCALARS = (
    "interval_s",
    "scale_ratio",
    "rotation_deg",
    "parallax_px",
    "viewpoint_angle_deg",
    "motion_px",
    "thumb_difference",
    "static_share",
    "dynamic_share",
)
FLAT_FIELDS = (
    "interval_s",
    "matches",
    "inliers",
    "epipolar_inliers",
    *(f"overlap_{name}" for name in OVERLAPS),
    "scale_ratio",
    "rotation_deg",
    "parallax_px",
    "viewpoint_angle_deg",
    *SHARE_COLUMNS,
)


@dataclass(frozen=True)
class Sample:
    """A sample as it is read: ``key``, and ``read``, which gives a member's bytes by its suffix.

    ``suffixes`` are those of the files that it has: ``json``, ``view1.jpg``, ``corr_1_2.npy``.
    """

    key: str
    read: Callable[[str], bytes]
    suffixes: Collection[str]

    @cached_property
    def meta(self) -> dict[str, Any]:
        """The content of ``KEY.json``."""
        return cast("dict[str, Any]", json.loads(self.read("json")))

    def view_bytes(self, view: int) -> bytes:
        """The stored picture of a view (from 1), encoded."""
        return self.read(f"view{view}.jpg")

    def depth(self, view: int) -> Depth | None:
        """Depth of a view (from 1) at the size of its stored picture; None where it has none.

        (h, w) float32, metres along the optical axis, 0 where nothing was measured. The view's
        ``intrinsics`` in :attr:`meta` belong to these pixels.
        """
        self._check_views(view)
        suffix = f"depth{view}.png"
        return depth_m(self.read(suffix)) if suffix in self.suffixes else None

    def covis(self, view_1: int = 1, view_2: int = 2) -> Labels | None:
        """The pixels of ``view_1`` as ``view_2`` sees them; None where they were not labelled.

        (h, w) uint8 of the stored picture's size: 0 co-visible, 1 occluded, 2 outside the field of
        view, 255 unknown.
        """
        self._check_views(view_1, view_2)
        suffix = covis_suffix(view_1, view_2)
        return decode_labels(self.read(suffix)) if suffix in self.suffixes else None

    def corr(self, view_1: int = 1, view_2: int = 2) -> Corr:
        """Patch correspondences of two views, (N, 2) int32."""
        return decode_corr(self.read(f"corr_{view_1}_{view_2}.npy"))

    def _check_views(self, *views: int) -> None:
        for view in views:
            if f"view{view}.jpg" not in self.suffixes:
                raise KeyError(f"sample {self.key} has no view {view}")


@dataclass(frozen=True, slots=True)
class Context:
    """What all samples of a data set share."""

    fingerprint: str
    preset: str
    seed: int
    patch_size: int
    outside_votes: bool

    @property
    def corr_options(self) -> tuple[int, bool]:
        """What decides a correspondence beside the homography."""
        return self.patch_size, self.outside_votes

    @classmethod
    def of(cls, config: Config) -> Context:
        """The part of a config that samples repeat."""
        overlap = config.overlap
        return cls(
            fingerprint=config.fingerprint(),
            preset=config.preset,
            seed=config.seed,
            patch_size=overlap.patch_size,
            outside_votes=overlap.outside_votes,
        )


def pair_key(frame_1: str, frame_2: str) -> str:
    """The key of a pair: of its frames alone, so that it is the same in every data set."""
    return stable_id("pair", frame_1, frame_2)


def corr_of(edge: Row, frames: tuple[Row, Row], context: Context) -> Corr | None:
    """The correspondence that the edge's homography gives; None where it has none.

    The map of the direction with the smaller patch overlap (of 2 -> 1 when equal). What mining has
    stored with the same options is equal to it, and cheaper.
    """
    if edge["homography"] is None:
        return None
    homography = np.array(edge["homography"], dtype=np.float64).reshape(3, 3)
    sizes = _size(frames[0]), _size(frames[1])
    return patches.corr(homography, *sizes, *context.corr_options)


def meta_of(
    key: str, source: UnitSource, edge: Row, frames: tuple[Row, Row], context: Context
) -> dict[str, Any]:
    """The content of ``KEY.json``."""
    return {
        "schema": SCHEMA_VERSION,
        "sample_id": key,
        "config": context.fingerprint,
        "preset": context.preset,
        "seed": context.seed,
        "patch_size": context.patch_size,
        "source": {
            "kind": source.kind,
            "dataset": source.dataset,
            "item": source.item,
            "scene": source.scene,
            "unit": source.unit,
        },
        "views": [_view_meta(frame) for frame in frames],
        "edges": [edge_meta(edge)],
    }


def meta_bytes(meta: dict[str, Any]) -> bytes:
    """``KEY.json``: one line, sorted keys."""
    return _encode(meta).encode() + b"\n"


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def members_of(
    meta: bytes,
    corr: bytes,
    pictures: Sequence[bytes],
    depths: Sequence[bytes | None],
    covis: Sequence[bytes | None] = (None, None),
) -> dict[str, bytes]:
    """Suffix to bytes, in the order of the tar: by kind, then by number of the view."""
    numbered = enumerate(depths, start=1)
    maps = zip(COVIS_SUFFIXES, covis, strict=True)
    return {
        "corr_1_2.npy": corr,
        **{suffix: labels for suffix, labels in maps if labels is not None},
        **{f"depth{number}.png": depth for number, depth in numbered if depth is not None},
        "json": meta,
        **{f"view{number}.jpg": picture for number, picture in enumerate(pictures, start=1)},
    }


VIEW_FIELDS = (
    "frame_id",
    "frame",
    "pts_s",
    "width",
    "height",
    "original_width",
    "original_height",
    "original_to_stored",
    "intrinsics",
    "cam_to_world",
)


def samples_of_part(part: Part, config: Config) -> Iterator[Sample]:
    """The kept pairs of a part in memory, as samples, in the order of its edges."""
    context, source = Context.of(config), UnitSource.of(part.unit)
    frames = {row["frame_id"]: row for row in part.frames}
    for edge in part.edges:
        if edge["verdict"] != KEPT:
            continue
        ids = (edge["frame_1"], edge["frame_2"])
        views = (frames[ids[0]], frames[ids[1]])
        key = pair_key(*ids)
        corr = _stored_corr(part, ids, context)
        if corr is None:
            corr = corr_of(edge, views, context)
        if corr is None:
            raise ValueError(f"pair {key} was kept without a homography")
        maps = part.covis.get(ids)
        labelled = edge | share_columns(maps)
        meta = meta_bytes(meta_of(key, source, labelled, views, context))
        pictures, depths = [part.jpegs[name] for name in ids], [part.depths.get(n) for n in ids]
        members = members_of(meta, encode_corr(corr), pictures, depths, maps or (None, None))
        yield Sample(key, members.__getitem__, tuple(members))


def _stored_corr(part: Part, frames: tuple[str, str], context: Context) -> Corr | None:
    """The correspondence that mining kept, if it was made with these options."""
    kept = part.corrs
    if kept is None or (kept.patch_size, kept.outside_votes) != context.corr_options:
        return None
    return kept.pairs.get(frames)


def _view_meta(frame: Row) -> dict[str, Any]:
    return {
        "frame_id": frame["frame_id"],
        "frame": frame["frame"],
        "pts_s": frame["pts_s"],
        "size": list(_size(frame)),
        "original_size": [frame["original_width"], frame["original_height"]],
        "original_to_stored": _matrix(frame["original_to_stored"], 3),
        "intrinsics": _matrix(frame["intrinsics"], 3),
        "cam_to_world": _matrix(frame["cam_to_world"], 4),
    }


def edge_meta(edge: Row) -> dict[str, Any]:
    """What ``KEY.json`` says of an edge between view 1 and view 2."""
    return {
        "views": [1, 2],
        "verifier": edge["verifier"],
        "homography": _matrix(edge["homography"], 3),
        "keypoints": [edge["keypoints_1"], edge["keypoints_2"]],
        "matches": edge["matches"],
        "inliers": edge["inliers"],
        "epipolar_inliers": edge["epipolar_inliers"],
        "overlap": {name: edge[f"overlap_{name}"] for name in OVERLAPS},
        **{name: edge[name] for name in (*_EDGE_SCALARS, *SHARE_COLUMNS)},
    }


def _size(frame: Row) -> tuple[int, int]:
    return frame["width"], frame["height"]


def _matrix(values: list[float] | None, side: int) -> list[list[float]] | None:
    if values is None:
        return None
    return [list(values[side * row : side * (row + 1)]) for row in range(side)]
