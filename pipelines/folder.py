"""The output folder of a run: is it ours, of this config, and can it be written?"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mimic.config import Config, RunConfig, config_from
from mimic.errors import DamagedError, MimicError
from mimic.layered import flattened
from mimic.shards.reader import read_manifest
from mimic.shards.versions import versions
from mimic.storage import MissingError, Storage
from schemas import MANIFEST_NAME, SCHEMA_VERSION, Manifest, check_schema

CONFIG_NAME = ".mimic/config.json"
LOG_NAME = ".mimic/log.jsonl"
_PROBE_NAME = ".mimic/probe"
_KEYS_NAMED = 3


@dataclass(frozen=True, slots=True)
class Recorded:
    """What ``.mimic/config.json`` says: the config of the run in plain values, and its versions."""

    config: dict[str, Any]
    versions: dict[str, str]

    def resolved(self, run: RunConfig) -> Config:
        """The config, to be executed as ``run`` says."""
        return config_from({**self.config, "run": run.model_dump()})


def check_folder(storage: Storage, config: Config) -> Manifest | None:
    """The manifest at ``storage`` if there is one; writes nothing.

    Raises:
        MimicError: the place holds shards or parts of another config, or something else.
    """
    if storage.exists(MANIFEST_NAME):
        manifest = read_manifest(storage)
        _check_same(storage, manifest.config, config.decisive())
        return manifest
    recorded = read_config(storage)
    if recorded is not None:
        mined = config_from(recorded.config)
        _check_same(storage, mined.mining(), config.mining())
    else:
        _check_empty(storage)
    return None


def prepare_folder(storage: Storage, config: Config) -> str | None:
    """Write the config record, after a probe that the place can be written.

    Returns a sentence when the parts there were mined with other versions of the packages that
    decide bytes.

    Raises:
        StorageError: it cannot be written.
    """
    storage.write(_PROBE_NAME, b"")
    storage.delete(_PROBE_NAME)
    now = Recorded(config.decisive(), versions())
    before = read_config(storage)
    if before == now:
        return None
    values = {"schema": SCHEMA_VERSION, "config": now.config, "versions": now.versions}
    storage.write(CONFIG_NAME, (json.dumps(values, indent=2, sort_keys=True) + "\n").encode())
    if before is None or before.versions == now.versions:
        return None
    names = sorted(
        name
        for name in before.versions.keys() | now.versions.keys()
        if before.versions.get(name) != now.versions.get(name)
    )
    return (
        f"{storage.url}: begun with other versions of {', '.join(names)}; shards may differ in "
        "bytes from those of a run with one set of versions"
    )


def read_config(storage: Storage) -> Recorded | None:
    """The config record; None where there is none.

    Raises:
        DamagedError: it cannot be read.
    """
    try:
        text = storage.read(CONFIG_NAME)
    except MissingError:
        return None
    where = storage.join(CONFIG_NAME)
    try:
        values = json.loads(text)
        check_schema(values.get("schema"), where)
        return Recorded(values["config"], values["versions"])
    except (ValueError, KeyError, AttributeError) as error:
        raise DamagedError(f"{where}: not a config record ({error}); mine into a new --out") from (
            error
        )


def differing_keys(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """``a.b (1 there, 2 here)`` for each leaf of two nested configs that differs, in order."""
    old, new = flattened(there), flattened(here)
    return [
        f"{key} ({old.get(key)!r} there, {new.get(key)!r} here)"
        for key in [*new, *(key for key in old if key not in new)]
        if old.get(key) != new.get(key)
    ]


def _check_same(storage: Storage, there: dict[str, Any], here: dict[str, Any]) -> None:
    keys = differing_keys(there, here)
    if not keys:
        return
    shown = ", ".join(keys[:_KEYS_NAMED])
    more = f" and {len(keys) - _KEYS_NAMED} more" if len(keys) > _KEYS_NAMED else ""
    remedy = (
        "select again with `mimic pack` into another folder"
        if all(key.startswith("pack.") for key in keys)
        else "use the same config, or another --out"
    )
    raise MimicError(f"{storage.url}: was mined with another config: {shown}{more}; {remedy}")


def _check_empty(storage: Storage) -> None:
    found = _anything_in(storage)
    if found is not None:
        raise MimicError(
            f"{storage.url}: holds something that mimic did not write ({found}); use an empty or "
            "new folder as --out"
        )


def _anything_in(storage: Storage) -> str | None:
    path = storage.local_path()
    if path is None:
        return next((entry.name for entry in islice(storage.list(), 1)), None)
    if path.is_file():
        raise MimicError(f"{path}: is a file; --out must be a folder")
    if not path.is_dir():
        return None
    # A run that was killed while it probed leaves an empty .mimic.
    names = sorted(entry.name for entry in os.scandir(path) if entry.name != ".mimic")
    return names[0] if names else None
