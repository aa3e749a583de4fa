"""Identities and seeds: every id is a hash of content, every random draw is seeded by an id.

Laws 1 and 3 rest on this module: no clock, no host, no order of arrival enters an id.
"""

from __future__ import annotations

import hashlib

import numpy as np

ID_HEX_DIGITS = 20


def stable_id(*parts: object) -> str:
    """20 hex digits of SHA-256 over the parts, unambiguous about where each part ends.

    Parts must have a stable ``str`` (strings, integers, booleans, None); floats are refused,
    because their text is easy to get differently: pass integers (ticks, slots) instead.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, float):
            raise TypeError(f"an id may not be made of a float ({part!r})")
        text = str(part).encode()
        digest.update(f"{len(text)}:".encode() + text)
    return digest.hexdigest()[:ID_HEX_DIGITS]


def seed_of(identity: str, *purpose: object) -> int:
    """A 63-bit seed for one purpose of one identity."""
    return int(stable_id(identity, *purpose)[:16], 16) >> 1


def generator_of(identity: str, *purpose: object) -> np.random.Generator:
    """The generator from which all draws for this identity and purpose come."""
    return np.random.Generator(np.random.PCG64(seed_of(identity, *purpose)))
