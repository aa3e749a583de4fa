"""Other checkpoints as first weights: as far as they fit, with a report of what did not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.nn.functional import interpolate

from train.errors import TrainError
from train.models.checkpoints import Checkpoint, Weights, read_checkpoint
from train.models.decoder import Decoding
from train.models.encoder import Encoding
from train.models.names import POSITIONS, Naming
from train.models.report import LoadReport
from train.models.sizes import EncoderConfig, NetConfig

_WHOSE: dict[Naming, str] = {
    "croco": "CroCo's",
    "mae": "MAE's",
    "mimic": "MIMIC's",
    "timm": "MAE's encoder's, or timm's",
}

_OF_OTHER_ENCODERS = ("norm_pre.", "reg_token", "register_tokens", "dist_token", "patch_embed.")
"""What timm's and its peers' ViTs may have beside blocks, and ours has not."""

_DECODER = ("mask_token", "decoder_embed.", "dec_", "prediction_head.", "view_embed")


def initialise_from(network: Encoding, path: Path, weights: Weights = "model") -> LoadReport:
    """Give a network the weights of a file, as far as they fit; the rest stays as it is.

    Args:
        network: any network or encoder of ours; changed in place.
        path: the file.
        weights: ``ema``: of a run of ours, the averaged ones.

    Raises:
        TrainError: the file cannot be read, its encoder has parts that ours has not, or nothing in
            it fits.
    """
    checkpoint = read_checkpoint(path, weights, network.num_patches)
    expected = network.state_dict()
    _check_encoder(checkpoint, expected)
    unexpected = list(checkpoint.left)
    fitting: dict[str, Tensor] = {}
    reshaped, unfit = [], []
    other_decoder = _other_decoder(checkpoint.state, expected)
    for name, value in checkpoint.state.items():
        if name not in expected or (other_decoder and name.startswith(_DECODER)):
            unexpected.append(name)
            continue
        resized = _resized(name, value, checkpoint.config, network.encoder_config)
        if resized.shape != expected[name].shape:
            unfit.append(f"{name} {_shape(value)}, here {_shape(expected[name])}")
            continue
        fitting[name] = resized
        if resized is not value:
            reshaped.append(name)
    if not any("blocks." in name for name in fitting):
        raise TrainError(
            f"nothing in {path} fits the network: its widths or depths differ; "
            "change encoder.size or choose another checkpoint"
        )
    network.load_state_dict(fitting, strict=False)
    tried = {entry.split(" ", 1)[0] for entry in unfit}
    return LoadReport(
        source=f"{path} ({_WHOSE[checkpoint.naming]} names)",
        loaded=tuple(fitting),
        reshaped=tuple(reshaped),
        missing=tuple(name for name in expected if name not in fitting and name not in tried),
        unexpected=tuple(unexpected),
        unfit=tuple(unfit),
        notes=tuple(_notes(checkpoint, network, other_decoder=other_decoder)),
    )


def _check_encoder(checkpoint: Checkpoint, expected: Mapping[str, Tensor]) -> None:
    """Without a part of the encoder that they were trained in, weights give other features."""
    parts = {_without_number(name) for name in expected}
    foreign = [name for name in checkpoint.left if name.startswith(_OF_OTHER_ENCODERS)]
    foreign += [
        part.removeprefix("enc_")
        for part in map(_without_number, checkpoint.state)
        if part.startswith("enc_blocks.") and part not in parts
    ]
    if foreign:
        raise TrainError(
            f"{checkpoint.path} is of an encoder with {', '.join(sorted(set(foreign)))}, which "
            "ours has not, so its features would be others here; choose a checkpoint of a plain ViT"
        )


def _without_number(name: str) -> str:
    """``enc_blocks.3.norm1.bias`` as ``enc_blocks.norm1.bias``: the same in every block."""
    return ".".join(word for word in name.split(".") if not word.isdigit())


def _other_decoder(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    """Whether of two decoders one asks another view: their norms share names but not roles."""
    decoders = [
        [name for name in names if name.startswith("dec_blocks.")] for names in (state, expected)
    ]
    asks = [any(".cross_attn." in name for name in names) for names in decoders]
    return all(decoders) and asks[0] != asks[1]


def _resized(name: str, value: Tensor, config: NetConfig | None, encoder: EncoderConfig) -> Tensor:
    """Positions [N, D] on the network's grid (bicubic, as CroCo and MAE do); all else as it is."""
    if name not in POSITIONS:
        return value
    rows, cols = config.encoder.grid if config is not None else _square(len(value))
    if rows * cols != len(value) or (rows, cols) == encoder.grid:
        return value
    image = value.T.reshape(1, -1, rows, cols).float()
    resized = interpolate(image, size=encoder.grid, mode="bicubic", align_corners=False)
    return resized.flatten(2)[0].T.to(value.dtype)


def _square(count: int) -> tuple[int, int]:
    side = round(count**0.5)
    return side, side


def _notes(checkpoint: Checkpoint, network: Encoding, *, other_decoder: bool) -> list[str]:
    """What differs without a difference in names or shapes."""
    encoder, notes = network.encoder_config, []
    if other_decoder:
        notes.append("the file's decoder is of another kind, so none of it was taken")
    theirs = "cosine" if "enc_pos_embed" in checkpoint.state else "rope"
    if theirs != encoder.positions:
        notes.append(f"trained with {theirs} positions, the network has {encoder.positions}")
    if checkpoint.config is not None:
        known = checkpoint.config
        pairs: list[tuple[str, float, float]] = [
            ("encoder.heads", known.encoder.heads, encoder.heads)
        ]
        if theirs == encoder.positions == "rope":
            pairs.append(("encoder.rope_base", known.encoder.rope_base, encoder.rope_base))
        if isinstance(network, Decoding) and not other_decoder:
            pairs.append(("decoder.heads", known.decoder.heads, network.decoder_config.heads))
        notes += [
            f"trained with {name} {was:g}, the network has {here:g}"
            for name, was, here in pairs
            if was != here
        ]
    if "cls_token" in checkpoint.state and not encoder.class_token:
        notes.append("trained with a class token, the network has none")
    return notes


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
