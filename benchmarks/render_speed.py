"""Frames a second of the ray caster, and its CPU time as a ratio to one SIFT detection.

    python benchmarks/render_speed.py ../shared/data/scenes

Each scene is seen from points over its floor plan at eye height, in the eight directions of a walk
with a field of view of 90 degrees; points that see mostly holes are passed over. Rendering
(anti-aliasing included) and detection run on the same frames in one process, the best of several
rounds each, so the machine cancels out. Detection is that of the default preset.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from mimic import opencv
from mimic.config import load_config
from mimic.simulators.base import Camera
from mimic.simulators.raycast import Raycaster, SceneMesh, load_scene
from mimic.types import Matrix

SIZES = (128, 256, 512)
FRAMES = 16
ROUNDS = 3
EYE_M = 1.5
SEEN = 0.4
UP_Z = {"simple_room"}
MATCH = load_config("default").match
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """The best CPU time in milliseconds of several runs, and the result."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        result = work()
        best = min(best, (time.process_time_ns() - start) / 1e6)
    return best, result


def looking(eye: Matrix, yaw_deg: float) -> Matrix:
    """A level camera (4, 4) at ``eye``; 0 degrees looks along -z."""
    yaw = np.radians(yaw_deg)
    right, forward = (np.cos(yaw), 0, np.sin(yaw)), (np.sin(yaw), 0, -np.cos(yaw))
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, (0, -1, 0), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def poses(mesh: SceneMesh, caster: Raycaster) -> list[Matrix]:
    """Poses that see something, the same on every run."""
    rng = np.random.default_rng(0)
    corners = mesh.triangles.reshape(-1, 3).astype(np.float64)
    low, high = np.percentile(corners, 10, axis=0), np.percentile(corners, 90, axis=0)
    probe = Camera.pinhole((32, 32), 90)
    found: list[Matrix] = []
    for _ in range(2000):
        eye = rng.uniform(low, high)
        eye[1] = EYE_M
        pose = looking(eye, 45 * int(rng.integers(8)))
        depth = caster.depth(probe, pose)
        if (depth > 0).mean() > SEEN and np.median(depth[depth > 0]) > 1:
            found.append(pose)
        if len(found) == FRAMES:
            break
    return found


def row(caster: Raycaster, views: list[Matrix], side: int) -> str:
    """A row of the table: one scene at one size."""
    camera = Camera.pinhole((side, side), 90)
    render_ms = detect_ms = depth_ms = seen = keypoints = 0.0
    for pose in views:
        cost, rendering = timed(functools.partial(caster.render, camera, pose))
        render_ms += cost
        depth_ms += timed(functools.partial(caster.depth, camera, pose))[0]
        gray = opencv.to_gray(rendering.rgb)
        settings = MATCH.max_keypoints, MATCH.contrast_threshold
        cost, found = timed(functools.partial(opencv.sift, gray, *settings))
        detect_ms += cost
        keypoints += len(found.xy) / len(views)
        seen += float((rendering.depth_m > 0).mean()) / len(views)
    count = len(views)
    return (
        f"| {side} | {render_ms / count:.1f} | {1000 * count / render_ms:.0f} "
        f"| {depth_ms / count:.1f} | {detect_ms / count:.1f} | {keypoints:.0f} | {seen:.2f} "
        f"| **{render_ms / detect_ms:.2f}** |"
    )


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/scenes")
    print(
        "| scene | triangles | load s | side px | render CPU ms | frames/s | depth alone ms ",
        end="",
    )
    print("| SIFT CPU ms | keypoints | seen | render / SIFT |")
    print("| --- " * 11 + "|")
    for path in sorted(p for p in folder.rglob("*") if p.suffix in {".glb", ".ply"}):
        start = time.process_time()
        mesh = load_scene(path, "z" if path.stem in UP_Z else "y")
        caster = Raycaster(mesh)
        load_s = time.process_time() - start
        views = poses(mesh, caster)
        for side in SIZES if views else ():
            head = f"| {path.name} | {len(mesh.triangles)} | {load_s:.1f} "
            print(head + row(caster, views, side), flush=True)


if __name__ == "__main__":
    main()
