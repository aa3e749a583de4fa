"""The version of everything on disk, and the one check every reader makes first."""

from __future__ import annotations

SCHEMA_VERSION = 1
"""Version of plans, parts, indexes, sample JSON and manifests written by this code."""


class SchemaError(ValueError):
    """A file was written under a schema that this code does not read."""


def check_schema(found: object, where: str) -> None:
    """Raise :class:`SchemaError` unless ``found`` is the version this code reads.

    ``where`` names the file in the message.
    """
    if found != SCHEMA_VERSION:
        raise SchemaError(
            f"{where}: written with schema {found!r}, this version of mimic reads schema "
            f"{SCHEMA_VERSION}; use the version that wrote it, or mine again"
        )
