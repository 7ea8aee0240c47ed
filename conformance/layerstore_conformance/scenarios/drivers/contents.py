"""Contents: bytes that look like those before, to whoever compares less than all of them, replace them all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from layerstore import FencedError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

Change = Callable[[bytearray], None]
"""Changes bytes in place."""

CRC: Final = (1 | 0xEDB88320 << 1).to_bytes(5, "little")
"""The polynomial of CRC-32: xored onto bytes anywhere, it leaves their checksum."""


def _crc(data: bytearray) -> None:
    middle = len(data) // 2
    for number, bits in enumerate(CRC):
        data[middle + number] ^= bits


def _adler(data: bytearray) -> None:
    """Add a second difference: the sum, and the sum weighted by the places, stay."""
    middle = len(data) // 2
    data[middle : middle + 3] = bytes([101, 98, 101])


def _swapped(data: bytearray) -> None:
    middle = len(data) // 2
    data[middle], data[middle + 1] = data[middle + 1], data[middle]


def _changed_at(place: Callable[[int], int]) -> Change:
    def change(data: bytearray) -> None:
        data[place(len(data))] ^= 1

    return change


LOOKS: Final = Axis(
    "looks",
    {
        "the CRC-32": _crc,
        "the Adler-32": _adler,
        "the letters": _swapped,
        "all but the first byte": _changed_at(lambda size: 0),
        "all but the middle": _changed_at(lambda size: size // 2 + 7),
        "all but the last byte": _changed_at(lambda size: size - 1),
    },
)
"""In what the bytes before and after are alike, besides their length."""

SIZES: Final = Axis("size", {"700": 700, "300,000": 300_000, "1,500,000": 1_500_000})


def _put(driver: CheckedDriver, data: bytes) -> None:
    driver.put("d/key", data)


def _overwrite(driver: CheckedDriver, data: bytes) -> None:
    with driver.open_writer("d/key") as writer:
        writer.seek(0)
        writer.write(data)


def _move_over(driver: CheckedDriver, data: bytes) -> None:
    driver.put("d/source", data)
    driver.move("d/source", "d/key")


@scenario(
    *("P1", "S2", "W5", "M1", "F2"),
    kills=("put-of-what-looks-alike-is-skipped",),
    rows=(53, 74),
    axes=(LOOKS, SIZES, Axis("way", {"a put": _put, "a writer": _overwrite, "a move": _move_over})),
)
def what_looks_like_the_bytes_before_replaces_them(
    ctx: Context, looks: Change, size: int, way: Callable[[CheckedDriver, bytes], None]
) -> None:
    """Bytes of the same length and checksum as those before replace them, at another version, and fence their writers.

    Who saves a transfer by comparing checksums, or both ends, serves the old bytes for ever.
    """
    size = max(600, ctx.size(size))
    before = bytearray(bulk("looks", size, ctx.seed))
    before[size // 2 : size // 2 + 3] = bytes([100, 100, 100]) if looks is _adler else b"abc"
    after = bytearray(before)
    looks(after)
    assert before != after, "they are the same"
    for old, new in ((before, after), (after, before)):
        ctx.driver.put("d/key", bytes(old))
        version = ctx.driver.stat("d/key").version
        writer = ctx.driver.open_writer("d/key")
        way(ctx.driver, bytes(new))
        ctx.expect("d/key", bytes(new))
        assert ctx.open().stat("d/key").version != version, "it is still at the version of the bytes before"
        with refused(FencedError):
            writer.flush()
        writer.discard()
