"""What a run learns: one file a method, by name."""

from __future__ import annotations

from typing import Any

from mimic.layered import validated
from train.errors import TrainError
from train.methods.alligat0r import Alligat0r
from train.methods.base import Method
from train.methods.croco import CroCo
from train.methods.mae import MAE

METHODS: dict[str, type[Method]] = {method.name: method for method in (MAE, CroCo, Alligat0r)}


def method_of(name: str) -> type[Method]:
    """The method of a name."""
    if name not in METHODS:
        raise TrainError(f"--method {name}: use one of {', '.join(METHODS)}")
    return METHODS[name]


def build_method(name: str, options: dict[str, Any]) -> Method:
    """A method with its first weights, drawn from torch's global generator.

    Raises:
        TrainError, ConfigError: an option is unknown or does not fit; it is named.
    """
    method = method_of(name)
    return method(validated(method.Options, options))
