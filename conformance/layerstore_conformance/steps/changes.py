"""Changes of one object, each in another way: it has other bytes, and another version, afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.checked import CheckedDriver

KEY: Final = "d/key"


def _put(driver: CheckedDriver, data: bytes) -> None:
    driver.put(KEY, data)


def _append(driver: CheckedDriver, data: bytes) -> None:
    with driver.open_writer(KEY) as writer:
        writer.write(data)


def _rewrite(driver: CheckedDriver, data: bytes) -> None:
    with driver.open_writer(KEY) as writer:
        writer.seek(0)
        writer.write(data)


def _move_over(driver: CheckedDriver, data: bytes) -> None:
    driver.put("d/source", data)
    driver.move("d/source", KEY)


def _make_anew(driver: CheckedDriver, data: bytes) -> None:
    driver.delete("d")
    _append(driver, data)


CHANGES: Final[dict[str, Callable[[CheckedDriver, bytes], None]]] = {
    "put": _put,
    "append": _append,
    "rewrite": _rewrite,
    "move over": _move_over,
    "make anew": _make_anew,
}
