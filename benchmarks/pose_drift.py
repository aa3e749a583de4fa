"""How far reconstructed poses are off, and what labels lose by it: clips whose poses are known.

    python benchmarks/pose_drift.py ../shared/data

The demo's walk and orbit are rendered, their poses exact. ``office_walk_vp9.webm`` is the footage
of ``rgbd/hololens_000``: every fifth frame has the headset's own pose and depth there. Positions
are compared after the best similarity, so a drift counts and the unknown scale does not. Where
there is depth, it stands in for a learned one that knows: the unit it gives is held against the
similarity's, and labels by reconstructed poses against labels by true ones.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimic import opencv, sources
from mimic.config import load_config
from mimic.demo import frames_along, orbit, walk, write_room
from mimic.geometry.covisibility import COVISIBLE, UNKNOWN, PosedDepth, labels
from mimic.pyav import write_video
from mimic.reconstruction import Reconstructed, colmap, frame_ratio, scale_of
from mimic.reconstruction.base import SeenPoints
from mimic.sources.base import unit_of
from mimic.sources.rgbd import opened
from mimic.sources.rgbd.lens import straightened
from mimic.types import Frame, Span

FPS = 15
LABELLED_APART = (1, 2, 3, 4)
"""Of frames with depth, the first is labelled with those that come so much later."""


@dataclass(frozen=True)
class Clip:
    """A video whose frames ``true`` has by their number."""

    name: str
    path: Path
    true: dict[int, Frame | np.ndarray]

    def pose(self, number: int) -> np.ndarray:
        """Where the camera stood, (4, 4) camera-to-world."""
        true = self.true[number]
        pose = true if isinstance(true, np.ndarray) else true.cam_to_world
        assert pose is not None
        return pose


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--quick", action="store_true", help="the rendered clips only")
    asked = parser.parse_args()
    print(
        "| clip | seconds apart | frames | placed together | parts | focal off | path m "
        "| position off: RMS, most (cm) | rotation off: median, most (deg) | unit off | its spread "
        "| co-visible that stay so | all labels that agree |\n|" + " --- |" * 13
    )
    with tempfile.TemporaryDirectory() as folder:
        for clip in rendered(Path(folder)):
            print(row(clip, 1 / 3), flush=True)
        if not asked.quick:
            office = office_walk(asked.data)
            for interval_s in (1 / 3, 1 / 6, 2 / 15):
                print(row(office, interval_s), flush=True)


def rendered(folder: Path) -> Iterator[Clip]:
    """Clips of the demo's room."""
    room = write_room(folder / "room.glb")
    paths: tuple[tuple[str, Callable[[int], list[np.ndarray]], int], ...] = (
        ("rendered walk", walk, 9),
        ("rendered orbit", orbit, 8),
    )
    for name, path_of, seconds in paths:
        poses = path_of(seconds * FPS)
        video = folder / f"{name}.mp4"
        write_video(video, frames_along(room, poses), FPS)
        yield Clip(name, video, dict(enumerate(poses)))


def office_walk(data: Path) -> Clip:
    """The real clip, with what the headset measured."""
    (item,) = sources.discover(str(data / "rgbd" / "hololens_000"), load_config())
    sequence = opened(item)  # type: ignore[arg-type]
    frames = {5 * row: sequence.look(row) for row in range(len(sequence.index))}
    return Clip("office_walk_vp9", data / "videos" / "office_walk_vp9.webm", dict(frames))


def row(clip: Clip, interval_s: float) -> str:
    """A clip at an interval: a row of the table."""
    found, count = reconstructed(clip, interval_s)
    if found is None:
        return f"| {clip.name} | {interval_s:.3f} | {count} | none | | | | | | | | | |"
    numbers = [frame_number(name, interval_s) for name in found.names]
    known = [at for at, number in enumerate(numbers) if number in clip.true]
    true = np.array([clip.pose(numbers[at]) for at in known])
    ours = np.array([found.cam_to_world[at] for at in known])
    scale, rotation, shift = similarity(ours[:, :3, 3], true[:, :3, 3])
    off_m = np.linalg.norm(scale * ours[:, :3, 3] @ rotation.T + shift - true[:, :3, 3], axis=1)
    turned = rotations_off(ours[:, :3, :3], true[:, :3, :3])
    path_m = np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum()
    cells = [
        clip.name,
        f"{interval_s:.3f}",
        str(count),
        str(len(found.names)),
        str(len(found.models)),
        focal_off(clip, found),
        f"{path_m:.1f}",
        f"{100 * np.sqrt((off_m**2).mean()):.1f}, {100 * off_m.max():.1f}",
        f"{np.median(turned):.2f}, {max(turned):.2f}",
        *of_depth(clip, found, numbers, known, scale),
    ]
    return f"| {' | '.join(cells)} |"


def reconstructed(clip: Clip, interval_s: float) -> tuple[Reconstructed | None, int]:
    """The largest model, and how many frames were sampled."""
    config = load_config(assignments=(f"source.video.interval_s={interval_s}",))
    (item,) = sources.discover(str(clip.path), config)
    unit = unit_of(item, Span(0, None), config, footage_s=0, estimated_s=0, estimated_pairs=0)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        pictures, work = Path(folder, "pictures"), Path(folder, "work")
        pictures.mkdir()
        work.mkdir()
        with sources.open_unit(unit, config, 0) as frames:
            for frame in frames:
                assert isinstance(frame, Frame)
                name = f"{frame.slot:06}.png"
                (pictures / name).write_bytes(opencv.encode_png(frame.rgb))
        count = len(list(pictures.iterdir()))
        return colmap.reconstruct(pictures, work, seed=0), count


def frame_number(name: str, interval_s: float) -> int:
    """The frame of a clip that stands for a slot: the nearest, of two the earlier."""
    return int(np.ceil(int(Path(name).stem) * interval_s * FPS - 0.5 - 1e-6))


def focal_off(clip: Clip, found: Reconstructed) -> str:
    """How far the focal length is off."""
    true = next(iter(clip.true.values()))
    focal = 384 / 2 / np.tan(np.radians(34))
    if isinstance(true, Frame):
        assert true.intrinsics is not None
        focal = true.intrinsics[0, 0]
    return f"{found.lens.intrinsics[0, 0] / focal - 1:+.1%}"


def of_depth(
    clip: Clip, found: Reconstructed, numbers: list[int], known: list[int], scale: float
) -> list[str]:
    """How far the unit is off, the spread of the frames' own, and what labels keep."""
    frames = {at: clip.true[numbers[at]] for at in known}
    deep = {at: frame for at, frame in frames.items() if isinstance(frame, Frame)}
    if not deep:
        return ["", "", "", ""]
    crop = (found.lens.intrinsics - straightened(found.lens).intrinsics)[:2, 2]
    ratios = []
    for at, frame in deep.items():
        assert frame.depth_m is not None
        points = found.points[at]
        ratios.append(frame_ratio(frame.depth_m, SeenPoints(points.xy + crop, points.depth)))
    unit = scale_of(ratios)
    kept = agreement(deep, found, unit.metres_per_unit)
    off = unit.metres_per_unit / scale - 1
    return [f"{off:+.1%}", f"±{unit.spread:.1%}", *(f"{share:.1%}" for share in kept)]


def agreement(
    deep: dict[int, Frame], found: Reconstructed, metres_per_unit: float
) -> tuple[float, float]:
    """Of co-visible pixels the share that stays so; of those with a label both ways, the same."""
    order, same, of, stay, seen = sorted(deep), 0, 0, 0, 0
    for first, at in enumerate(order):
        for apart in LABELLED_APART:
            if first + apart < len(order):
                pair = at, order[first + apart]
                true = labels(*(posed(deep[i]) for i in pair))
                ours = labels(*(posed(deep[i], found, i, metres_per_unit) for i in pair))
                both = (true != UNKNOWN) & (ours != UNKNOWN)
                same, of = same + int((true == ours)[both].sum()), of + int(both.sum())
                covisible = true == COVISIBLE
                stay, seen = (
                    stay + int((ours == COVISIBLE)[covisible].sum()),
                    seen + int(covisible.sum()),
                )
    return stay / max(seen, 1), same / max(of, 1)


def posed(
    frame: Frame, found: Reconstructed | None = None, at: int = 0, metres_per_unit: float = 1.0
) -> PosedDepth:
    """Recorded depth at its own pose, or at the one that was reconstructed."""
    assert frame.depth_m is not None
    assert frame.intrinsics is not None
    assert frame.cam_to_world is not None
    if found is None:
        return PosedDepth(frame.depth_m, frame.intrinsics, frame.cam_to_world)
    pose = found.cam_to_world[at].copy()
    pose[:3, 3] *= metres_per_unit
    return PosedDepth(frame.depth_m, found.lens.intrinsics, pose)


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and shift from (N, 3) points to (N, 3) points (Umeyama, PAMI 1991)."""
    centred, aimed = source - source.mean(0), target - target.mean(0)
    u, stretch, vt = np.linalg.svd(aimed.T @ centred)
    flip = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * flip) @ vt
    scale = float((stretch * flip).sum() / (centred**2).sum())
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)


def rotations_off(ours: np.ndarray, true: np.ndarray) -> list[float]:
    """Angles between (N, 3, 3) rotations, after the one that lays all on all best (chordal mean).

    Not the similarity's: along a short straight path, centres tell little of it.
    """
    u, _, vt = np.linalg.svd(np.einsum("nij,nkj->ik", true, ours))
    best = (u * [1, 1, np.linalg.det(u @ vt)]) @ vt
    return [angle_deg((best @ a).T @ b) for a, b in zip(ours, true, strict=True)]


def angle_deg(rotation: np.ndarray) -> float:
    """The angle of a rotation."""
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


if __name__ == "__main__":
    main()
