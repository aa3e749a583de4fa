"""What a run learns: one file a method, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimic.layered import validated
from train.errors import TrainError
from train.methods.alligat0r import Alligat0r
from train.methods.base import Method
from train.methods.croco import CroCo
from train.methods.mae import MAE
from train.methods.pose import RelativePose

METHODS: dict[str, type[Method]] = {method.name: method for method in (MAE, CroCo, Alligat0r)}
"""What is pretrained with."""
TASKS: dict[str, type[Method]] = {method.name: method for method in (RelativePose,)}
"""What is fine-tuned for."""


def method_of(name: str, known: Mapping[str, type[Method]] = METHODS | TASKS) -> type[Method]:
    """The method of a name."""
    if name not in known:
        raise TrainError(f"--method {name}: use one of {', '.join(METHODS)}")
    return known[name]


def build_method(name: str, options: dict[str, Any]) -> Method:
    """A method with its first weights, drawn from torch's global generator.

    Raises:
        TrainError, ConfigError: an option is unknown or does not fit; it is named.
    """
    method = method_of(name)
    return method(validated(method.Options, options))
