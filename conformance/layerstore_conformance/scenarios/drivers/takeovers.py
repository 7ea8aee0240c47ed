"""Takeovers: a writer in any state is fenced by whatever takes its key; another process sees objects of any size."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, cast

from layerstore import DriverError, FencedError, LayerClosedError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere, write
from layerstore_conformance.steps.points import CLASSES, MIB

if TYPE_CHECKING:
    from layerstore.driver import Stat, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

KEY = "d/e/key"


def _there(driver: CheckedDriver) -> bytes:
    """Return what is under the key, or nothing."""
    return driver.get(KEY, 1 << 30) if driver.find(KEY) else b""


def _write_the_same(driver: CheckedDriver) -> None:
    with driver.open_writer(KEY) as writer:
        writer.seek(0)
        writer.write(_there(driver))


TAKEN = Axis(
    "taken by",
    {
        "a writer": lambda driver: driver.open_writer(KEY),
        "a writer discarded": lambda driver: driver.open_writer(KEY).discard(),
        "a writer closed": lambda driver: driver.open_writer(KEY).close(),
        "a put": lambda driver: driver.put(KEY, b"new"),
        "a put of the same bytes": lambda driver: driver.put(KEY, _there(driver)),
        "a move over": lambda driver: (driver.put("source", b"new"), driver.move("source", KEY)),
        "a move over of the same bytes": lambda driver: (
            driver.put("source", _there(driver)),
            driver.move("source", KEY),
        ),
        "a move away": lambda driver: driver.move(KEY, "away") if driver.find(KEY) else driver.delete(KEY),
        "a move there and back": lambda driver: (
            (driver.move(KEY, "away"), driver.move("away", KEY)) if driver.find(KEY) else driver.delete(KEY)
        ),
        "a delete": lambda driver: driver.delete(KEY),
        "a delete of the prefix": lambda driver: driver.delete("d/e"),
        "a delete from the top": lambda driver: driver.delete("d"),
        "a delete and a put": lambda driver: (driver.delete(KEY), driver.put(KEY, b"anew")),
    },
)
STATES = Axis(
    "state", {"fresh": (), "written": ("w",), "flushed": ("w", "f"), "both": ("w", "f", "w"), "thrice": "wfwfwfw"}
)
OBJECTS = Axis("object", {"none": None, "small": 700, "large": 9 * MIB})
WRITTEN = Axis("written", {"100": 100, "9 MiB": 9 * MIB})
WHOSE = Axis("whose", {"the same handle": "same", "another handle": "another"})


@scenario(
    *("F1", "F2", "F3", "E4"),
    kills=(
        *("fencing-absent", "put-does-not-fence", "delete-fences-only-the-key", "move-does-not-fence-the-target"),
        *("a-put-of-the-same-is-skipped", "a-move-over-the-same-is-a-delete"),
    ),
    rows=(120, 123),
    axes=(Axis("taken", TAKEN.points), STATES, OBJECTS, WRITTEN, WHOSE),
)
def a_writer_in_any_state_is_fenced_by_whatever_takes_its_key(
    ctx: Context,
    taken: Callable[[CheckedDriver], object],
    state: tuple[str, ...],
    object: int | None,  # noqa: A002  (the axis's name)
    written: int,
    whose: str,
) -> None:
    """Whatever a writer has written or flushed, whoever takes its key fences it for good, and it changes nothing."""
    ctx.driver.put("beside", b"beside")
    ctx.driver.put(KEY, bulk("old", object)) if object is not None else None
    writer = ctx.driver.open_writer(KEY)
    for step in state:
        writer.write(bulk("mine", written)) if step == "w" else writer.flush()
    other = ctx.open() if whose == "another" else ctx.driver
    held = taken(other)
    before = {key: ctx.open().stat(key) for key in ctx.stored()}
    for _ in range(3):
        with refused(FencedError):
            writer.flush()
        with suppress(FencedError):
            writer.write(b"late")
    writer.discard()
    after: dict[str, Stat] = {key: ctx.open().stat(key) for key in ctx.stored()}
    assert after == before, f"a fenced writer made {after} of {before}"
    ctx.expect("beside", b"beside")
    del held


AWAY = "d/away"


def _move_over(driver: CheckedDriver, at: str) -> str:
    driver.put("source", b"moved over")
    driver.move("source", at)
    return at


def _move_away(driver: CheckedDriver, at: str) -> str:
    to = KEY if at == AWAY else AWAY
    driver.move(at, to)
    return to


def _put(driver: CheckedDriver, at: str) -> str:
    driver.put(at, b"put")
    return at


def _delete(driver: CheckedDriver, at: str) -> str:
    driver.delete(at)
    return at


def _write_and_move_over(driver: CheckedDriver, at: str) -> str:
    """Move over it an object that had a writer, too."""
    driver.open_writer("source").close()
    driver.move("source", at)
    return at


TAKEOVERS: dict[str, tuple[Callable[[CheckedDriver, str], str], ...]] = {
    "a move away": (_move_away,),
    "a move away and back": (_move_away, _move_away),
    "a move over": (_move_over,),
    "a move over of what was written": (_write_and_move_over,),
    "a delete": (_delete,),
    "a delete and a put": (_delete, _put),
    "a put": (_put,),
    "a put and a move away": (_put, _move_away),
    "a move away and a put over": (_move_away, _put),
    "a move over and a move away": (_move_over, _move_away),
}
"""Takes the place of an object, and returns its place afterwards; one after the other."""

OPENED = list(product(range(1, 4), repeat=2))
"""Writers that are opened of an object before a takeover and after it, one after the other."""


@scenario(
    *("F1", "F2", "F3"),
    kills=("writers-counted-anew-after-a-move", "fencing-absent"),
    rows=(120, 123),
    axes=(Axis("takeovers", TAKEOVERS),),
)
def a_writer_stays_fenced_however_many_are_opened_where_its_object_is(
    ctx: Context, takeovers: tuple[Callable[[CheckedDriver, str], str], ...]
) -> None:
    """However many writers come before a takeover, and however many after it, the writer from before is fenced.

    Where writers are told apart by a number that begins anew, a later one has the number of an earlier one.
    """
    for number in ctx.sample(range(len(OPENED)), len(OPENED)):
        before, after = OPENED[number]
        ctx.step(f"{before} opened before, {after} after")
        ctx.driver.delete("d")
        ctx.driver.put(KEY, b"old")
        at, fenced = KEY, [ctx.driver.open_writer(KEY) for _ in range(before)]
        fenced[-1].write(b"mine")
        for takeover in takeovers:
            at = takeover(ctx.driver, at)
        fenced += [ctx.driver.open_writer(at) for _ in range(after)]
        _expect_that_the_last_one_owns(ctx, fenced.pop(), fenced)


def _expect_that_the_last_one_owns(ctx: Context, owner: Writer, fenced: list[Writer]) -> None:
    """Check that all others are fenced, and that what is there is what the last one makes of it."""
    there = {key: ctx.open().get(key, 100) for key in ctx.stored("d")}
    for writer in fenced:
        with refused(FencedError):
            writer.flush()
        writer.discard()
    owner.write(b"the last one's")
    owner.close()
    key = owner.key.removeprefix(f"{ctx.prefix}/")
    there[key] = there.get(key, b"") + b"the last one's"
    assert (found := {key: ctx.open().get(key, 100) for key in ctx.stored("d")}) == there, f"{found}, not {there}"


@scenario(
    *("F3", "F2", "E4"),
    kills=("end-of-nothing-checks-no-fence", "fencing-absent", "a-move-over-the-same-is-a-delete"),
    rows=(120, 123),
    axes=(Axis("taken", {**TAKEN.points, "a writer of the same bytes": _write_the_same}),),
)
def a_writer_that_ends_is_fenced_as_by_its_flush(ctx: Context, taken: Callable[[CheckedDriver], object]) -> None:
    """``end`` of a fenced writer raises FencedError and changes nothing, with bytes to publish and without any.

    Links are written by ``end``: one that seemed to be there, and was not, would be a layer that nobody finds.
    """
    for object_, state in ((None, ""), (None, "w"), (None, "wf"), (700, ""), (700, "w"), (700, "wfw")):
        ctx.driver.delete("d")
        ctx.driver.put(KEY, bulk("old", object_)) if object_ is not None else None
        writer = ctx.driver.open_writer(KEY)
        for step in state:
            writer.write(b"mine") if step == "w" else writer.flush()
        held = taken(ctx.open())
        before = {key: ctx.open().stat(key) for key in ctx.stored()}
        with refused(FencedError):
            writer.end()
        assert writer.closed, "a writer that was fenced is still open after its end"
        after = {key: ctx.open().stat(key) for key in ctx.stored()}
        assert after == before, f"a fenced writer's end, after {state!r}, made {after} of {before}"
        del held


@scenario(*("W6", "W3", "T3"), kills=("end-publishes-nothing", "closed-handles-work"), rows=(57, 105))
def a_writer_that_ends_has_published_all(ctx: Context) -> None:
    """``end`` publishes all that was written, creates an object of no bytes, and closes; the next writer goes on."""
    data = bulk("ends", 5000, ctx.seed)
    for key, state in (("d/none", ""), ("d/flushed", "wf"), ("d/written", "w"), ("d/both", "wfw"), ("d/over", "wfo")):
        writer, model = ctx.driver.open_writer(key), bytearray()
        for step in state:
            writer.seek(100) if step == "o" else None
            start = writer.tell()
            part = b"" if step == "f" else data[len(model) : len(model) + 1000]
            writer.flush() if step == "f" else writer.write(part)
            model[start : start + len(part)] = part
        writer.end()
        assert writer.closed, "still open after its end"
        ctx.expect(key, bytes(model))
        before = ctx.open().stat(key)
        for closed in (writer.close, writer.discard):
            closed()
        with refused(LayerClosedError):
            writer.end()
        assert ctx.open().stat(key) == before, "closed once more after its end, a writer changed its object"
        with ctx.open().open_writer(key) as following:
            assert (following.size, following.version) == (len(model), before.version), "the next writer begins wrong"
            following.write(b"more")
        ctx.expect(key, bytes(model) + b"more")


LATE = Axis("late", {"discarded": "discard", "closed": "close", "ended": "end"})


@scenario(
    *("T2", "F3", "W6"),
    kills=("fenced-end-spoils-large-drafts",),
    rows=(117, 120),
    axes=(CLASSES, LATE, OBJECTS),
)
def a_fenced_writer_that_ends_leaves_the_later_ones_bytes(
    ctx: Context,
    size: int,
    late: str,
    object: int | None,  # noqa: A002  (the axis's name)
) -> None:
    """When a fenced writer ends, all that the later writer has written and not flushed is still there, of any size."""
    old, new = bulk("old", object or 0), bulk("new", size, ctx.seed)
    ctx.driver.put(KEY, old) if object is not None else None
    fenced = ctx.driver.open_writer(KEY)
    fenced.write(b"fenced")
    with ctx.open().open_writer(KEY) as later:
        for start in range(0, size, MIB):
            later.write(new[start : start + MIB])
        if late != "discard":
            with refused(FencedError):
                fenced.close() if late == "close" else fenced.end()
        fenced.discard()
        ctx.driver.open_writer("another").close()  # a driver may clear up after the first one only now
    ctx.expect(KEY, old + new)


@scenario(
    *("C3", "W6", "P1", "M1", "D1", "F1"),
    kills=("every-process-has-its-own", "publishes-behind"),
    rows=(5, 131),
    needs=("shared", "url"),
    profile="default",
)
def another_process_sees_objects_of_any_size(ctx: Context) -> None:
    """What one process puts, flushes, moves or deletes, of any size, another one sees, and is fenced by."""
    with Elsewhere(ctx) as there:
        for size in CLASSES.points.values():
            data, more = bulk("there", size, ctx.seed), bulk("here", size, ctx.seed)
            there.run(CheckedDriver.put, KEY, data)
            ctx.expect(KEY, data)
            here = ctx.driver.open_writer(KEY)
            there.hold(write, KEY, [(size, more)], flush=True)
            with refused(FencedError):
                here.close()
            here.discard()
            ctx.expect(KEY, data + more)
            ctx.driver.move(KEY, "moved")
            ctx.same(there.run(CheckedDriver.get, "moved", 1 << 30), data + more, "moved here, read there")
            there.run(CheckedDriver.delete, "moved")
            assert ctx.stored() == [], f"there is {ctx.stored()}, deleted by another process"


REFUSALS: dict[str, Callable[[CheckedDriver, Writer], object]] = {
    "a put under no key": lambda driver, _: driver.put(f"{KEY}//", b"new"),
    "a put of no bytes but text": lambda driver, _: driver.put(KEY, cast("bytes", "text")),
    "a writer of no key": lambda driver, _: driver.open_writer(f"{KEY}/"),
    "a move onto itself": lambda driver, _: driver.move(KEY, KEY),
    "a move to no key": lambda driver, _: driver.move(KEY, "a b"),
    "a move of no key": lambda driver, _: driver.move("a b", KEY),
    "a move of what is missing": lambda driver, _: driver.move("missing", KEY),
    "a move of a prefix": lambda driver, _: driver.move("d", KEY),
    "a move of what is missing, at a version": lambda driver, _: driver.move("missing", KEY, version="1"),
    "a move at another version": lambda driver, _: driver.move(KEY, "away", version="no such version"),
    "a move over it at another version": lambda driver, _: driver.move("source", KEY, version="no such version"),
    "a reader beyond the end": lambda driver, _: driver.open_reader(KEY, 10**6),
    "a reader at a negative offset": lambda driver, _: driver.open_reader(KEY, -1),
    "a delete of no key": lambda driver, _: driver.delete(f"{KEY}/"),
    "a delete beside it": lambda driver, _: driver.delete(f"{KEY}/missing"),
    "a put below it": lambda driver, _: driver.put(f"{KEY}/below", b"new"),
    "a writer below it": lambda driver, _: driver.open_writer(f"{KEY}/below").close(),
    "a move below it": lambda driver, _: driver.move("source", f"{KEY}/below"),
    "a put above it": lambda driver, _: driver.put("d/e", b"new"),
    "a writer above it": lambda driver, _: driver.open_writer("d/e").close(),
    "a write of text": lambda _, writer: writer.write(cast("bytes", "text")),
    "a write beyond the largest size": lambda _, writer: _write_beyond(writer),
    "a seek to before the start": lambda _, writer: writer.seek(-1),
    "a seek from nowhere": lambda _, writer: writer.seek(0, 7),
}
"""Calls that are refused, or that are done beside the key where a driver can: none takes the key from its writer."""


def _write_beyond(writer: Writer) -> None:
    at = writer.tell()
    writer.seek(2**63 - 1)
    try:
        writer.write(b"beyond")
    finally:
        writer.seek(at)


@scenario(
    *("E4", "F1", "F2", "F4", "M3", "M4"),
    kills=("missing-move-fences-target", "refused-move-fences-source", "every-change-fences-below-its-prefix"),
    rows=(118, 161, 162),
    profile="default",
)
def what_was_refused_has_fenced_nobody(ctx: Context) -> None:
    """After a call that was refused, for whatever reason, the writer of each key in it goes on, and publishes all.

    An upload that a mistaken call ended would have to be begun anew.
    """
    for exists in (True, False):
        for name, refuse in REFUSALS.items():
            if name.endswith(("above it", "below it")) and not (exists or ctx.capabilities.nested_keys):
                continue  # it is done, and the flush is refused (C2)
            ctx.step(f"{name}, {'an object' if exists else 'a new object'}")
            ctx.driver.delete("d")
            ctx.driver.put("source", b"source")
            ctx.driver.put(KEY, b"old") if exists else None
            earlier, writer = ctx.driver.open_writer(KEY), ctx.driver.open_writer(KEY)
            source = ctx.driver.open_writer("source")
            writer.write(b"begun")
            with refused(FencedError):
                earlier.close()
            moves_source = name == "a move below it"
            with suppress(DriverError, TypeError, ValueError):
                refuse(ctx.open(), writer)
            writer.write(b", goes on")
            writer.close()
            ctx.expect(KEY, (b"old" if exists else b"") + b"begun, goes on")
            if not moves_source:
                source.close()
                ctx.expect("source", b"source")
            source.discard()
