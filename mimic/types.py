"""The frozen values that flow from a source to a shard.

Conventions: images are ``(height, width, 3)`` uint8 RGB; sizes are ``(width, height)``; pixels are
continuous, (0, 0) the corner of the first pixel, centres at +0.5; poses are camera-to-world, OpenCV
axes (x right, y down, z forward), metres. A homography maps pixels of view 1 to view 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

UInt8Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

KEPT = "kept"


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One thing to mine: a video file, a photo group, a folder of frames, a pair list.

    ``name`` is its path relative to the source root (posix), the same on every machine; it is what
    people read in reports. ``uri`` says where the bytes are now and never enters an id.
    ``members`` are the files of an item made of several, relative to ``uri``, in order.
    ``footage_s`` is the duration where it is known at discovery, else None. ``settings`` are what
    its source needs to open it beside its bytes, by name.
    """

    kind: str
    uri: str
    name: str
    fingerprint: str
    size_bytes: int
    scene: str
    dataset: str | None = None
    members: tuple[str, ...] = ()
    footage_s: float | None = None
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something found in a source that will not be mined, and why (one word, one sentence)."""

    name: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Span:
    """The slots a unit owns: ``first <= slot < last``; ``last`` None means to the item's end.

    A slot is a place in an item's regular order: grid time k * interval of a video, index of a
    photo or frame file, step of a walk. A unit may read ``margin`` slots past its span.
    """

    first: int
    last: int | None

    def owns(self, slot: int) -> bool:
        """Whether edges that start at this slot belong to this span."""
        return slot >= self.first and (self.last is None or slot < self.last)


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """The atom of work and of commitment: a pure function of it and the config makes its part."""

    unit_id: str
    item: SourceItem
    span: Span
    seed: int
    footage_s: float
    estimated_s: float
    estimated_pairs: float
    resources: str = "cpu"


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """All that is known of a frame but its pixels. ``size`` is the original (width, height).

    ``slot`` is its place in the item's order, ``label`` the time stamp (``"12.345000"``), path or
    pose index that names it to people; ``shot`` counts the cuts seen before it within this unit,
    so two frames with equal ``shot`` have no cut between them.
    """

    frame_id: str
    slot: int
    label: str
    pts_s: float | None
    shot: int
    size: tuple[int, int]
    intrinsics: Matrix | None = None
    cam_to_world: Matrix | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as a source hands it over, upright, at its original size (fields: FrameInfo)."""

    frame_id: str
    slot: int
    label: str
    pts_s: float | None
    shot: int
    rgb: UInt8Image
    depth_m: NDArray[np.float32] | None = None
    intrinsics: Matrix | None = None
    cam_to_world: Matrix | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in original pixels."""
        height, width = self.rgb.shape[:2]
        return width, height

    @property
    def info(self) -> FrameInfo:
        """The frame without its pixels."""
        return FrameInfo(
            frame_id=self.frame_id,
            slot=self.slot,
            label=self.label,
            pts_s=self.pts_s,
            shot=self.shot,
            size=self.size,
            intrinsics=self.intrinsics,
            cam_to_world=self.cam_to_world,
        )


@dataclass(frozen=True, slots=True)
class FrameMeasures:
    """Raw measures of one frame, judged by thresholds later. Luminance 0..255.

    ``sharpness``: variance of the Laplacian of the stored grey image. ``letterbox``: share of the
    area in black borders. ``phash``: 64-bit perceptual hash, 16 hex digits. ``valid_share``: share
    of the pixels that have a depth, None where the source has none.
    """

    luminance_mean: float
    luminance_p05: float
    luminance_p95: float
    sharpness: float
    letterbox: float
    phash: str
    valid_share: float | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """Keypoints of one image and their descriptors.

    ``xy`` (N, 2) float32 in continuous pixels of the *stored* image, ``scale`` (N,) their diameter
    in the same pixels, ``angle_deg`` (N,), and ``descriptors`` (N, D) float32 holding integers, so
    that their dot products are exact in any order of summation.
    """

    xy: NDArray[np.float32]
    scale: NDArray[np.float32]
    angle_deg: NDArray[np.float32]
    descriptors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True, slots=True)
class View:
    """A frame made ready to be paired: its stored picture, its features, its measures.

    The original pixels are let go: a window of views must stay small at 4K. ``match_gray`` is the
    (h, w) uint8 grey image that features are detected on; ``thumb`` a (h, w) uint8 grey of a few
    dozen pixels, for near-duplicate and static tests. ``features`` is None until they are detected
    (a gate may spare the detection). ``depth_m`` (h, w) float32 belongs to the stored pixels, 0
    where there is none; None where the source has none.
    """

    info: FrameInfo
    stored: UInt8Image
    original_to_stored: Matrix
    match_gray: UInt8Image
    thumb: UInt8Image
    measures: FrameMeasures
    features: Features | None = None
    depth_m: NDArray[np.float32] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the stored picture."""
        height, width = self.stored.shape[:2]
        return width, height


@dataclass(frozen=True, slots=True)
class Matches:
    """Putative correspondences.

    ``index`` (M, 2) int32 rows into the two feature sets, and their positions ``xy_1``, ``xy_2``
    (M, 2) float64 in stored pixels.
    """

    index: NDArray[np.int32]
    xy_1: NDArray[np.float64]
    xy_2: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, slots=True)
class TwoView:
    """Robust two-view geometry in stored pixels; a model that was not found is None.

    ``homography_inliers`` and ``epipolar_inliers`` are (M,) boolean masks over the matches.
    """

    homography: Matrix | None
    homography_inliers: NDArray[np.bool_]
    fundamental: Matrix | None
    epipolar_inliers: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Directed:
    """An overlap measure in both directions; the pair's value is the smaller one."""

    forward: float
    backward: float

    @property
    def smaller(self) -> float:
        """The value of the pair."""
        return min(self.forward, self.backward)


@dataclass(frozen=True, slots=True)
class Overlap:
    """All overlap measures of an edge (DESIGN section 6); None where it does not apply."""

    patch: Directed | None = None
    area: Directed | None = None
    coverage: Directed | None = None
    support: Directed | None = None
    covis: Directed | None = None


@dataclass(frozen=True, slots=True)
class EdgeMeasures:
    """All that is known of a measured pair; None where it was not reached.

    ``coarse_matches``: those among the largest keypoints alone, where there are more.
    ``rotation_deg``: in-plane rotation of H at the image centre, (-180, 180]. ``scale_ratio``: the
    zoom between the views, >= 1. ``parallax_px``: how far epipolar inliers lie from where H puts
    them (median, stored pixels). ``motion_px``: median displacement of the inliers.
    ``static_share``: share of thumb pixels that did not change. ``dynamic_share``: share of matches
    that fit neither H nor F. ``corr`` (N, 2): the patch correspondence under H; it is no number to
    judge by and lies beside the tables (see :class:`Correspondences`).
    """

    interval_s: float | None = None
    keypoints: tuple[int, int] | None = None
    coarse_matches: int | None = None
    matches: int | None = None
    inliers: int | None = None
    epipolar_inliers: int | None = None
    verifier: str | None = None
    homography: Matrix | None = None
    overlap: Overlap = Overlap()
    scale_ratio: float | None = None
    rotation_deg: float | None = None
    parallax_px: float | None = None
    viewpoint_angle_deg: float | None = None
    motion_px: float | None = None
    thumb_difference: float | None = None
    static_share: float | None = None
    dynamic_share: float | None = None
    corr: NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``kept``, or the first question the edge failed, with the value that decided it."""

    reason: str
    value: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the edge may become a sample."""
        return self.reason == KEPT


@dataclass(frozen=True, slots=True)
class Edge:
    """A measured pair of views of one unit with its verdict. View 1 is the earlier frame.

    ``labels``: the co-visibility labels of both views as PNG, where asked for.
    """

    frame_1: str
    frame_2: str
    slot_1: int
    slot_2: int
    measures: EdgeMeasures
    verdict: Verdict
    labels: tuple[bytes, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Correspondences:
    """Patch correspondences of edges, and the two options that decided them.

    ``pairs`` maps (frame 1, frame 2) to (N, 2) int32: patch of view 1, patch of view 2. They follow
    from the homographies; they are kept so that packing need not compute them again.
    """

    patch_size: int
    outside_votes: bool
    pairs: dict[tuple[str, str], NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class Part:
    """The product of a unit, before it is written: rows for the tables, and the pictures to store.

    ``frames`` and ``edges`` are rows of ``schemas.FRAMES`` and ``schemas.EDGES``; ``jpegs`` maps a
    frame id to its encoded picture, ``depths`` some of them to their depth (PNG, uint16
    millimetres, 0 where there is none, at the picture's size). ``corrs`` holds correspondences of
    edges that may become samples (of others, and where it is None, they are computed when they are
    asked for). ``covis`` maps (frame 1, frame 2) of such an edge to its two label maps (PNG, 8-bit
    grey, at the pictures' sizes): the pixels of frame 1 as frame 2 sees them, and the reverse.
    """

    unit: WorkUnit
    frames: tuple[dict[str, Any], ...]
    edges: tuple[dict[str, Any], ...]
    jpegs: dict[str, bytes]
    corrs: Correspondences | None = None
    depths: dict[str, bytes] = field(default_factory=dict)
    covis: dict[tuple[str, str], tuple[bytes, bytes]] = field(default_factory=dict)
