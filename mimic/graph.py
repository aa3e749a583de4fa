"""From views and edges to the rows of the graph's tables, and back to the values of an edge."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimic.types import Directed, Edge, EdgeMeasures, Matrix, Overlap, View
from schemas import OVERLAP_MEASURES


def frame_row(unit_id: str, view: View) -> dict[str, Any]:
    """A row of ``schemas.FRAMES``; where the picture lies is filled in when the part is written."""
    info, measures = view.info, view.measures
    width, height = view.size
    return {
        "unit_id": unit_id,
        "frame_id": info.frame_id,
        "slot": info.slot,
        "frame": info.label,
        "pts_s": info.pts_s,
        "width": width,
        "height": height,
        "original_width": info.size[0],
        "original_height": info.size[1],
        "original_to_stored": _flat(view.original_to_stored),
        "intrinsics": _flat(_stored_intrinsics(view)),
        "cam_to_world": _flat(info.cam_to_world),
        "shot": info.shot,
        "keypoints": None if view.features is None else len(view.features),
        "luminance_mean": measures.luminance_mean,
        "luminance_p05": measures.luminance_p05,
        "luminance_p95": measures.luminance_p95,
        "sharpness": measures.sharpness,
        "letterbox": measures.letterbox,
        "phash": measures.phash,
        "valid_share": measures.valid_share,
        "jpeg_offset": None,
        "jpeg_size": None,
    }


def edge_row(unit_id: str, edge: Edge) -> dict[str, Any]:
    """A row of ``schemas.EDGES``."""
    measures = edge.measures
    keypoints = measures.keypoints or (None, None)
    return {
        "unit_id": unit_id,
        "frame_1": edge.frame_1,
        "frame_2": edge.frame_2,
        "slot_1": edge.slot_1,
        "slot_2": edge.slot_2,
        "interval_s": measures.interval_s,
        "verdict": edge.verdict.reason,
        "value": edge.verdict.value,
        "verifier": measures.verifier,
        "homography": _flat(measures.homography),
        "keypoints_1": keypoints[0],
        "keypoints_2": keypoints[1],
        "coarse_matches": measures.coarse_matches,
        "matches": measures.matches,
        "inliers": measures.inliers,
        "epipolar_inliers": measures.epipolar_inliers,
        **_overlap_columns(measures.overlap),
        "scale_ratio": measures.scale_ratio,
        "rotation_deg": measures.rotation_deg,
        "parallax_px": measures.parallax_px,
        "viewpoint_angle_deg": measures.viewpoint_angle_deg,
        "motion_px": measures.motion_px,
        "thumb_difference": measures.thumb_difference,
        "static_share": measures.static_share,
        "dynamic_share": measures.dynamic_share,
    }


def measures_of(row: dict[str, Any]) -> EdgeMeasures:
    """The measures in a row of ``schemas.EDGES``: the inverse of :func:`edge_row`.

    All but ``corr``, which no row holds.
    """
    keypoints = (row["keypoints_1"], row["keypoints_2"])
    homography = row["homography"]
    return EdgeMeasures(
        interval_s=row["interval_s"],
        keypoints=None if keypoints[0] is None else keypoints,
        coarse_matches=row["coarse_matches"],
        matches=row["matches"],
        inliers=row["inliers"],
        epipolar_inliers=row["epipolar_inliers"],
        verifier=row["verifier"],
        homography=None if homography is None else np.array(homography).reshape(3, 3),
        overlap=Overlap(**{name: _directed(row, name) for name in OVERLAP_MEASURES}),
        scale_ratio=row["scale_ratio"],
        rotation_deg=row["rotation_deg"],
        parallax_px=row["parallax_px"],
        viewpoint_angle_deg=row["viewpoint_angle_deg"],
        motion_px=row["motion_px"],
        thumb_difference=row["thumb_difference"],
        static_share=row["static_share"],
        dynamic_share=row["dynamic_share"],
    )


def _overlap_columns(overlap: Overlap) -> dict[str, float | None]:
    columns: dict[str, float | None] = {}
    for name in OVERLAP_MEASURES:
        value: Directed | None = getattr(overlap, name)
        columns[f"overlap_{name}_12"] = None if value is None else value.forward
        columns[f"overlap_{name}_21"] = None if value is None else value.backward
        columns[f"overlap_{name}"] = None if value is None else value.smaller
    return columns


def _directed(row: dict[str, Any], name: str) -> Directed | None:
    forward, backward = row[f"overlap_{name}_12"], row[f"overlap_{name}_21"]
    return None if forward is None or backward is None else Directed(forward, backward)


def _stored_intrinsics(view: View) -> Matrix | None:
    """The camera of the stored picture: every size and place in a row is in stored pixels."""
    intrinsics = view.info.intrinsics
    return None if intrinsics is None else view.original_to_stored @ intrinsics


def _flat(matrix: Matrix | None) -> list[float] | None:
    return None if matrix is None else [float(value) for value in np.asarray(matrix).ravel()]
