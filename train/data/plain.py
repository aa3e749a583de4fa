"""Any plain WebDataset of pairs: tars whose samples have two pictures. Each is indexed once."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mimic.shards.layout import split_of
from train.data.decode import decode_any
from train.data.index import NoSamplesError
from train.data.pairs import whole
from train.data.sample import CorruptError, Geometry, Sample, Wanted
from train.errors import TrainError

_READS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class PlainPair:
    """A sample: its key, its tar, and (offset, size) of its two pictures."""

    key: str
    tar: Path
    pictures: tuple[tuple[int, int], tuple[int, int]]


class PlainSet:
    """Pairs in local tars."""

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
        descriptor = os.open(pair.tar, os.O_RDONLY)
        try:
            for offset, size in places:
                data = bytearray(size)
                if os.preadv(descriptor, [data], offset) != size:
                    raise CorruptError(pair.key, f"{pair.tar} is cut short")
                found.append(data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise TrainError(f"{pair.tar}: {error.strerror}; restore it") from error
    return found


def find_plain(
    url: str, suffixes: tuple[str, str], split: str, val_share: float
) -> list[PlainPair]:
    """The pairs of a split; tars are held out by a hash of their name.

    Args:
        url: a tar, or a local folder of tars.
        suffixes: what follows the key in the names of the two pictures.
        split: ``train`` or ``val``.
        val_share: about so many tars are ``val``.

    Raises:
        TrainError: there are none, or the address is not on this machine.
    """
    top = Path(url.removeprefix("file://"))
    tars = sorted(top.glob("*.tar")) if top.is_dir() else [top] if top.is_file() else []
    if not tars:
        raise TrainError(
            f"{url}: no tars there; layout pairs wants a local .tar or a folder of them"
        )
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


def _index(tar: Path, suffixes: tuple[str, str]) -> tuple[list[PlainPair], set[str]]:
    """The pairs of a tar in its order, and all suffixes that it has."""
    places: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(tar, "r:") as members:
            for member in members:
                if member.isfile():
                    folder, slash, name = member.name.rpartition("/")
                    stem, _, suffix = name.partition(".")
                    place = (member.offset_data, member.size)
                    places.setdefault(f"{folder}{slash}{stem}", {})[suffix] = place
    except (tarfile.TarError, OSError) as error:
        raise TrainError(f"{tar}: not a plain tar ({error})") from error
    pairs = [
        PlainPair(key, tar, (found[suffixes[0]], found[suffixes[1]]))
        for key, found in places.items()
        if suffixes[0] in found and suffixes[1] in found
    ]
    return pairs, {suffix for found in places.values() for suffix in found}
