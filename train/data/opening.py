"""From a config to the data sets that it names."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mimic.errors import MimicError
from mimic.shards.reader import Shards
from mimic.storage import Storage
from schemas import SchemaError
from train.data.cache import ShardCache, default_folder
from train.data.config import CacheConfig, DataConfig, SetConfig
from train.data.folders import FolderSet, find_pairs
from train.data.index import NoSamplesError, read_index
from train.data.order import Order
from train.data.pairs import PairSet, ShardSet, Singles
from train.data.plain import PlainSet, find_plain
from train.data.reading import Locate, ShardReader
from train.data.sample import Wanted
from train.errors import TrainError

_log = logging.getLogger(__name__)
_GB = 10**9


@dataclass(frozen=True, slots=True, eq=False)
class DataSets:
    """Data sets, numbered through: the first sample of one follows the last of the one before.

    ``weights``: of each, or None: one pool.
    """

    sets: tuple[PairSet, ...]
    weights: tuple[float, ...] | None

    def __len__(self) -> int:
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Samples of each."""
        return tuple(len(part) for part in self.sets)

    @property
    def views(self) -> int:
        """Of each sample."""
        return self.sets[0].views

    @property
    def fingerprint(self) -> str:
        """Equal where the samples, their numbers and their weights are."""
        said = f"{[part.fingerprint for part in self.sets]} {self.weights}"
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def locate(self, number: int) -> tuple[PairSet, int]:
        """The set of a sample and its number there."""
        for part in self.sets:
            if number < len(part):
                return part, number
            number -= len(part)
        raise IndexError(number)

    def key(self, number: int) -> str:
        """What a person calls a sample."""
        part, within = self.locate(number)
        return part.key(within)

    def order(self, seed: int, batch: int) -> Order:
        """The order of training on them; ``batch`` samples a step, over all ranks."""
        return Order(self.sizes, self.weights, seed, batch)

    def singles(self) -> DataSets:
        """Every view as a sample of its own (MAE)."""
        return DataSets(tuple(Singles(part) for part in self.sets), self.weights)

    def close(self) -> None:
        """Let go of open files."""
        for part in self.sets:
            part.close()


def open_sets(config: DataConfig, split: str, wanted: Wanted | None = None) -> DataSets:
    """The data sets of a config.

    Args:
        config: what is read.
        split: ``train`` or ``val``.
        wanted: what is read beside the pictures; all by default, and each costs time.

    Raises:
        NoSamplesError: a set has none of that split, or none that the conditions choose.
        TrainError: a set is not there, or is not what its manifest says.
    """
    wanted = wanted or Wanted()
    try:
        sets = tuple(_OPEN[part.layout](part, config, split, wanted) for part in config.sets)
    except TrainError:
        raise
    except (MimicError, SchemaError) as error:
        raise TrainError(str(error)) from error
    weights = [part.weight for part in config.sets]
    return DataSets(sets, tuple(w for w in weights if w is not None) or None)


def open_held_out(
    config: DataConfig, wanted: Wanted | None = None
) -> tuple[DataSets | None, tuple[str, ...]]:
    """The held-out samples of all sets that have some, as one pool, each as often as any other.

    Args:
        config: what is read.
        wanted: see :func:`open_sets`.

    Returns:
        The sets, None where no set has any; and why others have none, a sentence each.

    Raises:
        TrainError: a set is not there, or is not what its manifest says.
    """
    found: list[PairSet] = []
    without: list[str] = []
    for part in config.sets:
        try:
            found += open_sets(config.model_copy(update={"sets": (part,)}), "val", wanted).sets
        except NoSamplesError as error:
            without.append(str(error))
    return (DataSets(tuple(found), None) if found else None), tuple(without)


def _shards(part: SetConfig, config: DataConfig, split: str, wanted: Wanted) -> PairSet:
    shards = Shards(part.url)
    conditions = [where for where in (config.where, part.where) if where is not None]
    index = read_index(shards, split, conditions)
    reader = ShardReader(_locate(shards, config.cache), verify=config.cache.verify)
    return ShardSet(index, reader, wanted, reader.close)


def _locate(shards: Shards, config: CacheConfig) -> Locate:
    """Where shards lie on this machine: in place, or in the cache."""
    storage = shards.storage
    if (top := storage.local_path()) is not None:
        return lambda entry: top / entry.name
    cache = _cache(config, storage, sum(entry.tar.size for entry in shards.shards()))
    return lambda entry: cache.path(storage, entry)


def _cache(config: CacheConfig, storage: Storage, total: int) -> ShardCache:
    """The cache of this machine, for ``total`` bytes."""
    cache = ShardCache(config.folder or default_folder(), int(config.limit_gb * _GB))
    if total > cache.limit_bytes:
        _log.warning(
            "%s: %.0f GB do not fit into the cache of %.0f GB, so shards will be fetched again and "
            "again: raise data.cache.limit_gb",
            storage.url, total / _GB, config.limit_gb,
        )  # fmt: skip
    return cache


def _folders(part: SetConfig, config: DataConfig, split: str, wanted: Wanted) -> PairSet:
    _refuse_where(part, config)
    storage = Storage(part.url)
    return FolderSet(storage, find_pairs(storage, split, part.val_share), wanted)


def _plain(part: SetConfig, config: DataConfig, split: str, wanted: Wanted) -> PairSet:
    _refuse_where(part, config)
    cache = partial(_cache, config.cache)
    return PlainSet(find_plain(part.url, part.pictures, split, part.val_share, cache), wanted)


def _refuse_where(part: SetConfig, config: DataConfig) -> None:
    if (where := part.where or config.where) is not None:
        raise TrainError(
            f"{part.url}: layout {part.layout} has no index to choose from; leave out "
            f"{'its where=' if part.where else '--where '}{where!r}"
        )


_OPEN: dict[str, Callable[[SetConfig, DataConfig, str, Wanted], PairSet]] = {
    "shards": _shards,
    "mimic": _folders,
    "pairs": _plain,
}
"""By layout."""
