"""The commands of ``mimic``, in the order of the help, with the examples that it shows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from pipelines.cli import (
    demo,
    export_shards,
    import_pairs,
    inspect_pairs,
    label,
    mine,
    pack,
    plan,
    reconstruct,
    retry,
    stats,
    verify,
)

COMMANDS: tuple[tuple[str, str, Callable[..., int], tuple[str, ...]], ...] = (
    ("demo", "Start here", demo.demo, ("mimic demo --out demo", "mimic demo --scene --out demo")),
    (
        "plan",
        "Mine",
        plan.plan,
        ("mimic plan --source videos/", "mimic plan --source s3://bucket/videos --json"),
    ),
    (
        "mine",
        "Mine",
        mine.mine,
        (
            "mimic mine --source videos/ --out shards/",
            "mimic mine --source videos/ --out shards/ --preset mimic --seed 1",
            "mimic mine --source photos/ --out shards/ --overlap 0.3 0.8 "
            "--set source.photos.group_regex='([^/]+)_[0-9]+'",
            "mimic mine --source s3://bucket/videos --out s3://bucket/shards --address auto",
            "mimic mine --source scenes/ --out shards/ --walk croco --depth",
            "mimic mine --source hm3d/val:/data/hm3d --out shards/",
        ),
    ),
    (
        "retry",
        "Mine",
        retry.retry,
        ("mimic retry shards/", "mimic retry shards/ --set run.timeout_s=3600"),
    ),
    (
        "pack",
        "Mine",
        pack.pack,
        (
            "mimic pack shards/ --out narrow/ --overlap 0.6 0.7",
            "mimic pack shards/ --out split/ --val-share 0.05 --samples-per-shard 1000",
        ),
    ),
    (
        "label",
        "Mine",
        label.label,
        (
            "mimic label shards/ --out labelled/",
            "mimic label shards/ --out all/ --only-labelled",
            "mimic label posed/ --out labelled/ --depth-model models/metric --set run.gpu_share=1",
        ),
    ),
    (
        "reconstruct",
        "Mine",
        reconstruct.reconstruct,
        (
            "mimic reconstruct --source walk.mp4 --out seq/",
            "mimic reconstruct --source walk.mp4 --out seq/ --depth-model models/metric",
            "mimic reconstruct --source walk.mp4 --out seq/ --interval 0.15 --min-share 0.3",
        ),
    ),
    (
        "stats",
        "Look",
        stats.stats,
        ("mimic stats shards/", "mimic stats shards/ --html report.html"),
    ),
    (
        "inspect",
        "Look",
        inspect_pairs.inspect_pairs,
        (
            "mimic inspect shards/",
            "mimic inspect shards/ --what rejected --out rejected.png",
            "mimic inspect shards/ --what zoom --order random --count 50",
            "mimic inspect labelled/ --labels --out labels.png",
        ),
    ),
    ("verify", "Look", verify.verify, ("mimic verify shards/", "mimic verify shards/ --deep")),
    (
        "import",
        "Exchange",
        import_pairs.import_pairs,
        ("mimic import --source published/ --out shards/",),
    ),
    (
        "export",
        "Exchange",
        export_shards.export_shards,
        (
            "mimic export shards/ --out pairs/ --layout croco",
            "mimic export shards/ --out pairs/ --any-size",
            "mimic export shards/ --out poses/ --layout poses",
        ),
    ),
)
"""Name, panel of the help, function, examples."""

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


def _print_version(wanted: bool) -> None:
    if wanted:
        from mimic import __version__

        typer.echo(f"mimic {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Multi-view image pairs with patch correspondences, mined from your own footage.

    New here? Run: mimic demo --out demo
    """


def _help(command: Callable[..., int], examples: tuple[str, ...]) -> str:
    """The docstring and the examples; the backspace keeps their lines as they are."""
    shown = "\n".join(example.replace("[", "\\[") for example in examples)
    return f"{inspect.getdoc(command)}\n\n\b\n{shown}"


for _name, _panel, _command, _examples in COMMANDS:
    app.command(_name, help=_help(_command, _examples), rich_help_panel=_panel)(_command)
