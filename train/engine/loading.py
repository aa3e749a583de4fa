"""The loader of this process, as a config has it."""

from __future__ import annotations

import os

from train.config import TrainConfig
from train.data import DataSets, Loader, Order, Transform
from train.data.config import ViewsConfig
from train.engine.world import World


def loader_of(
    world: World, config: TrainConfig, data: DataSets, order: Order, views: ViewsConfig
) -> Loader:
    """This rank's batches of ``data`` in ``order``, seen as ``views`` says."""
    hardware = config.hardware
    return Loader(
        data,
        order,
        Transform(views),
        rank=world.rank,
        world=world.size,
        threads=hardware.decode_threads or share_of_cores(world),
        prefetch=hardware.prefetch,
        pin=world.device.type == "cuda",
        max_bad_share=config.data.max_bad_share,
    )


def share_of_cores(world: World) -> int:
    """The cores that this process may use, less those of its neighbours; at least one."""
    return max(1, len(os.sched_getaffinity(0)) // world.local_size)
