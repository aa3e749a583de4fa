"""A data set as the loader sees it, and the one that mining makes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np

from train.data.decode import decode_depth, decode_labels, decode_picture
from train.data.index import Index, Place
from train.data.reading import SampleBytes
from train.data.sample import Corr, CorruptError, Sample, Wanted, checked, geometry_of

_T = TypeVar("_T")

COVIS = ("covis_1_2.png", "covis_2_1.png")
DEPTH = ("depth1.png", "depth2.png")
CORR = "corr_1_2.npy"


class PairSet(Protocol):
    """Samples by number. Threads may load at once."""

    @property
    def fingerprint(self) -> str:
        """Equal where the samples and their numbers are."""
        ...

    @property
    def views(self) -> int:
        """Of each sample."""
        ...

    def __len__(self) -> int: ...

    def key(self, number: int) -> str:
        """What a person calls the sample."""
        ...

    def load(self, number: int, only: int | None = None) -> Sample:
        """The sample as it is stored; or one view of it alone (0 or 1), as a sample.

        Raises:
            CorruptError: this sample cannot be read.
            TrainError: more than this sample is amiss.
        """
        ...

    def close(self) -> None:
        """Let go of open files."""
        ...


class ShardSet:
    """The pairs of mined shards.

    Args:
        index: which samples, and where they lie.
        reader: gives their bytes.
        wanted: what is read beside the pictures.
        close: lets go of what the reader holds.
    """

    views = 2

    def __init__(
        self,
        index: Index,
        reader: SampleBytes,
        wanted: Wanted,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.index, self.wanted, self._reader, self.close = index, wanted, reader, close
        beside = {
            "json": wanted.geometry or wanted.corr,
            **dict.fromkeys(COVIS, wanted.covis),
            **dict.fromkeys(DEPTH, wanted.depth),
            CORR: wanted.corr,
        }
        self._beside = tuple(name for name, is_wanted in beside.items() if is_wanted)

    @property
    def fingerprint(self) -> str:
        """Of the manifest, the split and the condition."""
        return self.index.fingerprint

    def __len__(self) -> int:
        return len(self.index)

    def key(self, number: int) -> str:
        """The sample's key."""
        return self.index.key(number)

    def load(self, number: int, only: int | None = None) -> Sample:
        """See :class:`PairSet`."""
        place = self.index.place(number)
        pictures = _pictures(only)
        members = self._reader.read(place, (*pictures, *(self._beside if only is None else ())))
        return whole(place.key, lambda: self._sample(place, members, pictures))

    def _sample(
        self, place: Place, members: dict[str, bytearray], pictures: tuple[str, ...]
    ) -> Sample:
        meta = json.loads(members["json"]) if "json" in members else {}
        labelled = all(name in members for name in COVIS)
        deep = all(name in members for name in DEPTH)
        return checked(
            Sample(
                key=place.key,
                images=tuple(decode_picture(members[name]) for name in pictures),
                covis=tuple(decode_labels(members[name]) for name in COVIS) if labelled else None,
                depth=tuple(decode_depth(members[name]) for name in DEPTH) if deep else None,
                geometry=geometry_of(meta) if meta else None,
                corr=decode_corr(members[CORR]) if CORR in members else None,
                patch_size=int(meta.get("patch_size", 16)),
            )
        )


def _pictures(only: int | None) -> tuple[str, ...]:
    return ("view1.jpg", "view2.jpg") if only is None else (f"view{only + 1}.jpg",)


def whole(key: str, make: Callable[[], _T]) -> _T:
    """What ``make`` gives; whatever broken bytes raise there is one corrupt sample."""
    try:
        return make()
    except (ValueError, KeyError, TypeError, IndexError, EOFError) as error:
        why = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise CorruptError(key, why) from error


def decode_corr(data: bytearray) -> Corr:
    """Stored correspondences (ValueError for anything but such an array)."""
    end = _NPY_FIXED + int.from_bytes(data[_NPY_FIXED - 2 : _NPY_FIXED], "little")
    shape, dtype = _npy_header(bytes(data[:end]))
    if len(shape) != _PAIR or shape[1] != _PAIR or dtype.kind not in "iu":
        raise ValueError(f"correspondences of shape {shape} and type {dtype}")
    return np.frombuffer(data, dtype, offset=end).reshape(shape).astype(np.int64)


_NPY_FIXED, _PAIR = 10, 2


@lru_cache(maxsize=1024)
def _npy_header(head: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of a .npy of version 1; NumPy evaluates it as Python, which takes its time."""
    file = io.BytesIO(head)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not a .npy of version 1.0")
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
    if in_columns or dtype.hasobject:
        raise ValueError(f"an array of {dtype}, or stored by columns")
    return shape, dtype


class Singles:
    """Every view of another set as a sample of its own: 2 n + v is view v of sample n."""

    views = 1

    def __init__(self, pairs: PairSet) -> None:
        self.pairs = pairs
        self.fingerprint = f"{pairs.fingerprint}-singles"

    def __len__(self) -> int:
        return len(self.pairs) * self.pairs.views

    def key(self, number: int) -> str:
        """The pair's key and the view."""
        pair, view = divmod(number, self.pairs.views)
        return f"{self.pairs.key(pair)}.view{view + 1}"

    def load(self, number: int, only: int | None = None) -> Sample:
        """See :class:`PairSet`; ``only`` can but be 0."""
        pair, view = divmod(number, self.pairs.views)
        return self.pairs.load(pair, only=view)

    def close(self) -> None:
        """Let go of open files."""
        self.pairs.close()
