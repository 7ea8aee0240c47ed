"""Failing calls of the system: any one that a driver makes fails, and the driver raises, or is right all the same."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from layerstore import AccessDeniedError, BackendUnavailableError, NoSpaceError, PathNotFoundError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.kit.system_calls import Failure
from layerstore_conformance.steps.calls import CALLS, MORE, NEW, OLD, TREE, Call, told

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

GROUP = "faults"

FAILURES = (AccessDeniedError, BackendUnavailableError, NoSpaceError)
"""What a call raises whose system call has failed; that a key is missing is no failure."""

ERRORS: Final = Axis(
    "number", {"EACCES": errno.EACCES, "EIO": errno.EIO, "EMFILE": errno.EMFILE, "ENOSPC": errno.ENOSPC}
)

PLACES: dict[Profile, int] = {"quick": 6, "default": 12, "full": 1000}
"""Calls of the system in each call that fail, one at a time."""


@scenario(
    *("E1", "E4", "P1", "M2", "D4", "T4", "F4"),
    kills=("a-failed-call-keeps-its-file", "a-put-that-failed-is-done"),
    axes=(CALLS, ERRORS),
)
def a_change_whose_system_call_fails_is_done_or_not(ctx: Context, call: Call, number: int) -> None:
    """Whichever call of the system fails, a put, move or delete raises or is done; repeated, it is done.

    No other writer loses anything, and no descriptor stays open. One call of many fails when a disk does, or when a
    process has too many files open.
    """
    ctx.driver.put("begun", b"")  # before there is a store, a delete is refused
    _try_at_places(ctx, number, lambda driver, failure: _changed(ctx, driver, call, failure))


def _changed(ctx: Context, driver: CheckedDriver, call: Call, failure: Failure) -> None:
    """Make a change while a call of the system fails, look at what is there, and make it once more."""
    ctx.driver.delete("d")
    for key, data in call.before.items():
        ctx.driver.put(key, data)
    with _bystanders(ctx):
        raised = _outcome(lambda: call.act(driver), failure)
        found = {key: ctx.open().get(key, 1 << 20) for key in ctx.stored("d")}
        said = f"{raised or 'done'}, although {failure.failed} failed" if failure.failed else "done"
        assert raised in (None, *FAILURES), said
        assert call.may_be(found), f"{said}: it left {told(found)}"
        assert raised or found == call.done, f"{said}: it left {told(found)}"
        with suppress(PathNotFoundError):  # it was done, of a move
            call.act(driver)
        found = {key: ctx.open().get(key, 1 << 20) for key in ctx.stored("d")}
        assert found == call.done, f"{said}: repeated, it left {told(found)}"


@contextmanager
def _bystanders(ctx: Context) -> Iterator[None]:
    """Have writers of other keys open, with bytes that are not flushed; they can be flushed afterwards."""
    ctx.driver.put("beside/old", OLD)
    writers = {key: ctx.driver.open_writer(key) for key in ("beside/new", "beside/old")}
    for writer in writers.values():
        writer.write(MORE)
    yield
    for key, writer in writers.items():
        writer.close()
        ctx.same(ctx.open().get(key, 1 << 20), MORE if key == "beside/new" else OLD + MORE, key)
    ctx.driver.delete("beside")


Look = Callable[["CheckedDriver"], Any]

LOOKS: Final[dict[str, Look]] = {
    "stat": lambda driver: driver.stat("d/beside"),
    "stat of what is missing": lambda driver: driver.find("d/missing"),
    "stat of a prefix": lambda driver: driver.find("d/tree"),
    "read": lambda driver: driver.get("d/tree/two/deep", 1 << 20),
    "stat of what is being written": lambda driver: driver.stat("beside/old"),
    "read of what is being written": lambda driver: driver.get("beside/old", 1 << 20),
    "list": lambda driver: list(driver.list("d")),
    "list below": lambda driver: list(driver.list("d/tree")),
    "list at the top": lambda driver: list(driver.list("")),
    "list of what is missing": lambda driver: list(driver.list("d/missing")),
    "scan": lambda driver: list(driver.scan("d")),
    "scan below": lambda driver: list(driver.scan("d/tree")),
}


@scenario(
    *("E1", "R3", "S3", "L4", "L6", "T4"),
    kills=("what-fails-is-missing", "a-failed-call-keeps-its-file"),
    axes=(Axis("look", LOOKS), ERRORS),
)
def a_look_whose_system_call_fails_raises_or_is_right(ctx: Context, look: Look, number: int) -> None:
    """Whichever call of the system fails, a read, a ``stat`` or a listing raises, or finds what is there.

    A directory that cannot be opened is not empty, and a record that cannot be read is not missing.
    """
    for key, data in TREE.items():
        ctx.driver.put(key, data)
    with _bystanders(ctx):
        wanted = look(ctx.driver)
        _try_at_places(ctx, number, lambda driver, failure: _looked(look, driver, failure, wanted))


def _looked(look: Look, driver: CheckedDriver, failure: Failure, wanted: object) -> None:
    found: list[object] = []
    raised = _outcome(lambda: found.append(look(driver)), failure)
    said = f"{raised or found}, although {failure.failed} failed" if failure.failed else f"{found}"
    assert raised in FAILURES or found == [wanted], said
    assert look(driver) == wanted, f"{said}: at the second look it is otherwise"


PARTS: Final = ((0, 1000), (1 << 20, 1 << 20), ((3 << 20) - 100, 100))
"""Offsets and lengths of reads."""


@scenario(*("E1", "R4", "R5", "T4"), kills=("a-read-that-failed-is-remembered",), axes=(ERRORS,))
def a_reader_whose_system_call_fails_reads_right_or_raises(ctx: Context, number: int) -> None:
    """Whichever call of the system fails, a read raises or finds what is there, and so does the next one."""
    data = ctx.payload("read").read(3 << 20)
    ctx.driver.put("d/key", data)
    _try_at_places(ctx, number, lambda driver, failure: _read_twice(ctx, driver, data, failure))


def _read_twice(ctx: Context, driver: CheckedDriver, data: bytes, failure: Failure) -> None:
    """Read each part twice, of one reader, while a call of the system fails."""
    with ExitStack() as stack, failure.lurking():
        try:
            reader = stack.enter_context(driver.open_reader("d/key"))
        except FAILURES:
            reader = stack.enter_context(driver.open_reader("d/key"))
        for offset, length in PARTS * 2:
            reader.seek(offset)
            with suppress(*FAILURES):
                found = reader.read(length)
                ctx.same(found, data[offset : offset + length], f"although {failure.failed} failed, at {offset}")


START = Axis("start", {"a new object": None, "an append": len(OLD), "over the end": 1000, "a rewrite": 0})


@scenario(
    *("E1", "E4", "W1", "W2", "W6", "W8", "T4"),
    kills=("a-failed-call-keeps-its-file", "a-flush-that-failed-is-forgotten"),
    axes=(START, ERRORS),
)
def a_writer_whose_system_call_fails_goes_on(ctx: Context, start: int | None, number: int) -> None:
    """Whichever call of the system fails, a writer refuses what it was doing, and then does it, or says that it cannot.

    What is visible is old or new, no other writer loses anything, and no descriptor stays open.
    """
    ctx.driver.put("begun", b"")
    _try_at_places(ctx, number, lambda driver, failure: _written(ctx, driver, start, failure))


def _written(ctx: Context, driver: CheckedDriver, start: int | None, failure: Failure) -> None:
    """Open a writer, write twice, and flush, each once more if it failed."""
    ctx.driver.delete("d")
    if start is not None:
        ctx.driver.put("d/key", OLD)
    old, at = OLD if start is not None else b"", start or 0
    new = old[:at] + NEW + MORE + old[at + len(NEW + MORE) :]
    with _bystanders(ctx):
        with failure.lurking():
            writer = _persist(lambda: driver.open_writer("d/key"))
            _write_on(writer, at, NEW)
            _write_on(writer, at + len(NEW), MORE)
            flushed = _flushed(ctx, writer, old, new)
        said = f"although {failure.failed} failed" if failure.failed else "undisturbed"
        if not flushed:
            writer.discard()
            with driver.open_writer("d/key") as writer:
                assert writer.size in {len(old), len(new)}, f"{said}, the next writer begins with {writer.size} bytes"
                writer.seek(at)
                writer.write(NEW + MORE)
        ctx.same(ctx.open().get("d/key", 1 << 20), new, f"what was flushed, {said},")
        writer.discard()


def _persist(act: Callable[[], Writer]) -> Writer:
    try:
        return act()
    except FAILURES:
        return act()


def _write_on(writer: Writer, at: int, data: bytes) -> None:
    size = writer.size
    writer.seek(at)
    try:
        writer.write(data)
    except FAILURES:
        assert writer.size == size, f"a write that was refused left a size of {writer.size}, not {size}"
        writer.seek(at)
        writer.write(data)


def _flushed(ctx: Context, writer: Writer, old: bytes, new: bytes) -> bool:
    """Flush, and once more if that failed; return whether it was done in the end."""
    try:
        writer.flush()
        return True
    except FAILURES:
        found = {key: ctx.open().get(key, 1 << 20) for key in ctx.stored("d")}
        assert found.get("d/key", b"") in {old, new}, f"a flush that failed shows {told(found)}"
    with suppress(*FAILURES):
        writer.flush()
        return True
    return False


def _outcome(act: Callable[[], object], failure: Failure) -> type[Exception] | None:
    """Do something while a call of the system fails; return what it raised."""
    with failure.lurking():
        try:
            act()
        except Exception as error:  # noqa: BLE001  (the scenario says which one is right)
            return type(error)
    return None


Work = Callable[["CheckedDriver", Failure], None]
"""Uses a driver, while a call of the system fails."""


def _try_at_places(ctx: Context, number: int, work: Work) -> None:
    """Do some work again and again, while each time another call of the system fails; no descriptor stays open."""
    drawn = _places(ctx, work)
    before = descriptors()
    for place in drawn:
        with ctx.handles():
            driver = ctx.open()
            work(driver, Failure(driver, place, number))
    more = descriptors() - before
    assert more <= 0, f"{more} more descriptors are open after calls that failed"


def _places(ctx: Context, work: Work) -> list[int]:
    """Do some work twice, count the calls of the system in it that may fail, and return some of their numbers."""
    counted = []
    for _ in range(2):
        with ctx.handles():
            driver = ctx.open()
            work(driver, failure := Failure(driver))
            counted.append(failure.places)
    drawn = ctx.sample(range(1, counted[-1] + 1), PLACES[ctx.profile])
    ctx.count("failed system calls", len(drawn))
    return drawn
