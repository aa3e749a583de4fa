"""Every held-out sample once, by itself: what a final figure is made of.

Validation looks at a few whole batches and adds up; here each sample has a row in a table, whatever
the batch and the number of processes, so that medians can be taken and none is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from train.config import TrainConfig
from train.data import DataSets
from train.data.once import once
from train.engine.loading import loader_of
from train.engine.numerics import autocast
from train.engine.views import views_of
from train.engine.world import World
from train.errors import TrainError
from train.methods.base import Method, Views


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """``rows`` [N, C] float64, one a sample; ``read`` (N,) bool, those that could be read."""

    rows: Tensor
    read: Tensor


@torch.no_grad()
def table_of(
    world: World,
    config: TrainConfig,
    held_out: DataSets,
    method: Method | type[Method],
    row: Callable[[Views], Tensor],
) -> Table:
    """Ask of every held-out sample; every rank must call, and is given all.

    Args:
        world: its ranks share the samples.
        config: how they are seen, and in what precision.
        held_out: the samples.
        method: says what it looks at.
        row: [B, C] of a batch.

    Raises:
        TrainError: there are fewer samples than processes, or too many cannot be read.
    """
    order = once(held_out.sizes, config.batch, world.size)
    if order is None:
        raise TrainError(f"{len(held_out)} held-out samples for {world.size} processes: use fewer")
    rows, read = torch.zeros(0), torch.zeros(len(held_out), device=world.device)
    loader = loader_of(world, config, held_out, order, config.data.views.plain())
    for given in loader.batches(0, order.steps):
        numbers = torch.from_numpy(order.of_rank(given.step, world.rank, world.size))
        # Not those seen again to fill up a batch, nor what stands in for the unreadable.
        mine = torch.from_numpy(order.first_time(given.step, world.rank, world.size))
        mine &= given.numbers == numbers
        views = views_of(given, method, config, world.device, train=False)
        with autocast(config.numerics.precision, world.device):
            found = row(views).double()
        if not len(rows):
            rows = found.new_zeros(len(held_out), found.shape[1])
        rows[numbers[mine]] = found[mine.to(world.device)]
        read[numbers[mine]] = 1
    return Table(world.summed(rows).cpu(), world.summed(read).cpu() > 0)
