"""Files at one address, a local folder or any fsspec URL, written whole or not at all."""

from mimic.storage._base import Entry, MissingError
from mimic.storage._store import Storage

__all__ = ["Entry", "MissingError", "Storage"]
