"""Halves: while an object is replaced, everybody else sees it whole, before or after."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, PathNotFoundError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.payloads import difference
from layerstore_conformance.kit.together import look_during

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"
IDS = "threads"


def _whole(ctx: Context, work: Callable[[], object], allowed: set[bytes]) -> None:
    """Check that an object is one of these whole ones, whenever it is read while something is done."""
    driver = ctx.open()

    def look() -> None:
        try:
            found = driver.get("key", 1 << 20)
        except BackendUnavailableError:  # replaced while it was read (clause R4)
            return
        except PathNotFoundError as error:
            raise AssertionError("seen half way: nothing under the key") from error
        assert found in allowed, f"seen half way: {difference(max(allowed, key=len), found)}"

    look_during(work, look, ctx.size(30))


@scenario("P1", "T1", kills=("put-in-two-steps",), rows=(119,))
def nobody_sees_half_a_put(ctx: Context) -> None:
    """While an object is put over and over, another handle sees one whole object or another.

    Half of a link names a blob that never existed.
    """
    versions = [ctx.payload("put").read(size, 512 * size) for size in (9_000, 700, 300_000)]
    ctx.driver.put("key", versions[0])

    def work() -> None:
        for data in versions:
            ctx.driver.put("key", data)

    _whole(ctx, work, set(versions))


@scenario("W6", "T1", kills=("flush-in-two-steps",), rows=(119, 145))
def nobody_sees_half_a_flush(ctx: Context) -> None:
    """While a writer writes and flushes, another handle sees one flushed object or another, and none in between."""
    flushed = [ctx.payload("flush").read(70_000)]
    for number in range(ctx.size(10)):
        flushed.append(flushed[-1][:100] + ctx.payload(f"over-{number}").read(len(flushed[-1]) + 2900))
    ctx.driver.put("key", flushed[0])

    def work() -> None:
        ctx.driver.put("key", flushed[0])
        with ctx.driver.open_writer("key") as writer:
            for data in flushed[1:]:
                writer.seek(2000)
                writer.write(data[2000:])
                writer.seek(100)
                writer.write(data[100:2000])
                writer.flush()

    _whole(ctx, work, set(flushed))


@scenario("M2", "T1", kills=("move-in-two-steps", "move-drops-the-target-first"), rows=(119,))
def nobody_sees_half_a_move(ctx: Context) -> None:
    """While objects are moved over another one, another handle sees the old one or the new one at every moment."""
    versions = [ctx.payload("move").read(size, 512 * size) for size in (9_000, 700, 300_000)]
    ctx.driver.put("key", versions[0])

    def work() -> None:
        for data in versions:
            ctx.driver.put("source", data)
            ctx.driver.move("source", "key")

    _whole(ctx, work, set(versions))


@scenario("M2", "T1", kills=("move-drops-the-source-first",), rows=(94, 119))
def the_bytes_are_somewhere_while_they_move(ctx: Context) -> None:
    """While an object is moved, it is whole under its source, its target or both at every moment.

    The scenario looks under the source first and then under the target, so that the object cannot slip by.
    """
    data = ctx.payload("there").read(9000)
    driver = ctx.open()

    def look(keys: tuple[str, ...]) -> None:
        ctx.same(_first_of(driver, keys), data, "while it was moved")

    for number in range(ctx.size(8)):
        keys = (f"source-{number}", f"target-{number}")
        ctx.driver.put(keys[0], data)
        look_during(partial(ctx.driver.move, *keys), partial(look, keys))


def _first_of(driver: CheckedDriver, keys: tuple[str, ...]) -> bytes:
    for key in keys:
        try:
            return driver.get(key, 1 << 20)
        except (PathNotFoundError, BackendUnavailableError):
            continue
    return b""
