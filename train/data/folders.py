"""MIMIC's published pairs: a folder each.

It holds ``0000.jpg``, ``0001.jpg`` and (perhaps) ``corresponding.npy``, a pickled
``{patch: patch}`` over the 14 x 14 grid of 224 x 224 pixels. Nothing in a pickle is run: only
dictionaries of integers can come out of it.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

from mimic.errors import MimicError
from mimic.shards.layout import split_of
from mimic.storage import MissingError, Storage
from train.data.decode import decode_picture
from train.data.index import NoSamplesError
from train.data.pairs import whole
from train.data.sample import Corr, CorruptError, Geometry, Sample, Wanted, checked
from train.errors import TrainError

PICTURES = ("0000.jpg", "0001.jpg")
CORRESPONDING = "corresponding.npy"
PATCH_SIZE = 16
_MAX_BYTES = 1 << 20


class FolderSet:
    """Pairs in MIMIC's layout at ``storage``, at any depth; the folder above a pair is its scene.

    Args:
        storage: a folder or any fsspec address.
        folders: of the pairs, in order.
        wanted: whether correspondences are read.
    """

    views = 2

    def __init__(self, storage: Storage, folders: Sequence[str], wanted: Wanted) -> None:
        self._storage, self._wanted = storage, wanted
        self._folders = tuple(folders)
        digest = hashlib.sha256("\n".join(self._folders).encode())
        self.fingerprint = digest.hexdigest()[:12]

    def __len__(self) -> int:
        return len(self._folders)

    def key(self, number: int) -> str:
        """The pair's folder."""
        return self._folders[number]

    def load(self, number: int, only: int | None = None) -> Sample:
        """See :class:`train.data.pairs.PairSet`."""
        folder = self._folders[number]
        chosen = PICTURES if only is None else PICTURES[only : only + 1]
        data = [self._read(folder, name) for name in chosen]
        pair = only is None
        corr = self._corr(folder) if pair and self._wanted.corr else None
        geometry = Geometry.unknown(2) if pair and self._wanted.geometry else None
        return whole(
            folder,
            lambda: checked(
                Sample(
                    key=folder,
                    images=tuple(decode_picture(picture) for picture in data),
                    geometry=geometry,
                    corr=corr,
                    patch_size=PATCH_SIZE,
                )
            ),
        )

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self, folder: str, name: str) -> bytearray:
        try:
            return bytearray(self._storage.read(f"{folder}/{name}"))
        except MissingError as error:
            raise CorruptError(folder, f"{name} is gone") from error
        except MimicError as error:
            raise TrainError(str(error)) from error

    def _corr(self, folder: str) -> Corr | None:
        try:
            data = self._storage.read(f"{folder}/{CORRESPONDING}")
        except MissingError:
            return None
        return whole(folder, lambda: read_corresponding(data))


def find_pairs(storage: Storage, split: str, val_share: float) -> list[str]:
    """The folders of a split's pairs, sorted; scenes are held out by a hash of their name.

    Raises:
        TrainError: there are none.
    """
    try:
        files = storage.list()
    except MimicError as error:
        raise TrainError(str(error)) from error
    names = {entry.name for entry in files}
    pairs = [
        folder
        for name in sorted(names)
        if name.endswith(f"/{PICTURES[0]}")
        and f"{(folder := name.rpartition('/')[0])}/{PICTURES[1]}" in names
    ]
    if not pairs:
        raise TrainError(
            f"{storage.url}: no pairs in MIMIC's layout (folders with {' and '.join(PICTURES)})"
        )
    chosen = [f for f in pairs if split_of(f.rpartition("/")[0], 0, val_share) == split]
    if not chosen:
        raise NoSamplesError(
            f"{storage.url}: none of its {len(pairs)} pairs are in split {split}; change val_share "
            f"({val_share}) of that data set"
        )
    return chosen


def read_corresponding(data: bytes) -> Corr:
    """The pairs of patches by rising patch of view 1.

    Raises:
        ValueError: it is not a pickled map of patches, or its pickle asks for more than plain data.
    """
    if len(data) > _MAX_BYTES:
        raise ValueError(f"{CORRESPONDING}: {len(data)} bytes are too many for a map of patches")
    file = io.BytesIO(data)
    try:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        content = _Unpickler(file).load()
    except Exception as error:  # whatever a broken or hostile file raises
        raise ValueError(f"{CORRESPONDING}: not a plain map of patches ({error})") from error
    found = getattr(content, "content", None)
    value = found[0] if shape == () and dtype.hasobject and isinstance(found, list) else None
    if not isinstance(value, dict) or not all(type(n) is int for p in value.items() for n in p):
        raise ValueError(f"{CORRESPONDING}: not a map from patch to patch")
    pairs = np.array(sorted(value.items()), np.int64).reshape(-1, 2)
    side = 224 // PATCH_SIZE
    if pairs.size and not (pairs.min() >= 0 and pairs.max() < side * side):
        raise ValueError(f"{CORRESPONDING}: patches beyond the {side} x {side} grid")
    return pairs


class _Array:
    """Stands for a NumPy array while unpickling; keeps the content of an object array."""

    content: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.content = state[4]


class _Dtype:
    """Stands for a NumPy dtype."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = str(code), "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


def _integer(dtype: _Dtype, raw: bytes | str) -> int:
    """A NumPy integer."""
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    if dtype.code[:1] not in "iu":
        raise ValueError(f"a number of type {dtype.code}")
    in_order = data[::-1] if dtype.order == ">" else data
    return int.from_bytes(in_order, "little", signed=dtype.code.startswith("i"))


class _Unpickler(pickle.Unpickler):
    """Knows the names in such files, and only as stand-ins: nothing is imported."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            known: dict[str, Any] = {"_reconstruct": lambda *_: _Array(), "scalar": _integer}
        elif module == "numpy":
            known = {"ndarray": type("ndarray", (), {}), "dtype": _Dtype}
        elif module == "_codecs":
            known = {"encode": lambda text, *_: text.encode("latin-1")}
        else:
            known = {}
        if name not in known:
            raise ValueError(f"it asks for {module}.{name}")
        return known[name]
