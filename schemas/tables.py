"""Arrow schemas of the tables on disk: the plan, a unit's frames and edges, a shard's index.

Matrices are row-major lists of 9 (3x3) or 16 (4x4) doubles. Sizes, homographies and intrinsics are
in *stored* pixels unless a name says otherwise; pixels are continuous, (0, 0) the corner of the
first pixel. A field that does not apply is null.
"""

from __future__ import annotations

import pyarrow as pa

from schemas.version import SCHEMA_VERSION

_META = {b"mimic.schema": str(SCHEMA_VERSION).encode()}

OVERLAP_MEASURES = ("patch", "area", "coverage", "support", "covis")
"""Overlap measures of an edge; each as ``_12``, ``_21`` and their minimum (no suffix)."""

OVERLAP_COLUMNS = tuple(
    f"overlap_{measure}{suffix}" for measure in OVERLAP_MEASURES for suffix in ("_12", "_21", "")
)

PLAN = pa.schema(
    [
        ("unit_id", pa.string()),
        ("kind", pa.string()),
        ("uri", pa.string()),
        ("name", pa.string()),
        ("fingerprint", pa.string()),
        ("size_bytes", pa.int64()),
        ("scene", pa.string()),
        ("dataset", pa.string()),
        ("first_slot", pa.int64()),
        ("last_slot", pa.int64()),
        ("members", pa.list_(pa.string())),
        ("settings", pa.map_(pa.string(), pa.string())),
        ("seed", pa.int64()),
        ("footage_s", pa.float64()),
        ("item_footage_s", pa.float64()),
        ("estimated_s", pa.float64()),
        ("estimated_pairs", pa.float64()),
        ("resources", pa.string()),
    ],
    metadata=_META,
)
"""One row a work unit, in plan order. Owned slots are ``first_slot <= slot < last_slot``
(``last_slot`` null: to the end of the item)."""

FRAMES = pa.schema(
    [
        ("unit_id", pa.string()),
        ("frame_id", pa.string()),
        ("slot", pa.int64()),
        ("frame", pa.string()),
        ("pts_s", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("original_to_stored", pa.list_(pa.float64())),
        ("intrinsics", pa.list_(pa.float64())),
        ("cam_to_world", pa.list_(pa.float64())),
        ("shot", pa.int32()),
        ("keypoints", pa.int32()),
        ("luminance_mean", pa.float32()),
        ("luminance_p05", pa.float32()),
        ("luminance_p95", pa.float32()),
        ("sharpness", pa.float32()),
        ("letterbox", pa.float32()),
        ("phash", pa.string()),
        ("valid_share", pa.float32()),
        ("jpeg_offset", pa.int64()),
        ("jpeg_size", pa.int64()),
        ("jpeg_crc32", pa.int64()),
    ],
    metadata=_META,
)
"""One row a frame of a unit. ``jpeg_offset``/``jpeg_size`` locate the stored picture in the part's
tar, ``jpeg_crc32`` tells whether it is whole; null when the frame was measured but not stored. In
``graph/`` (where parts are gone) they still tell which frames were stored. ``intrinsics`` are those
of the stored picture (``original_to_stored`` times the source's)."""

PART_FRAMES = pa.schema(
    [
        *FRAMES,
        ("depth_offset", pa.int64()),
        ("depth_size", pa.int64()),
        ("depth_crc32", pa.int64()),
    ],
    metadata=_META,
)
"""``FRAMES`` as a part has it: with the place of the stored depth (``.depth.png``) in the part's
tar; null where there is none. In ``graph/`` (where parts are gone) the columns are left out."""

UNITS = pa.schema(
    [
        ("unit_id", pa.string()),
        ("kind", pa.string()),
        ("dataset", pa.string()),
        ("item", pa.string()),
        ("scene", pa.string()),
        ("fingerprint", pa.string()),
        ("size_bytes", pa.int64()),
        ("edges", pa.int64()),
    ],
    metadata=_META,
)
"""One row a unit in ``graph/``: what it was mined from (null where it left no part; ``fingerprint``
and ``size_bytes`` are those of the item) and how many edges it measured."""

EDGES = pa.schema(
    [
        ("unit_id", pa.string()),
        ("frame_1", pa.string()),
        ("frame_2", pa.string()),
        ("slot_1", pa.int64()),
        ("slot_2", pa.int64()),
        ("interval_s", pa.float64()),
        ("verdict", pa.string()),
        ("value", pa.float64()),
        ("verifier", pa.string()),
        ("homography", pa.list_(pa.float64())),
        ("keypoints_1", pa.int32()),
        ("keypoints_2", pa.int32()),
        ("coarse_matches", pa.int32()),
        ("matches", pa.int32()),
        ("inliers", pa.int32()),
        ("epipolar_inliers", pa.int32()),
        *((name, pa.float64()) for name in OVERLAP_COLUMNS),
        ("scale_ratio", pa.float64()),
        ("rotation_deg", pa.float64()),
        ("parallax_px", pa.float64()),
        ("viewpoint_angle_deg", pa.float64()),
        ("motion_px", pa.float64()),
        ("thumb_difference", pa.float64()),
        ("static_share", pa.float64()),
        ("dynamic_share", pa.float64()),
        ("labels_12", pa.list_(pa.float64())),
        ("labels_21", pa.list_(pa.float64())),
    ],
    metadata=_META,
)
"""One row a measured pair, kept or not. ``verdict`` is ``kept`` or the reason, ``value`` the number
that decided it. ``labels_12`` and ``labels_21`` are the shares of co-visible, occluded, outside and
unknown pixels in the label maps of view 1 and of view 2; null where there are no maps."""

PART_EDGES = pa.schema(
    [
        *EDGES,
        ("corr_offset", pa.int64()),
        ("corr_size", pa.int64()),
        ("corr_crc32", pa.int64()),
        *(
            (f"covis_{direction}_{column}", pa.int64())
            for direction in ("12", "21")
            for column in ("offset", "size", "crc32")
        ),
    ],
    metadata=_META,
)
"""``EDGES`` as a part has it: with the place of the stored correspondence (``.npy``) in the part's
tar (null where there is none, for it follows from the homography), and of both label maps (null
where there are none). In ``graph/`` (where parts are gone) the columns are left out: samples carry
what they place."""

_VIEW = pa.struct(
    [
        ("frame_id", pa.string()),
        ("frame", pa.string()),
        ("pts_s", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("original_to_stored", pa.list_(pa.float64())),
        ("intrinsics", pa.list_(pa.float64())),
        ("cam_to_world", pa.list_(pa.float64())),
    ]
)
_EDGE_FIELDS = [
    field for field in EDGES if field.name not in {"unit_id", "frame_1", "frame_2", "value"}
]
_EDGE = pa.struct([pa.field("views", pa.list_(pa.int32())), *_EDGE_FIELDS])
_MEMBER = pa.struct([("name", pa.string()), ("offset", pa.int64()), ("size", pa.int64())])

SAMPLES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("key", pa.string()),
        ("split", pa.string()),
        ("kind", pa.string()),
        ("dataset", pa.string()),
        ("item", pa.string()),
        ("scene", pa.string()),
        ("unit", pa.string()),
        ("patch_size", pa.int32()),
        ("corr_count", pa.int32()),
        ("views", pa.list_(_VIEW)),
        ("edges", pa.list_(_EDGE)),
        ("members", pa.list_(_MEMBER)),
        ("interval_s", pa.float64()),
        ("matches", pa.int32()),
        ("inliers", pa.int32()),
        ("epipolar_inliers", pa.int32()),
        *((name, pa.float64()) for name in OVERLAP_COLUMNS),
        ("scale_ratio", pa.float64()),
        ("rotation_deg", pa.float64()),
        ("parallax_px", pa.float64()),
        ("viewpoint_angle_deg", pa.float64()),
        ("labels_12", pa.list_(pa.float64())),
        ("labels_21", pa.list_(pa.float64())),
    ],
    metadata=_META,
)
"""One row a sample, in shard order, beside each tar (``train-000000.parquet``). Numbers of a pair's
only edge are repeated as flat columns. ``members`` give name, byte offset of the *content* and size
inside the tar, so that a reader never scans it."""

POSES = pa.schema(
    [
        ("key", pa.string()),
        ("unit", pa.string()),
        ("kind", pa.string()),
        ("dataset", pa.string()),
        ("item", pa.string()),
        ("scene", pa.string()),
        ("fingerprint", pa.string()),
        ("views", pa.list_(pa.struct([pa.field("slot", pa.int64()), *_VIEW]))),
    ],
    metadata=_META,
)
"""One row a sample in ``poses.parquet``, by unit and key: what it takes to render its views again.
``fingerprint`` is that of the item. A view's ``intrinsics`` are those of the stored picture, as
everywhere; those of the rendered one are ``original_to_stored`` inverted times them."""

CURVES = pa.schema(
    [
        ("item", pa.string()),
        ("scene", pa.string()),
        ("interval_s", pa.float64()),
        ("slots", pa.int64()),
        ("edges", pa.int64()),
        ("overlap_q25", pa.float64()),
        ("overlap_median", pa.float64()),
        ("overlap_q75", pa.float64()),
    ],
    metadata=_META,
)
"""Per sequence, the overlap (the measure that decides) against the frame interval."""
