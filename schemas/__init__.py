"""The on-disk contract: tables, manifest, markers and their version. Imports pyarrow only."""

from schemas.manifest import MANIFEST_NAME, FileEntry, Manifest, ShardEntry
from schemas.marker import Failure, PartFile, State, UnitReport
from schemas.tables import (
    CURVES,
    EDGES,
    FRAMES,
    OVERLAP_COLUMNS,
    OVERLAP_MEASURES,
    PART_EDGES,
    PART_FRAMES,
    PLAN,
    POSES,
    SAMPLES,
    UNITS,
)
from schemas.version import SCHEMA_VERSION, SchemaError, check_schema

__all__ = [
    "CURVES",
    "EDGES",
    "FRAMES",
    "MANIFEST_NAME",
    "OVERLAP_COLUMNS",
    "OVERLAP_MEASURES",
    "PART_EDGES",
    "PART_FRAMES",
    "PLAN",
    "POSES",
    "SAMPLES",
    "SCHEMA_VERSION",
    "UNITS",
    "Failure",
    "FileEntry",
    "Manifest",
    "PartFile",
    "SchemaError",
    "ShardEntry",
    "State",
    "UnitReport",
    "check_schema",
]
