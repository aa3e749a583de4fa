"""mimic: multi-view image pairs with patch correspondences, mined from your own footage."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("mimic")
except PackageNotFoundError:  # run from a source tree without installation
    __version__ = "0.1.0"
