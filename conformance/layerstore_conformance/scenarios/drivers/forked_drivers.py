"""Forking: the driver itself works in the child too, beside its parent, and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from layerstore import FencedError, LayerService, LayerStoreError
from layerstore.checked import CheckedDriver
from layerstore.driver import Writer
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.payloads import Payload, digest, expect_same
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.forking import LONGEST, Forked

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"
IDS = "forking"

MOST = 1 << 20
"""Bytes that are read back of a small object, at most."""

HUGE = 9 << 20
"""Bytes of an object, enough for several threads to share the work."""

MANY = 30
"""Objects, enough for several threads to share the work."""

SHORT = Payload("short").read(3000)


class Closes(Protocol):
    """What is open at a fork."""

    def close(self) -> object:
        """Close it."""


@scenario("T5", "T6", kills=("threads-stay-behind-at-a-fork",), needs=("url", "fork"))
def a_child_does_what_its_parent_has_done(ctx: Context) -> None:
    """What a parent has done, with large and with many objects, its forked child can do, and then the parent again.

    A pool of threads, or a connection, that a call has made in the parent is of no use in the child. If the store is
    not shared, the child may be refused, but each of its calls must end.
    """
    with Elsewhere(ctx) as there:
        there.run(_do_in_turns, "shared" in ctx.harness.declared(ctx.capabilities))


def _do_in_turns(driver: CheckedDriver, shared: bool) -> None:  # noqa: FBT001  (sent to another process)
    def child(_parent: Connection) -> None:
        with suppress(*() if shared else (LayerStoreError, AssertionError)):
            _do_everything(driver, "child")

    began = monotonic()
    _do_everything(driver, "before")
    with Forked(child, longest=10 + int(20 * (monotonic() - began))):
        pass
    _do_everything(driver, "after")


def _do_everything(driver: CheckedDriver, who: str) -> None:
    """Put, write, read, move, list, scan and delete, and store a layer; more than a backend takes at once."""
    data = bulk(who, HUGE, 1)
    driver.put(f"{who}/put", data)
    with driver.open_writer(f"{who}/written") as writer:
        writer.write(data)
        writer.flush()
        writer.seek(HUGE // 2)
        writer.write(SHORT)
    driver.move(f"{who}/put", f"{who}/moved")
    with driver.open_reader(f"{who}/moved") as reader:
        expect_same(reader.read(HUGE), data, f"by the {who} at once")
    for number in range(MANY):
        driver.put(f"{who}/many/{number:02}", b"small")
    assert len(list(driver.list(f"{who}/many"))) == len(list(driver.scan(f"{who}/many"))) == MANY
    assert driver.stat(f"{who}/written").size == HUGE
    upload = LayerService(driver).upload(who)
    upload.write(data)
    with upload.finish(digest(data)) as layer:
        expect_same(layer.read(), data, f"as a layer of the {who}")
    driver.delete(who)
    assert list(driver.list(who)) == []


@scenario("T5", "C3", kills=("driver-is-bound-to-its-process",), needs=("shared", "url", "fork"))
def parent_and_child_use_one_driver(ctx: Context) -> None:
    """A forked child and its parent can put, write, read, list, move and delete by one driver at the same time.

    A server opens its store, and then forks the workers that serve it.
    """
    count = ctx.size(6)
    with Elsewhere(ctx) as there:
        there.run(_work_side_by_side, count)
    for who in ("child", "parent"):
        expected = [f"{who}/{number:02}" for number in range(count)]
        assert ctx.stored(who) == expected, f"{ctx.stored(who)} instead of {expected}"
        for number, key in enumerate(expected):
            ctx.expect(key, Payload(who).read(70_000, 512 * number))


def _work_side_by_side(driver: CheckedDriver, count: int) -> None:
    _work(driver, "before", 1)  # a driver that opens its resources late has them open at the fork
    driver.delete("before")
    with Forked(lambda _parent: _work(driver, "child", count)):
        _work(driver, "parent", count)


def _work(driver: CheckedDriver, who: str, count: int) -> None:
    for number in range(count):
        data = Payload(who).read(70_000, 512 * number)
        driver.put(f"{who}/put", data[:1000])
        with driver.open_writer(f"{who}/put") as writer:
            writer.write(data[1000:])
        expect_same(driver.get(f"{who}/put", MOST), data, f"by the {who}")
        driver.move(f"{who}/put", f"{who}/{number:02}")
        driver.put(f"{who}/gone", data)
        driver.delete(f"{who}/gone")
        found = list(driver.list(who))
        expected = [f"{who}/{each:02}" for each in range(number + 1)]
        assert found == expected, f"the {who} lists {found} instead of {expected}"


@scenario("T5", "T6", kills=("a-forked-child-keeps-its-turn",), needs=("shared", "url", "fork"))
def a_childs_threads_use_the_driver(ctx: Context) -> None:
    """In a forked child every thread can use the driver, and not only the one that forked.

    A worker that a server forks starts threads of its own.
    """
    with Elsewhere(ctx) as there:
        there.run(_use_in_a_childs_thread)
    assert ctx.stored() == ["by-child", "by-parent", "by-thread"]


def _use_in_a_childs_thread(driver: CheckedDriver) -> None:
    driver.put("by-parent", SHORT)

    def child(_parent: Connection) -> None:
        driver.put("by-child", SHORT)
        thread = Thread(target=driver.put, args=("by-thread", SHORT), daemon=True)
        thread.start()
        thread.join(LONGEST / 4)
        assert not thread.is_alive(), f"a thread of the child waits for more than {LONGEST // 4} s"

    with Forked(child):
        pass
    driver.put("by-parent", SHORT)


@scenario(
    *("T5", "F1", "F3"),
    kills=("fencing-tokens-repeat-after-a-fork", "fencing-absent"),
    needs=("shared", "url", "fork"),
)
def parent_and_child_fence_each_other(ctx: Context) -> None:
    """If a parent and its forked child each open a writer of one object, the one opened last publishes.

    After a fork, counters and random generators go on alike in both processes: they cannot tell writers apart.
    """
    with Elsewhere(ctx) as there:
        there.run(_take_over_from_a_child)
    ctx.expect("childs", Payload("parent").read(600))
    ctx.expect("parents", Payload("child").read(600))


def _take_over_from_a_child(driver: CheckedDriver) -> None:
    driver.open_writer("before").discard()

    def child(parent: Connection) -> None:
        writer = _written(driver, "childs", "child")
        parent.send("opened")
        parent.recv()
        with refused(FencedError):
            writer.flush()
        _written(driver, "parents", "child").close()

    with Forked(child) as forked:
        forked.hear()
        _written(driver, "childs", "parent").close()
        writer = _written(driver, "parents", "parent")
        forked.say("taken over")
    with refused(FencedError):
        writer.flush()


def _written(driver: CheckedDriver, key: str, who: str) -> Writer:
    writer = driver.open_writer(key)
    writer.write(Payload(who).read(600))
    return writer


@scenario("T5", "T3", "C3", kills=("driver-is-bound-to-its-process",), needs=("shared", "url", "fork"))
def a_child_goes_on_when_its_parent_closes_the_driver(ctx: Context) -> None:
    """What a forked child stores is there, also if its parent closes the driver meanwhile, and the other way round."""
    with Elsewhere(ctx) as there:
        there.run(_close_beside_a_child)
    with Elsewhere(ctx) as there:
        there.run(_go_on_when_a_child_has_closed)
    assert ctx.stored() == ["by-child-1", "by-child-2", "by-child-3", "by-parent-1", "by-parent-2"]
    for key in ctx.stored():
        ctx.expect(key, SHORT)


def _close_beside_a_child(driver: CheckedDriver) -> None:
    driver.put("by-parent-1", SHORT)

    def child(parent: Connection) -> None:
        driver.put("by-child-1", SHORT)
        parent.send("stored")
        parent.recv()
        driver.put("by-child-2", SHORT)

    with Forked(child) as other:
        assert other.hear() == "stored"
        driver.close()
        other.say("closed")


def _go_on_when_a_child_has_closed(driver: CheckedDriver) -> None:
    driver.stat("by-parent-1")

    def child(_parent: Connection) -> None:
        driver.put("by-child-3", SHORT)
        driver.close()

    with Forked(child):
        pass
    driver.put("by-parent-2", SHORT)


@scenario(
    *("T5", "C3", "C4"),
    kills=("a-forked-child-stores-where-nobody-looks",),
    needs=("shared", "url", "fork"),
)
def what_a_child_stores_is_there_whatever_its_parent_had_open(ctx: Context) -> None:
    """What a forked child stores is there, when its parent had handles open at the fork and then closes them.

    A file that is open in both processes, or a lock that goes with one of them, may take along what the child does.
    """
    names = ("first", "second", "third")
    for below, held in (("d/reader", _a_reader), ("d/all", _a_reader_a_writer_and_a_listing)):
        ctx.step(f"open at the fork: {held.__name__.strip('_').replace('_', ' ')}")
        with Elsewhere(ctx) as there:
            there.run(_fork_with_handles, held, below)
        stored = [key.removeprefix(f"{below}/") for key in ctx.stored(below)]
        assert stored == list(names), f"of what a child has stored there is {stored}"
        for name in names:
            ctx.expect(f"{below}/{name}", Payload(name).read(70_000))


class _Listing:
    """A listing that has begun; to close it is to read it to its end."""

    def __init__(self, names: Iterator[object]) -> None:
        self._names = names

    def close(self) -> None:
        list(self._names)


def _a_reader(driver: CheckedDriver) -> list[Closes]:
    reader = driver.open_reader("there/3")
    reader.read(100)
    return [reader]


def _a_writer(driver: CheckedDriver) -> list[Closes]:
    old, new = driver.open_writer("there/4"), driver.open_writer("new")
    for writer in (old, new):
        writer.write(SHORT)
    new.flush()
    new.write(SHORT)
    return [old, new]


def _a_listing(driver: CheckedDriver) -> list[Closes]:
    listings = [driver.list("there"), driver.scan("there")]
    for each in listings:
        next(each)
    return [_Listing(each) for each in listings]


def _a_reader_a_writer_and_a_listing(driver: CheckedDriver) -> list[Closes]:
    return [*_a_reader(driver), *_a_writer(driver), *_a_listing(driver)]


def _fork_with_handles(driver: CheckedDriver, opened: Callable[[CheckedDriver], list[Closes]], below: str) -> None:
    for number in range(9):
        driver.put(f"there/{number}", SHORT)
    handles = opened(driver)

    def child(parent: Connection) -> None:
        _store_in_child(driver, below, "first")
        parent.send("stored")
        parent.recv()
        _store_in_child(driver, below, "second")
        parent.send("stored")
        parent.recv()
        _store_in_child(driver, below, "third")

    with Forked(child) as other:
        assert other.hear() == "stored"
        for each in handles:
            each.close()
        other.say("closed the handles")
        assert other.hear() == "stored"
        driver.close()
        other.say("closed the driver")


def _store_in_child(driver: CheckedDriver, below: str, name: str) -> None:
    data = Payload(name).read(70_000)
    driver.put(f"{below}/put", data[:1000])
    with driver.open_writer(f"{below}/put") as writer:
        writer.write(data[1000:])
    driver.move(f"{below}/put", f"{below}/{name}")
