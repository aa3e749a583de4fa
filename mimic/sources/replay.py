"""Poses files as sources: the scenes they name, and where their cameras stood.

A replay runs the same units under the same config as the run that wrote the file, but renders only
the views of its samples, so that the same samples come out, byte for byte.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mimic.config import Config
from mimic.errors import MimicError
from mimic.shards.poses import PosedItem, PosesHead, is_poses_file, read_head, read_poses
from mimic.sources import scene_files
from mimic.sources.base import File
from mimic.sources.places import split_address
from mimic.storage import MissingError, Storage
from mimic.types import Matrix, Skipped

PlacedView = tuple[int, str, Matrix]
"""The slot, the label and the (4, 4) ``cam_to_world`` of a view."""


def poses_head(where: str) -> PosesHead | None:
    """What a poses file says of its samples; None for a source that is no poses file.

    Raises:
        DamagedError: a poses file of another schema.
    """
    if not where.endswith(".parquet"):
        return None
    storage, name = split_address(where)
    try:
        return read_head(storage, name) if is_poses_file(storage, name) else None
    except MissingError:
        return None


def replayed_scenes(where: str, head: PosesHead, config: Config) -> tuple[str, list[File]]:
    """The kind of the items of a poses file, and their scenes, as files on this machine.

    Raises:
        MimicError: the config is not that of the poses, or a scene is missing or another one.
    """
    if config.fingerprint() != head.fingerprint:
        raise MimicError(
            f"--source {where}: its views were chosen with another config; leave out the options "
            "that change what is mined"
        )
    kinds = {item.kind for item in head.items}
    if len(kinds) > 1:
        raise MimicError(f"--source {where}: mixes renderers ({', '.join(sorted(kinds))})")
    storage, name = split_address(where)
    root = Storage(config.run.scenes) if config.run.scenes else storage
    address = storage.join(name)
    return kinds.pop() if kinds else "raycast", [
        _scene_of(item, root, address) for item in head.items
    ]


def _scene_of(item: PosedItem, root: Storage, poses: str) -> File:
    try:
        file = File(item.name, root.join(item.name), root.size(item.name))
    except MissingError:
        raise MimicError(
            f"{poses}: its scene {item.name} is not in {root.url}; name the folder of the scenes "
            "with --scenes"
        ) from None
    header = scene_files.inspect_scene(file)
    if isinstance(header, Skipped):
        raise MimicError(header.message)
    content = scene_files.scene_fingerprint(file, header)
    for up in ("y", "z"):
        if scene_files.item_fingerprint(content, up) == item.fingerprint:
            known = {"up": up, "poses": poses}
            if item.dataset is not None:
                known["dataset"] = item.dataset
            return replace(file, settings=tuple(sorted(known.items())))
    raise MimicError(
        f"{root.join(item.name)}: is not the scene that the views of {poses} were rendered from; "
        "fetch the same release of it"
    )


def recorded_poses(address: str, unit_id: str) -> tuple[PlacedView, ...]:
    """The views of a unit's samples, each once, by slot."""
    storage, name = split_address(address)
    table = read_poses(storage, name, unit=unit_id).table
    found: dict[int, PlacedView] = {}
    for views in table["views"].to_pylist():
        for view in views:
            pose = np.array(view["cam_to_world"], dtype=np.float64).reshape(4, 4)
            found[view["slot"]] = (view["slot"], view["frame"], pose)
    return tuple(found[slot] for slot in sorted(found))
