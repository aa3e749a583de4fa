"""A scanned office re-rendered from the recorded camera poses, against what was recorded.

    python benchmarks/rerender.py [--data ../shared/data] [--into docs/results.md]

The scan was fused from the same recording, so the errors are those of the scan (2.5 cm voxels,
holes, photo patches of different exposure) and of the renderer together; the recorded pose and
intrinsics are used as they are. With MIMIC_RERENDER set to a folder, pictures go there: recorded,
rendered, and the absolute difference of depth.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from document import print_tables

from mimic import opencv
from mimic.simulators.base import Camera, Rendering
from mimic.simulators.raycast import Raycaster, load_scene
from mimic.types import Matrix

SCENES = ("hololens_scan.glb", "hololens_fused.ply")
CLOSE_M = 0.05
SHOWN_EVERY = 12
Values = dict[str, list[float]]


def recorded(folder: Path) -> Iterator[tuple[str, Matrix, Matrix, Matrix]]:
    """Name, picture (h, w, 3), depth in metres (h, w) and pose of each frame."""
    poses = np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)
    names = sorted(path.stem for path in (folder / "images").iterdir())
    for name, pose in zip(names, poses, strict=True):
        rgb = opencv.decode_image((folder / "images" / f"{name}.jpg").read_bytes())
        depth = opencv.decode_png((folder / "depth" / f"{name}.png").read_bytes())
        yield name, rgb, depth / 1000.0, pose


def compare(rgb: Matrix, depth_m: Matrix, seen: Rendering) -> dict[str, float]:
    """Errors of a rendering where both have depth."""
    both = (depth_m > 0) & (seen.depth_m > 0)
    error_m = np.abs(depth_m - seen.depth_m)[both]
    one = opencv.to_gray(rgb)[both].astype(np.float64)
    two = opencv.to_gray(seen.rgb)[both].astype(np.float64)
    return {
        "coverage": both.sum() / max((depth_m > 0).sum(), 1),
        "median_mm": 1000 * float(np.median(error_m)),
        "p90_mm": 1000 * float(np.percentile(error_m, 90)),
        "close": float((error_m < CLOSE_M).mean()),
        "grey": float(np.median(np.abs(one - two))),
        "ncc": float(np.corrcoef(one, two)[0, 1]),
    }


def shown(rgb: Matrix, depth_m: Matrix, seen: Rendering, place: Path) -> None:
    """Recorded, rendered, and depth error (white: 20 cm) side by side."""
    both = (depth_m > 0) & (seen.depth_m > 0)
    error = np.where(both, np.abs(depth_m - seen.depth_m), 0)
    grey = np.clip(error / 0.2 * 255, 0, 255).astype(np.uint8)
    sheet = np.hstack([rgb, seen.rgb, np.repeat(grey[:, :, None], 3, axis=2)])
    place.write_bytes(opencv.encode_png(np.ascontiguousarray(sheet)))


def tables(data: Path) -> Iterator[str]:
    """The rows, one a scene: medians over the frames."""
    folder, scenes = data / "rgbd" / "hololens_000", data / "scenes"
    to_world = np.array(
        json.loads((scenes / "hololens_fused.json").read_text())["T_yup_from_sequence"]
    )
    intrinsics = np.loadtxt(folder / "K.txt")
    pictures = os.environ.get("MIMIC_RERENDER")
    yield (
        "| scene | frames | recorded depth covered | depth error, median mm | 90th percentile mm "
        "| within 5 cm | grey difference, median | correlation (NCC) |"
    )
    yield "| --- " * 8 + "|"
    for name in SCENES:
        caster = Raycaster(load_scene(scenes / name))
        values: Values = {}
        count = 0
        for count, (frame, rgb, depth_m, pose) in enumerate(recorded(folder), 1):
            camera = Camera((rgb.shape[1], rgb.shape[0]), intrinsics)
            seen = caster.render(camera, to_world @ pose)
            for key, value in compare(rgb, depth_m, seen).items():
                values.setdefault(key, []).append(value)
            if pictures and count % SHOWN_EVERY == 1:
                Path(pictures).mkdir(parents=True, exist_ok=True)
                shown(rgb, depth_m, seen, Path(pictures) / f"{Path(name).stem}_{frame}.png")
        middle = {key: float(np.median(each)) for key, each in values.items()}
        yield (
            f"| {name} | {count} | {middle['coverage']:.2f} | {middle['median_mm']:.1f} "
            f"| {middle['p90_mm']:.1f} | {middle['close']:.3f} | {middle['grey']:.1f} "
            f"| {middle['ncc']:.3f} |"
        )


if __name__ == "__main__":
    print_tables(__doc__ or "", "rerender", tables)
