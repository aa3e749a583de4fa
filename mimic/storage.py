"""One class over local folders and object stores: atomic writes, bounded retries, clear errors.

Local: a temporary sibling, fsync, rename, fsync of the folder. Object stores: one upload that
becomes visible as a whole (no renames, no pipes). Nothing here decides what is written or in which
order; callers write their marker last.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, Protocol, TypeVar, cast

from mimic.errors import StorageError

ATTEMPTS = 8
"""Tries of one request to an object store before it is given up."""
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0
"""Waits double from the first to the longest: about 22 seconds in all, the same every time."""
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
READ_BLOCK_BYTES = 4 << 20
"""Bytes fetched at once by a file opened on an object store."""
TEMP_PREFIX = ".~"
"""Local files being written have such names; they are never listed."""

_S3 = ("s3", "s3a")
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class MissingError(StorageError):
    """There is nothing by that name (or the bucket does not exist)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored file: posix ``name`` relative to the storage, ``size`` in bytes, and ``etag``.

    ``etag`` changes when the content does: the object store's own, or the time of modification (ns)
    of a local file. It tells versions apart in one place; it is not a hash and enters no id.
    """

    name: str
    size: int
    etag: str


class Storage:
    """Files below one address: a local folder, or any fsspec URL (``s3://bucket/folder``).

    Names are posix paths relative to it. Nothing is opened until first use, so a ``Storage`` is
    cheap to make and to pickle. All methods raise :class:`StorageError` in one sentence that names
    the URL; :class:`MissingError` when there is no such file.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = _normalised(url)
        self._backend_cache: _Backend | None = None

    def __repr__(self) -> str:
        return f"Storage({self.url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Storage) and other.url == self.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.url = state["url"]
        self._backend_cache = None

    @property
    def is_local(self) -> bool:
        """Whether files here have a path on this machine."""
        return not _has_protocol(self.url)

    def join(self, name: str) -> str:
        """The full address of ``name``, for messages and for other libraries."""
        return f"{self.url.rstrip('/')}/{_checked(name)}" if name else self.url

    def sub(self, name: str) -> Storage:
        """The storage at a folder below this one."""
        return Storage(self.join(name))

    def local_path(self, name: str = "") -> Path | None:
        """Where ``name`` lies on this machine; None for an object store."""
        return Path(self.join(name)) if self.is_local else None

    def list(self, prefix: str = "", *, recursive: bool = True) -> list[Entry]:
        """The files below the folder ``prefix`` (or directly in it), sorted by name; [] if none."""
        return self._try("list", prefix, lambda: self._backend.list(_checked(prefix), recursive))

    def exists(self, name: str) -> bool:
        """Whether there is a file by that name."""
        try:
            self.size(name)
        except MissingError:
            return False
        return True

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return self._try("read", name, lambda: self._backend.size(_checked(name)))

    def read(self, name: str) -> bytes:
        """The whole content of a file."""
        return self._try("read", name, lambda: self._backend.read(_checked(name), 0, None))

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``; fewer only where the file ends."""
        if size <= 0:
            return b""
        return self._try("read", name, lambda: self._backend.read(_checked(name), offset, size))

    def open(self, name: str) -> BinaryIO:
        """A seekable binary file for reading; on an object store every block read is retried."""
        path = self.local_path(name)
        if path is not None:
            return self._try("read", name, lambda: path.open("rb"))
        raw = _RangeFile(self, name, self.size(name))
        return cast("BinaryIO", io.BufferedReader(raw, READ_BLOCK_BYTES))

    def write(self, name: str, data: bytes) -> None:
        """Put ``data`` at ``name``, atomically: readers see the old file or the new one."""
        self._try("write", name, lambda: self._backend.write(_checked(name), data))

    def put(self, local_path: str | Path, name: str) -> None:
        """Copy a local file to ``name``, atomically. The local file stays."""
        source = Path(local_path)
        self._try("write", name, lambda: self._backend.put(source, _checked(name)))

    @contextlib.contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """A local path to write; on leaving the block it is committed to ``name``, atomically.

        Where the storage is local the path is a sibling of the target and is renamed, so that large
        files are written once. After an exception nothing of it remains.
        """
        path = self._try("write", name, lambda: self._backend.stage(_checked(name)))
        try:
            with _naming_full_disk(path):
                yield path
            self._try("write", name, lambda: self._backend.commit(path, _checked(name)))
        finally:
            path.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Remove a file; nothing happens where there is none."""
        with contextlib.suppress(MissingError):
            self._try("delete", name, lambda: self._backend.delete(_checked(name)))

    def delete_tree(self, prefix: str) -> None:
        """Remove everything below the folder ``prefix`` (which may not be empty)."""
        if not prefix:
            raise ValueError("refusing to delete a whole storage: name a folder in it")
        with contextlib.suppress(MissingError):
            self._try("delete", prefix, lambda: self._backend.delete_tree(_checked(prefix)))

    @property
    def _backend(self) -> _Backend:
        if self._backend_cache is None:
            self._backend_cache = (
                _Local(Path(self.url)) if self.is_local else _ObjectStore(self.url)
            )
        return self._backend_cache

    def _try(self, action: str, name: str, call: Callable[[], _T]) -> _T:
        """Run ``call``; retry what is transient, and turn the rest into one sentence."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call()
            except (StorageError, ValueError):
                raise
            except Exception as error:
                kind = _kind_of(error, local=self.is_local)
                if kind != "transient" or attempt == ATTEMPTS:
                    raise _sentence(kind, action, self.join(name), error) from error
                wait_s = min(FIRST_WAIT_S * 2 ** (attempt - 1), LONGEST_WAIT_S)
                _log.debug("%s %s: %s; again in %.1f s", action, self.join(name), error, wait_s)
                time.sleep(wait_s)
        raise AssertionError("unreachable")


class _Backend(Protocol):
    def list(self, prefix: str, recursive: bool) -> list[Entry]: ...
    def size(self, name: str) -> int: ...
    def read(self, name: str, offset: int, size: int | None) -> bytes: ...
    def write(self, name: str, data: bytes) -> None: ...
    def put(self, source: Path, name: str) -> None: ...
    def stage(self, name: str) -> Path: ...
    def commit(self, staged: Path, name: str) -> None: ...
    def delete(self, name: str) -> None: ...
    def delete_tree(self, prefix: str) -> None: ...


class _Local:
    """A folder of this machine (or of a shared file system)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self, prefix: str, recursive: bool) -> list[Entry]:
        top = self.root / prefix
        if not top.exists():
            return []
        entries = [
            Entry(path.relative_to(self.root).as_posix(), stat.st_size, str(stat.st_mtime_ns))
            for path, stat in _files_below(top, recursive)
        ]
        return sorted(entries, key=lambda entry: entry.name)

    def size(self, name: str) -> int:
        path = self.root / name
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        return path.stat().st_size

    def read(self, name: str, offset: int, size: int | None) -> bytes:
        with (self.root / name).open("rb") as file:
            file.seek(offset)
            return file.read(-1 if size is None else size)

    def write(self, name: str, data: bytes) -> None:
        self._replace(name, lambda file: file.write(data))

    def put(self, source: Path, name: str) -> None:
        def copy(target: BinaryIO) -> None:
            with source.open("rb") as opened:
                shutil.copyfileobj(opened, target, 1 << 20)

        self._replace(name, copy)

    def stage(self, name: str) -> Path:
        target = self.root / name
        _make_folder(target.parent)
        return _temporary_beside(target)

    def commit(self, staged: Path, name: str) -> None:
        target = self.root / name
        _sync(staged)
        staged.replace(target)
        _sync(target.parent)

    def delete(self, name: str) -> None:
        (self.root / name).unlink()

    def delete_tree(self, prefix: str) -> None:
        target = self.root / prefix
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    def _replace(self, name: str, fill: Callable[[BinaryIO], object]) -> None:
        staged = self.stage(name)
        try:
            with staged.open("xb") as file:
                fill(file)
            self.commit(staged, name)
        finally:
            staged.unlink(missing_ok=True)


class _ObjectStore:
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
            if _http_code(error) == "NoSuchBucket":
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
        return _temporary_beside(Path(tempfile.gettempdir()) / PurePosixPath(name).name)

    def commit(self, staged: Path, name: str) -> None:
        self.put(staged, name)

    def delete(self, name: str) -> None:
        self.fs.rm_file(self._path(name))

    def delete_tree(self, prefix: str) -> None:
        if self.fs.exists(self._path(prefix)):
            self.fs.rm(self._path(prefix), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root


class _RangeFile(io.RawIOBase):
    """A read-only file whose every read is one ranged, retried request."""

    def __init__(self, storage: Storage, name: str, size: int) -> None:
        super().__init__()
        self._storage, self._name, self._size, self._at = storage, name, size, 0

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
        data = self._storage.read_range(self._name, self._at, wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


_Kind = Literal["transient", "missing", "forbidden", "full", "other"]

_TRANSIENT_NAMES = frozenset(
    {
        # botocore, aiohttp and urllib3 are not imported: they are there only for those who use S3.
        "HTTPClientError",
        "EndpointConnectionError",
        "ConnectionClosedError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "IncompleteReadError",
        "IncompleteRead",
        "ResponseParserError",
        "ResponseStreamingError",
        "ClientConnectionError",
        "ClientPayloadError",
        "ServerDisconnectedError",
    }
)
_TRANSIENT_CODES = frozenset({"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout"})
_TRANSIENT_ERRNOS = frozenset({errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EBUSY)})
_FORBIDDEN_NAMES = frozenset({"NoCredentialsError", "PartialCredentialsError"})


def _kind_of(error: BaseException, *, local: bool) -> _Kind:
    """What to make of an error: try again, or which sentence to say."""
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return "full"
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return "missing"
    if isinstance(error, PermissionError) or number == errno.EROFS:
        return "forbidden"
    if local:
        return "other"
    return _remote_kind(error)


def _remote_kind(error: BaseException) -> _Kind:
    for link in _chain(error):
        names = {base.__name__ for base in type(link).__mro__}
        if names & _FORBIDDEN_NAMES:
            return "forbidden"
        status = _http_status(link)
        if status is not None and (status >= 500 or status == 429):
            return "transient"
        if names & _TRANSIENT_NAMES or _http_code(link) in _TRANSIENT_CODES:
            return "transient"
        if isinstance(link, ConnectionError | TimeoutError):
            return "transient"
        if isinstance(link, OSError) and link.errno in _TRANSIENT_ERRNOS:
            return "transient"
    return "other"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those it came from."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _http_status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status", None) or getattr(error, "code", None)
    return status if isinstance(status, int) else None


def _http_code(error: BaseException) -> str | None:
    for link in _chain(error):
        response = getattr(link, "response", None)
        if isinstance(response, dict):
            return cast("str | None", response.get("Error", {}).get("Code"))
    return None


def _sentence(kind: _Kind, action: str, url: str, error: BaseException) -> StorageError:
    """The one sentence that a person reads."""
    detail = str(error).replace("\n", " ") or type(error).__name__
    if kind == "missing":
        return MissingError(f"cannot {action} {url}: {_what_is_missing(url, error)}")
    if kind == "full":
        return StorageError(
            f"cannot {action} {url}: no space left; free some and run the same command again "
            "(what is committed stays valid)"
        )
    if kind == "forbidden":
        return StorageError(
            f"cannot {action} {url}: access denied ({detail}); check permissions or credentials"
        )
    if kind == "transient":
        return StorageError(
            f"cannot {action} {url}: out of reach after {ATTEMPTS} attempts ({detail}); check the "
            "network and the endpoint, then run the same command again"
        )
    return StorageError(f"cannot {action} {url}: {detail}; check the address and the disk")


def _what_is_missing(url: str, error: BaseException) -> str:
    if _http_code(error) == "NoSuchBucket":
        return "the bucket does not exist; check the address"
    if not _has_protocol(url):
        for parent in Path(url).parents:
            if parent.is_file():
                return f"{parent} is a file, not a folder; choose another folder"
    return "not found; check the address"


@contextlib.contextmanager
def _naming_full_disk(path: Path) -> Iterator[None]:
    """A full disk met while filling a staged file gets the same sentence as elsewhere."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _sentence("full", "write", str(path.parent), error) from error
        raise


def _has_protocol(url: str) -> bool:
    return "://" in url


def _normalised(url: str | Path) -> str:
    text = str(url)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if _has_protocol(text):
        protocol, _, rest = text.partition("://")
        return f"{protocol}://{rest.strip('/')}"
    return str(Path(text).expanduser().absolute())


def _checked(name: str) -> str:
    """``name`` without a closing slash; it may not leave the storage."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"a name in a storage is relative and stays inside it, not {name!r}")
    return name.rstrip("/")


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


def _files_below(top: Path, recursive: bool) -> Iterator[tuple[Path, os.stat_result]]:
    """Files below a folder (or the file itself) with their stat; being-written ones left out."""
    if not top.is_dir():
        yield top, top.stat()
        return
    with os.scandir(top) as children:
        for child in children:
            if child.is_dir():
                if recursive:
                    yield from _files_below(Path(child.path), recursive)
            elif not child.name.startswith(TEMP_PREFIX):
                with contextlib.suppress(FileNotFoundError):  # removed, or a dangling link
                    yield Path(child.path), child.stat()


def _temporary_beside(target: Path) -> Path:
    return target.with_name(f"{TEMP_PREFIX}{target.name}.{secrets.token_hex(6)}")


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    """Flush a file or a folder's list of names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
