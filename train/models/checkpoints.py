"""Checkpoint files, other people's and ours, read under our names.

Nothing that a file holds is run. Known: ours, CroCo's v1 and v2 (and those of its successors that
keep its names), MAE's with and without decoder, MIMIC's, timm's ViTs.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from train.errors import TrainError
from train.models import croco
from train.models.names import Naming, naming_of, to_ours
from train.models.sizes import NetConfig, config_from_dict

Weights = Literal["model", "ema"]

_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
]
"""Kinds of objects, beside tensors and plain values, that a file may hold (a run's arguments)."""

_WRAPPERS = ("module.", "_orig_mod.", "net.")
"""What DDP, torch.compile and a method put before a name."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A file's weights under our names.

    Attributes:
        path: the file.
        naming: whose names it had.
        state: the weights; positions as [N, D].
        left: names of weights that no network of ours has.
        config: of the network, where the file tells; else None.
    """

    path: Path
    naming: Naming
    state: dict[str, Tensor]
    left: tuple[str, ...]
    config: NetConfig | None


def read_checkpoint(
    path: Path, weights: Weights = "model", patches: int | None = None
) -> Checkpoint:
    """A checkpoint file of any known kind.

    Args:
        path: the file.
        weights: ``ema``: of a run of ours, the averaged ones.
        patches: of the network that they are for, if any (see :func:`train.models.names.to_ours`).

    Raises:
        TrainError: the file cannot be read, holds no weights under known names, or has no ``ema``.
    """
    content = _read(path)
    state = _weights(content, path, weights)
    naming = naming_of(state)
    if naming is None:
        raise TrainError(
            f"{path} has no encoder under a known name (CroCo's, MAE's, MIMIC's or timm's); its "
            f"first names are {', '.join(list(state)[:3]) or 'none'}"
        )
    ours, left = to_ours(state, naming, patches)
    return Checkpoint(path, naming, ours, tuple(left), _config(content, naming, ours))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"an object of the kind {found[1]}" if found else "what is no tensor or plain value"
        raise TrainError(
            f"{path} holds {what}, which is not read for safety; save its weights alone"
        ) from None
    except FileNotFoundError:
        raise TrainError(f"{path} is not there; give a checkpoint's path") from None
    except Exception as error:  # every reader has its own for a file that is cut off or foreign
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainError(
            f"{path} is no checkpoint or is cut off ({reason}); fetch or write it again"
        ) from None
    if not isinstance(content, Mapping):
        raise TrainError(
            f"{path} holds a {type(content).__name__}, where weights by name are needed"
        )
    return content


def _weights(content: Mapping[str, Any], path: Path, weights: Weights) -> dict[str, Tensor]:
    """The weights by name, without the wrappers' prefixes."""
    if weights == "ema" and content.get("ema") is None:
        raise TrainError(f"{path} has no averaged weights (ema); use its model's")
    held = content.get(weights, content.get("state_dict", content))
    if not isinstance(held, Mapping):
        raise TrainError(f"{path} holds no weights under {weights!r}")
    return {_bare(name): value for name, value in held.items() if isinstance(value, Tensor)}


def _bare(name: str) -> str:
    """A name without any wrappers' prefixes, in whatever order they came."""
    while wrapper := next((known for known in _WRAPPERS if name.startswith(known)), None):
        name = name.removeprefix(wrapper)
    return name


def _config(
    content: Mapping[str, Any], naming: Naming, state: Mapping[str, Tensor]
) -> NetConfig | None:
    if "net" in content:
        return config_from_dict(content["net"])
    if naming != "croco" or not any(name.startswith("dec_blocks.") for name in state):
        return None
    config = croco.config_of(croco.kwargs_of(content))
    # A file that says nothing may still be none of v1's: another's, with the same names.
    cosine = config.encoder.positions == "cosine"
    agrees = cosine == ("enc_pos_embed" in state)
    agrees &= state["enc_norm.weight"].shape == (config.encoder.width,)
    return config if agrees else None
