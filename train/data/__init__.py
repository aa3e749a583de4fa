"""Shards to batches: order, reading, decoding, transforms.

What a training loop needs of it::

    data = open_sets(config.data, "train", Wanted(covis=False, corr=False, geometry=False))
    data = data.singles()                                  # MAE: every view is a sample
    order = data.order(seed, batch)                        # batch over all ranks
    loader = Loader(data, order, Transform(config.data.views), rank=rank, world=world)
    colours = Photometric(config.data.colour, seed)
    for batch in loader.batches(first_step):               # Batch of this rank, uint8 on the CPU
        images = colours(batch.images.to(device), batch.numbers, batch.step)

Held-out samples: ``open_held_out(config.data)``, with ``Transform(config.data.views.plain())`` and
``colours(..., augment=False)``. All of it is a function of (manifest, config, seed, step): there is
nothing to save but the step, and ``data.fingerprint`` to compare.
"""

from train.data.batch import Batch
from train.data.config import DataConfig, SetConfig
from train.data.index import NoSamplesError
from train.data.loader import Loader
from train.data.opening import DataSets, open_held_out, open_sets
from train.data.order import Order
from train.data.photometric import Photometric
from train.data.sample import Wanted
from train.data.transforms import Transform

__all__ = [
    "Batch",
    "DataConfig",
    "DataSets",
    "Loader",
    "NoSamplesError",
    "Order",
    "Photometric",
    "SetConfig",
    "Transform",
    "Wanted",
    "open_held_out",
    "open_sets",
]
