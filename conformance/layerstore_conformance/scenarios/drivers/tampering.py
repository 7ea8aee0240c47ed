"""Other programs: the driver notices a change behind its back, and publishes nothing over it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, FencedError, PathNotFoundError, UnsupportedOperationError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.harness import HOWS
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from layerstore import Reader, Writer
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.harness import How

GROUP = "primitives"

LARGE = 1_500_000
"""Bytes: more than any driver's block."""

TIMES = 6
"""How often an object is changed in a row."""

VISIBLE: tuple[How, ...] = tuple(how for how in HOWS if how != "delete")
"""The changes that leave an object."""


def hows(size: int) -> tuple[How, ...]:
    """Return the ways to change an object of this size that leave one; an empty one can only grow or be made anew."""
    return VISIBLE if size else ("append", "remake", "remake-otherwise")


def expect_left(ctx: Context, key: str, data: bytes | None, versions: set[str]) -> None:
    """Check that fresh handles find the bytes that another program left, at one version that is none of these."""
    if data is None:
        with refused(PathNotFoundError):
            ctx.open().stat(key)
        return
    with ctx.open().open_reader(key) as reader:
        found = {ctx.driver.stat(key).version, ctx.open().stat(key).version, reader.version}
        ctx.same(reader.readall(), data, key)
    assert len(found) == 1, f"one version, {len(found)} names: {found}"
    assert not found & versions, f"changed by another program, and still at version {found}"


@scenario(
    "X1",
    "S2",
    kills=(
        *("version-is-the-size", "version-is-size-and-time", "version-is-noted", "version-is-a-hash"),
        "version-is-of-the-beginning",
    ),
    needs=("tamper",),
)
def another_programs_change_makes_a_version(ctx: Context) -> None:
    """When another program changes an object, its version changes, and a read returns the new bytes.

    Saved hashes, verified digests and fences compare versions: if one stays, changed bytes become a layer.
    """
    for size in (0, 1, 700, ctx.size(LARGE)):
        for how in hows(size):
            key = f"{how}/{size}"
            ctx.driver.put(key, ctx.payload("before").read(size))
            before = ctx.driver.stat(key).version
            left = ctx.tamper(key, how)
            expect_left(ctx, key, left, {before})
            writer = ctx.open().open_writer(key)
            assert writer.version == ctx.driver.stat(key).version, "a new writer names the version otherwise"
            writer.discard()


@scenario(
    "X1",
    "S2",
    kills=("version-is-a-hash", "version-is-size-and-time", "version-is-noted"),
    needs=("tamper",),
    rows=(74,),
)
def changes_in_a_row_make_versions(ctx: Context) -> None:
    """However fast another program changes an object to and fro, in any way, no version comes back."""
    for how in ("replace-quietly", "remake", "remake-otherwise", "replace"):
        ctx.driver.put(how, ctx.payload("row").read(700))
        versions = [ctx.driver.stat(how).version]
        for _ in range(TIMES):
            ctx.tamper(how, how)
            versions.append(ctx.driver.stat(how).version)
        assert len(set(versions)) == TIMES + 1, f"{how}: versions repeat: {versions}"


def with_nothing_more(ctx: Context, key: str) -> Writer:
    """Flush, and write nothing more."""
    writer = ctx.driver.open_writer(key)
    writer.write(ctx.payload("flushed").read(5000))
    writer.flush()
    return writer


def with_more_behind(ctx: Context, key: str) -> Writer:
    """Flush, and write on."""
    writer = with_nothing_more(ctx, key)
    writer.write(ctx.payload("more").read(3000))
    return writer


def with_the_middle_written_over(ctx: Context, key: str) -> Writer:
    """Flush, and write over what was flushed."""
    writer = with_nothing_more(ctx, key)
    writer.seek(1000)
    writer.write(ctx.payload("over").read(2000))
    return writer


def after_a_take_over(ctx: Context, key: str) -> Writer:
    """Take over from a writer that had written more, and publish nothing."""
    with_more_behind(ctx, key)
    return ctx.open().open_writer(key)


def after_a_put(ctx: Context, key: str) -> Writer:
    """Open an object that was put."""
    ctx.open().put(key, ctx.payload("put").read(5000))
    return ctx.driver.open_writer(key)


SETTLED: tuple[Callable[[Context, str], Writer], ...] = (with_nothing_more, after_a_take_over, after_a_put)
"""Works that leave a writer with nothing to publish."""

PENDING = (with_more_behind, with_the_middle_written_over)
"""Works that leave one with bytes to publish. If it writes in place, these look like bytes that another appends."""


def without_the_append(ctx: Context, key: str, left: bytes | None) -> bytes | None:
    """Return the bytes that are left, or without the appended ones if the driver took those for unflushed bytes."""
    flushed = ctx.payload("flushed").read(5000)
    if left is None or not left.startswith(flushed):
        return left
    return left[: ctx.open().stat(key).size]


@scenario(
    "X2",
    "X1",
    "F4",
    kills=("another-programs-change-is-published-over", "version-is-noted", "version-is-size-and-time"),
    needs=("tamper",),
)
def a_writer_publishes_nothing_over_another_programs_change(ctx: Context) -> None:
    """If another program changes an object, its open writer is fenced, and the program's bytes stay.

    This holds whether the writer had flushed anything or not, and though it has nothing to publish.
    """
    for number, moment in enumerate((*SETTLED, *PENDING)):
        for how in HOWS:
            key = f"{how}/{number}"
            writer = moment(ctx, key)
            before = ctx.open().stat(key).version
            ctx.step(moment.__name__.replace("_", " "))
            left = ctx.tamper(key, how)
            if moment in SETTLED:
                expect_left(ctx, key, left, {before})
            with refused(FencedError):
                writer.flush()
            writer.discard()
            ctx.open().open_writer(key).discard()
            expect_left(ctx, key, left if moment in SETTLED else without_the_append(ctx, key, left), {before})


@scenario("X2", "F4", kills=("another-programs-change-is-published-over",), needs=("tamper",))
def a_fenced_writer_is_fenced_for_good(ctx: Context) -> None:
    """A writer that was fenced by another program's change publishes nothing later, whatever it writes first."""
    for how in HOWS:
        writer = with_more_behind(ctx, how)
        left = ctx.tamper(how, how)
        for _ in range(2):
            with suppress(FencedError, BackendUnavailableError):  # it may tell early, or find its bytes gone
                writer.seek(0)
                writer.write(ctx.payload("again").read(9000))
            with refused(FencedError):
                writer.flush()
        with refused(FencedError):
            writer.close()
        ctx.open().open_writer(how).discard()
        expect_left(ctx, how, without_the_append(ctx, how, left), set())


def of_nothing(ctx: Context, key: str) -> Writer:
    """Open a new object."""
    return ctx.driver.open_writer(key)


def of_some_bytes(ctx: Context, key: str) -> Writer:
    """Write to a new object."""
    writer = of_nothing(ctx, key)
    writer.write(ctx.payload("new").read(5000))
    return writer


def of_many_bytes(ctx: Context, key: str) -> Writer:
    """Write more to a new object than any driver gathers."""
    writer = of_nothing(ctx, key)
    writer.write(ctx.payload("new").read(ctx.size(LARGE)))
    return writer


def taken_over(ctx: Context, key: str) -> Writer:
    """Take a new object over from a writer that had written more."""
    of_some_bytes(ctx, key)
    return ctx.open().open_writer(key)


def after_a_deletion(ctx: Context, key: str) -> Writer:
    """Write to an object that was deleted."""
    after_a_put(ctx, key).discard()
    ctx.open().delete(key)
    return of_some_bytes(ctx, key)


def after_a_move(ctx: Context, key: str) -> Writer:
    """Write to an object that was moved away."""
    after_a_put(ctx, key).discard()
    ctx.open().move(key, f"{key}-moved")
    return of_some_bytes(ctx, key)


NEW = (of_nothing, of_some_bytes, of_many_bytes, taken_over, after_a_deletion, after_a_move)
"""Works that leave a writer of a new object, with nothing published."""


@scenario("F4", "X2", kills=("new-object-replaces-another-programs",), needs=("tamper",))
def a_new_object_replaces_nothing_that_another_program_has_made(ctx: Context) -> None:
    """If another program makes an object under the key of a writer's new one, the writer is fenced, for good.

    The program's bytes stay, and a new writer goes on from them.
    """
    for moment in NEW:
        key = f"new/{moment.__name__}"
        writer = moment(ctx, key)
        ctx.step(moment.__name__.replace("_", " "))
        left = ctx.tamper(key, "make") or b""
        for _ in range(2):
            with refused(FencedError):
                writer.flush()
        writer.discard()
        after = ctx.open().open_writer(key)
        assert after.size == len(left), f"{key}: {after.size} bytes instead of {len(left)}"
        after.discard()
        expect_left(ctx, key, left, set())


@scenario("R3", "S3", "L1", "D1", kills=("missing-is-remembered",), needs=("tamper",))
def what_another_program_makes_is_there(ctx: Context) -> None:
    """An object of another program is found, listed and deleted, though the same handle has looked for it before."""
    for deleted in ("made/below/a-key", "made"):
        key = "made/below/a-key"
        for driver in (ctx.driver, ctx.open()):
            with refused(PathNotFoundError):
                driver.stat(key)
            with refused(PathNotFoundError):
                driver.open_reader(key)
            assert list(driver.list("made/below")) == list(driver.list("made")) == [], "nothing is there yet"
        left = ctx.tamper(key, "make") or b""
        ctx.expect(key, left)
        with ctx.driver.open_reader(key) as reader:
            assert reader.size == ctx.driver.stat(key).size == len(left), "found with another size"
        assert [*ctx.driver.list("made"), *ctx.driver.list("made/below")] == ["made/below/", key], "not listed"
        ctx.driver.delete(deleted)
        expect_left(ctx, key, None, set())


@scenario("X1", "X2", kills=("version-is-noted", "version-is-size-and-time"), needs=("tamper",))
def a_new_writer_goes_on_behind_another_programs_change(ctx: Context) -> None:
    """A writer opened after another program's change begins with that program's bytes, and publishes after them.

    If the program has made the object in a form of its own, the driver may refuse to go on, before anything is changed.
    """
    more = ctx.payload("on").read(600)
    for how in HOWS:
        earlier = with_more_behind(ctx, how)
        before = ctx.open().stat(how).version
        left = ctx.tamper(how, how)
        writer = ctx.open().open_writer(how)
        earlier.discard()
        left = without_the_append(ctx, how, left)
        after = (left or b"") + more
        assert writer.version != before, f"{how}: opened at the version from before the change"
        assert writer.size == len(left or b""), f"{how}: {writer.size} bytes instead of {len(left or b'')}"
        try:
            writer.write(more)
            writer.flush()
        except UnsupportedOperationError:
            after = left or b""
        writer.discard()
        ctx.expect(how, after)


@scenario(
    "X2", "M4", "M3", kills=("version-is-noted", "version-is-size-and-time", "version-is-a-hash"), needs=("tamper",)
)
def a_move_by_the_version_before_another_programs_change_is_refused(ctx: Context) -> None:
    """A move with the version before another program's change is refused, and changes nothing.

    So bytes that nobody has verified do not get under a digest.
    """
    target = ctx.payload("target").read(300)
    for how in HOWS:
        ctx.driver.put("target", target)
        ctx.driver.put("source", ctx.payload("source").read(5000))
        before = ctx.driver.stat("source").version
        left = ctx.tamper("source", how)
        with refused(FencedError if left is not None else PathNotFoundError):
            ctx.driver.move("source", "target", version=before)
        expect_left(ctx, "source", left, {before})
        ctx.expect("target", target)
        if left is not None:
            ctx.open().move("source", "target", version=ctx.open().stat("source").version)
            ctx.expect("target", left)


@scenario("X3", "R4", kills=("reader-takes-the-new-version",), needs=("tamper",), profile="default")
def a_reader_keeps_its_version_through_another_programs_change(ctx: Context) -> None:
    """If another program changes an object, its open reader stays at its version, and mixes nothing in.

    Each byte that it returns is an old or a new one, or it raises; a caller that compares its version with ``stat``
    notices.
    """
    for size in (5000, ctx.size(LARGE)):
        data = ctx.payload("read").read(size)
        for how in HOWS:
            ctx.driver.put(how, data)
            with ctx.driver.open_reader(how) as reader:
                before = reader.version
                ctx.same(reader.read(size // 4), data[: size // 4], "before the change")
                left = ctx.tamper(how, how)
                _read_on(reader, data, left or b"")
                assert reader.version == before, f"{how}: version {before} became {reader.version} while it was read"
            expect_left(ctx, how, left, {before})


def _read_on(reader: Reader, old: bytes, new: bytes) -> None:
    start = reader.tell()
    try:
        rest = reader.readall()
    except BackendUnavailableError:
        return
    assert len(rest) == len(old) - start, f"{len(rest)} bytes were read of {len(old) - start}, and no error"
    pairs = zip(rest, old[start:], new[start:].ljust(len(rest), b"\0"), strict=False)
    assert all(found in both for found, *both in pairs), "bytes were read that are neither the old nor the new ones"
