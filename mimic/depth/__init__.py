"""Learned metric depth, for pictures without any: what a backend is, and how one is named.

A backend is an optional extra. Nothing here imports one before it is asked for (law 6).
"""

from mimic.depth.base import DepthModel, Device, MetricDepth
from mimic.depth.models import device_for, model_at, opened

__all__ = ["DepthModel", "Device", "MetricDepth", "device_for", "model_at", "opened"]
