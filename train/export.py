"""Hand trained features on: to timm, or under the names of CroCo's checkpoints.

    python -m train.export --checkpoint step-00001000.pt --to timm --out vit.safetensors
    python -m train.export --checkpoint step-00001000.pt --to croco --out croco.pth

``timm``: the encoder as safetensors, with a JSON file beside it that holds the architecture's name
and arguments; ``timm.create_model(name, checkpoint_path=..., **arguments)`` then gives the same
features. ``croco``: ``{"model": ..., "croco_kwargs": ...}``, as CroCo v2 is released.
Besides this program's checkpoints, those of CroCo's that tell their network can be exported.
"""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from torch import Tensor

from train.cli import local_path, run_command
from train.errors import TrainError
from train.files import whole
from train.models import croco
from train.models.checkpoints import Checkpoint, Weights, read_checkpoint
from train.models.names import to_theirs
from train.models.sizes import CrossViewCompletionConfig, EncoderConfig, NetConfig

Target = Literal["timm", "croco"]

_SUFFIXES: dict[Target, str] = {"timm": ".safetensors", "croco": ".pth"}
"""How files end that an export may replace."""

_TIMM_NAMES = {
    (192, 12, 3): "vit_tiny_patch16_224",
    (384, 12, 6): "vit_small_patch16_224",
    (768, 12, 12): "vit_base_patch16_224",
    (1024, 24, 16): "vit_large_patch16_224",
    (1280, 32, 16): "vit_huge_patch14_224",
}
"""By width, depth and heads; any other is the base one with other arguments."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: files, how to load them, and the weights that have no name there."""

    files: tuple[Path, ...]
    how: str
    left: tuple[str, ...]


def export(checkpoint: Path, to: Target, out: Path, weights: Weights = "model") -> Exported:
    """Write a checkpoint's network for other programs.

    Args:
        checkpoint: the file to read.
        to: for whom.
        out: the file to write; for timm its name ends in .safetensors. What is there is replaced
            only if it ends as such files do, and never the checkpoint itself.
        weights: ``ema`` for the averaged ones.

    Raises:
        TrainError: the file cannot be read or written, or there is no such network over there.
    """
    _check_out(checkpoint, to, out)
    read = read_checkpoint(checkpoint, weights)
    if read.config is None:
        raise TrainError(
            f"{checkpoint} does not say what network it holds; export this program's checkpoints "
            "or CroCo's"
        )
    return (_to_timm if to == "timm" else _to_croco)(read, read.config, out)


def timm_arguments(encoder: EncoderConfig) -> tuple[str, dict[str, Any]]:
    """The name and arguments for ``timm.create_model`` that make the same encoder.

    Raises:
        TrainError: it has RoPE, which timm's ViT has not in this form.
    """
    if encoder.positions == "rope":
        raise TrainError("timm's ViT has no RoPE of this kind; export with --to croco instead")
    name = _TIMM_NAMES.get((encoder.width, encoder.depth, encoder.heads), "vit_base_patch16_224")
    arguments: dict[str, Any] = {
        "img_size": list(encoder.image_size),
        "patch_size": encoder.patch,
        "embed_dim": encoder.width,
        "depth": encoder.depth,
        "num_heads": encoder.heads,
        "mlp_ratio": encoder.mlp_ratio,
        "num_classes": 0,
        "class_token": encoder.class_token,
        "global_pool": "token" if encoder.class_token else "avg",
        # Without it timm moves the last norm behind the pooling, which gives other features.
        "fc_norm": False,
    }
    return name, arguments


def _check_out(checkpoint: Path, to: Target, out: Path) -> None:
    """Refuse to write over the checkpoint, or over a file that is no export."""
    with suppress(OSError):  # one of the two is not there: nothing to lose, or nothing to read
        if out.samefile(checkpoint):
            raise TrainError(f"--out {out}: that is the --checkpoint itself; give another name")
        if out.suffix != _SUFFIXES[to]:
            raise TrainError(
                f"--out {out}: already there, and --to {to} replaces only what ends in "
                f"{_SUFFIXES[to]}; give another name"
            )


def _to_timm(read: Checkpoint, config: NetConfig, out: Path) -> Exported:
    if out.suffix != _SUFFIXES["timm"]:
        raise TrainError(f"--out {out}: timm reads safetensors; give it a name that ends so")
    name, arguments = timm_arguments(config.encoder)
    state, left = to_theirs(read.state, "timm")
    contiguous = {key: value.contiguous() for key, value in state.items()}
    described = {"architecture": name, "model_args": arguments}
    beside = out.with_suffix(".json")
    _write(out, lambda path: _save_tensors(contiguous, path))
    _write(beside, lambda path: path.write_text(json.dumps(described, indent=2) + "\n"))
    words = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    how = f'timm.create_model("{name}", checkpoint_path="{out}", {words})'
    return Exported((out, beside), how, tuple(left))


def _save_tensors(state: dict[str, Tensor], path: Path) -> None:
    """As safetensors, readable by whom any new file is: its own writer lets only the owner read."""
    from safetensors.torch import save_file

    path.unlink(missing_ok=True)
    path.touch()
    rights = stat.S_IMODE(path.stat().st_mode)
    save_file(state, path, {"format": "pt"})
    path.chmod(rights)


def _to_croco(read: Checkpoint, config: NetConfig, out: Path) -> Exported:
    kwargs = croco.kwargs_for(config.encoder, config.decoder)
    state, left = _for_croco(read.state, config)
    _write(out, lambda path: torch.save({"model": state, "croco_kwargs": kwargs}, path))
    how = f'CroCoNet(**file["croco_kwargs"]).load_state_dict(file["model"]{_strict(config)})'
    return Exported((out,), how, left)


def _for_croco(
    state: Mapping[str, Tensor], config: NetConfig
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """What CroCo's network has names for: only its own kind of decoder."""
    theirs, left = to_theirs(state, "croco")
    ours = ("segmentation_head", "view_embed", "pose_", "joint_")
    foreign = [name for name in theirs if name.startswith(ours)]
    if not any(".cross_attn." in name for name in theirs):
        foreign = [name for name in theirs if not name.startswith(("patch_embed", "enc_"))]
    return {name: theirs[name] for name in theirs if name not in foreign}, (*left, *foreign)


def _strict(config: NetConfig) -> str:
    whole = isinstance(config, CrossViewCompletionConfig) and config.block == "cross"
    return "" if whole else ", strict=False"


def _write(path: Path, fill: Callable[[Path], object]) -> None:
    """Fill a temporary sibling and rename it."""
    try:
        with whole(path) as file:
            fill(file)
    except (OSError, RuntimeError) as error:
        raise TrainError(
            f"{path} cannot be written: {error}; make room or choose another"
        ) from None


def _command(
    checkpoint: Annotated[
        Path,
        typer.Option(
            parser=local_path, metavar="PATH", help="a run's checkpoint, or one of CroCo's"
        ),
    ],
    to: Annotated[Target, typer.Option(help="timm: the encoder; croco: all that CroCo names")],
    out: Annotated[Path, typer.Option(parser=local_path, metavar="PATH", help="the file to write")],
    weights: Annotated[Weights, typer.Option(help="ema: the averaged weights")] = "model",
    debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False,
) -> int:
    """Write a checkpoint's network for timm or under CroCo's names."""
    done = export(checkpoint, to, out, weights)
    lines = [f"wrote {' and '.join(map(str, done.files))}", f"load it with: {done.how}"]
    if done.left:
        parts = sorted({name.split(".", 1)[0] for name in done.left})
        lines.append(f"left out, as {to} has no name for it: {', '.join(parts)}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def main(args: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command(_command, "python -m train.export", args)


if __name__ == "__main__":
    raise SystemExit(main())
