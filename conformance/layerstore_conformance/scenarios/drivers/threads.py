"""Threads and handles: threads share a driver, handles are independent, and end when they are closed."""

from __future__ import annotations

import gc
import threading
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, TypeVar

from layerstore import FencedError, LayerClosedError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.together import look_during, together

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

T = TypeVar("T")

RECORD = 512
"""Bytes of one record of a log that several writers append to."""


@scenario("T1", "P1", kills=("puts-lost-between-threads",), rows=(118,))
def threads_share_a_driver(ctx: Context) -> None:
    """Threads that put different keys by one driver lose nothing."""

    def work(thread: int) -> None:
        for number in range(ctx.size(6)):
            key = f"{thread}/{number}"
            ctx.driver.put(key, ctx.payload(f"thread-{thread}").read(700, 512 * number))
            ctx.same(ctx.driver.get(key, 1000), ctx.payload(f"thread-{thread}").read(700, 512 * number), key)

    together([partial(work, thread) for thread in range(4)])
    for thread in range(4):
        for number in range(ctx.size(6)):
            ctx.expect(f"{thread}/{number}", ctx.payload(f"thread-{thread}").read(700, 512 * number))
    assert len(ctx.stored()) == 4 * ctx.size(6), f"{len(ctx.stored())} keys instead of {4 * ctx.size(6)}"


@scenario("T1", "T2", "R5", kills=("readers-share-a-position",), rows=(117,))
def threads_read_one_object_side_by_side(ctx: Context) -> None:
    """Threads that each have a reader of one object read anywhere in it, and get the right bytes."""
    data = ctx.payload("side").read(100_000)
    ctx.driver.put("key", data)

    def work(thread: int) -> None:
        with ctx.driver.open_reader("key") as reader:
            for number in range(ctx.size(12)):
                start = (thread * 24_999 + number * 7919) % 99_000
                reader.seek(start)
                found = reader.read(1000)
                ctx.same(found, data[start : start + 1000], f"from byte {start}")

    together([partial(work, thread) for thread in range(4)])


@scenario("T1", kills=("handles-bound-to-a-thread",), rows=(118,))
def a_handle_moves_from_thread_to_thread(ctx: Context) -> None:
    """Threads may use a writer or reader one after the other, as a pool's threads take turns at an upload."""
    data = ctx.payload("turns").read(3000)
    writer = ctx.driver.open_writer("key")
    for start in range(0, 3000, 1000):
        together([partial(writer.write, data[start : start + 1000])])
    together([writer.close])
    reader = ctx.driver.open_reader("key")
    parts = [together([partial(_exactly, reader.read, 1000)])[0] for _ in range(3)]
    ctx.same(b"".join(parts), data, "read by three threads")
    together([reader.close])


def _exactly(read: Callable[[int], bytes | None], size: int) -> bytes:
    found = b""
    while len(found) < size and (more := read(size - len(found))):
        found += more
    return found


@scenario("T2", kills=("closing-closes-others", "handles-limited"), rows=(127,))
def handles_live_on_their_own(ctx: Context) -> None:
    """Dozens of readers and writers are open at once, and the end of one has no effect on the others."""
    count = ctx.size(24)
    data = ctx.payload("handles").read(700)
    ctx.driver.put("key", data)
    readers = [ctx.driver.open_reader("key") for _ in range(count)]
    writers = [ctx.driver.open_writer(f"d/{number:02}") for number in range(count)]
    for number, writer in enumerate(writers):
        writer.write(ctx.payload("handles").read(600, 512 * number))
    for reader in readers[::2]:
        reader.close()
    for writer in writers[::2]:
        writer.discard()
    for reader in readers[1::2]:
        ctx.same(reader.read(), data, "by a reader whose neighbours were closed")
    for number, writer in [*enumerate(writers)][1::2]:
        writer.close()
        ctx.expect(f"d/{number:02}", ctx.payload("handles").read(600, 512 * number))


@scenario("T2", "T3", kills=("closing-a-driver-closes-others", "closing-a-driver-twice-fails"), rows=(9,))
def a_closed_driver_takes_no_other_along(ctx: Context) -> None:
    """A driver that is closed, once or twice, has no effect on other drivers of the store and their handles."""
    data = ctx.payload("open").read(700)
    first, second = ctx.open(), ctx.open()
    first.put("key", data)
    reader, writer = second.open_reader("key"), second.open_writer("new")
    first.close()
    first.close()
    ctx.same(reader.read(), data, "by a reader of another driver")
    writer.write(data)
    writer.close()
    ctx.same(second.get("new", 1000), data, "by another driver")


@scenario("T3", kills=("closed-handles-work", "closing-twice-fails"), rows=(9,))
def a_closed_handle_refuses(ctx: Context) -> None:
    """Every method of a closed reader or writer raises LayerClosedError, but for ``close``, which does nothing."""
    ctx.driver.put("key", ctx.payload("closed").read(700))
    reader, writer, discarded = (
        ctx.driver.open_reader("key"),
        ctx.driver.open_writer("key"),
        ctx.driver.open_writer("b"),
    )
    writer.close()
    reader.close()
    discarded.discard()
    for ask in (
        lambda: reader.read(1),
        lambda: reader.readinto(bytearray(1)),
        lambda: reader.seek(0),
        reader.readall,
        reader.tell,
        lambda: writer.write(b"late"),
        lambda: writer.seek(0),
        writer.tell,
        writer.flush,
        writer.end,
        lambda: discarded.write(b"late"),
        discarded.flush,
        discarded.end,
    ):
        with refused(LayerClosedError):
            ask()
    for handle in (reader, writer, discarded):
        handle.close()
    assert ctx.stored() == ["key"]


@scenario("T4", kills=("handles-leak",), rows=(163,))
def handles_give_back_what_they_hold(ctx: Context) -> None:
    """Readers and writers leave no descriptor and no thread, whether they are closed, discarded or collected.

    A service that leaks one for each upload stops after a day.
    """
    ctx.driver.put("key", ctx.payload("held").read(700))
    _open_and_end(ctx, 4)  # a pool keeps its resources from the first few on
    before = _held()
    _open_and_end(ctx, 12)
    more = _held() - before
    assert more < 8, f"{more} more descriptors and threads after 72 handles were closed, discarded or let go of"


def _open_and_end(ctx: Context, times: int) -> None:
    for _ in range(times):
        reader, closed, discarded = (
            ctx.driver.open_reader("key"),
            ctx.driver.open_writer("key"),
            ctx.driver.open_writer("d/new"),
        )
        reader.read(1)
        closed.write(b"+")
        closed.close()
        discarded.write(b"-")
        discarded.discard()
        ctx.driver.open_reader("key").read(1)
        ctx.driver.open_writer("d/new").write(b"-")
    gc.collect()


def _held() -> int:
    return descriptors() + threading.active_count()


@scenario("T1", "W7", kills=("collected-writers-flush",), rows=(161, 163))
def a_collection_calls_no_driver(ctx: Context) -> None:
    """When a reader, a writer or an upload is garbage-collected, no method of the driver is called.

    The interpreter collects at any moment, also in a driver's method that holds a lock.
    """
    ctx.driver.put("key", ctx.payload("kept").read(600))
    upload = ctx.service().upload("a")
    upload.write(ctx.payload("let go of").read(600))
    handles = [ctx.driver.open_reader("key"), _written(ctx.driver, b"never flushed"), upload]
    del upload
    ctx.trace.clear()
    handles.clear()
    gc.collect()
    assert not ctx.trace, f"called at a collection: {', '.join(ctx.trace)}"
    ctx.expect("key", ctx.payload("kept").read(600))


@scenario("F4", "F3", "T1", kills=("fencing-checked-too-early", "fencing-absent"), rows=(120, 121))
def no_flush_is_lost_between_writers(ctx: Context) -> None:
    """Threads that append to one object, each by its own writers, lose nothing that a flush has returned for.

    Two have written and flush, while a third opens a writer, writes and flushes; each fenced writer raises FencedError.
    """
    ctx.driver.put("key", b"")
    done: list[bytes] = []
    for number in range(ctx.size(8)):
        records = [ctx.payload(f"log-{thread}").read(RECORD, RECORD * number) for thread in range(3)]
        writers = [_written(ctx.driver, record) for record in records[:2]]
        flushes = [partial(_flushed, writer) for writer in writers]
        told = together([partial(_appended, ctx.driver, records[2]), *flushes])
        done += compress([records[2], *records[:2]], told)
    log = ctx.read("key")
    found = [log[start : start + RECORD] for start in range(0, len(log), RECORD)]
    assert sorted(found) == sorted(done), f"{len(done)} flushes returned, {len(found)} records are there"


def _written(driver: CheckedDriver, data: bytes) -> Writer:
    writer = driver.open_writer("key")
    writer.write(data)
    return writer


def _appended(driver: CheckedDriver, data: bytes) -> bool:
    return _flushed(_written(driver, data))


def _flushed(writer: Writer) -> bool:
    """Close a writer, and return whether that published, or raised FencedError."""
    try:
        writer.close()
    except FencedError:
        return False
    return True


@scenario("F1", "F3", "T1", kills=("fencing-absent",), rows=(119, 121))
def of_writers_opened_at_once_one_is_left(ctx: Context) -> None:
    """If writers of one object are opened at once, one of them can flush, and the others raise FencedError."""
    for number in range(ctx.size(10)):
        writers = together([partial(ctx.driver.open_writer, f"d/{number}") for _ in range(3)])
        told = 0
        for writer in writers:
            writer.write(ctx.payload("once").read(600))
            try:
                writer.close()
            except FencedError:
                told += 1
        assert told == 2, f"{told} of 3 writers raised FencedError, instead of 2"
        ctx.expect(f"d/{number}", ctx.payload("once").read(600))


@scenario("M4", "F4", "T1", kills=("version-compared-too-early",), rows=(48, 62))
def no_flush_comes_between_check_and_move(ctx: Context) -> None:
    """If a move at a version meets a flush of another version, one is done and the other is refused.

    Bytes that came in between would become a layer that nobody has verified.
    """
    for number in range(ctx.size(16)):
        source = f"source-{number}"
        writer = ctx.open().open_writer(source)
        writer.write(ctx.payload("verified").read(600))
        writer.flush()
        version = writer.version
        writer.write(ctx.payload("late").read(9))
        flushed, moved = together([partial(_flushed, writer), partial(_moved, ctx.driver, source, version)])
        assert not (flushed and moved), "a flush and a move of the version before it were both done"
        assert flushed or moved, "a flush and a move fenced each other off"
        if moved:
            ctx.expect("target", ctx.payload("verified").read(600))
        else:
            ctx.expect(source, ctx.payload("verified").read(600) + ctx.payload("late").read(9))


def _moved(driver: CheckedDriver, source: str, version: str | None) -> bool:
    try:
        driver.move(source, "target", version=version)
    except FencedError:
        return False
    return True


@scenario("D1", "M1", "T1", kills=("empty-parents-taken-away",), rows=(126,))
def siblings_are_put_and_deleted_side_by_side(ctx: Context) -> None:
    """While one thread deletes or moves the last key below a prefix, others put and write there, and lose nothing.

    A driver that removes empty directories must not remove one that has just been filled.
    """
    data = ctx.payload("stays").read(600)
    for number in range(ctx.size(8)):
        stay = [f"d/e/stays-{number}", f"d/e/written-{number}", f"d/stays-{number}"]
        puts = [partial(ctx.driver.put, key, data) for key in stay[::2]]
        for go in (partial(ctx.driver.delete, "d/e/goes"), partial(ctx.driver.move, "d/e/goes", "gone")):
            ctx.driver.put("d/e/goes", b"goes")
            together([*puts, partial(_create, ctx.driver, stay[1], data), go])
            assert ctx.stored("d") == stay, f"{ctx.stored('d')} instead of {stay}"
            ctx.driver.delete("d")


def _create(driver: CheckedDriver, key: str, data: bytes) -> None:
    with driver.open_writer(key) as writer:
        writer.write(data)


@scenario("L4", "T1", kills=("list-fails-while-things-change",), rows=(85, 126))
def a_listing_goes_on_while_threads_change_the_store(ctx: Context) -> None:
    """While threads put and delete keys and prefixes, no listing fails, and each yields all keys that stay."""
    stays = [f"d/{number:02}-stays" for number in range(0, 10, 2)]
    goes = [f"d/{number:02}-goes" for number in range(10)]
    deep = [f"d/{number:02}-deep/er/key" for number in range(10)]
    for key in stays:
        ctx.driver.put(key, b"stays")
    driver = ctx.open()

    def work() -> None:
        for key in (*goes, *deep):
            ctx.driver.put(key, b"goes")
        for key in (*goes, *deep):
            ctx.driver.delete(key)

    def look() -> None:
        found = list(driver.list("d"))
        assert [child for child in found if child.endswith("-stays")] == stays, f"not all that stays in {found}"
        assert found == sorted(set(found)), f"out of order, or twice: {found}"

    look_during(work, look, ctx.size(20))
