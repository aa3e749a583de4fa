"""Co-visibility labels against direct visibility rays in scenes, and against colour in recordings.

    python benchmarks/label_truth.py [--data ../shared/data] [--into docs/results.md]

Scenes: two cameras that stand on the floor, 256 x 256 pixels each; a ray from the other camera to
each 3-D point says whether it is visible, occluded (something is hit nearer by more than the
tolerance, or the surface faces away) or outside. A pixel without any label counts as wrong. Edges
are the pixels that land within a pixel of where the other view's inverse depth is no plane.
Recordings: the grey of the other view, taken where each pixel lands, against its own. With
MIMIC_LABELS set to a folder, pictures go there: both views, labels, and what is wrong (scenes)
or the other view warped (recordings).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from document import print_tables
from numpy.typing import NDArray

from mimic import opencv
from mimic.geometry.covisibility import (
    COVISIBLE,
    DEFAULT_TOLERANCE,
    OCCLUDED,
    OUTSIDE,
    UNKNOWN,
    Labels,
    PosedDepth,
    Seen,
    correspondences,
    covisible_share,
    seen_both,
)
from mimic.geometry.poses import look
from mimic.geometry.surface import surface_of
from mimic.simulators.base import Camera
from mimic.simulators.raycast import Raycaster, RaycastSimulator, load_scene
from mimic.types import UInt8Image

SCENES = ("vr_gallery.glb", "sponza_512.glb", "hololens_scan.glb")
CAMERA = Camera.pinhole((256, 256), 75.0)
EYE_M = 1.5
PAIRS = 40
LEAST_KNOWN = 0.7  # of a view's pixels have a depth, or it looks out of the scan
EDGE = 0.02  # second difference of inverse depth, as a share
COLOURS = {COVISIBLE: (60, 160, 75), OCCLUDED: (210, 70, 60), OUTSIDE: (60, 90, 200)}
BANDS = ((0.03, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01))
SHORT_SIDE = 256
STEPS = np.array([0.0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, np.inf])
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sight:
    """A camera in a scene, what it sees, and the normals (h, w, 3) there, towards it."""

    rgb: UInt8Image
    posed: PosedDepth
    normals: NDArray[np.float32]


def true_labels(raycaster: Raycaster, sight: Sight, other: PosedDepth) -> Labels:
    """What a ray from the other camera to each point says; 255 where a pixel has no depth."""
    view = sight.posed
    height, width = view.depth_m.shape
    row, column = np.nonzero(view.depth_m > 0)
    pixels = np.stack([column + 0.5, row + 0.5, np.ones(len(row))])
    local = np.linalg.inv(view.intrinsics) @ pixels * view.depth_m[row, column]
    world = view.cam_to_world[:3, :3] @ local + view.cam_to_world[:3, 3:]
    away = world - other.cam_to_world[:3, 3:]
    x, y, z = other.intrinsics @ other.cam_to_world[:3, :3].T @ away
    inside = (z > 0) & (x >= 0) & (x < width * z) & (y >= 0) & (y < height * z)
    hits = raycaster._cast(other.cam_to_world[:3, 3], (away / z)[:, inside])
    nearest = np.full(inside.sum(), np.inf)
    nearest[hits.ray] = hits.depth_m
    slack = DEFAULT_TOLERANCE.relative * nearest + DEFAULT_TOLERANCE.absolute_m
    hidden = z[inside] > nearest + slack
    hidden |= (sight.normals[row, column].T * away).sum(axis=0)[inside] > 0
    found = np.full(len(row), OUTSIDE, np.uint8)
    found[inside] = np.where(hidden, OCCLUDED, COVISIBLE)
    labels = np.full((height, width), UNKNOWN, np.uint8)
    labels[row, column] = found
    return labels


def sights(raycaster: Raycaster, path: Path) -> Iterator[tuple[Sight, Sight]]:
    """Pairs of cameras up to 3 m and 100 degrees apart, both well inside the scene."""
    rng = np.random.default_rng(0)
    floor = RaycastSimulator(path, path.name, "y", agent_radius_m=0.2, agent_height_m=1.6)
    found = 0
    while found < PAIRS:
        place, yaw_deg = floor.random_point(rng), rng.uniform(0, 360)
        way = rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0, 3) * np.array([np.cos(way), 0, np.sin(way)])
        there = floor.step(place, place + reach, slide=True)
        both = []
        for stand, turn_deg in ((place, 0.0), (there, rng.uniform(-100, 100) * rng.random())):
            eye = stand + np.array([0, EYE_M + rng.uniform(-0.3, 0.3), 0])
            pose = look(eye, yaw_deg + turn_deg, rng.uniform(-25, 10), rng.uniform(-5, 5))
            seen = raycaster.render(CAMERA, pose, normals=True)
            assert seen.normals is not None
            posed = PosedDepth(seen.depth_m, CAMERA.intrinsics, pose)
            both.append(Sight(seen.rgb, posed, seen.normals))
        if min((sight.posed.depth_m > 0).mean() for sight in both) >= LEAST_KNOWN:
            found += 1
            yield both[0], both[1]


def edges(depth_m: NDArray[np.float32]) -> Bools:
    """Pixels (h, w) within one of where inverse depth is no plane, of a hole, or of the rim."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.pad(1 / depth_m, 1, constant_values=np.inf)
        bent = np.zeros(inverse.shape, bool)
        for axis in (0, 1):
            ends = np.roll(inverse, 1, axis) + np.roll(inverse, -1, axis)
            bent |= ~(np.abs(ends - 2 * inverse) <= EDGE * inverse)
    wide = bent.copy()
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            wide |= np.roll(bent, (down, right), (0, 1))
    return wide[1:-1, 1:-1]


def at(image: NDArray[np.generic], seen: Seen, which: Bools) -> NDArray[np.generic]:
    """Values of the other view's pixels in which some pixels (h, w) land."""
    x, y = seen.projected.x[which], seen.projected.y[which]
    height, width = image.shape  # a rounding error outside is inside
    return image[np.clip(y, 0, height - 1).astype(int), np.clip(x, 0, width - 1).astype(int)]


@dataclass
class Score:
    """Counts over the directed pairs of a scene."""

    shares: list[float] = field(default_factory=list)
    pixels: int = 0
    inside: int = 0
    unknown: int = 0
    wrong: int = 0
    on_edges: int = 0
    edges: int = 0

    def add(self, seen: Seen, truth: Labels, other: PosedDepth) -> Bools:
        """Count one direction; returns the pixels (h, w) that are wrong."""
        known = truth != UNKNOWN
        wrong = known & (seen.labels != truth)
        inside = known & (truth != OUTSIDE)
        edge = edges(other.depth_m)
        self.shares.append(covisible_share(truth))
        self.pixels += int(known.sum())
        self.inside += int(inside.sum())
        self.unknown += int((wrong & (seen.labels == UNKNOWN)).sum())
        self.wrong += int(wrong.sum())
        self.on_edges += int(at(edge, seen, wrong & inside).sum() + (wrong & ~inside).sum())
        self.edges += int(at(edge, seen, inside).sum())
        return wrong

    def row(self, name: str) -> str:
        """A line of the table."""
        low, middle, high = np.percentile(self.shares, [5, 50, 95])
        return (
            f"| {name} | {len(self.shares)} | {low:.2f}, {middle:.2f}, {high:.2f} "
            f"| {self.pixels / 1e6:.1f} | **{1 - self.wrong / self.pixels:.2%}** "
            f"| {1 - self.wrong / max(self.inside, 1):.2%} | {self.unknown / self.pixels:.2%} "
            f"| {self.on_edges / max(self.wrong, 1):.1%} | {self.edges / self.inside:.1%} |"
        )


def painted(labels: Labels) -> UInt8Image:
    """Labels as colours; unknown is black."""
    picture = np.zeros((*labels.shape, 3), np.uint8)
    for label, colour in COLOURS.items():
        picture[labels == label] = colour
    return picture


def wrongs(rgb: UInt8Image, labels: Labels, wrong: Bools) -> UInt8Image:
    """What is wrong, on the darkened view: yellow without a label, else as labelled."""
    picture = rgb // np.uint8(4)
    picture[wrong] = painted(labels)[wrong]
    picture[wrong & (labels == UNKNOWN)] = (255, 220, 0)
    return picture


def in_scenes(data: Path) -> Iterator[str]:
    """The table of the scenes."""
    yield (
        "| scene | directed pairs | co-visible share, 5 %, median, 95 % | pixels, million | agree "
        "| of those inside | without a label | wrong ones on edges | all on edges |"
    )
    yield "| --- " * 9 + "|"
    for name in SCENES:
        raycaster, score, worst = Raycaster(load_scene(data / "scenes" / name, "y")), Score(), []
        for one, two in sights(raycaster, data / "scenes" / name):
            both = seen_both(one.posed, two.posed)
            for sight, other, seen in zip((one, two), (two, one), both, strict=True):
                wrong = score.add(seen, true_labels(raycaster, sight, other.posed), other.posed)
                shown = wrongs(sight.rgb, seen.labels, wrong)
                sheet = np.hstack([sight.rgb, other.rgb, painted(seen.labels), shown])
                worst.append((int(wrong.sum()), len(worst), sheet))
        _keep(f"wrong_{name}", [sheet for _, _, sheet in sorted(worst)[::-1][:5]])
        yield score.row(name)


def _keep(name: str, rows: list[UInt8Image]) -> None:
    """Write a sheet of pictures where they are asked for."""
    if folder := os.environ.get("MIMIC_LABELS"):
        place = Path(folder) / f"{name}.png"
        place.write_bytes(opencv.encode_png(np.ascontiguousarray(np.vstack(rows))))


Recorded = tuple[UInt8Image, PosedDepth]


def recorded(folder: Path) -> list[Recorded]:
    """The frames of a recording, at the size in which they would be stored."""
    intrinsics = np.array([[525.0, 0, 320], [0, 525, 240], [0, 0, 1]])  # PrimeSense's default
    if (folder / "K.txt").exists():
        intrinsics = np.loadtxt(folder / "K.txt")
    if (folder / "odometry.log").exists():
        lines = (folder / "odometry.log").read_text().splitlines()
        poses = np.loadtxt([line for i, line in enumerate(lines) if i % 5]).reshape(-1, 4, 4)
    else:
        poses = np.loadtxt(folder / "poses.txt")[:, -16:].reshape(-1, 4, 4)
    colour = folder / ("images" if (folder / "images").is_dir() else "color")
    files = zip(sorted(colour.iterdir()), sorted((folder / "depth").iterdir()), strict=True)
    frames = []
    for (picture, depth), pose in zip(files, poses, strict=False):
        rgb = opencv.decode_image(picture.read_bytes())
        depth_m = (opencv.decode_png(depth.read_bytes()) / 1000).astype(np.float32)
        height, width = depth_m.shape
        scale = SHORT_SIDE / min(height, width)
        size = round(width * scale), round(height * scale)
        stored = np.diag([size[0] / width, size[1] / height, 1.0]) @ intrinsics
        posed = PosedDepth(opencv.resize_depth(depth_m, size), stored, pose)
        frames.append((opencv.resize(rgb, size), posed))
    return frames


def grey_error(view: UInt8Image, other: UInt8Image, seen: Seen) -> Floats:
    """How much each pixel (h, w) differs in grey from where it lands (bilinear); NaN outside."""
    grey = opencv.to_gray(other).astype(np.float64)
    height, width = grey.shape
    with np.errstate(invalid="ignore"):
        x = np.nan_to_num(np.clip(seen.projected.x - 0.5, 0, width - 1.001))
        y = np.nan_to_num(np.clip(seen.projected.y - 0.5, 0, height - 1.001))
    left, top = x.astype(int), y.astype(int)
    right, down = x - left, y - top
    upper = grey[top, left] * (1 - right) + grey[top, left + 1] * right
    lower = grey[top + 1, left] * (1 - right) + grey[top + 1, left + 1] * right
    error = np.abs(upper * (1 - down) + lower * down - opencv.to_gray(view))
    error[~inside_of(seen, other)] = np.nan
    return np.asarray(error)


def inside_of(seen: Seen, other: NDArray[np.generic]) -> Bools:
    """Pixels (h, w) with a depth that land inside the other view, whatever their label."""
    height, width = other.shape[:2]
    x, y, z = seen.projected.x, seen.projected.y, seen.projected.z_m
    return seen.projected.known & (z > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)


@dataclass
class Warped:
    """Grey differences of the pixels of some directed pairs, by label, and how many are mutual."""

    pairs: int = 0
    errors: dict[int, list[Floats]] = field(
        default_factory=lambda: {COVISIBLE: [], OCCLUDED: [], UNKNOWN: []}
    )
    mutual: int = 0
    told: int = 0
    all: int = 0

    def add(self, error: Floats, seen: Seen, back: Seen) -> None:
        """Count one direction."""
        self.pairs += 1
        for label, errors in self.errors.items():
            chosen = error[seen.labels == label]
            errors.append(chosen[np.isfinite(chosen)])
        there = at(back.labels, seen, seen.labels == COVISIBLE)
        self.mutual += int((there == COVISIBLE).sum())
        self.told += int((there != UNKNOWN).sum())
        self.all += there.size

    def row(self, name: str, band: tuple[float, float]) -> str:
        """A line of the table."""
        columns = [f"{name} | {band[0]:.2f} to {min(band[1], 1):.2f} | {self.pairs}"]
        for errors in self.errors.values():
            values = np.concatenate(errors)
            few = f"{np.median(values):.1f} ({len(values) / 1e3:.0f})" if len(values) > 99 else "-"
            columns.append(few)
        columns.append(f"{self.mutual / max(self.told, 1):.2%}")
        columns.append(f"{self.mutual / max(self.all, 1):.2%}")
        return "| " + " | ".join(columns) + " |"


def pairs_of(frames: list[Recorded]) -> Iterator[tuple[int, int]]:
    """Pairs of frames over many intervals, some dozens."""
    for interval in (1, 2, 3, 5, 8, 12, 20, 33, 50):
        for first in range(0, len(frames) - interval, max(1, len(frames) // 16)):
            yield first, first + interval


def in_recordings(data: Path) -> Iterator[str]:
    """The tables of the recordings: by overlap, and by how much the depths disagree."""
    yield (
        "| recording | co-visible share | directed pairs | grey difference, median (thousand "
        "pixels): co-visible | occluded | unknown, inside | mutual, where told | mutual, of all |"
    )
    yield "| --- " * 8 + "|"
    for folder in sorted((data / "rgbd").iterdir()):
        bands = {band: Warped() for band in BANDS}
        shown: dict[tuple[float, float], UInt8Image] = {}
        frames = recorded(folder)
        for first, second in pairs_of(frames):
            (rgb_1, one), (rgb_2, two) = frames[first], frames[second]
            forward, backward = seen_both(one, two)
            for view, other, seen, back in (
                (rgb_1, rgb_2, forward, backward),
                (rgb_2, rgb_1, backward, forward),
            ):
                share = covisible_share(seen.labels)
                for band in (band for band in BANDS if band[0] <= share < band[1]):
                    bands[band].add(grey_error(view, other, seen), seen, back)
                    sheet = [view, other, painted(seen.labels), warped(other, seen)]
                    shown[band] = np.hstack(sheet)
        _keep(folder.name, list(shown.values()))
        for band, found in bands.items():
            if found.pairs:
                yield found.row(folder.name, band)


def warped(other: UInt8Image, seen: Seen) -> UInt8Image:
    """The colours that co-visible pixels have in the other view; black elsewhere."""
    where = correspondences(seen)
    inside = ~np.isnan(where[..., 0])
    picture = np.zeros((*seen.labels.shape, 3), np.uint8)
    column, row = where[inside].astype(int).T
    picture[inside] = other[row, column]
    return picture


def disagreement(view: PosedDepth, other: PosedDepth, seen: Seen) -> Floats:
    """Of each pixel, how far it lies from the surface seen where it lands, as a share (h, w)."""
    surface, width = surface_of(other.depth_m), other.depth_m.shape[1]
    inside = inside_of(seen, other.depth_m)
    x, y = (axis[inside] + np.float32(1) for axis in (seen.projected.x, seen.projected.y))
    cell = y.astype(np.intp) * (width + 2) + x.astype(np.intp)
    away = np.full(view.depth_m.shape, np.nan)
    away[inside] = seen.projected.z_m[inside] * surface.inverse_depth(cell, x, y) - 1
    return np.where(np.isfinite(away), away, np.nan)


def by_disagreement(data: Path) -> Iterator[str]:
    """What the tolerance is chosen by: grey differences by how much two depths disagree."""
    edges = np.concatenate([-STEPS[:0:-1], STEPS])
    spans = [f"{low:+.0%} to {high:+.0%}" for low, high in itertools.pairwise(edges)]
    yield "| recording: thousand pixels, grey difference | " + " | ".join(spans) + " |"
    yield "| --- " * (len(spans) + 1) + "|"
    for folder in sorted((data / "rgbd").iterdir()):
        found: list[list[Floats]] = [[] for _ in spans]
        frames = recorded(folder)
        for first, second in list(pairs_of(frames))[::2]:
            (rgb_1, one), (rgb_2, two) = frames[first], frames[second]
            seen = seen_both(one, two)[0]
            error, away = grey_error(rgb_1, rgb_2, seen), disagreement(one, two, seen)
            for place, errors in enumerate(found):
                errors.append(error[(away >= edges[place]) & (away < edges[place + 1])])
        joined = [np.concatenate(errors) for errors in found]
        cells = [f"{len(e) / 1e3:.1f}, {np.median(e):.1f}" if len(e) > 99 else "-" for e in joined]
        yield f"| {folder.name} | " + " | ".join(cells) + " |"


def tables(data: Path) -> Iterator[str]:
    """All tables."""
    yield from in_scenes(data)
    yield ""
    yield from in_recordings(data)
    yield ""
    yield from by_disagreement(data)


if __name__ == "__main__":
    print_tables(__doc__ or "", "labels", tables)
