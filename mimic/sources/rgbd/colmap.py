"""COLMAP's dense workspace: ``images/``, a model in ``sparse/``, and ``stereo/depth_maps``.

The geometric maps are read (the photometric ones are not yet filtered). Poses are world-to-camera
in the model and are inverted; pixels are continuous, as ours. The unit of length is the model's:
metres only where it was scaled. Cameras with distortion are refused: dense maps belong to the
pictures that ``colmap image_undistorter`` made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mimic.errors import SourceError
from mimic.sources.base import File
from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.colmap_model import Camera, Image, read_cameras, read_images
from mimic.sources.rgbd.listed import Blob, Depth, Found, Layout, Lens, Listed, pinhole
from mimic.sources.rgbd.tree import PICTURES, Tree, natural, suffix_of

IMAGES, MAPS = "images/", "stereo/depth_maps/"
MODELS = ("sparse", "sparse/0", "")
MAP_SUFFIX = ".geometric.bin"
MAX_DISTORTION_PX = 0.5
"""In the corners, so much displacement by distortion is as good as none."""


def find(tree: Tree) -> Iterator[Found]:
    """Folders with pictures, a model and dense maps."""
    for stereo in tree.parents("depth_maps"):
        folder, _, name = stereo.rpartition("/")
        if name != "stereo":
            continue
        model = _model(tree, folder)
        below = tree.below(folder)
        start = len(folder) + 1 if folder else 0
        pictures = [
            file
            for file in below
            if file.name[start:].startswith(IMAGES) and suffix_of(file.name) in PICTURES
        ]
        maps = [
            file
            for file in below
            if file.name[start:].startswith(MAPS) and file.name.endswith(MAP_SUFFIX)
        ]
        if model and pictures and maps:
            yield Found("colmap", folder, folder or ".", (*model, *pictures, *maps))


def count(bundle: Bundle) -> int:
    """A slot a picture, registered or not."""
    return len(_pictures(bundle))


def frames(bundle: Bundle, slots: Sequence[int]) -> list[Listed]:
    """See :class:`mimic.sources.rgbd.listed.Layout`."""
    pictures = _pictures(bundle)
    files = {path.rpartition("/")[2].partition(".")[0]: path for path in bundle.sizes
             if path.startswith(("sparse", "cameras", "images.")) }  # fmt: skip
    cameras = read_cameras(bundle, files["cameras"])
    images = {image.name: image for image in read_images(bundle, files["images"])}
    if not any(lens_of(camera) for camera in cameras.values()):
        raise SourceError(
            "distorted",
            f"{bundle.name}: its cameras have distortion; run colmap image_undistorter, whose "
            "pictures the dense maps belong to",
        )
    found = []
    for slot in slots:
        name = pictures[slot].removeprefix(IMAGES)
        image = images.get(name)
        camera = None if image is None else cameras.get(image.camera)
        if image is None or camera is None:
            unknown = Listed(slot, pictures[slot], Blob(pictures[slot]), problem="no_pose")
            found.append(unknown)
        else:
            found.append(_listed(bundle, slot, pictures[slot], image, camera))
    return found


def _listed(bundle: Bundle, slot: int, path: str, image: Image, camera: Camera) -> Listed:
    depth = f"{MAPS}{image.name}{MAP_SUFFIX}"
    lens = lens_of(camera)
    return Listed(
        slot=slot,
        name=path,
        colour=Blob(path),
        depth=Depth(Blob(depth), "colmap") if depth in bundle.sizes else None,
        cam_to_world=image.cam_to_world,
        lens=lens,
        problem="distorted" if lens is None else None,
    )


def lens_of(camera: Camera) -> Lens | None:
    """The pinhole that a camera is; None for one with distortion, or of another model."""
    values = camera.parameters
    if camera.model == "PINHOLE":
        fx, fy, cx, cy = values
    elif camera.model in {"SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"}:
        fx, cx, cy = values[:3]
        fy = fx
    elif camera.model == "OPENCV":
        fx, fy, cx, cy = values[:4]
    else:
        return None
    rest = values[{"PINHOLE": 4, "OPENCV": 4}.get(camera.model, 3) :]
    corner = np.hypot(camera.size[0] / fx, camera.size[1] / fy) / 2
    # Of each coefficient, no more than this in the corner: k r^3, k r^5, or 3 p r^2 (times f).
    moved = sum(abs(value) * max(3 * corner**2, corner**3, corner**5) for value in rest)
    if moved * max(fx, fy) > MAX_DISTORTION_PX:
        return None
    return Lens(pinhole(fx, fy, cx, cy, shift=0.0), camera.size)


def _pictures(bundle: Bundle) -> list[str]:
    paths = [p for p in bundle.sizes if p.startswith(IMAGES) and suffix_of(p) in PICTURES]
    return sorted(paths, key=natural)


def _model(tree: Tree, folder: str) -> list[File]:
    for place in MODELS:
        for suffix in (".bin", ".txt"):
            names = [f"{place}/{name}{suffix}".lstrip("/") for name in ("cameras", "images")]
            files = [file for name in names if (file := tree.file(folder, name)) is not None]
            if len(files) == 2:
                return files
    return []


LAYOUT = Layout("colmap", find, count, frames)
