"""Putting: small objects are stored whole, and replace the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.processes.elsewhere import Elsewhere

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


@scenario("P1", kills=("put-drops-its-last-byte", "newlines-translated"), rows=(30, 32, 63))
def what_was_put_is_there(ctx: Context) -> None:
    """A put object, of any size and however deep its key, comes back byte for byte through another handle."""
    for size in (1, 2, 511, 512, 513, 4096, 65_537, 1_048_577):
        ctx.driver.put(f"deep/er/{size}", ctx.payload("put").read(size))
    for size in (1, 2, 511, 512, 513, 4096, 65_537, 1_048_577):
        ctx.expect(f"deep/er/{size}", ctx.payload("put").read(size))


@scenario("P1", kills=("put-ignored-the-second-time",), rows=(53,))
def a_put_replaces(ctx: Context) -> None:
    """Every put replaces the object before it, put by the same handle or another one.

    A link that still names the old blob serves the old layer for ever.
    """
    for number in range(5):
        driver = ctx.driver if number % 2 else ctx.open()
        driver.put("key", ctx.payload("again").read(700, 512 * number))
        ctx.expect("key", ctx.payload("again").read(700, 512 * number))


@scenario("P1", "W6", kills=("put-ignored-the-second-time", "old-tail-kept"), rows=(53, 54))
def a_shorter_object_replaces_a_longer_one(ctx: Context) -> None:
    """A shorter put over a longer object leaves nothing of the old one.

    A link with the tail of an old one names no blob any more.
    """
    ctx.driver.put("key", ctx.payload("long").read(1_048_577))
    ctx.driver.put("key", ctx.payload("short").read(700))
    ctx.expect("key", ctx.payload("short").read(700))
    assert ctx.open().stat("key").size == 700, f"size {ctx.open().stat('key').size} instead of 700"
    with ctx.open().open_writer("key") as writer:
        writer.write(ctx.payload("more").read(600))
    ctx.expect("key", ctx.payload("short").read(700) + ctx.payload("more").read(600))


@scenario("P1", kills=("put-ignored-the-second-time", "old-tail-kept"), rows=(53, 55))
def a_put_replaces_what_was_written(ctx: Context) -> None:
    """A put replaces an object that was written in pieces, and can be written to in turn."""
    with ctx.driver.open_writer("key") as writer:
        for part in range(4):
            writer.write(ctx.payload("pieces").read(3000, 3000 * part))
    ctx.open().put("key", ctx.payload("put").read(700))
    ctx.expect("key", ctx.payload("put").read(700))


@scenario("P1", "K3", kills=("put-changes-its-neighbours",), rows=(53, 80))
def a_put_changes_no_other_object(ctx: Context) -> None:
    """A put changes neither bytes nor version of any other object."""
    others = ("key2", "ke", "key.x", "dir/key", "dir/key2")
    for number, other in enumerate(others):
        ctx.driver.put(other, ctx.payload("others").read(700, 512 * number))
    before = [ctx.open().stat(other) for other in others]
    ctx.driver.put("key", ctx.payload("put").read(700))
    for number, other in enumerate(others):
        ctx.expect(other, ctx.payload("others").read(700, 512 * number))
    assert [ctx.open().stat(other) for other in others] == before, "a put changed another object's stat"


@scenario("P2", "C3", "C4", kills=("publishes-behind",), rows=(161,), needs=("shared", "url"))
def a_put_outlives_the_process(ctx: Context) -> None:
    """A put object is there though the process is killed right after the put."""
    with Elsewhere(ctx) as there:
        there.run(CheckedDriver.put, "old", ctx.payload("old").read(5000))
        there.run(CheckedDriver.put, "old", ctx.payload("put").read(700))
        there.run(CheckedDriver.put, "dir/new", ctx.payload("put").read(70_000))
        there.kill()
    ctx.expect("old", ctx.payload("put").read(700))
    ctx.expect("dir/new", ctx.payload("put").read(70_000))


@scenario("P2", "P1", kills=("put-waits-for-close",), rows=(5, 18))
def a_put_is_there_at_once(ctx: Context) -> None:
    """A second handle sees a put object as soon as ``put`` returns, while the first handle stays open."""
    for number in range(3):
        ctx.driver.put(f"key-{number}", ctx.payload("at-once").read(700, 512 * number))
        ctx.expect(f"key-{number}", ctx.payload("at-once").read(700, 512 * number))
    assert ctx.stored() == ["key-0", "key-1", "key-2"]


@scenario("P3", kills=("put-of-nothing-ignored",), rows=(52,))
def a_put_of_nothing_makes_an_empty_object(ctx: Context) -> None:
    """A put of no bytes makes an object: it is listed, its size is 0, and it replaces the one before."""
    ctx.driver.put("full", ctx.payload("full").read(700))
    for key in ("full", "new"):
        ctx.driver.put(key, b"")
        ctx.expect(key, b"")
        assert ctx.open().stat(key).size == 0, f"size {ctx.open().stat(key).size} instead of 0"
    assert ctx.stored() == ["full", "new"]


@scenario("P1", "W9", kills=("put-keeps-the-buffer",), rows=(67,))
def a_buffer_is_the_callers_again_after_the_put(ctx: Context) -> None:
    """A buffer of any kind is put byte for byte, and the caller may fill it anew as soon as ``put`` returns."""
    data = ctx.payload("buffer").read(1400)
    buffer = bytearray(data[:700])
    ctx.driver.put("bytearray", buffer)
    ctx.driver.put("view", memoryview(data)[700:])
    buffer[:] = bytes(700)
    ctx.expect("bytearray", data[:700])
    ctx.expect("view", data[700:])
