"""Large payloads, made once: a sweep stores many objects of many MiB, and making one takes longer than storing it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from layerstore_conformance.kit.payloads import Payload

LARGEST: Final = (17 << 20) + 4097
"""Bytes: above the 16 MiB that the largest common buffers, parts and thresholds have."""


def bulk(label: str, size: int, seed: int = 0) -> bytes:
    """Return the first ``size`` bytes of a payload, at most :data:`LARGEST`."""
    return _whole(label, seed)[:size]


@lru_cache(maxsize=3)
def _whole(label: str, seed: int) -> bytes:
    return Payload(label, seed).read(LARGEST)
