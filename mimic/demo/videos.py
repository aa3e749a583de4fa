"""Three short videos of the demo room, to try the miner on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mimic.demo.paths import orbit, stand_turn_cut, walk
from mimic.simulators.base import Camera
from mimic.simulators.raycast import Raycaster, load_scene
from mimic.types import Matrix, UInt8Image

SIZE = (384, 288)
FPS = 15
FOV_DEG = 68.0
VIDEOS: tuple[tuple[str, Callable[[int], list[Matrix]], float], ...] = (
    ("walk.mp4", walk, 9.0),
    ("orbit.mp4", orbit, 8.0),
    ("turn.mp4", stand_turn_cut, 10.0),
)
"""Name, camera path and duration in seconds. The last holds a static camera and a cut, which the
miner must reject."""


def make_videos(
    scene: Path, folder: Path, on_file: Callable[[str], None] | None = None
) -> list[Path]:
    """Render the three videos of a scene file into ``folder`` (made if absent); their paths.

    ``on_file`` is called with each name before it is rendered. Half a minute of one core at most.
    """
    from mimic.pyav import write_video

    folder.mkdir(parents=True, exist_ok=True)
    raycaster = Raycaster(load_scene(scene))
    paths = []
    for name, path_of, duration_s in VIDEOS:
        if on_file:
            on_file(name)
        poses = path_of(round(duration_s * FPS))
        unfinished = folder / f".{name}"
        write_video(unfinished, _frames(raycaster, poses, SIZE, FOV_DEG), FPS)
        paths.append(unfinished.replace(folder / name))
    return paths


def frames_along(
    scene: Path, poses: Sequence[Matrix], size: tuple[int, int] = SIZE, fov_deg: float = FOV_DEG
) -> Iterator[UInt8Image]:
    """RGB frames of a scene file seen from ``poses``; a pose that repeats is rendered once."""
    return _frames(Raycaster(load_scene(scene)), poses, size, fov_deg)


def _frames(
    raycaster: Raycaster, poses: Sequence[Matrix], size: tuple[int, int], fov_deg: float
) -> Iterator[UInt8Image]:
    camera = Camera.pinhole(size, fov_deg)
    previous: Matrix | None = None
    rgb: UInt8Image | None = None
    for pose in poses:
        if rgb is None or pose is not previous:
            rgb = raycaster.render(camera, pose).rgb
        previous = pose
        yield rgb
