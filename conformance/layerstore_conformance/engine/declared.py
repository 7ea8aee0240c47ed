"""The sense of what a driver declares, checked before anything is made of it."""

from __future__ import annotations

from dataclasses import fields

from layerstore.driver import Capabilities

LEAST = 6 << 20
"""The least bound of memory that can be kept, in bytes: layerstore's own buffers take about 5 MiB (C6.3)."""

MOST = 1 << 30
"""The most bytes that are a bound at all: the suite stores layers half as large again."""


def nonsense(capabilities: object) -> str:
    """Return what makes no sense of a driver's capabilities, in one line; empty if all does."""
    if not isinstance(capabilities, Capabilities):
        return f"capabilities is {_shown(capabilities)}, and must be a layerstore.driver.Capabilities"
    for name in (each.name for each in fields(Capabilities) if each.name != "memory"):
        if not isinstance(getattr(capabilities, name), bool):
            return f"{name}={_shown(getattr(capabilities, name))} is declared, and must be True or False"
    return _nonsense_of_memory(capabilities)


def _nonsense_of_memory(capabilities: Capabilities) -> str:
    memory, usual = capabilities.memory, Capabilities.__dataclass_fields__["memory"].default
    said = f"memory={_shown(memory)} is declared"
    if isinstance(memory, bool) or not isinstance(memory, int):
        return f"{said}, and must be a whole number of bytes"
    if not LEAST <= memory <= MOST:
        return f"{said}, in bytes, and must be from {LEAST} ({LEAST >> 20} MiB) to {MOST} ({MOST >> 30} GiB): clause C6"
    if memory != usual and not capabilities.durable:
        return f"{said} without durable: only a durable driver has a bound (clause C6)"
    return ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
