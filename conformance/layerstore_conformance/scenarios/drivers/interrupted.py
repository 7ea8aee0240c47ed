"""Interrupted calls: an exception anywhere in the driver, as Ctrl-C raises one, leaves nothing half done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from layerstore import DriverError, FencedError, PathNotFoundError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.interruption import Interruption
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.calls import CALLS, MORE, NEW, OLD, Call, Stored, told

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

GROUP = "faults"

MIB = 1 << 20

PLACES: dict[Profile, int] = {"quick": 4, "default": 24, "full": 1000}
"""Places in each call at which it is interrupted."""


@scenario(
    *("E4", "P1", "M2", "D4", "T6"),
    kills=(
        *("a-move-removes-first", "a-lock-is-kept-by-an-exception", "a-turn-is-kept-by-a-refusal"),
        "an-interrupted-put-is-not-listed",
    ),
    axes=(CALLS,),
)
def a_call_interrupted_anywhere_is_done_or_not(ctx: Context, call: Call) -> None:
    """Interrupted anywhere in the driver, a put, move or delete is done or not, and can be done again.

    Ctrl-C, an alarm or a worker that is told to stop raises an exception wherever the program is.
    """
    for key, data in call.before.items():
        ctx.driver.put(key, data)
    for place in _places(ctx, lambda: call.act(ctx.driver)):
        ctx.driver.delete("d")
        for key, data in call.before.items():
            ctx.driver.put(key, data)
        with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt):
            call.act(ctx.driver)
        found = _found(ctx, call)
        assert call.may_be(found), f"interrupted at place {place}, it left {told(found)}"
        with suppress(PathNotFoundError):  # it was done, of a move
            call.act(ctx.driver)
        found = _found(ctx, call)
        assert found == call.done, f"interrupted at place {place} and repeated, it left {told(found)}"
        ctx.driver.put("d/after", b"after")
        ctx.expect("d/after", b"after")


def _found(ctx: Context, call: Call) -> Stored:
    """Read what there is, and check that a reader, ``stat`` and the listing agree on which keys there are."""
    driver, found = ctx.open(), {key: ctx.read(key) for key in ctx.stored()}
    for key in sorted({*call.before, *call.done, *found}):
        there, stat = _read(driver, key), driver.find(key)
        assert there == found.get(key), (
            f"{key} is {'listed' if key in found else 'not listed'}, and read: {there!r:.40}"
        )
        size = None if there is None else len(there)
        assert (stat and stat.size) == size, f"{key} has the stat {stat}, and a reader finds a size of {size}"
    return found


def _read(driver: CheckedDriver, key: str) -> bytes | None:
    with suppress(PathNotFoundError):
        return driver.get(key, 1 << 40)
    return None


@scenario(*("E4", "F2", "F3", "F4", "D3"), kills=("an-interrupted-put-fences-nobody",), axes=(CALLS,))
def a_writer_of_what_an_interrupted_call_changed_is_fenced(ctx: Context, call: Call) -> None:
    """Interrupted anywhere in the driver, a put, move or delete that was done has fenced the key's writers.

    Otherwise a writer from before it publishes its old bytes over what was put, or brings back what was deleted.
    """
    for place in _places(ctx, lambda: _with_writers(ctx, call, 0)):
        writers = _with_writers(ctx, call, place)
        changed = [key for key in writers if _read(ctx.open(), key) != call.before.get(key)]
        for key in changed:
            done = _read(ctx.open(), key)
            with refused(FencedError):
                writers[key].flush()
            assert _read(ctx.open(), key) == done, f"interrupted at place {place}, the writer of {key} has published"
        for writer in writers.values():
            writer.discard()


def _with_writers(ctx: Context, call: Call, place: int) -> dict[str, Writer]:
    """Open a writer of each key that a call is about, interrupt the call, and return the writers."""
    ctx.driver.delete("d")
    for key, data in call.before.items():
        ctx.driver.put(key, data)
    writers = {key: ctx.driver.open_writer(key) for key in sorted({*call.before, *call.done})}
    for writer in writers.values():
        writer.write(b"late")
    with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt):
        call.act(ctx.driver)
    return writers


class Written(NamedTuple):
    """What is written over or behind an object, and not flushed yet."""

    old: bytes
    """The object before; none, if empty."""
    start: int
    """Where it is written."""
    backwards: bool = False
    """Whether its end is written first, so that no write follows the one before it."""

    @property
    def whole(self) -> bytes:
        """The object when it is flushed."""
        return _with(self.old, self.start, NEW + MORE)

    @property
    def states(self) -> set[bytes]:
        """Before and when it is flushed."""
        return {self.old, self.whole}

    def begun(self, driver: CheckedDriver) -> Writer:
        """Make the object anew, and return a writer that has accepted the bytes."""
        return _open_and_write(driver, self.old, self.start, backwards=self.backwards)


WRITTEN = Axis(
    "written",
    {
        "an append": Written(OLD, len(OLD)),
        "a rewrite": Written(OLD, 1000),
        "a rewrite backwards": Written(OLD, 1000, backwards=True),
        "a new object": Written(b"", 0),
    },
)


def flush(writer: Writer) -> None:
    """Flush, and return nothing."""
    writer.flush()


def interrupted_at(
    ctx: Context, written: Written, act: Callable[[Writer], object], most: Mapping[Profile, int] = PLACES
) -> Iterator[tuple[int, Writer, bytes]]:
    """Interrupt a call of a writer; yield each place, the writer, and the object then: as before, or as written."""
    for place in _places(ctx, partial(act, written.begun(ctx.driver)), most):
        writer = written.begun(ctx.driver)
        with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt):
            act(writer)
        shown = shown_to_others(ctx)
        assert shown in written.states, f"interrupted at place {place}, it shows {len(shown)} bytes"
        yield place, writer, shown


def shown_to_others(ctx: Context) -> bytes:
    """Return the object as others see it; empty if there is none."""
    return {each: ctx.read(each) for each in ctx.stored()}.get("d/key", b"")


@scenario(
    *("E4", "W6", "W7", "W8", "T6"),
    kills=("an-interrupted-flush-forgets", "a-lock-is-kept-by-an-exception", "a-version-is-known-from-what-was-told"),
    axes=(WRITTEN,),
)
def a_flush_interrupted_anywhere_may_be_repeated(ctx: Context, written: Written) -> None:
    """Interrupted anywhere in the driver, a flush shows the old or the new bytes; repeated, it publishes all.

    A server that is told to stop in the middle of a flush closes its uploads before it ends.
    """
    for place, writer, _ in interrupted_at(ctx, written, flush):
        with suppress(DriverError):
            writer.flush()
            ctx.expect("d/key", written.whole)
            there = ctx.open().stat("d/key").version
            assert writer.version == there, f"interrupted at place {place}, a writer tells of another version"
        writer.discard()
        with ctx.driver.open_writer("d/key") as later:
            later.write(b"after")
        assert ctx.read("d/key") in {each + b"after" for each in written.states}, "unpublished bytes came back"


@scenario(
    *("E4", "W6", "W7", "T6"),
    kills=("a-lock-is-kept-by-an-exception",),
    axes=(WRITTEN,),
)
def an_end_interrupted_anywhere_shows_all_or_nothing(ctx: Context, written: Written) -> None:
    """Interrupted anywhere in the driver, a writer's end shows the old or the new bytes, and holds up nobody."""
    for place, writer, found in interrupted_at(ctx, written, lambda writer: writer.end()):
        assert writer.closed, f"interrupted at place {place}, an end left its writer open"
        with ctx.driver.open_writer("d/key") as later:
            assert later.size == len(found), f"the next writer begins with {later.size} bytes of {len(found)}"
            later.write(b"after")
        ctx.expect("d/key", found + b"after")


@scenario(
    *("E4", "W6", "W7", "W8"),
    kills=("an-interrupted-flush-goes-on-in-place", "a-commit-is-noted-behind-its-block"),
    axes=(WRITTEN,),
)
def what_is_written_after_an_interrupted_flush_waits_for_the_next(ctx: Context, written: Written) -> None:
    """After a flush that was interrupted anywhere, bytes written over the object show from the next flush on.

    Such a flush may have been done. Its writer must not go on in the very memory or file that others read by now.
    """
    over = b"over".ljust(len(written.whole) - 10, b"o") + written.whole[-10:]
    for place, writer, shown in interrupted_at(ctx, written, flush):
        expected = shown
        with suppress(DriverError):
            writer.seek(0)
            writer.write(over[:-10])
            assert shown_to_others(ctx) == shown, f"interrupted at place {place}, it shows what was not flushed"
            writer.flush()
            expected = over
        writer.discard()
        ctx.same(shown_to_others(ctx), expected, f"interrupted at place {place}")


class Wrote(NamedTuple):
    """A write: where it begins, as seen from the end, its length, and the size of the object before, all in bytes."""

    offset: int
    length: int
    size: int = 9000


WRITES = Axis(
    "write",
    {
        "at the end": Wrote(0, 3000),
        "before the end": Wrote(-2000, 700),
        "over the end": Wrote(-1000, 3000),
        "behind a gap": Wrote(5000, 3000),
        "large": Wrote(0, 5 * MIB // 2),
        "large, from a whole MiB on": Wrote(0, 5 * MIB // 2, MIB),
        "large over the end": Wrote(-1000, 5 * MIB // 2),
        "over the end, a byte behind a whole MiB": Wrote(-1000, 3000, MIB + 1),
        "over the end, a byte before a whole MiB": Wrote(-1000, 3000, MIB - 1),
    },
)


@scenario(
    *("W2", "W4", "W6", "E4", "T6"),
    kills=("an-interrupted-write-forgets", "an-interrupted-write-shows-in-a-gap"),
    axes=(WRITES,),
)
def a_write_interrupted_anywhere_is_done_or_refused(ctx: Context, write: Wrote) -> None:
    """Interrupted anywhere in the driver, a write takes nothing along that was accepted, and shows in no gap.

    A server that is told to stop in the middle of a write closes its uploads, so that they can be resumed.
    """
    offset, length, before = write
    old = bulk("old", before - len(NEW + MORE), ctx.seed)
    accepted = old + NEW + MORE
    places = _places(ctx, partial(_write_on, _open_and_write(ctx.driver, old=old), offset, length))
    for number, place in enumerate([*places, places[-1]]):  # that is tried in both ways
        writer = _open_and_write(ctx.driver, old=old)
        start, done = before + offset, False
        with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt):
            _write_on(writer, offset, length)
            done = True
        whole = _with(accepted, start, b"n" * length)
        size = len(whole) if done else len(accepted)
        assert writer.size == size, f"interrupted at place {place}, a write left a size of {writer.size}, not {size}"
        far = max(len(whole), len(accepted)) + 1000
        try:
            if number % 2:  # of what was not accepted the next writer must find nothing, either
                writer.close()
                writer = ctx.driver.open_writer("d/key")
            writer.seek(far)
            writer.write(b"far")
            writer.close()
        except DriverError:
            continue
        found = ctx.read("d/key")
        allowed = [whole] if done else [accepted, whole[: len(accepted)]]
        expected = [_with(each, far, b"far") for each in allowed]
        assert found in expected or _is_partly(found, *expected), (
            f"interrupted at place {place}, a write {'done' if done else 'refused'} left {len(found)} bytes"
        )


SECOND: dict[Profile, int] = {"quick": 6, "default": 12, "full": 1000}
"""Places in the second of two calls at which it is interrupted."""


def _write_beyond(writer: Writer) -> None:
    _write_on(writer, 100, 400)


TWICE = Axis("first", {name: WRITES.points[name] for name in ("at the end", "over the end", "behind a gap", "large")})
THEN = Axis("then", {"a flush": flush, "a write": _write_beyond})


@scenario(
    *("W2", "W4", "W8", "E4"),
    kills=("a-cut-is-rolled-back-and-not-repeated", "an-interrupted-write-shows-in-a-gap"),
    axes=(TWICE, THEN),
)
def a_call_interrupted_after_a_write_was_leaves_zeros_in_a_gap(
    ctx: Context, first: Wrote, then: Callable[[Writer], object]
) -> None:
    """After an interrupted write and an interrupted flush or write, a gap is zeros, and what was accepted is whole.

    What takes an interrupted write back may itself be interrupted, and must then be done once more.
    """
    last = _last_place(ctx, _open_and_write(ctx.driver), partial(_write_on, offset=first.offset, length=first.length))
    writer = _after_a_write(ctx, first, last)
    for place in ctx.sample(range(1, 1 + _last_place(ctx, writer, then)), SECOND[ctx.profile]):
        ctx.count("interrupted calls")
        writer = _after_a_write(ctx, first, last)
        with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt, DriverError):  # it may refuse, too
            then(writer)
        accepted = writer.size
        far = accepted + 5000
        try:
            writer.seek(far)
            writer.write(b"far")
            writer.close()
        except DriverError:
            writer.discard()
            continue
        found = ctx.read("d/key")
        assert len(found) == far + 3, f"interrupted at place {place}, {len(found)} bytes instead of {far + 3}"
        gap = found[accepted:far].strip(b"\0")
        assert not gap, f"interrupted at place {place}, a gap holds {gap[:20]!r}"
        whole = (OLD + NEW + MORE)[: min(0, first.offset) or None]
        ctx.same(found[: len(whole)], whole, f"what was accepted, interrupted at place {place}")


def _after_a_write(ctx: Context, wrote: Wrote, place: int) -> Writer:
    """Return a writer whose last write was interrupted at a place."""
    writer = _open_and_write(ctx.driver)
    with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt):
        _write_on(writer, wrote.offset, wrote.length)
    return writer


def _last_place(ctx: Context, writer: Writer, act: Callable[[Writer], object]) -> int:
    """Return the number of the last place in a call."""
    counting = Interruption(ctx.driver)
    with counting.lurking(), suppress(DriverError):  # after an interrupted write it may refuse
        act(writer)
    writer.discard()
    return counting.places


def _write_on(writer: Writer, offset: int, length: int) -> None:
    writer.seek(offset, os.SEEK_END)
    writer.write(b"n" * length)


def _with(data: bytes, start: int, part: bytes) -> bytes:
    """Return the bytes with a part of them written over, behind zeros if it begins beyond their end."""
    return data[:start].ljust(start, b"\0") + part + data[start + len(part) :]


def _is_partly(found: bytes, *wanted: bytes) -> bool:
    """Return whether each byte is that of one or the other."""
    lengths = {len(found), *map(len, wanted)}
    return len(lengths) == 1 and all(byte in others for byte, *others in zip(found, *wanted, strict=True))


def _open_and_write(
    driver: CheckedDriver, old: bytes = OLD, start: int | None = None, *, backwards: bool = False
) -> Writer:
    driver.delete("d/key")
    if old:
        driver.put("d/key", old)
    writer = driver.open_writer("d/key")
    start = len(old) if start is None else start
    parts = [(start, NEW), (start + len(NEW), MORE)]
    for offset, data in reversed(parts) if backwards else parts:
        writer.seek(offset)
        writer.write(data)
    return writer


def _places(ctx: Context, act: Callable[[], object], most: Mapping[Profile, int] = PLACES) -> list[int]:
    """Count the places in a call at which it may be interrupted, and return some of their numbers.

    Half of them, if there are so many, are right after a change of a file, which the driver does not know to be done.
    The last is always among them: all is done, and the front does not know it.
    """
    counting = Interruption(ctx.driver)
    with counting.lurking():
        act()
    count = most[ctx.profile]
    changed = ctx.sample(counting.changes, count // 2)
    others = [place for place in range(1, counting.places) if place not in changed]
    drawn = sorted({*changed, *ctx.sample(others, count - len(changed)), counting.places})
    ctx.count("interrupted calls", len(drawn))
    return drawn
