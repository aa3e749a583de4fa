"""``mimic import``: pairs that were published elsewhere become shards."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import options as o
from pipelines.cli import say


def import_pairs(
    source: Annotated[
        str,
        typer.Option(
            "--source",
            help="Folder or address of pair folders: 0000.jpg, 0001.jpg, corresponding.npy.",
            show_default=False,
            rich_help_panel=o.WHAT,
        ),
    ],
    out: o.Out,
    dataset: o.Dataset = None,
    config: o.ConfigFile = None,
    assignments: o.Assignments = None,
    seed: o.Seed = None,
    patch_size: o.PatchSize = None,
    val_share: o.ValShare = None,
    samples_per_shard: o.SamplesPerShard = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Bring pairs in the layout of MIMIC's published data into shards.

    Pictures pass through untouched; pickles are read without running them.
    """
    settings = o.config_of(
        config,
        assignments,
        preset="mimic",
        dataset=dataset,
        seed=seed,
        patch_size=patch_size,
        val_share=val_share,
        samples_per_shard=samples_per_shard,
    )
    from mimic.interchange import import_mimic
    from mimic.storage import Storage
    from pipelines.split import one_sided_note, split_counts, split_words

    def skipped(folder: str, why: str) -> None:
        if not quiet:
            say.notes().print(f"skipped: {why}", markup=False)

    target = Storage(out)
    manifest = import_mimic(Storage(source), target, settings, on_skip=skipped)
    if note := one_sided_note(target, manifest, out):
        say.notes().print(f"note: {note}", markup=False)
    if as_json:
        document = {"out": out, "counts": manifest.counts, "shards": len(manifest.shards)}
        say.document(document | {"splits": split_counts(manifest)})
    elif not quiet:
        count, split = manifest.counts["samples"], split_words(manifest)
        say.results().print(f"{out}: {count} pairs imported{split}", markup=False)
    return 0
