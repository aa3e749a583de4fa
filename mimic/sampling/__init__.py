"""Which pairs of a unit are measured."""

from mimic.sampling.policies import POLICIES, margin_slots
from mimic.sampling.window import Window

__all__ = ["POLICIES", "Window", "margin_slots"]
