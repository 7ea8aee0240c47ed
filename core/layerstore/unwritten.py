"""What a driver's author has not written yet, told from a failure: a name and its clauses instead of a traceback.

A part that raises ``NotImplementedError``, or that a reader's or writer's class lacks, is not written. Nothing else is
asked for, so that a driver begun by hand is told the same as one that ``layerstore new-driver`` began.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping
from types import FrameType, MappingProxyType
from typing import Final

from layerstore.driver import Driver, Reader, Writer

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
"""What an author writes, in the order in which it is best written, and the clauses that it has to keep.

Every scenario stores something, and takes away what it stored: until ``put``, ``list`` and ``delete`` are written none
can pass, and from then on some do after each step.
"""

_ABSTRACT = "Can't instantiate abstract class"


class UnwrittenError(NotImplementedError):
    """A part of the driver is not written.

    No ``LayerStoreError``: whoever goes on after a failure of storage is not to go on after this.
    """

    def __init__(self, part: str, scheme: str = "", detail: str = "") -> None:
        """Name the part, the driver's scheme, and what the part itself had to say."""
        super().__init__(part, scheme, detail)
        self.part = part
        self.scheme = scheme
        self.detail = detail

    def __str__(self) -> str:
        whose = f"driver {self.scheme!r}" if self.scheme else "the driver"
        said = f" ({self.detail})" if self.detail else ""
        url = f"{self.scheme}:..." if self.scheme else "URL"
        then = f"write it, and 'layerstore conformance {url} --quick' tells what is next"
        return f"{whose} does not implement {named(self.part)}{said}: {then}"


def in_order(parts: Iterable[str]) -> list[str]:
    """Return parts in the order in which they are best written, each once."""
    return sorted(set(parts), key=list(PARTS).index)


def named(part: str) -> str:
    """Return a part's name with its clauses."""
    return f"{part} ({' '.join(PARTS[part])})"


def wanting(error: BaseException) -> list[str]:
    """Return which parts of a driver an error itself was raised for want of, whatever its cause; none if it was not."""
    if isinstance(error, UnwrittenError):
        return [error.part]
    if isinstance(error, NotImplementedError):
        return [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__) if _is_part(frame)][-1:]
    if isinstance(error, TypeError) and str(error).startswith(_ABSTRACT):
        return [name for name in PARTS if re.search(rf"\b{name}\b", str(error))]
    return []


def _is_part(frame: FrameType) -> bool:
    """Tell whether a frame is a driver's: a vendor's client may have a method of the same name."""
    code = frame.f_code
    owner = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
    kind = owner if isinstance(owner, type) else type(owner)
    return code.co_name in PARTS and issubclass(kind, Driver | Reader | Writer)
