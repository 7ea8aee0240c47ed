"""Half-read: listings that stand still after any number of names, while others call; then they go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.together import in_another_thread
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.forking import Forked

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"
IDS = "listing"

STAY: Final = ["d/a", "d/c/", "d/e", "d/g/", "d/i"]
"""Names directly below ``d`` that stay."""

READ: Final = {"quick": (1,), "default": (0, 1, 3, 5), "full": (0, 1, 2, 3, 4, 5)}
"""Names that are read of a listing before others call."""

DATA: Final = b"half-read" * 100

LISTS: Final = {"list": CheckedDriver.list, "scan": CheckedDriver.scan}


def _append(driver: CheckedDriver) -> None:
    with driver.open_writer("d/b") as writer:
        writer.write(DATA)
        writer.flush()
        writer.write(DATA)


def _read(driver: CheckedDriver) -> None:
    assert driver.get("d/a", 10_000) == DATA, "something else was read"


def _list(driver: CheckedDriver) -> None:
    assert set(STAY) <= set(driver.list("d")), "another listing does not have what is there"


def _scan(driver: CheckedDriver) -> None:
    assert "d/" in driver.scan(""), "another scan does not have what is there"


CALLS: Final[dict[str, Callable[[CheckedDriver], object]]] = {
    "put": lambda driver: driver.put("d/b", DATA),
    "write": _append,
    "read": _read,
    "stat": lambda driver: driver.stat("d/a"),
    "list": _list,
    "scan": _scan,
    "move": lambda driver: driver.move("d/b", "d/h"),
    "delete": lambda driver: driver.delete("d/h"),
    "delete of a prefix": lambda driver: driver.delete("other"),
    "discard": lambda driver: driver.open_writer("d/new").discard(),
}
"""Calls, each on what those before it have left; none touches what stays."""


def _all_calls(driver: CheckedDriver) -> None:
    for call in CALLS.values():
        call(driver)


def _put(driver: CheckedDriver) -> None:
    for key in ("d/a", "d/c/deep", "d/e", "d/g/1", "d/g/2", "d/i", "other/key"):
        driver.put(key, DATA)


class _Begun:
    """A listing of ``d`` that was read half, so many names of it."""

    def __init__(self, driver: CheckedDriver, lists: str, read: int) -> None:
        self._told = f"a {lists} of which {read} names were read"
        self._listing: Iterator[object] = iter(LISTS[lists](driver, "d"))
        self._names: list[str] = []
        for _ in range(read):
            self._next()

    def go_on(self) -> None:
        """Read to the end, and check that what has stayed was told once, in order."""
        while self._next():
            pass
        stayed = [name for name in self._names if name in STAY]
        assert stayed == STAY, f"{self._told} before other calls told of {self._names}"

    def _next(self) -> bool:
        name = next(self._listing, None)
        if isinstance(name, str):
            self._names.append(name)
        return name is not None


def _begun(ctx: Context, driver: CheckedDriver) -> list[_Begun]:
    return [_Begun(driver, lists, read) for lists in LISTS for read in READ[ctx.profile]]


@scenario(
    *("L4", "T1", "T2", "T6"),
    kills=("a-listing-keeps-its-turn",),
    axes=(Axis("call", CALLS), Axis("whose", {"the same driver": False, "another driver": True})),
)
def a_half_read_listing_keeps_no_other_thread_waiting(
    ctx: Context,
    call: Callable[[CheckedDriver], object],
    whose: bool,  # noqa: FBT001  (the axis's name)
) -> None:
    """While listings are half-read, and nobody reads on, another thread makes any call, and then they go on.

    Whoever reads a listing may take minutes over each name: what he has begun must not hold up all others.
    """
    _put(ctx.driver)
    ctx.driver.put("d/b", DATA)
    ctx.driver.put("d/h", DATA)
    listings = _begun(ctx, ctx.driver)
    other = ctx.open() if whose else ctx.driver
    failures = in_another_thread(lambda: _failures(call, other))
    assert not failures, f"a call beside half-read listings failed: {failures[0]}"
    for each in listings:
        each.go_on()


def _failures(call: Callable[[CheckedDriver], object], driver: CheckedDriver) -> list[BaseException]:
    try:
        call(driver)
    except Exception as error:  # noqa: BLE001  (raised in the scenario's thread)
        return [error]
    return []


@scenario(
    *("L4", "T2", "T6", "C3"),
    kills=("a-listing-locks-out-other-processes",),
    needs=("shared", "url"),
)
def a_half_read_listing_keeps_no_other_process_waiting(ctx: Context) -> None:
    """While one process has listings half-read, another one makes every call, and the other way round."""
    _put(ctx.driver)
    with Elsewhere(ctx) as there:
        listings = _begun(ctx, ctx.driver)
        there.run(_all_calls)
        for each in listings:
            each.go_on()
        there.hold(_begin_there, READ[ctx.profile])
        _put(ctx.driver)
        _all_calls(ctx.driver)
        there.run(_go_on_there)


_there: list[_Begun] = []
"""In the other process."""


def _begin_there(driver: CheckedDriver, read: tuple[int, ...]) -> None:
    _there[:] = [_Begun(driver, lists, number) for lists in LISTS for number in read]


def _go_on_there(_driver: CheckedDriver) -> None:
    for each in _there:
        each.go_on()


@scenario(
    *("L4", "T5", "T6"),
    kills=("a-listing-keeps-a-forked-child-waiting",),
    needs=("shared", "url", "fork"),
)
def a_half_read_listing_outlives_a_fork(ctx: Context) -> None:
    """A process forks with listings half-read; its child and then itself make every call, and the listings go on."""
    with Elsewhere(ctx) as there:
        there.run(_fork_half_way, READ[ctx.profile])


def _fork_half_way(driver: CheckedDriver, read: tuple[int, ...]) -> None:
    _put(driver)
    _begin_there(driver, read)

    def child(_parent: Connection) -> None:
        _all_calls(driver)

    with Forked(child, longest=20):
        pass
    _put(driver)
    _all_calls(driver)
    _go_on_there(driver)
