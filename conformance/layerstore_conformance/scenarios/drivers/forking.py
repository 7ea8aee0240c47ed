"""Forking: a parent's open handles stay the parent's; the driver itself works in the child too."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

from layerstore import FencedError, LayerClosedError, LayerService, LayerStoreError
from layerstore.checked import CheckedDriver
from layerstore.driver import Reader, Writer
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.payloads import Payload, digest, expect_same
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.forking import LONGEST, Forked, exit_as_a_program, exit_at_once

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

LARGE = 1 << 20
"""Bytes of an object, enough that a reader has only begun to read them, and a connection to transfer them."""

HUGE = 9 << 20
"""Bytes of an object, enough for several threads to share the work."""

MANY = 30
"""Objects, enough for several threads to share the work."""

LONG = Payload("forked").read(LARGE)
SHORT = Payload("short").read(3000)

Handles = list[Reader | Writer]
Step = Callable[[CheckedDriver, Handles], object]


@scenario("T5", "T3", kills=("forked-children-use-handles",), needs=("url", "fork"))
def what_a_parent_has_open_refuses_its_child(ctx: Context) -> None:
    """A forked child can neither read, write nor publish by a handle of its parent's, nor finish its upload.

    A server may fork a worker in the middle of an upload: two processes must not write one layer.
    """
    with Elsewhere(ctx) as there:
        there.run(_refuse_a_child)


def _refuse_a_child(driver: CheckedDriver) -> None:
    driver.put("read", LONG)
    upload = LayerService(driver).upload("a")
    upload.write(SHORT)
    reader, writer = driver.open_reader("read"), driver.open_writer("key")
    writer.write(SHORT[:1000])

    def child(_parent: Connection) -> None:
        for ask in (
            partial(reader.read, 1),
            reader.tell,
            partial(writer.write, b"by the child"),
            writer.flush,
            writer.close,
            partial(upload.write, b"by the child"),
            partial(upload.finish, digest(SHORT)),
        ):
            with refused(LayerClosedError):
                ask()

    with Forked(child):
        pass
    assert "key" not in list(driver.list("")), "the child has published"
    writer.write(SHORT[1000:])
    writer.close()
    expect_same(driver.get("key", LARGE), SHORT, "by the parent's writer")
    expect_same(reader.read(), LONG, "by the parent's reader")
    upload.finish(digest(SHORT)).close()


def _close(driver: CheckedDriver, handles: Handles) -> None:
    for handle in handles:
        with suppress(LayerClosedError):  # a writer's close is a flush
            handle.close()
    driver.close()


def _discard(driver: CheckedDriver, handles: Handles) -> None:
    del driver
    for handle in handles:
        handle.close() if isinstance(handle, Reader) else handle.discard()


def _collect(driver: CheckedDriver, handles: Handles) -> None:
    del driver
    handles.clear()
    gc.collect()


def _leave_open(driver: CheckedDriver, handles: Handles) -> None:
    del driver, handles


ENDS: dict[str, tuple[Step, Callable[[], NoReturn]]] = {
    "closes them, and the driver": (_close, exit_at_once),
    "discards them": (_discard, exit_at_once),
    "lets go of them": (_collect, exit_at_once),
    "exits with them open": (_leave_open, exit_as_a_program),
    "exits at once with them open": (_leave_open, exit_at_once),
}
"""Ways in which a child uses its parent's handles, and ends."""


@scenario(
    *("T5", "T4"),
    kills=("drafts-go-with-a-forked-child", "readers-end-with-a-forked-child", "a-forked-child-closes-for-its-parent"),
    needs=("url", "fork"),
)
def a_child_that_ends_takes_nothing_along(ctx: Context) -> None:
    """However a forked child ends, its parent reads, writes and publishes with its open handles.

    Libraries fork without the server's knowledge, and the child's inherited handles are collected when it ends.
    """
    for way in ENDS:
        ctx.step(f"the child {way}")
        with Elsewhere(ctx) as there:
            there.run(_outlive_a_child, way)
        if "shared" in ctx.harness.declared(ctx.capabilities):
            ctx.expect("key", SHORT)
            ctx.expect("new", SHORT)


def _outlive_a_child(driver: CheckedDriver, way: str) -> None:
    step, end = ENDS[way]
    driver.put("read", LONG)
    driver.put("key", SHORT[:1000])
    driver.delete("new")
    held = _opened(driver)
    with Forked(lambda _parent: step(driver, held), end):
        pass
    reader, *writers = held
    assert isinstance(reader, Reader), "opened first"
    expect_same(reader.read(), LONG[100:], "by the parent's reader")
    for key, writer in zip(("key", "new"), writers, strict=True):
        assert isinstance(writer, Writer), "opened after it"
        writer.write(SHORT[2000:])
        writer.close()
        expect_same(driver.get(key, LARGE), SHORT, f"{key}, by the parent's writer")
    driver.put("after", SHORT)


def _opened(driver: CheckedDriver) -> Handles:
    """Open a reader, a writer of an object and a writer of a new one; each has begun. Only the caller holds them."""
    reader, writer, new = driver.open_reader("read"), driver.open_writer("key"), driver.open_writer("new")
    reader.read(100)
    writer.write(SHORT[1000:2000])
    new.write(SHORT[:2000])
    new.flush()
    return [reader, writer, new]


@scenario("T5", "F1", "F2", kills=("a-forked-child-keeps-the-lock",), needs=("url", "fork"))
def a_child_that_lives_on_holds_nothing_back(ctx: Context) -> None:
    """While a forked child lives with its inherited handles, the parent can close, reopen, move and delete.

    A child's inherited handles stay open until it ends, and it may be a server that never ends.
    """
    with Elsewhere(ctx) as there:
        there.run(_go_on_beside_a_child)


def _go_on_beside_a_child(driver: CheckedDriver) -> None:
    driver.put("d/read", LONG)
    reader, writer, left = driver.open_reader("d/read"), driver.open_writer("d/key"), driver.open_writer("d/key2")
    writer.write(SHORT[:1000])
    left.write(SHORT)
    with Forked(lambda parent: parent.recv()) as child:
        reader.close()
        writer.close()
        left.discard()
        with driver.open_writer("d/key") as writer:
            writer.write(SHORT[1000:])
        expect_same(driver.get("d/key", LARGE), SHORT, "by another writer")
        driver.put("d/key2", SHORT)
        driver.move("d/read", "d/key2")
        expect_same(driver.get("d/key2", LARGE), LONG, "moved")
        driver.delete("d")
        assert list(driver.list("")) == [], "deleted, and still there"
        child.say("end")


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
        expect_same(driver.get(f"{who}/put", LARGE), data, f"by the {who}")
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


@scenario("T5", "T2", kills=("drafts-go-with-a-forked-child",), needs=("shared", "url", "fork"))
def nobody_takes_a_parent_for_dead_when_its_child_has_ended(ctx: Context) -> None:
    """However a forked child ends, other processes leave alone what its parent has written and not flushed.

    Drivers remove what dead processes left. A child that ends must not look like the end of its parent.
    """
    for way in ENDS:
        ctx.step(f"the child {way}")
        with Elsewhere(ctx) as there, Elsewhere(ctx) as another:
            there.run(_begin_and_fork, way)
            another.run(_keep_house)
            there.run(_publish)
        ctx.expect("key", LONG + SHORT)
        ctx.expect("new", LONG + SHORT)


_begun: list[Writer] = []
"""The writers, in the parent."""


def _begin_and_fork(driver: CheckedDriver, way: str) -> None:
    step, end = ENDS[way]
    driver.delete("new")
    driver.put("key", SHORT)
    held: Handles = [driver.open_writer("key"), driver.open_writer("new")]
    for writer in held:
        assert isinstance(writer, Writer), "opened as one"
        writer.seek(0)
        writer.write(LONG)
    with Forked(lambda _parent: step(driver, held), end):
        pass
    _begun[:] = [each for each in held if isinstance(each, Writer)]


def _keep_house(driver: CheckedDriver) -> None:
    """Do what may remove what dead processes left."""
    driver.put("house", SHORT)
    with driver.open_writer("house") as writer:
        writer.write(SHORT)
    driver.put("rooms/one", SHORT)
    driver.delete("rooms")
    driver.delete("house")


def _publish(driver: CheckedDriver) -> None:
    del driver
    for writer in _begun:
        writer.write(SHORT)
        writer.close()


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
