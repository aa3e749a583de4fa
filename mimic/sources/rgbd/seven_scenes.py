"""7-Scenes: ``frame-000000.color.png``, ``.depth.png`` and ``.pose.txt`` in one folder.

Poses are camera-to-world, of the depth camera; depth in millimetres, 65535 where there is none. The
data set gives the depth camera's intrinsics (585, 585, 320, 240: nominal ones, whose centre is that
of the picture, so no half pixel is added) and none of the colour camera, to which depth is not
registered. Colour is taken as the first Kinect's, focal length 525 (as other
users of the data set do), at the depth camera's place: 2.5 cm are neglected, 6 pixels at 2 m.
``K.txt`` or the option intrinsics replace the colour camera's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mimic.sources.rgbd.bundle import Bundle
from mimic.sources.rgbd.listed import Blob, Depth, Found, Layout, Lens, Listed, pinhole
from mimic.sources.rgbd.plain import depth_of, given_lens
from mimic.sources.rgbd.scannet import poses_in
from mimic.sources.rgbd.tree import Tree, natural

_COLOUR = re.compile(r"(.*/)?frame-\d+\.color\.(png|jpg)")
_ANY = re.compile(r"frame-\d+\.(color|depth|pose)\.(png|jpg|txt)")
_LIKE = Depth(Blob(""), invalid=65535)


def find(tree: Tree) -> Iterator[Found]:
    """Folders with such names."""
    for folder, files in sorted(tree.folders.items()):
        own = [file for name, file in files.items() if _ANY.fullmatch(name)]
        kinds = {file.name.split(".")[-2] for file in own}
        if {"color", "depth", "pose"} <= kinds:
            own += [file for file in [tree.file(folder, "K.txt")] if file is not None]
            own.sort(key=lambda file: natural(file.name))
            yield Found("7-scenes", folder, folder or ".", tuple(own))


def count(bundle: Bundle) -> int:
    """A slot a picture."""
    return len(_pictures(bundle))


def frames(bundle: Bundle, slots: Sequence[int]) -> list[Listed]:
    """See :class:`mimic.sources.rgbd.listed.Layout`."""
    pictures = _pictures(bundle)
    stems = [path.rpartition(".color.")[0] for path in pictures]
    wanted = [slot for slot in slots if f"{stems[slot]}.pose.txt" in bundle.sizes]
    read = poses_in(bundle, [f"{stems[slot]}.pose.txt" for slot in wanted])
    poses = dict(zip(wanted, read, strict=True))
    given = given_lens(bundle, pictures)
    lens = given or Lens(pinhole(525.0, 525.0, 320.0, 240.0, shift=0.0), (640, 480))
    depth_lens = Lens(pinhole(585.0, 585.0, 320.0, 240.0, shift=0.0), (640, 480))
    return [
        Listed(
            slot=slot,
            name=pictures[slot],
            colour=Blob(pictures[slot]),
            depth=depth_of(bundle, path, _LIKE) if path in bundle.sizes else None,
            cam_to_world=poses.get(slot),
            lens=lens,
            depth_lens=depth_lens,
        )
        for slot in slots
        for path in [f"{stems[slot]}.depth.png"]
    ]


def _pictures(bundle: Bundle) -> list[str]:
    return [path for path in sorted(bundle.sizes, key=natural) if _COLOUR.fullmatch(path)]


LAYOUT = Layout("7-scenes", find, count, frames)
