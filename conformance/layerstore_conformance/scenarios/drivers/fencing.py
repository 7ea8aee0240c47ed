"""Fencing: a later writer takes the object over; the earlier writer raises FencedError and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

from layerstore import FencedError, UnsupportedOperationError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere, write

if TYPE_CHECKING:
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"


def _begun(ctx: Context, key: str) -> Writer:
    """Open a writer, flush 600 bytes, and write 400 more."""
    writer = ctx.open().open_writer(key)
    writer.write(ctx.payload("first").read(600))
    writer.flush()
    writer.write(ctx.payload("first").read(400, 600))
    return writer


def _fences(ctx: Context, act: Callable[[], object], writer: Writer) -> None:
    """Do something, and check that it fences a writer, whose flush then changes nothing."""
    act()
    before = {key: (ctx.read(key), ctx.open().stat(key)) for key in ctx.stored()}
    for _ in range(2):
        with refused(FencedError):
            writer.flush()
    writer.discard()
    after = {key: (ctx.read(key), ctx.open().stat(key)) for key in ctx.stored()}
    assert after.keys() == before.keys(), f"a fenced flush left {sorted(after)} of {sorted(before)}"
    for key, (data, stat) in before.items():
        ctx.same(after[key][0], data, f"{key} after a fenced flush")
        assert after[key][1] == stat, f"a fenced flush changed {stat} to {after[key][1]}"


@scenario("F1", "F3", kills=("fencing-absent", "fenced-writer-publishes"), rows=(120, 123))
def a_later_writer_fences_an_earlier_one(ctx: Context) -> None:
    """When a writer is opened, an earlier writer of the object publishes nothing any more and raises FencedError.

    Otherwise two clients that resume one upload would write into each other's bytes.
    """
    first = _begun(ctx, "key")
    second = ctx.driver.open_writer("key")
    _fences(ctx, lambda: None, first)
    second.write(ctx.payload("second").read(700))
    second.close()
    ctx.expect("key", ctx.payload("first").read(600) + ctx.payload("second").read(700))


@scenario("F1", kills=("second-writer-refused",), rows=(120, 124))
def a_writer_never_stands_in_the_way(ctx: Context) -> None:
    """A writer can be opened though another one is open: a client that hangs must not lock others out of its upload."""
    writers = [ctx.open().open_writer("key") for _ in range(5)]
    for writer in writers[:-1]:
        with refused(FencedError):
            writer.flush()
    writers[-1].write(ctx.payload("last").read(600))
    writers[-1].close()
    ctx.expect("key", ctx.payload("last").read(600))


@scenario("F3", "F1", kills=("fencing-absent", "fenced-only-with-new-data", "fenced-by-version-alone"), rows=(120,))
def a_fenced_writer_with_nothing_to_publish_is_told(ctx: Context) -> None:
    """The flush of a fenced writer raises FencedError even if it has nothing to publish."""
    ctx.driver.put("key", ctx.payload("first").read(600))
    first = ctx.driver.open_writer("key")
    new = ctx.driver.open_writer("new")
    ctx.open().open_writer("key").discard()
    ctx.open().open_writer("new").discard()
    _fences(ctx, lambda: None, first)
    _fences(ctx, lambda: None, new)
    assert ctx.stored() == ["key"]


def _put(driver: CheckedDriver, key: str) -> None:
    driver.put(key, b"new")


def _move_over(driver: CheckedDriver, key: str) -> None:
    driver.put("source", b"new")
    driver.move("source", key)


TAKEOVERS: dict[str, Callable[[CheckedDriver, str], None]] = {
    "opening and discarding": lambda driver, key: driver.open_writer(key).discard(),
    "opening and closing": lambda driver, key: driver.open_writer(key).close(),
    "putting": _put,
    "moving over it": _move_over,
    "moving it away": lambda driver, key: driver.move(key, "away"),
    "deleting it": lambda driver, key: driver.delete(key),
    "deleting its prefix": lambda driver, key: driver.delete(key.partition("/")[0]),
}
"""Calls that take a key from its writer."""


@scenario(
    *("F1", "F2", "F3"),
    kills=(
        "fencing-absent",
        "fenced-only-with-new-data",
        "put-does-not-fence",
        "delete-does-not-fence",
        "delete-fences-only-the-key",
        "move-does-not-fence-the-source",
        "move-does-not-fence-the-target",
    ),
    rows=(120,),
)
def whoever_takes_over_fences_whatever_was_written(ctx: Context) -> None:
    """Every way to take over a key fences its writer, written to or not, object there or not."""
    for name, take_over in TAKEOVERS.items():
        for exists, written in product((True, False), (b"", b"more")):
            if name == "moving it away" and not exists:
                continue
            ctx.step(f"{name}, {'an object' if exists else 'a new object'}, {len(written)} bytes written")
            if exists:
                ctx.driver.put("dir/key", b"old")
            writer = ctx.driver.open_writer("dir/key")
            writer.write(written)
            _fences(ctx, partial(take_over, ctx.open(), "dir/key"), writer)
            for key in ctx.stored():
                ctx.driver.delete(key)


@scenario("F2", "F3", kills=("put-does-not-fence", "fencing-absent"), rows=(120,))
def a_put_fences(ctx: Context) -> None:
    """A put fences the writer of its key, whether the object exists or the writer was about to create it."""
    data = ctx.payload("put").read(700)
    _fences(ctx, lambda: ctx.driver.put("key", data), _begun(ctx, "key"))
    unflushed = ctx.driver.open_writer("new")
    unflushed.write(ctx.payload("new").read(600))
    _fences(ctx, lambda: ctx.open().put("new", data), unflushed)
    ctx.expect("key", data)
    ctx.expect("new", data)


@scenario("F2", "F3", kills=("delete-does-not-fence", "fencing-absent"), rows=(115,))
def a_delete_fences(ctx: Context) -> None:
    """A delete fences the object's writer, and the object stays deleted, even if it had never been flushed."""
    _fences(ctx, lambda: ctx.driver.delete("key"), _begun(ctx, "key"))
    unflushed = ctx.driver.open_writer("new")
    unflushed.write(ctx.payload("new").read(600))
    _fences(ctx, lambda: ctx.open().delete("new"), unflushed)
    assert ctx.stored() == []


@scenario("F2", "F3", "D1", kills=("delete-fences-only-the-key", "fencing-absent"), rows=(110,))
def a_delete_of_a_prefix_fences_below_it(ctx: Context) -> None:
    """A delete of a prefix fences the writers of all keys below it, flushed or not.

    The writer of a cancelled upload must not bring the upload back.
    """
    flushed, unflushed = _begun(ctx, "a/b/c"), ctx.driver.open_writer("a/new")
    unflushed.write(ctx.payload("new").read(600))
    _fences(ctx, lambda: ctx.open().delete("a"), flushed)
    _fences(ctx, lambda: None, unflushed)
    assert ctx.stored() == []


@scenario("F2", "F3", kills=("move-does-not-fence-the-source", "fencing-absent"), rows=(94,))
def a_move_fences_the_writer_of_its_source(ctx: Context) -> None:
    """When an object is moved, its writer can neither bring it back nor write to it under its new key.

    A finished layer keeps for good the bytes that were verified.
    """
    writer = _begun(ctx, "source")
    _fences(ctx, lambda: ctx.driver.move("source", "target"), writer)
    assert ctx.stored() == ["target"]
    ctx.expect("target", ctx.payload("first").read(600))


@scenario("F2", "F3", kills=("move-does-not-fence-the-target", "fencing-absent"), rows=(95,))
def a_move_fences_the_writer_of_its_target(ctx: Context) -> None:
    """A move fences the writer of its target, whether the object exists or the writer was about to create it."""
    ctx.driver.put("source", ctx.payload("source").read(700))
    _fences(ctx, lambda: ctx.driver.move("source", "target"), _begun(ctx, "target"))
    unflushed = ctx.driver.open_writer("elsewhere")
    unflushed.write(ctx.payload("new").read(600))
    _fences(ctx, lambda: ctx.driver.move("target", "elsewhere"), unflushed)
    ctx.expect("elsewhere", ctx.payload("source").read(700))


@scenario("F2", "F3", "F4", kills=("fenced-by-version-alone",), rows=(120,))
def what_came_and_went_fences(ctx: Context) -> None:
    """A change of the key fences its writer, even if the object then looks as it did before.

    To compare the object with the one at opening is not enough: it may have been a layer meanwhile.
    """
    deleted, moved, back = (ctx.driver.open_writer(key) for key in ("deleted", "moved", "back"))
    back.flush()
    for key in ("deleted", "moved"):
        ctx.open().put(key, ctx.payload("between").read(600))
    ctx.open().delete("deleted")
    ctx.open().move("moved", "away")
    ctx.open().move("back", "there")
    ctx.open().move("there", "back")
    for writer in (deleted, moved, back):
        _fences(ctx, lambda: None, writer)
    assert ctx.stored() == ["away", "back"]


@scenario("F1", "F2", "F4", kills=("fencing-too-eager", "every-change-fences-below-its-prefix"), rows=(118,))
def only_the_key_itself_is_fenced(ctx: Context) -> None:
    """A change of another key, with a similar name, above or beside, fences no writer."""
    writer = _begun(ctx, "dir/key")
    for other in ("dir/key2", "dir/ke", "dir/key.x", "key", "dir2/key"):
        ctx.driver.open_writer(other).close()
        ctx.driver.put(other, ctx.payload("other").read(600))
    ctx.driver.move("dir/key2", "dir/key3")
    ctx.driver.delete("dir/ke")
    ctx.driver.delete("dir/key3")
    ctx.driver.delete("dir/k")
    _change_above(ctx.driver, ctx.payload("other").read(600))
    writer.close()
    ctx.expect("dir/key", ctx.payload("first").read(1000))


def _change_above(driver: CheckedDriver, data: bytes) -> None:
    """Change the object ``dir``; a driver without ``nested_keys`` refuses, and has then changed nothing."""
    with suppress(UnsupportedOperationError):
        driver.open_writer("dir").close()
    with suppress(UnsupportedOperationError):
        driver.put("dir", data)
    with suppress(UnsupportedOperationError):
        driver.move("key", "dir")


@scenario("F1", "F4", kills=("reading-fences", "closing-a-driver-fences"), rows=(48,))
def looking_at_an_object_fences_nobody(ctx: Context) -> None:
    """Reads, ``stat``, listings and a close of another handle do not fence a writer."""
    writer = _begun(ctx, "key")
    with ctx.open().open_reader("key") as reader:
        reader.read()
    ctx.open().stat("key")
    assert ctx.stored() == ["key"]
    ctx.driver.close()
    writer.close()
    ctx.expect("key", ctx.payload("first").read(1000))


@scenario("F4", "F1", kills=("a-flush-fences-its-writer",), rows=(57,))
def a_writer_is_not_fenced_by_itself(ctx: Context) -> None:
    """A writer is not fenced by its own flushes: it may write and flush as often as it likes."""
    data = ctx.payload("often").read(6000)
    with ctx.driver.open_writer("key") as writer:
        for end in range(600, 6001, 600):
            writer.write(data[end - 600 : end])
            writer.flush()
        writer.seek(0)
        writer.write(data[:1])
    ctx.expect("key", data)


@scenario("F3", "F4", kills=("fenced-flush-fences", "fenced-discard-fences", "fenced-writer-publishes"), rows=(120,))
def a_fenced_writer_does_no_harm_to_the_later_one(ctx: Context) -> None:
    """Nothing that a fenced writer does, or leaves undone, affects the later writer."""
    first = _begun(ctx, "key")
    second = ctx.open().open_writer("key")
    second.write(ctx.payload("second").read(500))
    with suppress(FencedError):
        first.write(ctx.payload("late").read(500))
    with refused(FencedError):
        first.flush()
    ctx.expect("key", ctx.payload("first").read(600))
    second.write(ctx.payload("second").read(500, 500))
    second.flush()
    with suppress(FencedError):  # once more, now that the later one has published behind the same bytes
        first.write(ctx.payload("late").read(500))
    ctx.expect("key", ctx.payload("first").read(600) + ctx.payload("second").read(1000))
    first.discard()
    second.write(ctx.payload("second").read(500, 1000))
    second.close()
    ctx.expect("key", ctx.payload("first").read(600) + ctx.payload("second").read(1500))


@scenario("F4", "W7", kills=("discarded-bytes-in-the-next-writer",), rows=(120,))
def a_later_writer_begins_with_what_was_flushed(ctx: Context) -> None:
    """A writer begins with the visible bytes, not with bytes that an earlier one has written and not flushed."""
    first = _begun(ctx, "key")
    with ctx.open().open_writer("key") as second:
        with suppress(FencedError):
            first.write(ctx.payload("late").read(400))
        assert (second.size, second.tell()) == (600, 600), f"size {second.size} instead of 600"
        second.seek(800)
        second.write(ctx.payload("second").read(500))
    first.discard()
    ctx.expect("key", ctx.payload("first").read(600) + bytes(200) + ctx.payload("second").read(500))


@scenario(
    "C3",
    "F1",
    "F2",
    "F3",
    kills=("fencing-ends-with-the-process", "fencing-absent"),
    rows=(120, 123),
    needs=("shared", "url"),
)
def another_process_fences(ctx: Context) -> None:
    """An open, put, move or delete in another process fences a writer, as one in another thread does."""
    keys = ("opened", "put", "moved", "target", "deleted/key", "left")
    writers = {key: _begun(ctx, key) for key in keys}
    with Elsewhere(ctx) as there:
        there.hold(write, "opened", [], flush=False)
        there.run(CheckedDriver.put, "put", ctx.payload("put").read(700))
        there.run(CheckedDriver.put, "source", ctx.payload("put").read(700))
        there.run(CheckedDriver.move, "moved", "gone")
        there.run(CheckedDriver.move, "source", "target")
        there.run(CheckedDriver.delete, "deleted")
    for key in keys[:-1]:
        with refused(FencedError):
            writers[key].close()
    writers["left"].close()
    assert ctx.stored() == ["gone", "left", "opened", "put", "target"]
    ctx.expect("left", ctx.payload("first").read(1000))
    ctx.expect("opened", ctx.payload("first").read(600))


@scenario("C3", "F1", "F3", kills=("fencing-ends-with-the-process",), rows=(120, 123), needs=("shared", "url"))
def a_process_is_told_that_it_was_fenced(ctx: Context) -> None:
    """A writer in another process is fenced from this one, and its flush raises FencedError."""
    with Elsewhere(ctx) as there:
        there.run(_open_for, "key", ctx.payload("there").read(600))
        with ctx.driver.open_writer("key") as writer:
            writer.write(ctx.payload("here").read(700))
        with refused(FencedError):
            there.run(_flush)
    ctx.expect("key", ctx.payload("here").read(700))


_open: list[Writer] = []
"""In the other process: its open writer."""


def _open_for(driver: CheckedDriver, key: str, data: bytes) -> None:
    _open.append(driver.open_writer(key))
    _open[0].write(data)


def _flush(driver: CheckedDriver) -> None:
    del driver
    _open.pop().flush()
