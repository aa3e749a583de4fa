"""``mimic pack``: select pairs again from what was mined, without mining."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimic.config import Config, config_from
from pipelines.cli import options as o
from pipelines.cli import say

if TYPE_CHECKING:
    from mimic.storage import Storage
    from schemas import Manifest


def pack(
    shards: o.Shards,
    out: o.Out,
    config: o.ConfigFile = None,
    assignments: o.Assignments = None,
    seed: o.Seed = None,
    overlap: o.OverlapRange = None,
    val_share: o.ValShare = None,
    samples_per_shard: o.SamplesPerShard = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Select pairs again from what was mined, into another folder. No mining.

    Other thresholds, splits and sizes of shards. What was mined with
    --keep-parts can be loosened as well as tightened.
    """
    from mimic.storage import Storage
    from pipelines.pack import not_stored_note
    from pipelines.split import one_sided_note, split_counts, split_words

    source, target = Storage(shards), Storage(out)
    mined = _mined_config(source)
    settings = o.config_of(
        config,
        assignments,
        overlap,
        base=mined.model_dump(mode="json"),
        seed=seed,
        val_share=val_share,
        samples_per_shard=samples_per_shard,
    )
    manifest = _packed(source, target, mined, settings)
    for note in (not_stored_note(manifest), one_sided_note(target, manifest, shards)):
        if note:
            say.notes().print(f"note: {note}", markup=False)
    if as_json:
        document = {"out": out, "counts": manifest.counts, "shards": len(manifest.shards)}
        say.document(document | {"splits": split_counts(manifest)})
    elif not quiet:
        count = manifest.counts.get("samples", 0)
        split = split_words(manifest)
        say.results().print(f"{count} pairs in {out}, of those in {shards}{split}", markup=False)
    return 0


def _mined_config(source: Storage) -> Config:
    """The config that the pairs at ``source`` were mined with."""
    from mimic.shards.reader import read_manifest
    from pipelines.folder import read_config
    from schemas import MANIFEST_NAME

    recorded = None if source.exists(MANIFEST_NAME) else read_config(source)
    return config_from(recorded.config if recorded else read_manifest(source).config)


def _packed(source: Storage, out: Storage, mined: Config, settings: Config) -> Manifest:
    """From the parts where they were kept, for they hold more; else from the shards."""
    from pipelines.executors import LazyExecutor
    from pipelines.ledger import Ledger
    from pipelines.pack import pack as pack_parts
    from pipelines.pack import repack

    state = Ledger(source).load()
    with LazyExecutor(settings.run) as executor:
        if state.reports and not state.damaged:
            reports = state.reports.values()
            return pack_parts(reports, source, out, settings, mined=mined, run=executor.map)
        return repack(source, out, settings, run=executor.map)
