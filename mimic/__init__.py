"""mimic: multi-view image pairs with patch correspondences, mined from your own footage."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("mimic")
except PackageNotFoundError:  # run from a source tree without installation
    __version__ = "0.1.0"

_LAZY = {"pairs": "mimic.api", "mine_pairs": "mimic.api", "load_config": "mimic.config"}

__all__ = ["__version__", "load_config", "mine_pairs", "pairs"]


def __getattr__(name: str) -> Any:
    """Import the API on first use, so that ``import mimic`` costs nothing."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'mimic' has no attribute {name!r}")
