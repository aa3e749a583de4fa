"""Which layouts there are, and how sequences are found by the names of a source's files."""

from __future__ import annotations

from collections.abc import Sequence

from mimic.sources.base import File
from mimic.sources.rgbd import (
    arkit,
    colmap,
    driving,
    icl_nuim,
    plain,
    redwood,
    scannet,
    sens,
    seven_scenes,
    tum,
)
from mimic.sources.rgbd.listed import Found, Layout
from mimic.sources.rgbd.tree import Tree

LAYOUTS: dict[str, Layout] = {
    module.LAYOUT.name: module.LAYOUT
    for module in (
        driving,
        colmap,
        tum,
        scannet,
        arkit,
        seven_scenes,
        icl_nuim,
        plain,
        redwood,
        sens,
    )
}
"""Layouts by name, those that are told by more before those that ask for less."""


def find_sequences(files: Sequence[File]) -> tuple[list[Found], set[File]]:
    """The RGB-D sequences among the files, by name, and all files that are theirs.

    What lies in the folder of a sequence beside what it is read from (confidence maps, labels, the
    file it was extracted from) is its, too, so that nothing else is made of it.
    """
    tree = Tree(files)
    found: list[Found] = []
    theirs: set[File] = set()
    for layout in LAYOUTS.values():
        for sequence in layout.find(tree):
            if theirs.isdisjoint(sequence.files):
                found.append(sequence)
                own = tree.below(sequence.folder) if sequence.whole else sequence.files
                theirs.update(own)
    return sorted(found, key=lambda sequence: sequence.name), theirs
