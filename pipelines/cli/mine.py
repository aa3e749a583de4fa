"""``mimic mine``: videos, photos and scenes in, shards out."""

from __future__ import annotations

from pipelines.cli import options as o
from pipelines.cli import say
from pipelines.cli.mining import say_result, shown


def mine(
    source: o.Source,
    out: o.Out,
    kind: o.Kind = None,
    walk: o.Walk = None,
    scenes: o.Scenes = None,
    dataset: o.Dataset = None,
    preset: o.Preset = None,
    config: o.ConfigFile = None,
    assignments: o.Assignments = None,
    seed: o.Seed = None,
    overlap: o.OverlapRange = None,
    size: o.Size = None,
    patch_size: o.PatchSize = None,
    depth: o.StoreDepth = False,
    poses_only: o.PosesOnly = False,
    val_share: o.ValShare = None,
    samples_per_shard: o.SamplesPerShard = None,
    keep_edges: o.KeepEdges = None,
    keep_parts: o.KeepParts = False,
    executor: o.Executor = None,
    address: o.Address = None,
    cpus: o.Cpus = None,
    slice_text: o.Slice = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Turn videos, photos or 3D scenes into shards of pairs with patch correspondences.

    Interrupted or killed, the same line again finishes the job; with more
    files in the source, it adds what is new.
    """
    settings = o.config_of(
        config,
        assignments,
        overlap,
        o.recorded_config(source),
        kind=kind,
        walk=walk,
        scenes=scenes,
        depth=depth,
        poses_only=poses_only,
        dataset=dataset,
        preset=preset,
        seed=seed,
        size=size,
        patch_size=patch_size,
        val_share=val_share,
        samples_per_shard=samples_per_shard,
        keep_edges=keep_edges,
        keep_parts=keep_parts,
        executor=executor,
        address=address,
        cpus=cpus,
    )
    from mimic.sources import recognise
    from pipelines.mine import mine as run_mine
    from pipelines.plan import Slice

    part = Slice.parse(slice_text) if slice_text is not None else None
    found = recognise(source, settings)
    if not quiet:
        say.notes().print(found.sentence, markup=False)
    result = shown(
        lambda on_event: run_mine(found, out, settings, slice=part, on_event=on_event), quiet
    )
    return say_result(out, result, as_json, quiet)
