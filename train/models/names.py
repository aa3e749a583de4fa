"""State-dict names of the checkpoints that people have, and ours, which are CroCo's.

A table maps a prefix of theirs to a prefix of ours. Tables that hold positions as a parameter
[1, (1 +) N, D], mostly with a row for the class token, are ours as a buffer [N, D] without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Literal

import torch
from torch import Tensor

Naming = Literal["croco", "mae", "mimic", "timm"]

POSITIONS = ("enc_pos_embed", "dec_pos_embed")


@dataclass(frozen=True, slots=True)
class Table:
    """Prefixes of theirs and of ours, and whether theirs has positions as parameters."""

    prefixes: tuple[tuple[str, str], ...]
    positions_are_parameters: bool


_VIT = (
    ("cls_token", "cls_token"),
    ("pos_embed", "enc_pos_embed"),
    ("patch_embed.proj.", "patch_embed.proj."),
    ("blocks.", "enc_blocks."),
    ("norm.", "enc_norm."),
)


def _mae_decoder(blocks: str) -> tuple[tuple[str, str], ...]:
    return (
        ("mask_token", "mask_token"),
        ("decoder_embed.", "decoder_embed."),
        ("decoder_pos_embed", "dec_pos_embed"),
        (blocks, "dec_blocks."),
        ("decoder_norm.", "dec_norm."),
        ("decoder_pred.", "prediction_head."),
    )


_OWN = tuple(
    (name, name)
    for name in (
        *("cls_token", "enc_pos_embed", "patch_embed.proj.", "enc_blocks.", "enc_norm."),
        *("mask_token", "decoder_embed.", "dec_pos_embed", "dec_blocks.", "dec_norm."),
        *("prediction_head.", "segmentation_head.", "view_embed"),
        *("pose_head.", "pose_scales", "joint_scales"),
    )
)

TABLES: dict[Naming, Table] = {
    "croco": Table(_OWN, positions_are_parameters=False),
    "mae": Table(_VIT + _mae_decoder("decoder_blocks."), positions_are_parameters=True),
    "mimic": Table(_VIT + _mae_decoder("decoder_blocks_croco."), positions_are_parameters=True),
    "timm": Table(_VIT, positions_are_parameters=True),
}
"""timm's ViT has the names of MAE's encoder; a file of MAE's without decoder reads as one."""

_MARKS: tuple[tuple[str, Naming], ...] = (
    ("enc_blocks.", "croco"),
    ("decoder_blocks_croco.", "mimic"),
    ("decoder_blocks.", "mae"),
    ("blocks.", "timm"),
)


def naming_of(names: Iterable[str]) -> Naming | None:
    """Whose names they are, by their blocks; None if nobody's that is known."""
    names = list(names)
    for mark, naming in _MARKS:
        if any(name.startswith(mark) for name in names):
            return naming
    return None


def to_ours(
    state: Mapping[str, Tensor], naming: Naming, patches: int | None = None
) -> tuple[dict[str, Tensor], list[str]]:
    """A state under our names, and the names that the table does not hold.

    A learnt position of the class token (timm's) becomes part of the token: they are only ever
    added.

    Args:
        state: weights by their names.
        naming: whose names they are.
        patches: of the network that they are for, where there is one: timm's positions may lack
            the class token's row, and a file does not tell how many patches it has.
    """
    table = TABLES[naming]
    ours: dict[str, Tensor] = {}
    left: list[str] = []
    for name, value in state.items():
        renamed = _renamed(name, table.prefixes)
        if renamed is None:
            left.append(name)
        else:
            ours[renamed] = value
    if table.positions_are_parameters:
        for name in POSITIONS:
            if name in ours:
                rows = ours[name].flatten(0, -2)
                always = naming != "timm"  # so MAE's and MIMIC's code has it
                class_row = "cls_token" in ours and (always or _has_class_row(len(rows), patches))
                ours |= _without_class_row(ours, name) if class_row else {name: rows}
    return ours, left


def to_theirs(state: Mapping[str, Tensor], naming: Naming) -> tuple[dict[str, Tensor], list[str]]:
    """A state with our names under theirs, and the names for which they have none."""
    table = TABLES[naming]
    reverse = tuple((ours, theirs) for theirs, ours in table.prefixes)
    theirs: dict[str, Tensor] = {}
    left: list[str] = []
    for name, value in state.items():
        renamed = _renamed(name, reverse)
        if renamed is None:
            left.append(name)
        elif name in POSITIONS and table.positions_are_parameters:
            theirs[renamed] = _with_class_row(value, class_token="cls_token" in state)
        else:
            theirs[renamed] = value
    return theirs, left


def _renamed(name: str, prefixes: tuple[tuple[str, str], ...]) -> str | None:
    """The name with its prefix replaced; one without a final dot must be the whole name."""
    for old, new in prefixes:
        if name == old or (old.endswith(".") and name.startswith(old)):
            return new + name[len(old) :]
    return None


def _has_class_row(rows: int, patches: int | None) -> bool:
    """Whether there is one row more than patches: the network's, or else of a square picture."""
    if patches in (rows, rows - 1):
        return rows - 1 == patches
    return rows > 1 and isqrt(rows - 1) ** 2 == rows - 1


def _without_class_row(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    rows = state[name].flatten(0, -2)
    if name == "dec_pos_embed":
        return {name: rows[1:]}
    return {name: rows[1:], "cls_token": state["cls_token"] + rows[:1]}


def _with_class_row(positions: Tensor, *, class_token: bool) -> Tensor:
    rows = torch.cat([torch.zeros_like(positions[:1]), positions]) if class_token else positions
    return rows[None]
