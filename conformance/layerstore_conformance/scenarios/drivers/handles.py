"""Handles: what a reader keeps, what a writer gives up, and what a fenced writer cannot do, in any size and state."""

from __future__ import annotations

import gc
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, DriverError, FencedError, LayerClosedError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.descriptors import descriptors, inheritable
from layerstore_conformance.kit.moments import watched
from layerstore_conformance.kit.passing import PassingDriver, PassingWriter
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.points import CLASSES, MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Driver, Reader, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

KEY = "d/e/key"


def _put_same_size(driver: CheckedDriver, size: int) -> None:
    driver.put(KEY, bulk("new", size))


def _put_shorter(driver: CheckedDriver, size: int) -> None:
    driver.put(KEY, bulk("new", size // 2))


def _put_longer(driver: CheckedDriver, size: int) -> None:
    driver.put(KEY, bulk("new", size + 4000))


def _append(driver: CheckedDriver, size: int) -> None:
    with driver.open_writer(KEY) as writer:
        writer.write(bulk("new", size // 3))


def _overwrite(driver: CheckedDriver, size: int) -> None:
    with driver.open_writer(KEY) as writer:
        for at in (0, size // 2, size - 300):
            writer.seek(at)
            writer.write(bulk("new", 300))


def _overwrite_all(driver: CheckedDriver, size: int) -> None:
    with driver.open_writer(KEY) as writer:
        writer.seek(0)
        writer.write(bulk("new", size))


def _move_over(driver: CheckedDriver, size: int) -> None:
    driver.put("other", bulk("new", size))
    driver.move("other", KEY)


def _move_away(driver: CheckedDriver, size: int) -> None:
    driver.move(KEY, "away")
    driver.put(KEY, bulk("new", size))


def _delete(driver: CheckedDriver, size: int) -> None:
    del size
    driver.delete("d")


def _make_anew(driver: CheckedDriver, size: int) -> None:
    driver.delete(KEY)
    _overwrite_all(driver, size)


CHANGES: dict[str, Callable[[CheckedDriver, int], None]] = {
    "put of the same size": _put_same_size,
    "put of fewer bytes": _put_shorter,
    "put of more bytes": _put_longer,
    "append": _append,
    "overwrite": _overwrite,
    "overwrite whole": _overwrite_all,
    "move over": _move_over,
    "move away, and another": _move_away,
    "delete with the prefix": _delete,
    "make anew": _make_anew,
}


def _rest(reader: Reader, size: int) -> bytes | None:
    """Read on in pieces, and return the bytes; None if the version can no longer be read."""
    found = bytearray()
    try:
        while part := reader.read(max(1000, size // 7)):
            found += part
    except BackendUnavailableError:
        return None
    return bytes(found)


@scenario(
    *("R4", "R1", "S2"),
    kills=("reader-mixes-versions", "reader-ends-with-its-object"),
    rows=(48,),
    axes=(Axis("change", CHANGES), CLASSES),
)
def a_reader_of_any_size_keeps_its_version(
    ctx: Context, change: Callable[[CheckedDriver, int], None], size: int
) -> None:
    """Readers that have read nothing, a part, or all read on the old bytes after any change, and another, or raise."""
    old = bulk("old", size, ctx.seed + 1)
    ctx.driver.put(KEY, old)
    readers = [ctx.open().open_reader(KEY), ctx.driver.open_reader(KEY), ctx.driver.open_reader(KEY, size - 100)]
    version = ctx.driver.stat(KEY).version
    ctx.same(readers[1].read(700), old[:700], "before the change")
    ctx.same(readers[2].read(), old[-100:], "the end before the change")
    change(ctx.open(), size)
    with suppress(BackendUnavailableError):
        readers[2].seek(size // 2)
        ctx.same(readers[2].read(900), old[size // 2 :][:900], "after a seek back")
    for number, begun in ((1, 700), (0, 0)):
        rest = _rest(readers[number], size)
        if rest is not None:
            ctx.same(rest, old[begun:], f"of a reader that had read {begun} bytes")
        with suppress(DriverError):
            _put_same_size(ctx.driver, size)  # and another change, before the next reader reads
    assert {reader.version for reader in readers} == {version}, "a reader's version changed"
    assert {reader.size for reader in readers} == {size}, "a reader's size changed"


def _discard(writer: Writer, ctx: Context) -> None:
    del ctx
    writer.discard()


def _fence(writer: Writer, ctx: Context) -> None:
    ctx.open().open_writer(KEY).discard()
    with refused(FencedError):
        writer.close()
    writer.discard()


def _fence_and_end(writer: Writer, ctx: Context) -> None:
    ctx.open().open_writer(KEY).discard()
    with refused(FencedError):
        writer.end()


def _err(writer: Writer, ctx: Context) -> None:
    del ctx
    with refused(LookupError), writer:
        raise LookupError("the caller's own")


def _let_go(writer: Writer, ctx: Context) -> None:
    del writer, ctx  # the caller does, too


def _twice(writer: Writer, ctx: Context) -> None:
    del ctx
    for _ in range(2):
        writer.discard()
        writer.close()


ENDS: dict[str, Callable[[Writer, Context], None]] = {
    "discarded": _discard,
    "discarded twice": _twice,
    "fenced": _fence,
    "fenced at its end": _fence_and_end,
    "error in a block": _err,
    "let go of": _let_go,
}

FLUSHES = Axis("flushes", {"none": 0, "one": 1, "three": 3})
WRITES = Axis("given up", {"an append": "end", "overwriting": "middle", "beyond a gap": "beyond", "all of it": "begin"})
LOST = Axis("lost", {"1 byte": 1, "700": 700, "70,000": 70_000, "2 MiB + 1": 2 * MIB + 1})


@scenario(
    *("W7", "W1", "S2", "D3"),
    kills=("discard-publishes", "discarded-bytes-in-the-next-writer", "dropped-writer-publishes"),
    rows=(149, 161),
    axes=(Axis("ending", ENDS), FLUSHES, Axis("where", WRITES.points), LOST),
)
def what_was_given_up_in_any_way_never_appears(
    ctx: Context, ending: Callable[[Writer, Context], None], flushes: int, where: str, lost: int
) -> None:
    """After a writer was discarded, fenced, broken off or let go of, there is what it flushed, at that version."""
    data = bulk("kept", 90_000, ctx.seed)
    writer = ctx.driver.open_writer(KEY)
    for number in range(flushes):
        writer.write(data[len(data) * number // flushes : len(data) * (number + 1) // flushes])
        writer.flush()
    kept = data if flushes else b""
    before = ctx.driver.find(KEY)
    writer.seek({"end": writer.size, "middle": writer.size // 2, "beyond": writer.size + 5000, "begin": 0}[where])
    writer.write(bulk("lost", lost))
    ending(writer, ctx)
    del writer
    gc.collect()
    assert ctx.open().find(KEY) == before, f"{before} became {ctx.open().find(KEY)}"
    assert ctx.stored() == ([KEY] if flushes else [])
    with ctx.open().open_writer(KEY) as following:
        assert following.size == len(kept), f"the next writer begins with {following.size} bytes instead of {len(kept)}"
        following.seek(len(kept) + 9000)
        following.write(b"beyond")
    ctx.expect(KEY, kept + bytes(9000) + b"beyond")


class _Refusing(PassingDriver):
    """Opens writers that refuse to flush as often as is said, and counts how many were released."""

    def __init__(self, inner: Driver) -> None:
        super().__init__(inner)
        self.refusals = self.released = 0

    def open_writer(self, key: str) -> Writer:
        return _RefusingWriter(self, self.inner.open_writer(key))


class _RefusingWriter(PassingWriter):
    def __init__(self, driver: _Refusing, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver

    def publish(self) -> str:
        self._driver.refusals -= 1
        if self._driver.refusals >= 0:
            raise BackendUnavailableError(self.key, "made to fail by the scenario")
        return super().publish()

    def release(self) -> None:
        self._driver.released += 1
        super().release()


def _leave(writer: Writer) -> None:
    with writer:
        pass


LAST: dict[str, Callable[[Writer], object]] = {
    "close": lambda writer: writer.close(),
    "end": lambda writer: writer.end(),
    "leaving a block": _leave,
}


@scenario(
    *("T3", "T4", "W7", "W8"),
    kills=("a-failed-close-keeps-the-writer-open", "a-failed-end-keeps-the-writer-open"),
    axes=(Axis("last", LAST),),
)
def a_writer_whose_last_flush_failed_is_closed(ctx: Context, last: Callable[[Writer], object]) -> None:
    """If a close or end fails to flush, the writer is closed and released, and its bytes never appear.

    After a flush that failed the writer is open, for the flush may be tried again.
    """
    driver = _Refusing(ctx.driver)
    front = CheckedDriver(driver, ctx.driver.scheme)
    writer = front.open_writer(KEY)
    writer.write(b"kept")
    driver.refusals = 1
    with refused(BackendUnavailableError):
        writer.flush()
    writer.flush()  # it is open
    writer.write(b" and lost")
    driver.refusals = 1
    with refused(BackendUnavailableError):
        last(writer)
    assert writer.closed, "it is open, though its last flush failed"
    assert driver.released == 1, f"released {driver.released} times"
    with refused(LayerClosedError):
        writer.write(b"more")
    writer.close()
    writer.discard()
    assert driver.released == 1, f"released {driver.released} times, with a second close"
    ctx.expect(KEY, b"kept")


def _two_writers(driver: CheckedDriver) -> Writer:
    """Open two writers, and return the first."""
    writer = driver.open_writer("key")
    driver.open_writer("key")
    return writer


def _read_what_was_deleted(driver: CheckedDriver) -> None:
    driver.put("b", b"b")
    reader = driver.open_reader("b")
    driver.delete("b")
    reader.read(1)


def _write_what_was_deleted(driver: CheckedDriver) -> None:
    writer = driver.open_writer("c")
    driver.delete("c")
    writer.flush()


def _put_and_delete(driver: CheckedDriver) -> None:
    driver.put("c/c", b"c")
    driver.delete("c")


def _put_and_move(driver: CheckedDriver) -> None:
    driver.put("c", b"c")
    driver.move("c", "key")


def _put_and_move_over(driver: CheckedDriver) -> None:
    driver.put("c", b"c")
    driver.move("c", "many/0")


def _delete_a_prefix(driver: CheckedDriver) -> None:
    driver.put("d/e/f", b"f")
    driver.delete("d")


def _written(driver: CheckedDriver, at: int) -> Writer:
    """Write a byte into an object, at an offset, and return the writer."""
    writer = driver.open_writer("key")
    writer.seek(at)
    writer.write(b"x")
    return writer


def _fence_a_rewrite(driver: CheckedDriver) -> None:
    writer = _written(driver, 0)
    driver.put("key", b"bytes")
    writer.flush()


ACTS: dict[str, Callable[[CheckedDriver], object]] = {
    "stat": lambda driver: driver.find("missing"),
    "a missing reader": lambda driver: driver.open_reader("missing"),
    "a reader beyond the end": lambda driver: driver.open_reader("key", 10**6),
    "a reader let go of": lambda driver: driver.open_reader("key").read(1),
    "a reader of what was deleted": _read_what_was_deleted,
    "a writer let go of": lambda driver: driver.open_writer("new").write(b"lost"),
    "a writer that was fenced": lambda driver: _two_writers(driver).flush(),
    "a writer of what was deleted": _write_what_was_deleted,
    "a rewrite discarded": lambda driver: _written(driver, 0).discard(),
    "a rewrite let go of": lambda driver: _written(driver, 0),
    "a rewrite closed": lambda driver: _written(driver, 0).close(),
    "a rewrite ended": lambda driver: _written(driver, 0).end(),
    "an append ended": lambda driver: _written(driver, 5).end(),
    "a writer that was fenced, ended": lambda driver: _two_writers(driver).end(),
    "a rewrite that was fenced": _fence_a_rewrite,
    "an append discarded": lambda driver: _written(driver, 5).discard(),
    "an append closed": lambda driver: _written(driver, 5).close(),
    "a listing begun": lambda driver: next(driver.list("many")),
    "a listing": lambda driver: list(driver.list("many")),
    "a put": lambda driver: driver.put("key", b"bytes"),
    "a delete": _put_and_delete,
    "a move": _put_and_move,
    "a missing move": lambda driver: driver.move("missing", "key"),
    "a move at another version": lambda driver: driver.move("key", "away", version="no such version"),
    "a move of a prefix": lambda driver: driver.move("many", "away"),
    "a move over an object": _put_and_move_over,
    "stat of a prefix": lambda driver: driver.find("many"),
    "stat below an object": lambda driver: driver.find("key/below"),
    "a reader of a prefix": lambda driver: driver.open_reader("many"),
    "a reader below an object": lambda driver: driver.open_reader("key/below"),
    "a reader at an offset of what is missing": lambda driver: driver.open_reader("missing", 5),
    "a reader at the end": lambda driver: driver.open_reader("key", 5).read(),
    "a scan": lambda driver: list(driver.scan("many")),
    "a scan begun": lambda driver: next(driver.scan("many")),
    "a listing of a missing prefix": lambda driver: list(driver.list("missing")),
    "a listing below an object": lambda driver: list(driver.list("key")),
    "a delete of what is missing": lambda driver: driver.delete("missing"),
    "a delete of a prefix": _delete_a_prefix,
    "a put below an object": lambda driver: driver.put("key/below", b"below"),
    "a put over a prefix": lambda driver: driver.put("many", b"over"),
    "a writer of nothing": lambda driver: driver.open_writer("new").discard(),
    "a writer below an object": lambda driver: driver.open_writer("key/below").close(),
}


@scenario("T4", kills=("handles-leak", "descriptor-kept-after"), rows=(163,), axes=(Axis("act", ACTS),))
def nothing_is_held_after_any_call(ctx: Context, act: Callable[[CheckedDriver], object]) -> None:
    """No descriptor and no thread stays after any call, whether it succeeds, is refused, or is given up half way."""
    ctx.driver.put("key", b"bytes")
    for number in range(3):
        ctx.driver.put(f"many/{number}", b"one")
    _often(ctx, act, 4)
    before = _held()
    _often(ctx, act, 24)
    more = _held() - before
    assert more < 8, f"{more} more descriptors and threads after 24 times"


def _flushed(driver: CheckedDriver) -> Writer:
    writer = driver.open_writer("new")
    writer.flush()
    return writer


KEPT: dict[str, Callable[[CheckedDriver], object]] = {
    **ACTS,
    "a reader": lambda driver: driver.open_reader("key"),
    "a reader that has read": lambda driver: (reader := driver.open_reader("key"), reader.read(1)),
    "a new writer": lambda driver: (writer := driver.open_writer("new"), writer.write(b"x")),
    "a new writer that has flushed": _flushed,
    "a listing begun and kept": lambda driver: (listing := driver.list("many"), next(listing)),
    "a scan begun and kept": lambda driver: (listing := driver.scan("many"), next(listing)),
}
"""Calls, and handles that stay open."""


@scenario("T4", "T5", kills=("descriptors-are-inherited",), rows=(163,), axes=(Axis("act", KEPT),))
def no_program_that_is_started_inherits_a_descriptor(ctx: Context, act: Callable[[CheckedDriver], object]) -> None:
    """Whatever is open, at any moment of a call and after it, a program that the process starts does not get it.

    It would keep a lock, a deleted file or a disk that is to be unmounted for as long as it runs.
    """
    ctx.driver.put("key", b"bytes")
    for number in range(3):
        ctx.driver.put(f"many/{number}", b"one")
    before, found = inheritable(), set[str]()
    kept: list[object] = []

    def work() -> None:
        with suppress(DriverError):
            kept.append(act(ctx.open()))

    watched(work, lambda: found.update(inheritable() - before))
    found |= inheritable() - before
    assert not found, f"a program that is started gets {sorted(found)}"


def _often(ctx: Context, act: Callable[[CheckedDriver], object], times: int) -> None:
    for _ in range(times):
        with suppress(DriverError):
            act(ctx.driver)
    gc.collect()


def _held() -> int:
    return descriptors() + threading.active_count()
