"""Forking: a parent's open handles stay the parent's, however its child uses them and ends."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from layerstore import LayerClosedError, LayerService, LayerUpload
from layerstore.checked import CheckedDriver
from layerstore.driver import Reader, Writer
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import store
from layerstore_conformance.kit.payloads import Payload, digest, expect_same
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.forking import Forked, exit_as_a_program, exit_at_once
from layerstore_conformance.steps.refusing import OF_LAYER, OF_READER, OF_UPLOAD, OF_WRITER, Calls, expect_refusals

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

LARGE = 1 << 20
"""Bytes of an object, enough that a reader has only begun to read them, and a connection to transfer them."""

LONG = Payload("forked").read(LARGE)
SHORT = Payload("short").read(3000)

Handles = list[Reader | Writer]
Step = Callable[[CheckedDriver, Handles], object]


@scenario(
    *("T5", "T3"),
    kills=("forked-children-use-handles", "layers-are-opened-in-a-child", "uploads-tell-a-child"),
    needs=("url", "fork"),
)
def what_a_parent_has_open_refuses_its_child(ctx: Context) -> None:
    """A forked child can do nothing by a handle of its parent's, in any state: every call raises LayerClosedError.

    A server may fork a worker in the middle of an upload: two processes must not write one layer.
    """
    with Elsewhere(ctx) as there:
        there.run(_refuse_a_child)


def _refuse_a_child(driver: CheckedDriver) -> None:
    service = LayerService(driver)
    driver.put("read", LONG)
    store(service, "a", SHORT)
    reader, writer = driver.open_reader("read"), driver.open_writer("key")
    writer.write(SHORT[:1000])
    read, unread = service.fetch("a", digest(SHORT)), _uploading(service).finish(digest(SHORT))
    read.read(1)
    gathered, known, large, finished = (_uploading(service) for _ in range(4))
    known.flush()
    large.seek(2 * LARGE)
    large.write(SHORT)
    finished.finish(digest(SHORT)).close()

    def child(_parent: Connection) -> None:
        expect_refusals(reader, OF_READER, "a reader")
        expect_refusals(writer, {**OF_WRITER, "close": lambda writer: writer.close()}, "a writer")
        for name, layer in {"read": read, "unread": unread}.items():
            expect_refusals(layer, OF_LAYER, f"a layer, {name}")
        for name, upload in {"gathered": gathered, "flushed": known, "large": large}.items():
            expect_refusals(upload, {**OF_UPLOAD, **ENDINGS, "close": LayerUpload.close}, f"an upload, {name}")
        expect_refusals(finished, {**OF_UPLOAD, **ENDINGS}, "an upload, finished")

    with Forked(child):
        pass
    assert "key" not in list(driver.list("")), "the child has published"
    writer.write(SHORT[1000:])
    writer.close()
    expect_same(driver.get("key", LARGE), SHORT, "by the parent's writer")
    expect_same(reader.read(), LONG, "by the parent's reader")
    expect_same(unread.read(), SHORT, "by the parent's unread layer")
    expect_same(read.read(), SHORT[1:], "by the parent's layer")
    gathered.finish(digest(SHORT)).close()
    known.finish(digest(SHORT)).close()
    large.cancel()


def _uploading(service: LayerService) -> LayerUpload:
    upload = service.upload("a")
    upload.write(SHORT)
    return upload


ENDINGS: Calls[LayerUpload] = {
    "finish by its digest": lambda upload: upload.finish(digest(SHORT)),
    "cancel": LayerUpload.cancel,
}
"""The ends of an upload, of which some may be called again in the process that has it."""


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
    profile="default",
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


@scenario("T5", "T2", kills=("drafts-go-with-a-forked-child",), needs=("shared", "url", "fork"), profile="default")
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
