"""Parts of a driver that its author has not written yet: a name and its clauses instead of a traceback.

A part is not written if it raises ``NotImplementedError``, or if a reader's or writer's class lacks it. So a driver
that was begun by hand gets the same messages as one that ``layerstore new-driver`` began.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping
from types import FrameType, MappingProxyType
from typing import Final

PARTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "open": ("O2", "E2"),
        "put": ("P1", "P2", "P3", "F2"),
        "list": ("L1", "L2", "L3", "L4", "L5", "K2"),
        "delete": ("D1", "D2", "D3", "D4", "D5", "F2"),
        "stat": ("S1", "S2", "S3"),
        "open_reader": ("R1", "R2", "R3", "R4"),
        "read_at": ("R4", "R5"),
        "open_writer": ("W1", "F1", "C2"),
        "write_at": ("W2", "W3", "W4", "W5", "W9"),
        "publish": ("W6", "W8", "F3", "F4"),
        "release": ("W7", "T4"),
        "move": ("M1", "M2", "M3", "M4", "M5", "F2"),
        "close": ("T4",),
    }
)
"""The parts that an author writes, in the order in which to write them, and the clauses that each must keep.

Every scenario stores something and removes it: none can pass before ``put``, ``list`` and ``delete`` are written, and
from then on some pass after each step.
"""

_ABSTRACT = "Can't instantiate abstract class"


class Authored:
    """The base of the classes that a driver's author derives from: a method of theirs may be a part."""

    __slots__ = ()


class UnwrittenError(NotImplementedError):
    """A part of the driver is not written.

    It is no ``LayerStoreError``: a program that handles failures of storage must not handle this.
    """

    def __init__(self, part: str, scheme: str = "", detail: str = "") -> None:
        """Take the part's name, the driver's scheme, and the part's own message."""
        super().__init__(part, scheme, detail)
        self.part = part
        self.scheme = scheme
        self.detail = detail

    def __str__(self) -> str:
        whose = f"driver {self.scheme!r}" if self.scheme else "the driver"
        said = f" ({self.detail})" if self.detail else ""
        url = f"{self.scheme}:..." if self.scheme else "URL"
        then = f"write it, and 'layerstore conformance {url} --quick' says what is next"
        return f"{whose} does not implement {named(self.part)}{said}: {then}"


def in_order(parts: Iterable[str]) -> list[str]:
    """Return parts in the order in which to write them, each once."""
    return sorted(set(parts), key=list(PARTS).index)


def named(part: str) -> str:
    """Return a part's name with its clauses."""
    return f"{part} ({' '.join(PARTS[part])})"


def wanting(error: BaseException) -> list[str]:
    """Return the unwritten parts of a driver for which an error was raised; none for another error."""
    if isinstance(error, UnwrittenError):
        return [error.part]
    if isinstance(error, NotImplementedError):
        return [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__) if _is_part(frame)][-1:]
    if isinstance(error, TypeError) and str(error).startswith(_ABSTRACT):
        return [name for name in PARTS if re.search(rf"\b{name}\b", str(error))]
    return []


def _is_part(frame: FrameType) -> bool:
    """Return whether a frame is a driver's: a vendor's client may have a method of the same name."""
    code = frame.f_code
    owner = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
    kind = owner if isinstance(owner, type) else type(owner)
    return code.co_name in PARTS and issubclass(kind, Authored)
