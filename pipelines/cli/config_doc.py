"""Writes docs/config.md from the config itself: ``python -m pipelines.cli.config_doc``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mimic.config import Config
from mimic.layered_tables import Column, plain, tables
from mimic.presets import PRESETS

TARGET = Path(__file__).resolve().parents[2] / "docs" / "config.md"

_HEAD = """# Config

Every constant of the miner is a config value. Values are laid over each other, later ones win:

1. the preset, `--preset default` or `--preset mimic` (the constants of the MIMIC paper);
2. a YAML file, `--config my.yaml`;
3. options with a name of their own, such as `--size` and `--overlap`;
4. single values, `--set filters.min_matches=20` (as often as needed).

A key that is not listed here is an error that names the nearest one. `null` switches a filter off
where that is allowed. All values but those under `run` enter the fingerprint that is stored with
the shards: `run` says how the work is executed, and never changes a byte of what comes out.

```yaml
# my.yaml
preset: default
overlap: {low: 0.4, high: 0.8}
filters:
  max_scale_ratio: null
```

This page is written by `make docs`; do not edit it.
"""


def document() -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *tables(Config, (Column("preset mimic", _in_mimic),))])


def _in_mimic(key: str) -> str:
    value: Any = PRESETS["mimic"]
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            return ""
        value = value[name]
    return f"`{plain(value)}`"


if __name__ == "__main__":
    TARGET.write_text(document())
