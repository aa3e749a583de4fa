"""Any plain WebDataset of pairs: tars whose samples have two pictures. Each is indexed once.

Those of an object store are kept on this machine (:mod:`train.data.cache`); to be indexed, all of
them are fetched when a run starts.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mimic.errors import MimicError
from mimic.shards.layout import split_of
from mimic.storage import Storage
from train.data.cache import ShardCache
from train.data.decode import decode_any
from train.data.index import NoSamplesError
from train.data.pairs import whole
from train.data.sample import CorruptError, Geometry, Sample, Wanted
from train.errors import TrainError

_READS_AT_ONCE = 8


CacheFor = Callable[[Storage, int], ShardCache]
"""The cache for so many bytes of a storage."""


@dataclass(frozen=True, slots=True, eq=False)
class PlainTar:
    """A tar: its name, its address, and where it lies on this machine (it may be fetched)."""

    name: str
    url: str
    locate: Callable[[], Path]


@dataclass(frozen=True, slots=True, eq=False)
class PlainPair:
    """A sample: its key, its tar, and (offset, size) of its two pictures."""

    key: str
    tar: PlainTar
    pictures: tuple[tuple[int, int], tuple[int, int]]


class PlainSet:
    """Pairs in tars."""

    views = 2

    def __init__(self, pairs: Sequence[PlainPair], wanted: Wanted) -> None:
        self._pairs, self._wanted = tuple(pairs), wanted
        said = "\n".join(f"{p.tar.name} {p.key} {p.pictures}" for p in self._pairs)
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()[:12]

    def __len__(self) -> int:
        return len(self._pairs)

    def key(self, number: int) -> str:
        """The sample's key."""
        return self._pairs[number].key

    def load(self, number: int, only: int | None = None) -> Sample:
        """See :class:`train.data.pairs.PairSet`."""
        pair = self._pairs[number]
        chosen = pair.pictures if only is None else pair.pictures[only : only + 1]
        data = _read(pair, chosen)
        return Sample(
            key=pair.key,
            images=whole(pair.key, lambda: tuple(decode_any(picture) for picture in data)),
            geometry=Geometry.unknown(2) if only is None and self._wanted.geometry else None,
        )

    def close(self) -> None:
        """Nothing is held open."""


def _read(pair: PlainPair, places: Collection[tuple[int, int]]) -> list[bytearray]:
    found = []
    try:
        descriptor = _opened(pair.tar)
        try:
            for offset, size in places:
                data = bytearray(size)
                if os.preadv(descriptor, [data], offset) != size:
                    raise CorruptError(pair.key, f"{pair.tar.url} is cut short")
                found.append(data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise TrainError(f"{pair.tar.url}: {error.strerror}; restore it") from error
    return found


def _opened(tar: PlainTar) -> int:
    """A descriptor of the tar; one that makes room in the cache just then is fetched again."""
    try:
        return os.open(tar.locate(), os.O_RDONLY)
    except FileNotFoundError:
        return os.open(tar.locate(), os.O_RDONLY)


def find_plain(
    url: str, suffixes: tuple[str, str], split: str, val_share: float, cache_for: CacheFor
) -> list[PlainPair]:
    """The pairs of a split; tars are held out by a hash of their name.

    Args:
        url: a tar, or a folder of tars, here or at any fsspec address.
        suffixes: what follows the key in the names of the two pictures.
        split: ``train`` or ``val``.
        val_share: about so many tars are ``val``.
        cache_for: gives the cache in which tars of an object store are kept.

    Raises:
        TrainError: there are none, or they cannot be read.
    """
    tars = _tars(url, cache_for)
    if not tars:
        raise TrainError(f"{url}: no tars there; layout pairs wants a .tar or a folder of them")
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        of_tars = list(pool.map(lambda tar: _index(tar, suffixes), tars))
    if not any(pairs for pairs, _ in of_tars):
        seen = sorted(set().union(*(names for _, names in of_tars)))
        raise TrainError(
            f"{url}: no sample has both {suffixes[0]} and {suffixes[1]} (there are "
            f"{', '.join(seen[:10]) or 'no members'}); set pictures of that data set"
        )
    chosen = [
        pair
        for tar, (pairs, _) in zip(tars, of_tars, strict=True)
        if split_of(tar.name, 0, val_share) == split
        for pair in pairs
    ]
    if not chosen:
        raise NoSamplesError(
            f"{url}: none of its {len(tars)} tars are in split {split}; change val_share "
            f"({val_share}) of that data set"
        )
    return chosen


def _tars(url: str, cache_for: CacheFor) -> list[PlainTar]:
    """The tars at an address, by name."""
    storage, only = Storage(url), None
    if (top := storage.local_path()) is not None:
        paths = sorted(top.glob("*.tar")) if top.is_dir() else [top] if top.is_file() else []
        return [PlainTar(path.name, str(path), partial(Path, path)) for path in paths]
    if storage.url.endswith(".tar"):
        folder, _, only = storage.url.rpartition("/")
        storage = Storage(folder)
    try:
        files = storage.list(recursive=False)
    except MimicError as error:
        raise TrainError(str(error)) from error
    entries = [e for e in files if e.name.endswith(".tar") and only in (None, e.name)]
    cache = cache_for(storage, sum(entry.size for entry in entries))
    return [
        PlainTar(entry.name, storage.join(entry.name), partial(cache.plain_path, storage, entry))
        for entry in entries
    ]


def _index(tar: PlainTar, suffixes: tuple[str, str]) -> tuple[list[PlainPair], set[str]]:
    """The pairs of a tar in its order, and all suffixes that it has."""
    places: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(tar.locate(), "r:") as members:
            for member in members:
                if member.isfile():
                    folder, slash, name = member.name.rpartition("/")
                    stem, _, suffix = name.partition(".")
                    place = (member.offset_data, member.size)
                    places.setdefault(f"{folder}{slash}{stem}", {})[suffix] = place
    except (tarfile.TarError, OSError) as error:
        raise TrainError(f"{tar.url}: not a plain tar ({error})") from error
    pairs = [
        PlainPair(key, tar, (found[suffixes[0]], found[suffixes[1]]))
        for key, found in places.items()
        if suffixes[0] in found and suffixes[1] in found
    ]
    return pairs, {suffix for found in places.values() for suffix in found}
