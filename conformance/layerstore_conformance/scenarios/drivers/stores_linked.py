"""Stores whose files another program has linked to a second name: what is done under one leaves the other as it was."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"
IDS = "stores"

LINKED = b"bytes of two names"


def _append(driver: CheckedDriver) -> Writer:
    writer = driver.open_writer("d/key")
    writer.write(b", appended")
    return writer


def _rewrite(driver: CheckedDriver) -> Writer:
    writer = driver.open_writer("d/key")
    writer.seek(3)
    writer.write(b"rewritten")
    return writer


def _flush_and_append(driver: CheckedDriver) -> Writer:
    writer = _append(driver)
    writer.flush()
    writer.write(b", appended again")
    return writer


def _move_over(driver: CheckedDriver) -> None:
    driver.put("source", b"moved")
    driver.move("source", "d/key")


def _move_there_and_back_and_append(driver: CheckedDriver) -> None:
    driver.move("d/key", "source")
    driver.move("source", "d/key")
    _append(driver).close()


def _take_over_an_append(driver: CheckedDriver) -> None:
    begun = _append(driver)
    driver.open_writer("d/key").close()
    begun.discard()


def _take_over_a_rewrite(driver: CheckedDriver) -> None:
    begun = _rewrite(driver)
    _append(driver).close()
    begun.discard()


CHANGES = Axis(
    "change",
    {
        "append": lambda driver: _append(driver).close(),
        "append, flush and append": lambda driver: _flush_and_append(driver).close(),
        "rewrite": lambda driver: _rewrite(driver).close(),
        "flush of nothing": lambda driver: driver.open_writer("d/key").close(),
        "discarded append": lambda driver: _append(driver).discard(),
        "discard after a flush": lambda driver: _flush_and_append(driver).discard(),
        "discarded rewrite": lambda driver: _rewrite(driver).discard(),
        "takeover of an append": _take_over_an_append,
        "takeover of a rewrite": _take_over_a_rewrite,
        "put": lambda driver: driver.put("d/key", b"put"),
        "put of nothing": lambda driver: driver.put("d/key", b""),
        "move": lambda driver: driver.move("d/key", "d/moved"),
        "move of an append": lambda driver: (_append(driver), driver.move("d/key", "d/moved")),
        "append to what was moved": _move_there_and_back_and_append,
        "move over": _move_over,
        "delete": lambda driver: driver.delete("d/key"),
        "delete of an append": lambda driver: (_append(driver), driver.delete("d/key")),
    },
)
"""All that may change an object's file, or what lies behind its published bytes."""


@scenario(
    *("K3", "W6", "W7", "M1", "P1"),
    kills=("files-are-overwritten",),
    rows=(94,),
    needs=("traced", "url"),
    axes=(CHANGES, Axis("elsewhere", {"another key": "store/d/other", "outside the store": "outside"})),
)
def a_file_with_two_names_is_changed_under_one(
    ctx: Context, change: Callable[[CheckedDriver], object], elsewhere: str
) -> None:
    """If another program has linked an object's file to another name, that name keeps its bytes, whatever the key does.

    A backup of links, and a mirror that shares what is equal, would otherwise be changed with the store.
    """
    with a_folder() as folder, closing(ctx.at(store_in(ctx, folder / "store"))) as driver:
        driver.put("d/key", LINKED)
        files = [path for path in folder.rglob("d/key") if path.is_file()]
        for path in files:
            os.link(path, folder / elsewhere)
        change(driver)
        gc.collect()
        for path in files:
            ctx.same((folder / elsewhere).read_bytes(), LINKED, f"the other name of {path.name}")
            if elsewhere.startswith("store/"):
                ctx.same(driver.get("d/other", 100), LINKED, "d/other")
                driver.open_writer("d/other").close()
                ctx.same(driver.get("d/other", 100), LINKED, "d/other, which was opened and closed")
