"""Structure from motion by COLMAP: the only module that imports pycolmap, and inside functions.

One thread and fixed seeds throughout: the same pictures give the same poses to the bit, with the
same pycolmap on the same kind of processor. (With several threads they differ in the last digits.)
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mimic.errors import MimicError
from mimic.reconstruction.base import Reconstructed, SeenPoints
from mimic.sources.rgbd.lens import size_of, straightened
from mimic.sources.rgbd.listed import Lens, pinhole
from mimic.types import Matrix

CAMERA = "SIMPLE_RADIAL"
"""One focal length and one coefficient of distortion, for all frames: what a clip can tell."""
EXHAUSTIVE_UP_TO = 30
"""Of so few frames all pairs are matched; of more, each with the next ten and some farther on."""
MAX_FEATURES = 4096
PEAK_THRESHOLD = 0.004
"""Footage is soft, so features may be fainter than in photos (COLMAP's own: 0.0067)."""
MIN_TRIANGULATION_DEG = 4.0
"""Between the first two frames: those of a video are close (COLMAP's own, for photos: 16)."""
MAX_FORWARD_MOTION = 1.0
"""The first two frames may look along the way, as in a walk (COLMAP's own: 0.95)."""
MIN_TRACK = 3
"""Points that fewer frames see are not measured well enough to scale by."""

Stage = Literal["features", "matching", "mapping"]
OnStage = Callable[[Stage, int], None]
"""Is told what is being done, and how many frames are registered so far."""

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class _Places:
    """Where pictures are and where COLMAP works."""

    pictures: Path
    work: Path

    @property
    def database(self) -> Path:
        return self.work / "database.db"


def check_installed() -> None:
    """Raise MimicError where the extra is missing."""
    if find_spec("pycolmap") is None:
        raise MimicError(
            "mimic reconstruct needs the package pycolmap, which is not installed: run "
            "pip install 'mimic[poses]'"
        )


def version() -> str:
    """That of pycolmap."""
    import pycolmap

    return str(pycolmap.__version__)


def reconstruct(
    pictures: Path, work: Path, *, seed: int, on_stage: OnStage | None = None
) -> Reconstructed | None:
    """The largest model of the pictures of a folder, in the order of their names; None for none.

    ``work``: an empty folder for COLMAP's own files. An exception in this thread (Ctrl-C) ends the
    work soon.
    """
    import pycolmap

    token = pycolmap.CancellationToken()
    tell = on_stage or (lambda stage, registered: None)
    with ThreadPoolExecutor(max_workers=1) as pool:
        job = pool.submit(_models, _Places(pictures, work), seed, tell, token)
        try:
            models = _waited_for(job)
        except BaseException:
            token.cancel()
            raise
    if not models:
        return None
    ranked = sorted(models, key=lambda model: -model.num_reg_images())
    return _read(ranked[0], tuple(int(model.num_reg_images()) for model in ranked))


def _waited_for(job: Future[list[Any]]) -> list[Any]:
    """Its result; unlike a plain wait, Ctrl-C is heard meanwhile."""
    while True:
        try:
            return job.result(timeout=_POLL_S)
        except TimeoutError:
            if job.done():
                raise


def _models(places: _Places, seed: int, tell: OnStage, token: Any) -> list[Any]:
    import pycolmap

    pycolmap.logging.minloglevel = int(pycolmap.logging.FATAL)
    pycolmap.set_random_seed(seed)
    count = sum(1 for _ in places.pictures.iterdir())
    tell("features", 0)
    _extract(places, token)
    tell("matching", 0)
    _match(places, count, seed, token)
    registered = 0

    def one_more() -> None:
        nonlocal registered
        registered += 1
        tell("mapping", min(registered, count))

    tell("mapping", 0)
    (places.work / "models").mkdir()
    found = pycolmap.incremental_mapping(
        places.database,
        places.pictures,
        places.work / "models",
        options=_mapping_options(seed),
        next_image_callback=one_more,
        cancellation_token=token,
    )
    return [found[key] for key in sorted(found)]


def _extract(places: _Places, token: Any) -> None:
    import pycolmap

    reader = pycolmap.ImageReaderOptions(camera_model=CAMERA)
    options = pycolmap.FeatureExtractionOptions(num_threads=1)
    options.sift.max_num_features = MAX_FEATURES
    options.sift.peak_threshold = PEAK_THRESHOLD
    pycolmap.extract_features(
        places.database,
        places.pictures,
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reader,
        extraction_options=options,
        device=pycolmap.Device.cpu,
        cancellation_token=token,
    )


def _match(places: _Places, count: int, seed: int, token: Any) -> None:
    import pycolmap

    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    match = pycolmap.match_sequential
    if count <= EXHAUSTIVE_UP_TO:
        match = pycolmap.match_exhaustive
    match(
        places.database,
        matching_options=pycolmap.FeatureMatchingOptions(num_threads=1),
        verification_options=verification,
        device=pycolmap.Device.cpu,
        cancellation_token=token,
    )


def _mapping_options(seed: int) -> Any:
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions(
        num_threads=1, random_seed=seed, extract_colors=False
    )
    mapper = options.mapper
    mapper.num_threads, mapper.random_seed = 1, seed
    mapper.init_min_tri_angle = MIN_TRIANGULATION_DEG
    mapper.init_max_forward_motion = MAX_FORWARD_MOTION
    options.triangulation.random_seed = seed
    return options


def _read(model: Any, sizes: tuple[int, ...]) -> Reconstructed:
    """Our values of COLMAP's model, in our unit and frame."""
    images = sorted((model.image(number) for number in model.reg_image_ids()), key=_name)
    lens = _lens(next(iter(model.cameras.values())))
    poses = [np.linalg.inv(_world_to_cam(image)) for image in images]
    points = [_seen(image, model, lens) for image in images]
    depths = np.concatenate([seen.depth for seen in points])
    unit = float(np.median(depths)) if len(depths) else 1.0
    to_first = np.linalg.inv(poses[0])
    moved = [to_first @ pose for pose in poses]
    for pose in moved:
        pose[:3, 3] /= unit
    return Reconstructed(
        names=tuple(_name(image) for image in images),
        cam_to_world=tuple(moved),
        lens=lens,
        points=tuple(SeenPoints(seen.xy, seen.depth / unit) for seen in points),
        models=sizes,
        point_count=int(model.num_points3D()),
        reprojection_px=float(model.compute_mean_reprojection_error()),
    )


def _name(image: Any) -> str:
    return str(image.name)


def _lens(camera: Any) -> Lens:
    focal, cx, cy, radial = (float(value) for value in camera.params)
    size = int(camera.width), int(camera.height)
    distortion = (radial, 0.0, 0.0, 0.0, 0.0)
    return Lens(pinhole(focal, focal, cx, cy, shift=0.0), size, distortion=distortion)


def _world_to_cam(image: Any) -> Matrix:
    pose = np.eye(4)
    pose[:3] = image.cam_from_world().matrix()
    return pose


def _seen(image: Any, model: Any, lens: Lens) -> SeenPoints:
    """The points of a frame where the straightened picture shows them."""
    points = [model.point3D(p.point3D_id) for p in image.points2D if p.has_point3D()]
    world = [point.xyz for point in points if point.track.length() >= MIN_TRACK]
    pose = _world_to_cam(image)
    local = np.reshape(world, (-1, 3)) @ pose[:3, :3].T + pose[:3, 3]
    local = local[local[:, 2] > 0]
    straight = straightened(lens)
    pixels = local @ straight.intrinsics.T
    xy = pixels[:, :2] / pixels[:, 2:]
    inside = ((xy >= 0) & (xy < size_of(straight))).all(axis=1)
    return SeenPoints(xy[inside], local[inside, 2])
