"""The config tree: strict, frozen, two presets, YAML and ``--set a.b=c``, and its fingerprint.

Only what decides bytes is in the fingerprint; ``run`` (how it is executed) is not (law 3).
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mimic.layered import (
    ConfigError,
    Strict,
    merged,
    parse_assignment,
    read_yaml,
    validated,
)
from mimic.presets import PRESETS, PresetName

MeasureName = Literal["patch", "area", "coverage", "support", "covis"]


class VideoConfig(Strict):
    """How videos are read and cut into units."""

    interval_s: float = Field(1 / 3, gt=0, description="seconds between two grid frames (slots)")
    unit_s: float = Field(60.0, gt=0, description="seconds of footage in one work unit")
    stream: int | None = Field(
        None, ge=0, description="video stream; default: the one with most pixels"
    )
    cut_threshold: float = Field(
        0.35,
        gt=0,
        le=1,
        description="loss of correlation between successive thumbnails that is a cut, where it "
        "also stands out from the frames before",
    )
    probe_above_mb: float = Field(
        16.0,
        ge=0,
        description="files larger than this are opened at planning to cut them into units",
    )


class PhotoConfig(Strict):
    """How pictures are grouped and cut into units."""

    group_regex: str | None = Field(
        None,
        description="regular expression on the relative path; group 1 names the photo group "
        "(null: a folder is a group)",
    )
    unit_images: int = Field(64, ge=2, description="images owned by one work unit of a large group")
    interval_s: float | None = Field(
        None, gt=0, description="seconds between two extracted frames, if known"
    )

    @field_validator("group_regex")
    @classmethod
    def _has_group(cls, pattern: str | None) -> str | None:
        return _with_group(pattern)


class SceneConfig(Strict):
    """Walks through 3D scenes: where the camera goes and what it is."""

    walk: Literal["mimic", "croco"] = Field(
        "mimic",
        description="mimic: 8 views around, and 16 after turns and steps, all paired. croco: a "
        "view, and one a short walk away that looks at what the first one saw",
    )
    size: tuple[int, int] = Field((256, 256), description="(width, height) that is rendered")
    hfov_deg: float | None = Field(
        None, gt=0, lt=180, description="horizontal field of view; null: 90 for mimic, 60 for croco"
    )
    up: Literal["auto", "y", "z"] = Field(
        "auto",
        description="the scene file's upward axis; auto: as its data set or its stage config says, "
        "z for a GLB beside its navmesh, else y",
    )
    samples_per_m2: float = Field(
        10.0, gt=0, description="walks a square metre of floor that can be stood on"
    )
    max_samples: int = Field(1000, ge=1, description="walks in a scene, at most")
    unit_samples: int = Field(20, ge=1, description="walks in one work unit")
    sensor_height_m: tuple[float, float] = Field(
        (1.2, 1.8), description="range of the camera's height above the floor"
    )
    step_m: tuple[float, float] = Field(
        (0.5, 1.0), description="walk mimic: range of a step's length"
    )
    min_island_m: float = Field(
        1.0, ge=0, description="a walk starts where the connected floor reaches at least this far"
    )
    agent_radius_m: float = Field(0.1, gt=0, description="clearance that the camera needs")
    agent_height_m: float = Field(1.5, gt=0, description="head-room that the camera needs")
    attempts: int = Field(100, ge=1, description="walk croco: second views tried for each first")
    min_covis: float = Field(
        0.5, ge=0, le=1, description="walk croco: co-visibility that the second view must reach"
    )
    min_valid_share: float = Field(
        0.7, ge=0, le=1, description="walk croco: share of both views that must have a depth"
    )

    @field_validator("sensor_height_m", "step_m")
    @classmethod
    def _range(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= ends[0] <= ends[1]:
            raise ValueError(f"[{ends[0]}, {ends[1]}] is no range: write the smaller end first")
        return ends

    @field_validator("size")
    @classmethod
    def _pixels(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) < 16:
            raise ValueError("each side must be at least 16 pixels")
        return size

    @property
    def field_of_view_deg(self) -> float:
        """The horizontal field of view, the walk's own where none is set."""
        return self.hfov_deg or {"mimic": 90.0, "croco": 60.0}[self.walk]


class RgbdConfig(Strict):
    """Sequences with depth and pose."""

    unit_frames: int = Field(200, ge=1, description="frames owned by one work unit")
    intrinsics: tuple[float, float, float, float] | None = Field(
        None,
        description="fx, fy, cx, cy of the pictures of sequences that come without (centre of the "
        "first pixel at (0, 0))",
    )
    depth_scale: float | None = Field(
        None, gt=0, description="units of integer depth a metre; null: as the layout has it"
    )


class SourceConfig(Strict):
    """What a source is and how it is cut into work units."""

    kind: Literal[
        "auto",
        "video",
        "photos",
        "frames",
        "pairs",
        "rgbd",
        "posed",
        "unscaled",
        "raycast",
        "habitat",
    ] = Field("auto", description="force what --source is")
    dataset: str | None = Field(None, description="name stored with every sample")
    scene_regex: str | None = Field(
        None,
        description="regular expression on an item's name; group 1 names its scene, the unit of "
        "train/val splits (null: an item is a scene)",
    )
    video: VideoConfig = VideoConfig()
    photos: PhotoConfig = PhotoConfig()
    scene: SceneConfig = SceneConfig()
    rgbd: RgbdConfig = RgbdConfig()

    @field_validator("scene_regex")
    @classmethod
    def _has_group(cls, pattern: str | None) -> str | None:
        return _with_group(pattern)


def _with_group(pattern: str | None) -> str | None:
    if pattern is None:
        return None
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression ({error})") from error
    if groups < 1:
        raise ValueError(f"{pattern!r} has no group: put the part that names it in (parentheses)")
    return pattern


class SamplingConfig(Strict):
    """Which pairs are measured.

    ``search``: strides are tried from where the last anchor ended, larger when the overlap is too
    high, smaller when it is too low. ``retry``: the first stride, and the next one only while the
    overlap is too high (MIMIC section 8.1).
    """

    sequence: Literal["search", "retry"] = "search"
    strides: tuple[int, ...] = Field((1, 2, 3, 4, 5, 6, 8, 12, 16, 24), min_length=1)
    near_slots: int = Field(
        3, ge=0, description="search: strides up to this are all tried before an anchor is given up"
    )
    skip_after_pair: bool = Field(False, description="after a pair, continue at its second frame")
    group: Literal["smallest", "all"] = Field(
        "all",
        description="of a photo group: the smallest overlap in range, or all in range",
    )
    group_window: int = Field(
        32, ge=1, description="a photo is paired with at most this many next ones"
    )
    walk: Literal["first", "smallest", "all"] = Field(
        "first",
        description="of a walk through a scene: first, of the pairs whose co-visibility by depth "
        "is in range, by rising co-visibility, the one that passes first (the others are not "
        "rendered); smallest, of all pairs the smallest overlap in range; or all in range",
    )
    posed: Literal["cub3-50", "cub3-all", "croco", "rubik"] = Field(
        "cub3-50",
        description="of a sequence with depth and pose, the pairs wished for: co-visible from 0.5 "
        "(cub3-50) or 0.05 (cub3-all) on, as they come; one partner a frame from 0.5 on (croco); "
        "from 0.05 on, evenly over overlap, scale and angle (rubik)",
    )


class ImageConfig(Strict):
    """What is stored."""

    resize: Literal["short_side", "squash"] = "short_side"
    size: int = Field(
        256, ge=16, description="short side of the stored frame; both sides under squash"
    )
    jpeg_quality: int = Field(95, ge=1, le=100)
    crop_bottom: float = Field(
        0.0, ge=0, lt=1, description="share of the height cut off below (captions)"
    )
    depth: bool = Field(
        False, description="store depth, too, where the source has it (uint16 millimetres, PNG)"
    )


class MatchConfig(Strict):
    """From pictures to putative matches."""

    features: str = Field("sift", description="a row of the features table")
    short_side: int | None = Field(
        360,
        ge=16,
        description="match at this short side (never larger than the original); null: as stored",
    )
    max_keypoints: int = Field(2048, ge=0, description="strongest keypoints kept; 0: all")
    coarse_keypoints: int | None = Field(
        512,
        ge=2,
        description="match this many of the largest keypoints first, and the rest only where they "
        "give filters.min_coarse_matches; null: match all at once",
    )
    contrast_threshold: float = Field(0.02, gt=0)
    root: bool = Field(True, description="RootSIFT: square root of the L1-normalised descriptor")
    ratio: float = Field(0.8, gt=0, lt=1)
    mutual: bool = True


class VerifyConfig(Strict):
    """From matches to two-view geometry."""

    homography: Literal["ransac", "magsac"] = "magsac"
    homography_px: float = Field(7.5, gt=0, description="threshold in pixels at 224 px short side")
    epipolar_px: float | None = Field(
        1.0, gt=0, description="threshold in matching pixels; null: not estimated"
    )
    iterations: int = Field(2_000, ge=1)
    confidence: float = Field(0.9999, gt=0, lt=1)


class OverlapConfig(Strict):
    """What overlap is, and the range that is kept (strictly inside)."""

    patch_size: int = Field(16, ge=2)
    measure: MeasureName = Field(
        "support", description="the overlap that decides (docs/overlap.md says what each is worth)"
    )
    low: float = Field(0.45, ge=0, le=1)
    high: float = Field(0.85, ge=0, le=1)
    outside_votes: bool = Field(
        False, description="'outside' competes in a patch's vote, as in MIMIC's code"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high}): swap them")
        return self


class FilterConfig(Strict):
    """Thresholds of the questions asked of an edge; null switches one off."""

    duplicate_difference: float | None = Field(
        2.0,
        ge=0,
        description="mean grey difference of thumbnails below which frames are near-duplicates",
    )
    static_share: float | None = Field(0.9, ge=0, le=1, description="above: a static camera")
    cut: bool = True
    min_luminance: float | None = Field(
        25.0,
        ge=0,
        le=255,
        description="the brightest twentieth of a frame must reach this; below, it is dark",
    )
    min_valid_share: float | None = Field(
        0.5,
        ge=0,
        le=1,
        description="of a view with depth: share of pixels that have one, below which it is a hole",
    )
    min_sharpness: float | None = Field(
        None,
        ge=0,
        description="of a view with depth: variance of its Laplacian below which it is blank "
        "(a bare wall, a blur)",
    )
    min_covis: float | None = Field(
        0.25,
        ge=0,
        le=1,
        description="of views with depth and pose: co-visible share (on a coarse grid) below which "
        "they are apart and are not matched",
    )
    min_keypoints: int | None = Field(30, ge=0)
    min_coarse_matches: int | None = Field(
        10, ge=0, description="among match.coarse_keypoints of each view, where there are more"
    )
    min_matches: int = Field(30, ge=4)
    sane_homography: bool = True
    min_inliers: int | None = Field(30, ge=4)
    min_inlier_ratio: float | None = Field(0.5, ge=0, le=1)
    max_scale_ratio: float | None = Field(
        1.38,
        ge=1,
        description="zoom between the views from which a pair is rejected (one of 1.4 may be "
        "measured as 1.39)",
    )
    min_motion_px: float | None = Field(
        3.0,
        ge=0,
        description="median displacement of the inliers, in pixels at 224 px short side, below "
        "which the camera did not move",
    )
    max_dynamic_share: float | None = Field(
        0.25,
        ge=0,
        le=1,
        description="where a third of the picture stands still: share of matches that fit no "
        "geometry above which only the foreground moved",
    )
    max_area: float | None = Field(
        0.85, ge=0, le=1, description="area overlap above which the views are too alike"
    )


class LabelConfig(Strict):
    """What is labelled, of views with depth and pose."""

    covis: bool = Field(
        False,
        description="store which pixels the other view sees, too: co-visible, occluded, outside, "
        "unknown (8-bit PNG)",
    )
    depth_model: str | None = Field(
        None,
        description="mimic label: the metric depth model, a folder or a name on the Hugging Face "
        "hub, that predicts the depth of views with a pose and intrinsics that have none",
    )
    depth_sha256: str | None = Field(
        None,
        description="SHA-256 that the depth model must have, over its config and weights; null: "
        "any (what it has is recorded)",
    )


class PackConfig(Strict):
    """How the graph becomes shards."""

    samples_per_shard: int = Field(2048, ge=1)
    val_share: float = Field(0.0, ge=0, lt=1, description="share of the scenes in the val split")
    keep_edges: float | None = Field(
        None,
        ge=0,
        le=1,
        description="store all frames with an edge above this overlap, to select again later",
    )


class RunConfig(Strict):
    """How it is executed; never in the fingerprint, never visible in the bytes."""

    executor: Literal["ray", "serial"] = "ray"
    address: str | None = Field(
        None, description="Ray cluster; default RAY_ADDRESS, else a local Ray"
    )
    cpus: int | None = Field(None, ge=1, description="CPUs of a local Ray; default: all")
    timeout_s: float = Field(900.0, gt=0, description="wall time of one unit before it is killed")
    memory_mb: int = Field(
        2048,
        ge=128,
        description="private memory that a unit may take beyond what its worker held before; an "
        "allocation past it fails, and with it the attempt (enforced on Linux)",
    )
    attempts: int = Field(2, ge=1, description="tries before a unit is quarantined")
    lease: int = Field(4, ge=1, description="units handed to a worker at once")
    keep_parts: bool = False
    poses_only: bool = Field(
        False, description="write where the cameras stood (poses.parquet), and no pictures"
    )
    scenes: str | None = Field(
        None, description="folder of the scenes that a poses file names; default: the file's own"
    )
    gpu_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of a GPU that one worker takes. Kind habitat: 0 renders in software; "
        "mimic label --depth-model: 0 predicts on the CPU (executor serial: on a GPU if there is "
        "one)",
    )


class Config(Strict):
    """The whole tree. Build it with :func:`load_config`."""

    preset: PresetName = "default"
    seed: int = Field(0, ge=0)
    source: SourceConfig = SourceConfig()
    sampling: SamplingConfig = SamplingConfig()
    image: ImageConfig = ImageConfig()
    match: MatchConfig = MatchConfig()
    verify: VerifyConfig = VerifyConfig()
    overlap: OverlapConfig = OverlapConfig()
    filters: FilterConfig = FilterConfig()
    labels: LabelConfig = LabelConfig()
    pack: PackConfig = PackConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _measurable(self) -> Self:
        if self.overlap.measure in ("coverage", "support") and self.verify.epipolar_px is None:
            raise ValueError(
                f"overlap.measure {self.overlap.measure} needs epipolar geometry: set "
                "verify.epipolar_px, or measure patch or area"
            )
        return self

    def decisive(self) -> dict[str, Any]:
        """The values that decide bytes, as plain JSON values."""
        return self.model_dump(mode="json", exclude={"run"})

    def mining(self) -> dict[str, Any]:
        """The values that decide a unit's part (all but ``run`` and ``pack`` shaping)."""
        values = self.decisive()
        values["pack"] = {"keep_edges": self.pack.keep_edges}
        return values

    def fingerprint(self) -> str:
        """12 hex digits over what decides bytes."""
        return _digest(self.decisive())

    def mining_fingerprint(self) -> str:
        """12 hex digits over what decides parts: equal means that parts can be shared."""
        return _digest(self.mining())


def _digest(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_config(
    preset: PresetName = "default",
    file: Path | None = None,
    overrides: dict[str, Any] | None = None,
    assignments: tuple[str, ...] = (),
    base: dict[str, Any] | None = None,
) -> Config:
    """Preset, then the YAML file, then nested ``overrides``, then ``a.b=c`` assignments.

    ``base``, a whole config (a manifest's, say), takes the place of the preset.

    Raises :class:`ConfigError` with one sentence that names the key (and the nearest known one) or
    the value that does not fit.
    """
    from_file = read_yaml(file) if file else {}
    name = (overrides or {}).get("preset", from_file.get("preset", preset))
    if name not in PRESETS:
        raise ConfigError(f"preset {name!r} is unknown: use one of {', '.join(PRESETS)}")
    values: dict[str, Any] = base or {"preset": name, **PRESETS[name]}
    for layer in (from_file, overrides or {}):
        values = merged(values, layer)
    for assignment in assignments:
        parsed = parse_assignment(assignment)
        if "preset" in parsed:
            raise ConfigError(f"--set {assignment}: a preset is chosen with --preset")
        values = merged(values, parsed)
    return config_from(values)


def config_from(values: dict[str, Any]) -> Config:
    """A config from nested plain values (a manifest's, say), with errors in one sentence."""
    return validated(Config, values)
