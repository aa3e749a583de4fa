"""One network on several devices: DDP or FSDP2, and states that do not tell which.

States are whole and on the CPU, keyed by names: a run may go on with another number of processes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from train.config import HardwareConfig
from train.engine.world import World
from train.methods.base import Method

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def wrapped(method: Method, world: World, hardware: HardwareConfig) -> nn.Module:
    """The method as the loop calls it. FSDP shards it in place, block by block."""
    if world.size == 1:
        return method
    if hardware.parallel == "ddp":
        devices = [world.device.index] if world.device.type == "cuda" else None
        return DistributedDataParallel(method, device_ids=devices)
    return sharded(method, world)


def sharded(method: Method, world: World) -> Method:
    """Shard a method's network over all ranks: each block by itself, then what is left.

    The network, not the method: whatever the method asks of it, a loss or pictures, is then seen.
    """
    mesh = init_device_mesh(world.device.type, (world.size,))  # by default it is CUDA's, if any
    for child in method.net.modules():
        if isinstance(child, nn.ModuleList):
            for block in child:
                fully_shard(block, mesh=mesh)
    # Or an average of the weights would stay whole once it was looked at.
    fully_shard(method.net, mesh=mesh, reshard_after_forward=True)
    return method


def model_state(module: nn.Module) -> dict[str, Any]:
    """All weights, whole. Every rank must ask; FSDP gives them to rank 0 alone."""
    return get_model_state_dict(module, options=_WHOLE)


def load_model_state(module: nn.Module, state: dict[str, Any]) -> None:
    """The inverse of :func:`model_state`."""
    set_model_state_dict(module, state, options=StateDictOptions(full_state_dict=True))


def optimiser_state(module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """All moments, whole, keyed by the names of the parameters. Every rank must ask."""
    return get_optimizer_state_dict(module, optimiser, options=_WHOLE)


def load_optimiser_state(
    module: nn.Module, optimiser: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """The moments of :func:`optimiser_state`; all else stays as the optimiser was made."""
    if not state["state"]:  # torch would make one, and count its making as a step
        return
    made = [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimiser.param_groups
    ]
    set_optimizer_state_dict(
        module, optimiser, state, options=StateDictOptions(full_state_dict=True)
    )
    for group, options in zip(optimiser.param_groups, made, strict=True):
        group.update(options)
