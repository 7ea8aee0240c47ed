"""Large payloads, made once: a sweep stores many objects of many MiB, and making one takes longer than storing it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from layerstore_conformance.kit.payloads import Payload

LARGEST: Final = (17 << 20) + 4097
"""Bytes: above the 16 MiB that the largest common buffers, parts and thresholds have."""


def bulk(label: str, size: int, seed: int = 0) -> bytes:
    """Return the first ``size`` bytes of a payload, at most :data:`LARGEST`."""
    held = _held(label, seed)
    made = held[0]
    if len(made) < min(size, LARGEST):
        end = min(max(size, 2 * len(made)), LARGEST)
        made += Payload(label, seed).read(end - len(made), len(made))
        held[0] = made
    return made[:size]


@lru_cache(maxsize=4)
def _held(_label: str, _seed: int) -> list[bytes]:
    """Return the place of what is made of a payload so far."""
    return [b""]
