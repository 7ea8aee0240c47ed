"""Meeting: two calls at the same moment; one comes first, and the other sees what it has done, or raises an error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, Final

from layerstore import DriverError, FencedError, PathNotFoundError, open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.moments import IsMoment, Meeting
from layerstore_conformance.kit.places import Places
from layerstore_conformance.kit.together import together
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from layerstore.driver import Driver, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

CHANGED = b"what a change leaves"

CHANGES: dict[str, tuple[Callable[[CheckedDriver], None], bytes | None]] = {
    "a put": (lambda driver: driver.put("d/key", CHANGED), CHANGED),
    "a move over it": (lambda driver: driver.move("source", "d/key"), CHANGED),
    "a delete": (lambda driver: driver.delete("d/key"), None),
    "a delete of the prefix": (lambda driver: driver.delete("d"), None),
}
"""Calls that take a key from its writer, with the bytes that are there afterwards."""


def _done(act: Callable[[], object], refusal: type[DriverError]) -> bool:
    """Do something, and return whether it was done; if the other call came first, it raises this error."""
    try:
        act()
    except refusal:
        return False
    return True


@scenario("F1", "F3", "F4", "T1", kills=("fencing-absent",), rows=(119, 120, 121))
def of_writers_flushed_at_once_the_last_opened_publishes(ctx: Context) -> None:
    """If writers of one object flush at once, the one opened last publishes, and the others raise FencedError.

    If they fenced each other, a client and its own retry would get nowhere.
    """
    other = ctx.open()
    for number in range(ctx.size(8)):
        key = f"d/{number}"
        writers = [driver.open_writer(key) for driver in (ctx.driver, other, ctx.driver)]
        for index, writer in enumerate(writers):
            writer.write(ctx.payload(f"writer-{index}").read(600))
        done = together([partial(_done, writer.close, FencedError) for writer in writers])
        assert done == [False, False, True], f"in the order of opening, done were {done}"
        ctx.expect(key, ctx.payload("writer-2").read(600))


@scenario("F2", "F3", "F4", "D3", "T1", kills=("flush-overtakes-a-change",), rows=(115, 119, 120))
def a_flush_that_meets_a_change_comes_before_it_or_never(ctx: Context) -> None:
    """If a flush meets a put, a move or a delete, the change stands: the writer was opened before it.

    A flush on its way must not bring back a cancelled upload, nor spoil a layer that was healed.
    """
    other = ctx.open()
    for name, (change, left) in CHANGES.items():
        for number in range(ctx.size(4)):
            ctx.step(f"{name}, {number}")
            ctx.driver.put("source", CHANGED)
            writer = ctx.driver.open_writer("d/key")
            writer.write(ctx.payload("flushed").read(600))
            if number % 2:
                writer.flush()
                writer.write(ctx.payload("flushed").read(600, 600))
            acts: list[Callable[[], object]] = [partial(_done, writer.close, FencedError), partial(change, other)]
            together(acts)
            if left is None:
                assert ctx.stored("d") == [], f"{name} and a flush left {ctx.stored('d')}"
            else:
                ctx.expect("d/key", left)
            ctx.driver.delete("d")


@scenario("M1", "M3", "T1", kills=("move-copies-first", "move-in-two-steps"), rows=(94, 96, 119))
def of_two_moves_of_one_object_one_finds_it(ctx: Context) -> None:
    """If an object is moved to two names at once, it arrives under one, and the other move raises an error.

    When a move has returned, its caller relies on the object being there and nowhere else.
    """
    drivers = (ctx.driver, ctx.open())
    targets = ("d/one", "d/two")
    for _ in range(ctx.size(8)):
        ctx.driver.put("source", ctx.payload("moved").read(700))
        moves = [partial(driver.move, "source", target) for driver, target in zip(drivers, targets, strict=True)]
        done = together([partial(_done, move, PathNotFoundError) for move in moves])
        assert sum(done) == 1, f"{sum(done)} of 2 moves of one object were done"
        assert ctx.stored() == [*compress(targets, done)], f"moved to {[*compress(targets, done)]}: {ctx.stored()}"
        ctx.expect(ctx.stored()[0], ctx.payload("moved").read(700))
        ctx.driver.delete("d")


BEGINNINGS: Final = {"quick": 20, "default": 100, "full": 5000}
"""Moments of a first write that are tried."""


@scenario(
    *("F4", "W6", "T1", "T2", "C3"),
    kills=("sessions-are-buried-while-they-begin",),
    needs=("traced", "url", "shared"),
    axes=(Axis("key", {"a new object": "d/new", "an append": "d/old"}),),
)
def two_drivers_that_begin_at_once_keep_what_they_write(ctx: Context, key: str) -> None:
    """While a driver opens its first writer, another one begins; when a third has written, the first one flushes all.

    A driver may note that it is alive, and remove what the dead have left. While it begins, it is not dead.
    """
    with a_folder() as folder:
        opens = store_in(ctx, folder / "store")
        anew = Harness(opens).open if isinstance(opens, str) else opens  # the URL is looked up once
        with ctx.handles():
            ctx.at(anew).put("d/old", b"old, ")
        events = _begin_at_once(ctx, anew, key, 1 << 60)
        for moment in ctx.sample(range(events), BEGINNINGS[ctx.profile]):
            _begin_at_once(ctx, anew, key, moment)
            ctx.count("moments")


def _returns_in(driver: CheckedDriver) -> IsMoment:
    """Return what tells the moments at which a driver's own code has just done something outside of it."""
    places = Places(driver)
    return lambda frame, event, called: event == "c_return" and places.have(frame, event, called)


def _begin_at_once(ctx: Context, opens: Callable[[], Driver], key: str, moment: int) -> int:
    """Have a driver open its first writer, and another one put at a moment of that; return how many there are."""
    with ctx.handles():
        first, second, third = (ctx.at(opens) for _ in range(3))
        writers: list[Writer] = []
        meeting = Meeting(partial(second.put, "d/second", b"second"), moment, _returns_in(first))
        meeting.of(lambda: writers.append(_begun(first, key)))
        third.put("d/third", b"third")
        old = b"old, " if key == "d/old" else b""
        writers[0].close()
        found = {each: third.get(each, 100) for each in third.list("d")}
        wanted = {"d/old": b"old, ", "d/second": b"second", "d/third": b"third", key: old + b"first"}
        assert found == wanted, f"begun at event {moment} of the first write: {found}"
        third.delete("d")
        third.put("d/old", b"old, ")
    return meeting.events


def _begun(driver: CheckedDriver, key: str) -> Writer:
    writer = driver.open_writer(key)
    writer.write(b"first")
    return writer


OPENINGS: Final = {"quick": 3, "default": 8, "full": 200}
"""Moments of a first opening that are tried, each in a process of its own."""


@scenario("T1", "O2", "C5", kills=("a-named-store-is-looked-for-and-then-made",), rows=(119,), needs=("url",))
def a_store_that_two_threads_open_first_is_one_store(ctx: Context) -> None:
    """If a thread opens a store at any moment at which another one opens it, before anybody else, it is one store.

    Two requests reach a server that has just been started. What one of them stores must not be lost.
    """
    places = Places(ctx.driver)
    events = _open_at_once(ctx, places, 1 << 60)
    for moment in ctx.sample(range(events), OPENINGS[ctx.profile]):
        _open_at_once(ctx, places, moment)
        ctx.count("moments")


def _open_at_once(ctx: Context, places: Places, moment: int) -> int:
    assert ctx.harness.url is not None, "needs url"
    with Elsewhere(ctx, "memory:") as there:
        return there.run(_opened_by_two, ctx.harness.url, places, moment, f"{ctx.prefix}/first-{min(moment, 1 << 20)}")


def _opened_by_two(driver: CheckedDriver, url: str, places: Places, moment: int, key: str) -> int:
    """Open a store twice, the second time at a moment of the first; return how many moments that has."""
    del driver

    def second() -> None:
        with closing(open_driver(url)) as another:
            another.put(key, b"by the second")

    opened: list[CheckedDriver] = []
    meeting = Meeting(second, moment, places.are_entered)
    meeting.of(lambda: opened.append(open_driver(url)))
    with closing(opened[0]) as first:
        assert first.find(key) is not None, f"opened again at event {moment} of its first opening, {url} is two stores"
    return meeting.events
