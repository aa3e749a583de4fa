"""An object store: one upload that becomes visible as a whole; no renames, no pipes."""

from __future__ import annotations

import errno
import io
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, cast

from mimic.errors import StorageError
from mimic.storage._base import Entry
from mimic.storage._faults import http_code
from mimic.storage._local import temporary_beside

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0

_S3 = ("s3", "s3a")


class ObjectStore:
    """Anything fsspec reaches. Retries are ours alone, so the client's own are switched off."""

    def __init__(self, url: str) -> None:
        self.fs, self.root = _connect(url)
        # s3fs would ask for the size first, to split large reads: one request is enough for ours.
        self.whole = {"max_concurrency": 1} if url.startswith(_S3) else {}

    def list(self, prefix: str, recursive: bool) -> list[Entry]:
        top = self._path(prefix)
        try:
            depth = None if recursive else 1
            found = self.fs.find(top, maxdepth=depth, detail=True, withdirs=False)
        except FileNotFoundError as error:
            if http_code(error) == "NoSuchBucket":
                raise
            return []
        cut = len(self.root) + 1
        entries = [
            Entry(path.lstrip("/")[cut:], int(info["size"]), _etag_of(info))
            for path, info in found.items()
        ]
        return sorted(
            (entry for entry in entries if entry.name and not entry.name.endswith("/")),
            key=lambda entry: entry.name,
        )

    def size(self, name: str) -> int:
        info = self.fs.info(self._path(name))
        if info["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, "no such object", self._path(name))
        return int(info["size"])

    def read(self, name: str, offset: int, size: int | None) -> bytes:
        if size is None:
            return cast("bytes", self.fs.cat_file(self._path(name), **self.whole))
        return cast("bytes", self.fs.cat_file(self._path(name), start=offset, end=offset + size))

    def write(self, name: str, data: bytes) -> None:
        self.fs.pipe_file(self._path(name), data)

    def put(self, source: Path, name: str) -> None:
        self.fs.put_file(str(source), self._path(name))

    def stage(self, name: str) -> Path:
        return temporary_beside(Path(tempfile.gettempdir()) / PurePosixPath(name).name)

    def commit(self, staged: Path, name: str) -> None:
        self.put(staged, name)

    def delete(self, name: str) -> None:
        self.fs.rm_file(self._path(name))

    def delete_tree(self, prefix: str) -> None:
        if self.fs.exists(self._path(prefix)):
            self.fs.rm(self._path(prefix), recursive=True)

    def delete_unfinished(self, prefix: str, recursive: bool) -> None:
        """There is none: an upload becomes visible as a whole."""

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root


class RangeFile(io.RawIOBase):
    """A read-only file whose every read is one ranged, retried request."""

    def __init__(self, read_range: Callable[[int, int], bytes], name: str, size: int) -> None:
        super().__init__()
        self._read_range, self._name, self._size, self._at = read_range, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position in {self._name}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        data = self._read_range(self._at, wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _connect(url: str) -> tuple[Any, str]:
    import fsspec

    protocol = url.partition("://")[0]
    try:
        if protocol in _S3:
            fs = fsspec.filesystem(protocol, **_s3_options())
            fs.retries = 1
        else:
            fs = fsspec.filesystem(protocol)
    except ImportError as error:
        package = "'mimic[s3]'" if protocol in _S3 else f"the fsspec package for {protocol}://"
        message = f"cannot open {url}: such addresses need an extra: pip install {package}"
        raise StorageError(message) from error
    except ValueError as error:
        raise StorageError(f"cannot open {url}: {error}; check the address") from error
    return fs, str(fs._strip_protocol(url)).strip("/")


def _s3_options() -> dict[str, Any]:
    from fsspec.config import conf

    theirs = {**conf.get("s3", {}).get("config_kwargs", {})}
    ours = {
        "retries": {"total_max_attempts": 1, "mode": "standard"},
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
    }
    # A private instance: its switched-off retries and listing cache must not reach other users.
    return {
        "config_kwargs": {**ours, **theirs},
        "use_listings_cache": False,
        "skip_instance_cache": True,
    }


def _etag_of(info: dict[str, Any]) -> str:
    for key in ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created"):
        if info.get(key):
            return str(info[key]).strip('"')
    return str(info.get("size", ""))
