"""Leaks of a driver that comes later: whatever became of the writers before it, it keeps nothing open for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.processes.elsewhere import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "leaks"

MANY: Final = 8
"""Writers of which something is left; each has a key of its own."""

FLUSHED, MORE = b"flushed", b"written since"


def _new(driver: CheckedDriver, key: str) -> Writer:
    writer = driver.open_writer(key)
    writer.write(MORE)
    return writer


def _flushed(driver: CheckedDriver, key: str) -> Writer:
    writer = driver.open_writer(key)
    writer.write(FLUSHED)
    writer.flush()
    writer.write(MORE)
    return writer


def _rewriting(driver: CheckedDriver, key: str) -> Writer:
    writer = _flushed(driver, key)
    writer.seek(0)
    writer.write(MORE)
    return writer


BEGUN: Final = (_new, _flushed, _rewriting)

ENDS = Axis(
    "end",
    {
        "discarded": lambda driver, writer: writer.discard(),
        "closed": lambda driver, writer: writer.close(),
        "fenced": lambda driver, writer: driver.open_writer(writer.key),
        "fenced and discarded": lambda driver, writer: (driver.open_writer(writer.key).discard(), writer.discard()),
        "put over": lambda driver, writer: driver.put(writer.key, FLUSHED),
        "deleted": lambda driver, writer: driver.delete(writer.key),
        "open": lambda driver, writer: None,
    },
)


@scenario("T4", "T2", kills=("descriptor-for-each-left-key",), rows=(163,), axes=(ENDS,))
def a_later_driver_keeps_nothing_of_the_writers_before(
    ctx: Context, end: Callable[[CheckedDriver, Writer], object]
) -> None:
    """A driver that is opened after writers ended, in whatever way, leaves no descriptor open when it is closed.

    It may look at what each of them has left. A server that opens a driver for each request would soon have no more.
    """
    _visit(ctx)
    held: list[object] = []
    for begin in BEGUN:
        for number in range(MANY // 2):
            writer = begin(ctx.driver, f"d/{begin.__name__.strip('_')}-{number}")
            held += [end(ctx.driver, writer), writer]
    _expect_nothing_kept(ctx)
    del held


@scenario("T4", "C3", kills=("descriptor-for-each-left-key",), rows=(161, 163), needs=("url", "shared"))
def a_later_driver_keeps_nothing_of_killed_writers(ctx: Context) -> None:
    """A driver that is opened after a process with many writers was killed leaves no descriptor open when closed."""
    _visit(ctx)
    with Elsewhere(ctx) as there:
        there.hold(_begin_all)
        there.kill()
    _expect_nothing_kept(ctx)


def _begin_all(driver: CheckedDriver) -> Iterable[Writer]:
    return [begin(driver, f"d/{begin.__name__.strip('_')}-{number}") for begin in BEGUN for number in range(MANY // 2)]


def _expect_nothing_kept(ctx: Context) -> None:
    before = descriptors()
    for visit in range(2):
        _visit(ctx)
        more = descriptors() - before
        assert more < MANY // 4, f"{more} more descriptors are open after a driver was closed, the {visit + 1}. one"


def _visit(ctx: Context) -> None:
    """Open a driver, change something, look at what is there, and close it."""
    with ctx.handles():
        driver = ctx.open()
        driver.put("d/later", FLUSHED)
        driver.open_writer("d/later").discard()
        assert "d/later" in list(driver.scan("d"))
        driver.delete("d/later")
