"""The axes that several scenarios take: sizes, characters of a key, buffers, time zones."""

from __future__ import annotations

import array
import ctypes
import mmap
from typing import TYPE_CHECKING, Final

from layerstore_conformance.engine.axes import Axis

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

KIB: Final = 1 << 10
MIB: Final = 1 << 20

SIZES: Final = Axis(
    "size",
    {
        "none": 0,
        "1": 1,
        "4 KiB - 1": 4 * KIB - 1,
        "4 KiB": 4 * KIB,
        "4 KiB + 1": 4 * KIB + 1,
        "64 KiB": 64 * KIB,
        "64 KiB + 1": 64 * KIB + 1,
        "1 MiB - 1": MIB - 1,
        "1 MiB": MIB,
        "1 MiB + 1": MIB + 1,
        "a million": 10**6,
        "3 MiB": 3 * MIB,
        "4 MiB": 4 * MIB,
        "5 MiB": 5 * MIB,
        "5 MiB + 1": 5 * MIB + 1,
        "8 MiB": 8 * MIB,
        "15 MiB": 15 * MIB,
        "16 MiB": 16 * MIB,
    },
)
"""Bytes of an object: exact multiples of what backends and their libraries take at a time, and one more or less."""

CLASSES: Final = Axis("size", {"9 KB": 9_000, "300 KB": 300_000, "2.5 MiB": 5 * MIB // 2, "17 MiB": 17 * MIB + 3})
"""Bytes of an object, one for each way in which a backend may treat it."""

GRAMMAR: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-"
"""Every character that a segment of a key may have."""


def _array(data: bytes) -> array.array[int]:
    return array.array("B", data)


def _mapped(data: bytes) -> mmap.mmap:
    made = mmap.mmap(-1, len(data))
    made[:] = data
    return made


def _foreign(data: bytes) -> ctypes.Array[ctypes.c_char]:
    return (ctypes.c_char * len(data)).from_buffer_copy(data)


MUTABLE: Final[dict[str, Callable[[bytes], Buffer]]] = {
    "bytearray": bytearray,
    "array": _array,
    "mmap": _mapped,
    "ctypes": _foreign,
}
"""Makers of memory that can be filled anew."""

VIEWS: Final[dict[str, Callable[[memoryview], Buffer]]] = {
    "itself": lambda view: view.obj,
    "view": lambda view: view,
    "read-only view": lambda view: view.toreadonly(),
    "slice of a view": lambda view: view[:],
}
"""Ways to hand memory on."""

OWNERS: Final = Axis("owner", MUTABLE)
HANDED: Final = Axis("handed", VIEWS)

ZONES: Final = Axis("zone", {"UTC": "UTC0", "west": "WST+9:30", "east": "EST-13:45"})
"""Time zones, as POSIX spells them: the sign is that of UTC less local time."""
