"""Damage: files of a store that a disk or another program has spoilt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from layerstore import DriverError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


def _noise(data: bytes) -> bytes:
    return bulk("noise", len(data))


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _nothing(data: bytes) -> bytes:
    del data
    return b""


def _noise_behind(data: bytes) -> bytes:
    return data[:4096] + bulk("noise", max(0, len(data) - 4096))


DAMAGE = Axis("damage", {"noise": _noise, "half": _half, "nothing": _nothing, "noise behind 4 KiB": _noise_behind})


@scenario("E1", kills=("damage-is-told-by-the-library",), needs=("traced", "url"), axes=(DAMAGE,))
def a_damaged_store_raises_no_other_errors(ctx: Context, damage: Callable[[bytes], bytes]) -> None:
    """If the files of a store are damaged, a call does what it can, or raises one of the contract's errors.

    A server that knows no other errors ends the whole request, or itself, and tells nobody which store is damaged.
    """
    with a_folder() as folder:
        opens = store_in(ctx, folder / "store")
        with closing(ctx.at(opens)) as driver:
            driver.put("d/one", bulk("one", 9000))
            driver.put("d/two", bulk("two", 900_000))
            writer = driver.open_writer("d/begun")
            writer.write(bulk("begun", 300_000))
            writer.flush()
            writer.write(b"more")
            writer.close()
        for path in folder.rglob("*"):
            if path.is_file():
                path.write_bytes(damage(path.read_bytes()))
        with suppress(DriverError), closing(ctx.at(opens)) as driver:
            for name, call in CALLS.items():
                ctx.step(name)
                with suppress(DriverError):
                    call(driver)


def _read(driver: CheckedDriver) -> None:
    with driver.open_reader("d/two") as reader:
        reader.readall()


def _write(driver: CheckedDriver) -> None:
    with driver.open_writer("d/begun") as writer:
        writer.write(b"goes on")


CALLS: dict[str, Callable[[CheckedDriver], object]] = {
    "stat": lambda driver: driver.stat("d/one"),
    "read": _read,
    "list": lambda driver: list(driver.list("d")),
    "scan": lambda driver: list(driver.scan("")),
    "write": _write,
    "put": lambda driver: driver.put("d/one", b"anew"),
    "move": lambda driver: driver.move("d/one", "e/moved"),
    "delete": lambda driver: driver.delete("d"),
}
