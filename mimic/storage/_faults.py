"""What to make of an error: try again, or which one sentence to say."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

from mimic.errors import StorageError
from mimic.storage._base import MissingError, has_protocol

Kind = Literal["transient", "missing", "forbidden", "full", "other"]

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


def kind_of(error: BaseException, *, local: bool) -> Kind:
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


def _remote_kind(error: BaseException) -> Kind:
    for link in _chain(error):
        names = {base.__name__ for base in type(link).__mro__}
        if names & _FORBIDDEN_NAMES:
            return "forbidden"
        status = _http_status(link)
        if status is not None and (status >= 500 or status == 429):
            return "transient"
        if names & _TRANSIENT_NAMES or http_code(link) in _TRANSIENT_CODES:
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


def http_code(error: BaseException) -> str | None:
    for link in _chain(error):
        response = getattr(link, "response", None)
        if isinstance(response, dict):
            return cast("str | None", response.get("Error", {}).get("Code"))
    return None


def sentence(
    kind: Kind, action: str, url: str, error: BaseException, attempts: int = 1
) -> StorageError:
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
            f"cannot {action} {url}: out of reach after {attempts} attempts ({detail}); check the "
            "network and the endpoint, then run the same command again"
        )
    return StorageError(f"cannot {action} {url}: {detail}; check the address and the disk")


def _what_is_missing(url: str, error: BaseException) -> str:
    if http_code(error) == "NoSuchBucket":
        return "the bucket does not exist; check the address"
    if not has_protocol(url):
        for parent in Path(url).parents:
            if parent.is_file():
                return f"{parent} is a file, not a folder; choose another folder"
    return "not found; check the address"


@contextlib.contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """A full disk met while filling a staged file gets the same sentence as elsewhere."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise sentence("full", "write", str(path.parent), error) from error
        raise
