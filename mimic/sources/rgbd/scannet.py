"""ScanNet, extracted: ``color/``, ``depth/``, ``pose/`` and ``intrinsic/``, a file a frame.

Poses are camera-to-world, -inf where tracking was lost. Depth is in millimetres with intrinsics of
its own; both are 4 x 4, centre of the first pixel at (0, 0), of pictures as they were recorded:
where pictures were made smaller, intrinsics do not fit and nothing is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mimic.errors import SourceError
from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.listed import Blob, Found, Layout, Lens, Listed, continuous
from mimic.sources.rgbd.plain import COLOUR, SIZED_BY, colours, count, depths
from mimic.sources.rgbd.text import intrinsics_in, matrix_in, partners
from mimic.sources.rgbd.tree import DEPTHS, Tree
from mimic.types import Matrix

TEXT = frozenset({".txt"})
COLOUR_K = tuple(
    f"{folder}{name}_color.txt"
    for folder in ("intrinsic/", "")
    for name in ("intrinsic", "intrinsics")
)
DEPTH_K = tuple(name.replace("_color", "_depth") for name in COLOUR_K)


def find(tree: Tree) -> Iterator[Found]:
    """Folders with the four folders (or the intrinsics beside the other three)."""
    for folder in tree.parents("pose"):
        colour, depth = tree.pictures(folder, COLOUR), tree.pictures(folder, ["depth"], DEPTHS)
        poses = tree.pictures(folder, ["pose"], TEXT)
        intrinsics = tree.file(folder, *COLOUR_K)
        if colour and depth and poses and intrinsics:
            of_depth = tree.file(folder, *DEPTH_K)
            known = [file for file in (intrinsics, of_depth) if file is not None]
            yield Found("scannet", folder, folder or ".", (*known, *colour, *depth, *poses))


def frames(bundle: Bundle, slots: Sequence[int]) -> list[Listed]:
    """See :class:`mimic.sources.rgbd.listed.Layout`."""
    pictures = colours(bundle)
    depth = depths(bundle, pictures)
    files = partners(pictures, bundle.pictures("pose", suffixes=TEXT))
    wanted = [pictures[slot] for slot in slots if pictures[slot] in files]
    poses = dict(zip(wanted, poses_in(bundle, [files[path] for path in wanted]), strict=True))
    lens, depth_lens = _lenses(bundle, pictures)
    return [
        Listed(
            slot=slot,
            name=pictures[slot],
            colour=Blob(pictures[slot]),
            depth=depth.get(pictures[slot]),
            cam_to_world=poses.get(pictures[slot]),
            lens=lens,
            depth_lens=depth_lens,
        )
        for slot in slots
    ]


def poses_in(bundle: Bundle, paths: Sequence[str]) -> list[Matrix | None]:
    """The poses of as many small files, a 4 x 4 in each; None where a file holds something else."""
    return [
        _pose(bundle, path, text) for path, text in zip(paths, bundle.texts(paths), strict=True)
    ]


def _pose(bundle: Bundle, path: str, text: str) -> Matrix | None:
    try:
        pose = matrix_in(bundle, path, text)
    except SourceError:
        return None  # one frame without a pose
    return pose if pose.shape == (4, 4) else None


def _lenses(bundle: Bundle, pictures: Sequence[str]) -> tuple[Lens, Lens | None]:
    colour_path, depth_path = bundle.first(*COLOUR_K), bundle.first(*DEPTH_K)
    assert colour_path is not None
    sized_by = tuple(Blob(path) for path in pictures[:SIZED_BY])
    lens = Lens(continuous(intrinsics_in(bundle, colour_path)), sized_by=sized_by)
    if depth_path is None:
        return lens, None
    return lens, Lens(continuous(intrinsics_in(bundle, depth_path)))


LAYOUT = Layout("scannet", find, count, frames)
