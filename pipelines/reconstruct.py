"""From a plain video to a sequence with camera poses, and with learned depth, in metres.

Everything is made in a hidden folder beside ``out``, which gets its name in one step at the end:
what is there is whole.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mimic import __version__, opencv, sources
from mimic.config import Config
from mimic.depth import DepthModel, MetricDepth, opened
from mimic.errors import MimicError
from mimic.reconstruction import Reconstructed, Scale, colmap, frame_ratio, scale_of, sequence
from mimic.sampling.unseen import Unseen
from mimic.sources.base import unit_of
from mimic.sources.rgbd.lens import fits, size_of, straight_picture, straightened
from mimic.types import Matrix, Skipped, SourceItem, Span

MIN_FRAMES = 3
"""Fewer are no clip."""
MIN_SEEN = 0.5
"""Share of each side that must be left of a picture without its distortion: else the camera that
was found is not one."""

Stage = Literal["frames", "features", "matching", "mapping", "depth"]
OnStage = Callable[[Stage, int, int | None], None]
"""Is told what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for beside the config.

    ``min_share``: of the sampled frames, how many must find their place. ``align_depth``: each
    frame's depth is scaled to agree with the points, so that frames agree with one another: a
    scale that flickers by the 2 % that labels tolerate costs a third of what is co-visible.
    """

    min_share: float = 0.5
    depth: DepthModel | None = None
    align_depth: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of it; see the fields of ``reconstruction.json`` in docs/labels.md."""

    out: str
    record: dict[str, Any]
    was_there: bool

    @property
    def scale(self) -> dict[str, Any] | None:
        """``metres_per_unit``, ``spread`` and ``frames``; None without depth."""
        found: dict[str, Any] | None = self.record["scale"]
        return found


def reconstruct(
    source: str, out: Path, config: Config, wishes: Wishes, on_stage: OnStage | None = None
) -> Summary:
    """Make a sequence of one clip; a finished one is left as it is.

    Args:
        source: one video, or one folder of extracted frames.
        out: the folder that is made.
        config: how frames are sampled (``source.video``), and the seed.
        wishes: what else is asked for.
        on_stage: is told of progress.

    Raises:
        MimicError: no such clip, a missing extra, no reconstruction, or ``out`` holds other things.
        SourceError: the clip cannot be read.
    """
    colmap.check_installed()
    item = _clip(source, config)
    asked = _asked(item, config, wishes)
    before = _finished(out, asked)
    if before is not None:
        return Summary(str(out), before, was_there=True)
    tell = on_stage or (lambda stage, done, total: None)
    with _made_aside(out) as folder:
        record = _reconstructed(item, folder, config, wishes, tell)
        sequence.write_record(folder, {"asked": asked, **record})
    found = sequence.read_record(out)
    assert found is not None
    return Summary(str(out), found, was_there=False)


def _clip(source: str, config: Config) -> SourceItem:
    """The one clip of the source."""
    found = list(sources.discover(source, config))
    items = [item for item in found if isinstance(item, SourceItem)]
    clips = [item for item in items if item.kind in {"video", "frames"}]
    if len(clips) == 1:
        return clips[0]
    why = next((f" ({item.message})" for item in found if isinstance(item, Skipped)), "")
    held = f"{len(clips)} videos" if clips else f"no video{why}"
    raise MimicError(
        f"--source {source}: holds {held}; name one video, or one folder of extracted frames, as a "
        "reconstruction is of one clip"
    )


def _asked(item: SourceItem, config: Config, wishes: Wishes) -> dict[str, Any]:
    """All that decides what is written: equal wishes give equal bytes."""
    depth = wishes.depth
    return {
        "clip": item.name,
        "fingerprint": item.fingerprint,
        "interval_s": config.source.video.interval_s,
        "stream": config.source.video.stream,
        "seed": config.seed,
        "min_share": wishes.min_share,
        "depth_model": depth.name if depth else None,
        "depth_sha256": depth.sha256 if depth else None,
        "align_depth": wishes.align_depth,
        "versions": {
            "mimic": __version__,
            "numpy": np.__version__,
            "opencv": opencv.VERSION,
            "pycolmap": colmap.version(),
            **dict(depth.versions if depth else ()),
        },
    }


def _finished(out: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The record of what is at ``out``, if it is what is asked for; None where nothing is."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    record = sequence.read_record(out)
    if record is not None and record.get("asked") == asked:
        return record
    what = "another reconstruction" if record is not None else "other things"
    raise MimicError(f"{out}: holds {what}; name another --out")


@contextlib.contextmanager
def _made_aside(out: Path) -> Iterator[Path]:
    """A folder that becomes ``out`` if all goes well, and is gone otherwise."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise MimicError(f"--out {out}: cannot be made ({error.strerror})") from error
    try:
        folder = aside / "sequence"
        folder.mkdir()
        yield folder
        if out.is_dir():
            out.rmdir()  # empty, or it would have been refused
        folder.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _reconstructed(
    item: SourceItem, folder: Path, config: Config, wishes: Wishes, tell: OnStage
) -> dict[str, Any]:
    """Write everything but the record, which is returned."""
    frames, work = folder.parent / "frames", folder.parent / "colmap"
    frames.mkdir()
    work.mkdir()
    count = _sample(item, frames, config, tell)
    found = colmap.reconstruct(
        frames,
        work,
        seed=config.seed,
        on_stage=lambda stage, registered: tell(stage, registered, count),
    )
    found = _checked(item, found, count, wishes.min_share)
    names = [Path(name).stem for name in found.names]
    for name, file in zip(names, found.names, strict=True):
        rgb = opencv.decode_image((frames / file).read_bytes())
        sequence.write_picture(folder, name, straight_picture(rgb, found.lens))
    intrinsics = straightened(found.lens).intrinsics
    scale = None
    if wishes.depth is not None:
        model = opened(wishes.depth)
        scale = predict_depth(folder, names, found, model, wishes.align_depth, tell)
    poses = [_scaled(pose, scale) for pose in found.cam_to_world]
    sequence.write_cameras(folder, intrinsics, names, poses, metres=scale is not None)
    return _record(found, count, scale)


def _sample(item: SourceItem, folder: Path, config: Config, tell: OnStage) -> int:
    """Write the frames of the clip's grid, without loss; how many."""
    unit = unit_of(item, Span(0, None), config, footage_s=0.0, estimated_s=0.0, estimated_pairs=0.0)
    count = 0
    with sources.open_unit(unit, config, 0) as frames:
        for frame in frames:
            seen = frame.look() if isinstance(frame, Unseen) else frame
            (folder / f"{frame.slot:06}.png").write_bytes(opencv.encode_png(seen.rgb))
            count += 1
            tell("frames", count, None)
    if count < MIN_FRAMES:
        raise MimicError(
            f"{item.name}: {count} frames at an interval of {config.source.video.interval_s:g} s, "
            f"and poses take {MIN_FRAMES} and more; sample closer with --interval, or name a "
            "longer clip"
        )
    return count


def _checked(
    item: SourceItem, found: Reconstructed | None, count: int, min_share: float
) -> Reconstructed:
    advice = (
        "a clip is reconstructed where the camera moves sideways past things with texture, sharp "
        "and without cuts; sample closer with --interval, or take a part of it"
    )
    if found is None:
        raise MimicError(f"{item.name}: no reconstruction from {count} frames; {advice}")
    if len(found.names) < min_share * count:
        others = ", ".join(str(size) for size in found.models[1:])
        apart = f"; other parts, which do not connect to it, have {others}" if others else ""
        raise MimicError(
            f"{item.name}: only {len(found.names)} of {count} frames found their place in one "
            f"reconstruction{apart}; {advice}, or accept it with --min-share"
        )
    width, height = size_of(found.lens)
    left = size_of(straightened(found.lens)) if fits(found.lens) else (0, 0)
    if left[0] < MIN_SEEN * width or left[1] < MIN_SEEN * height:
        raise MimicError(
            f"{item.name}: the camera that fits {len(found.names)} of {count} frames is none that "
            f"there is (without its distortion, {left[0]} x {left[1]} of {width} x {height} pixels "
            f"are left); {advice}"
        )
    return found


def predict_depth(
    folder: Path,
    names: list[str],
    found: Reconstructed,
    model: MetricDepth,
    align: bool,
    tell: OnStage,
) -> Scale:
    """Write the depth of every frame; the scale that it gives the reconstruction.

    ``align``: each frame's depth is divided by how far it is off from the median frame.

    Raises:
        MimicError: too few points have a depth.
    """
    intrinsics, ratios = straightened(found.lens).intrinsics, []
    for number, (name, points) in enumerate(zip(names, found.points, strict=True)):
        tell("depth", number, len(names))
        sequence.write_depth(
            folder, name, model.predict(sequence.read_picture(folder, name), intrinsics)
        )
        ratios.append(frame_ratio(sequence.read_depth(folder, name), points))
    tell("depth", len(names), len(names))
    scale = scale_of(ratios)
    if align:
        for name, off in zip(names, scale.frames, strict=True):
            if off is not None:
                depth_m = sequence.read_depth(folder, name)
                sequence.write_depth(folder, name, depth_m / np.float32(off))
    return scale


def _scaled(pose: Matrix, scale: Scale | None) -> Matrix:
    scaled = pose.copy()
    if scale is not None:
        scaled[:3, 3] *= scale.metres_per_unit
    return scaled


def _record(found: Reconstructed, count: int, scale: Scale | None) -> dict[str, Any]:
    names = [f"{Path(name).stem}.jpg" for name in found.names]
    told = None
    if scale is not None:
        told = asdict(replace(scale, frames=())) | {
            "frames": dict(zip(names, scale.frames, strict=True))
        }
    return {
        "frames": count,
        "registered": len(names),
        "models": list(found.models),
        "points": found.point_count,
        "reprojection_px": found.reprojection_px,
        "camera": {
            "size": list(size_of(found.lens)),
            "intrinsics": found.lens.intrinsics.tolist(),
            "distortion": list(found.lens.distortion or ()),
        },
        "unit": "metres" if scale is not None else "unknown",
        "scale": told,
    }
