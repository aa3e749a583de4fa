"""The command line's words: each option is spelt and explained once, and means one config value.

Every command takes its options from here, so that a word means the same everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mimic.config import Config, load_config
from mimic.errors import MimicError
from mimic.layered import flattened

if TYPE_CHECKING:
    from mimic.depth import DepthModel

_DEFAULT = Config()
WHAT, HOW, KEEP, RUN, SAY = (
    "What",
    "Config",
    "What is kept and stored",
    "How it is run",
    "What is printed",
)

Source = Annotated[
    str,
    typer.Option(
        "--source",
        help="Videos, pictures, RGB-D sequences or 3D scenes: a file, a folder, a glob, a text "
        "list, a pair list (CSV, JSON lines, parquet) or poses.parquet, here or at an address such "
        "as s3://bucket/videos; or a data set of scenes by its name, such as hm3d/val:/data/hm3d.",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
Out = Annotated[
    str,
    typer.Option(
        "--out",
        help="Folder or address that receives the shards; made if absent.",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
Kind = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="Force what the source is: video, photos, frames, pairs, rgbd, posed, or scenes seen "
        "by raycast or habitat (default: recognised).",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
Scenes = Annotated[
    str | None,
    typer.Option(
        "--scenes",
        metavar="FOLDER",
        help="Where the scenes of a poses file are (default: beside it).",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
Walk = Annotated[
    str | None,
    typer.Option(
        "--walk",
        help="How scenes are walked: mimic (views around, after turns and steps) or croco (a view, "
        "and one that looks at what it saw).",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
PosesOnly = Annotated[
    bool,
    typer.Option(
        "--poses-only",
        help="Of scenes: write poses.parquet instead of pictures; whoever has the scenes makes "
        "the same shards of it.",
        rich_help_panel=KEEP,
    ),
]
StoreDepth = Annotated[
    bool,
    typer.Option(
        "--depth",
        help="Store depth, too, where the source has it (uint16 millimetres).",
        rich_help_panel=KEEP,
    ),
]
DepthModelName = Annotated[
    str | None,
    typer.Option(
        "--depth-model",
        metavar="NAME_OR_PATH",
        help="Predict depth with this metric depth model: a folder, or a name on the Hugging Face "
        "hub (needs: pip install 'mimic[depth]').",
        show_default=False,
        rich_help_panel=HOW,
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="A name stored with every sample.",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
Shards = Annotated[
    str,
    typer.Argument(
        metavar="SHARDS", help="A folder or address that `mimic mine` wrote.", show_default=False
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="default (made for yield and precision) or mimic (the paper's constants).",
        show_default=False,
        rich_help_panel=HOW,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML file with config values (docs/config.md).",
        show_default=False,
        rich_help_panel=HOW,
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=C",
        help="One config value; may be given many times.",
        show_default=False,
        rich_help_panel=HOW,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        help=f"Seed of all random choices (default {_DEFAULT.seed}).",
        show_default=False,
        rich_help_panel=HOW,
    ),
]
OverlapRange = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--overlap",
        metavar="LOW HIGH",
        help="Keep pairs whose overlap lies between the two (default "
        f"{_DEFAULT.overlap.low} {_DEFAULT.overlap.high}; preset mimic: 0.5 0.75).",
        show_default=False,
        rich_help_panel=KEEP,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--size",
        help=f"Short side of the stored pictures in pixels (default {_DEFAULT.image.size}).",
        show_default=False,
        rich_help_panel=KEEP,
    ),
]
PatchSize = Annotated[
    int | None,
    typer.Option(
        "--patch-size",
        help=f"Side of a patch in stored pixels (default {_DEFAULT.overlap.patch_size}).",
        show_default=False,
        rich_help_panel=KEEP,
    ),
]
KeepEdges = Annotated[
    float | None,
    typer.Option(
        "--keep-edges",
        metavar="FLOOR",
        help="Also store frames of pairs with an overlap above this, to select again later.",
        show_default=False,
        rich_help_panel=KEEP,
    ),
]
KeepParts = Annotated[
    bool,
    typer.Option(
        "--keep-parts",
        help="Keep the mined parts, so that `mimic pack` can select anew without mining.",
        rich_help_panel=KEEP,
    ),
]
ValShare = Annotated[
    float | None,
    typer.Option(
        "--val-share",
        help="Share of the scenes that goes to the val split (default "
        f"{_DEFAULT.pack.val_share:g}).",
        show_default=False,
        rich_help_panel=KEEP,
    ),
]
SamplesPerShard = Annotated[
    int | None,
    typer.Option(
        "--samples-per-shard",
        help=f"Pairs in one tar (default {_DEFAULT.pack.samples_per_shard}).",
        show_default=False,
        rich_help_panel=KEEP,
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help="ray (default: all cores, or a cluster) or serial (in this process).",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Address of a Ray cluster (default: RAY_ADDRESS, else a local Ray).",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
Cpus = Annotated[
    int | None,
    typer.Option(
        "--cpus",
        help="CPUs that a local Ray may use (default: all).",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
Slice = Annotated[
    str | None,
    typer.Option(
        "--slice",
        metavar="I/N",
        help="Mine only the I-th of N slices of the plan, counted from 0: for job arrays "
        "without a cluster.",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="One JSON document on stdout, the rest on stderr.", rich_help_panel=SAY
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="No progress, only the result.", rich_help_panel=SAY)
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=SAY),
]

_KEYS = {
    "preset": "preset",
    "seed": "seed",
    "kind": "source.kind",
    "dataset": "source.dataset",
    "size": "image.size",
    "patch_size": "overlap.patch_size",
    "keep_edges": "pack.keep_edges",
    "val_share": "pack.val_share",
    "samples_per_shard": "pack.samples_per_shard",
    "executor": "run.executor",
    "address": "run.address",
    "cpus": "run.cpus",
    "keep_parts": "run.keep_parts",
    "walk": "source.scene.walk",
    "depth": "image.depth",
    "poses_only": "run.poses_only",
    "scenes": "run.scenes",
    "depth_model": "labels.depth_model",
    "interval_s": "source.video.interval_s",
}
"""Option name to config key, for those that are one value."""


def recorded_config(source: str) -> dict[str, Any] | None:
    """The config that the views of a poses file were chosen with; None for any other source."""
    if not source.endswith(".parquet"):
        return None
    from mimic.sources.replay import poses_head

    head = poses_head(source)
    return None if head is None else head.config


def config_of(
    file: Path | None = None,
    assignments: list[str] | None = None,
    overlap: tuple[float, float] | None = None,
    base: dict[str, Any] | None = None,
    **options: Any,
) -> Config:
    """The config that a command line asks for; an option that was not given changes nothing.

    ``base``, a whole config, takes the place of the preset.

    Raises:
        ConfigError: naming the key or value that is wrong.
    """
    values: dict[str, Any] = {}
    for name, value in options.items():
        if value is not None and value is not False:
            put(values, _KEYS[name], value)
    if overlap is not None:
        put(values, "overlap.low", overlap[0])
        put(values, "overlap.high", overlap[1])
    return load_config(file=file, overrides=values, assignments=tuple(assignments or ()), base=base)


def depth_model_of(settings: Config, *, here: bool) -> DepthModel | None:
    """The model that predicts depth, identified; None where none is asked for.

    ``here``: depth is predicted in this process (see :func:`mimic.depth.device_for`).

    Raises:
        MimicError: the extra is missing, or there is no such metric model.
    """
    address, expected = settings.labels.depth_model, settings.labels.depth_sha256
    if address is None:
        if expected is not None:
            raise MimicError("labels.depth_sha256 is of a depth model: name it with --depth-model")
        return None
    from mimic.depth import device_for, model_at

    return model_at(address, device_for(settings.run.gpu_share, here=here), expected)


def check_only(settings: Config, command: str, *allowed: str) -> None:
    """Refuse what a command would not heed: only keys that begin so may differ from the defaults.

    Raises:
        MimicError: naming the first other key.
    """
    default, asked = flattened(_DEFAULT.model_dump()), flattened(settings.model_dump())
    for key, value in asked.items():
        if value != default[key] and not key.startswith(allowed):
            listed = ", ".join(f"{prefix}*" if prefix[-1] in "._" else prefix for prefix in allowed)
            raise MimicError(f"--set {key}: mimic {command} takes only {listed}")


def put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set the dotted ``key`` in nested dictionaries."""
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[last] = value
