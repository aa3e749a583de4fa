"""The versions of what decides bytes: packages, Python and the processor's instructions."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from mimic import __version__

_OPENCV = (
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-python",
)


def versions() -> dict[str, str]:
    """Name to version. Equal versions and equal sources give equal shards (law 3)."""
    return {
        "mimic": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": _version(*_OPENCV),
        "av": _version("av"),
        "pyarrow": _version("pyarrow"),
        "cpu": _instructions(),
        **_renderers(),
    }


def _renderers() -> dict[str, str]:
    """What draws scenes, and reads their textures, as far as it is installed."""
    names = {
        "pillow": "pillow",
        "trimesh": "trimesh",
        "embreex": "embreex",
        "habitat": "habitat-sim",
    }
    found = {name: _version(package) for name, package in names.items()}
    return {name: value for name, value in found.items() if value != "absent"}


def merged(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    """Versions of a data set written in several runs: where they differ, all of them."""
    result = dict(old)
    for name, value in new.items():
        known = result.get(name, "").split(" | ") if result.get(name) else []
        result[name] = " | ".join(sorted({*known, value}))
    return result


def _version(*names: str) -> str:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "absent"


def _instructions() -> str:
    """The architecture and the vector instructions that NumPy sees (OpenCV uses the same)."""
    found: dict[str, bool] = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    return " ".join([platform.machine(), *sorted(name for name, has in found.items() if has)])
