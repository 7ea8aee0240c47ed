"""Moving: the bytes are whole under the source or the target, and a move may ask for a version."""

from __future__ import annotations

from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from layerstore import DriverError, FencedError, InvalidPathError, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


@scenario("M1", kills=("move-keeps-the-source", "move-copies-nothing"), rows=(94, 101))
def a_move_takes_the_bytes_to_the_target(ctx: Context) -> None:
    """After a move the target, however deep, holds the source's bytes, and the source is gone."""
    data = ctx.payload("moved").read(70_001)
    ctx.driver.put("from/source", data)
    ctx.driver.move("from/source", "to/some/target")
    assert ctx.stored() == ["to/some/target"]
    ctx.expect("to/some/target", data)
    assert ctx.open().stat("to/some/target").size == 70_001, "the size is not that of the source"
    ctx.driver.move("to/some/target", "from/source")
    assert ctx.stored() == ["from/source"]
    ctx.expect("from/source", data)


@scenario("M1", kills=("move-keeps-the-old-target", "move-keeps-the-source"), rows=(53, 95))
def a_move_replaces_its_target(ctx: Context) -> None:
    """A move over a longer or a shorter object leaves nothing of that object.

    A damaged layer is healed by a move of the right bytes over it.
    """
    for old, new in ((5000, 700), (700, 5000), (0, 700), (700, 0)):
        ctx.driver.put("target", ctx.payload("old").read(old))
        ctx.driver.put("source", ctx.payload("new").read(new))
        ctx.driver.move("source", "target")
        assert ctx.stored() == ["target"]
        ctx.expect("target", ctx.payload("new").read(new))


@scenario("M1", "W7", kills=("move-takes-what-was-not-flushed",), rows=(88, 94))
def a_move_takes_what_was_published(ctx: Context) -> None:
    """A move takes only published bytes: bytes that a writer has not flushed never appear."""
    data = ctx.payload("flushed").read(3000)
    writer = ctx.open().open_writer("source")
    writer.write(data)
    writer.flush()
    writer.write(ctx.payload("lost").read(2000))
    ctx.driver.move("source", "target")
    ctx.expect("target", data)
    writer.discard()
    ctx.expect("target", data)
    assert ctx.stored() == ["target"]


@scenario("M1", "M2", kills=("move-copies-a-mebibyte",), rows=(32, 94, 102))
def a_large_object_is_moved_whole(ctx: Context) -> None:
    """An object beyond the sizes at which backends copy in one step arrives to its last byte."""
    data = ctx.payload("large").read((5 << 20) + 3)
    ctx.driver.put("source", data)
    ctx.driver.move("source", "target")
    ctx.expect("target", data)
    assert ctx.stored() == ["target"]


@scenario("M1", kills=("moved-object-cannot-be-written", "writer-begins-at-the-start"), rows=(56, 94))
def a_moved_object_can_be_written_to(ctx: Context) -> None:
    """A moved object is an object like any other, and its old key is free."""
    ctx.driver.put("source", ctx.payload("moved").read(700))
    ctx.driver.move("source", "target")
    for key, size in (("target", 700), ("source", 0)):
        with ctx.open().open_writer(key) as writer:
            assert writer.size == size, f"{key}: size {writer.size} instead of {size}"
            writer.write(ctx.payload("more").read(900))
    ctx.expect("target", ctx.payload("moved").read(700) + ctx.payload("more").read(900))
    ctx.expect("source", ctx.payload("more").read(900))


@scenario("M1", "K3", kills=("move-takes-its-neighbours",), rows=(80, 94))
def a_move_touches_no_other_key(ctx: Context) -> None:
    """A move leaves keys with similar names, beside and below other prefixes, where they are."""
    others = ("source2", "sourc", "source.x", "target2", "dir/source")
    for number, other in enumerate(others):
        ctx.driver.put(other, ctx.payload("others").read(600, 512 * number))
    ctx.driver.put("source", ctx.payload("moved").read(700))
    ctx.driver.move("source", "target")
    for number, other in enumerate(others):
        ctx.expect(other, ctx.payload("others").read(600, 512 * number))
    assert ctx.stored() == sorted((*others, "target"))


@scenario("M3", "E1", kills=("move-of-nothing-empties-the-target", "move-of-nothing-passes"), rows=(96, 104))
def a_missing_source_cannot_be_moved(ctx: Context) -> None:
    """A move of a missing source raises PathNotFoundError and leaves the target as it was."""
    data = ctx.payload("target").read(700)
    ctx.driver.put("target", data)
    before = ctx.open().stat("target")
    for target in ("target", "new/target"):
        with refused(PathNotFoundError):
            ctx.driver.move("missing", target)
        with refused(PathNotFoundError):
            ctx.driver.move("missing", target, version=before.version)
    assert ctx.stored() == ["target"]
    ctx.expect("target", data)
    assert ctx.open().stat("target") == before, "the target changed"


@scenario("M3", kills=("move-of-a-prefix-passes",), rows=(99,))
def a_prefix_cannot_be_moved(ctx: Context) -> None:
    """A prefix is no object: a move of it leaves the keys below it and the target as they were."""
    ctx.driver.put("a/b", ctx.payload("b").read(700))
    ctx.driver.put("target", ctx.payload("target").read(700))
    before = ctx.open().stat("target")
    for target in ("new", "target"):
        with refused(PathNotFoundError):
            ctx.driver.move("a", target)
    assert ctx.stored() == ["a/b", "target"]
    ctx.expect("a/b", ctx.payload("b").read(700))
    ctx.expect("target", ctx.payload("target").read(700))
    assert ctx.open().stat("target") == before, "the target changed"


@scenario("M4", kills=("version-not-compared", "failed-move-loses-its-source"), rows=(48, 62))
def a_move_at_a_version_takes_no_other(ctx: Context) -> None:
    """A move of a version that the source no longer has is refused, and changes nothing.

    So a layer is made of the bytes that were verified, and of no others.
    """
    ctx.driver.put("source", ctx.payload("verified").read(700))
    ctx.driver.put("target", ctx.payload("target").read(700))
    verified = ctx.open().stat("source").version
    ctx.driver.put("source", ctx.payload("changed").read(700))
    with refused(FencedError):
        ctx.driver.move("source", "target", version=verified)
    with refused(FencedError):
        ctx.driver.move("source", "new", version=ctx.open().stat("target").version)
    assert ctx.stored() == ["source", "target"]
    ctx.expect("source", ctx.payload("changed").read(700))
    ctx.expect("target", ctx.payload("target").read(700))


ODD: dict[str, Callable[[str], str]] = {
    "none": lambda _: "",
    "zero": lambda _: "0",
    "None": lambda _: "None",
    "any": lambda _: "*",
    "beginning": lambda right: right[:-1],
    "end": lambda right: right[1:],
    "blank before": lambda right: f" {right}",
    "blank behind": lambda right: f"{right} ",
    "zero before": lambda right: f"0{right}",
    "quoted": lambda right: f'"{right}"',
    "other case": str.swapcase,
    "one of two": lambda right: f"{right}, {right}",
    "longer": lambda right: f"{right}0",
    "very long": lambda right: right * 5000,
}
"""Texts that are not the right version, made of it; some would be it, if a backend took them as it takes its own."""


@scenario(
    *("M4", "E4"),
    kills=("an-empty-version-is-none", "versions-compared-by-their-beginning", "versions-compared-loosely"),
    rows=(48, 62),
    axes=(Axis("odd", ODD),),
)
def a_move_at_an_odd_version_is_refused(ctx: Context, odd: Callable[[str], str]) -> None:
    """A move at an empty version, at a part of the right one, or at one spelled otherwise, is refused.

    A caller whose version was lost on its way, and is empty, has verified nothing.
    """
    for key in ("source", "target"):
        ctx.driver.put(key, ctx.payload(key).read(700))
    before = [ctx.open().stat(key) for key in ("source", "target")]
    version = odd(before[0].version)
    if version == before[0].version:
        return  # it has no letters
    for target in ("target", "new/target"):
        with refused(FencedError):
            ctx.driver.move("source", target, version=version)
    assert ctx.stored() == ["source", "target"]
    for key, found in zip(("source", "target"), before, strict=True):
        assert ctx.open().stat(key) == found, f"the {key} changed"
        ctx.expect(key, ctx.payload(key).read(700))
    ctx.driver.move("source", "target", version=before[0].version)
    assert ctx.stored() == ["target"]


@scenario("M4", kills=("every-version-refused", "move-keeps-the-source"), rows=(62, 94))
def a_move_at_the_right_version_takes_place(ctx: Context) -> None:
    """A move of the source's current version is done, whether a put, a flush or a move made that version."""
    ctx.driver.put("put", ctx.payload("put").read(700))
    ctx.driver.move("put", "a", version=ctx.open().stat("put").version)
    with ctx.driver.open_writer("written") as writer:
        writer.write(ctx.payload("written").read(700))
        writer.flush()
        ctx.open().move("written", "b", version=writer.version)
        writer.discard()
    ctx.driver.move("a", "c", version=ctx.open().stat("a").version)
    assert ctx.stored() == ["b", "c"]
    ctx.expect("c", ctx.payload("put").read(700))
    ctx.expect("b", ctx.payload("written").read(700))


@scenario("M4", "F2", kills=("refused-move-fences",), rows=(48, 62))
def a_refused_move_fences_nobody(ctx: Context) -> None:
    """A move that is refused for its version fences no writer, of source or target."""
    for key in ("source", "target"):
        ctx.driver.put(key, ctx.payload(key).read(700))
    writers = [ctx.open().open_writer(key) for key in ("source", "target")]
    with refused(FencedError):
        ctx.driver.move("source", "target", version=f"{ctx.open().stat('source').version}-not")
    for writer in writers:
        writer.write(ctx.payload("more").read(700))
        writer.close()
    for key in ("source", "target"):
        ctx.expect(key, ctx.payload(key).read(700) + ctx.payload("more").read(700))


@scenario("M5", "C3", "C4", kills=("publishes-behind",), rows=(94,), needs=("shared", "url"))
def a_move_outlives_the_process(ctx: Context) -> None:
    """A moved object is under its target though the process is killed right after the move."""
    ctx.driver.put("source", ctx.payload("moved").read(70_000))
    ctx.driver.put("target", ctx.payload("old").read(700))
    with Elsewhere(ctx) as there:
        there.run(CheckedDriver.move, "source", "target")
        there.kill()
    assert ctx.stored() == ["target"]
    ctx.expect("target", ctx.payload("moved").read(70_000))


@scenario("M2", "C3", kills=("move-copies-nothing",), rows=(94, 161), needs=("shared", "url"))
def a_move_that_is_cut_off_loses_nothing(ctx: Context) -> None:
    """When the moving process is killed, the bytes are under the source, the target or both, and whole.

    A crash while an upload becomes a layer must not cost the client all that it has sent.
    """
    data = ctx.payload("moved").read(70_000)
    for number in range(ctx.size(2)):
        ctx.driver.put("a", data)
        with Elsewhere(ctx) as there:
            there.run(_to_and_fro, "a", "b")
            for _ in range(5 * number):  # killed at other moments, the more it has answered
                there.run(CheckedDriver.find, "a")
            there.kill()
        found = ctx.stored()
        assert found, "under neither name"
        for key in found:
            ctx.expect(key, data)
            ctx.driver.delete(key)


def _to_and_fro(driver: CheckedDriver, here: str, there: str) -> None:
    """Move once, and then to and fro in a thread, until the process is killed."""
    driver.move(here, there)
    Thread(target=_move_for_ever, args=(driver, there, here), daemon=True).start()


def _move_for_ever(driver: CheckedDriver, here: str, there: str) -> None:
    with suppress(DriverError):  # another process checks the bytes
        while True:
            driver.move(here, there)
            driver.move(there, here)


@scenario("M5", "M1", kills=("move-waits-for-close",), rows=(94, 114))
def a_move_is_seen_at_once(ctx: Context) -> None:
    """A second handle sees a moved object under its target as soon as ``move`` returns."""
    ctx.driver.put("a", ctx.payload("moved").read(700))
    for source, target in ("ab", "bc", "ca"):
        ctx.driver.move(source, target)
        assert ctx.stored() == [target]
        ctx.expect(target, ctx.payload("moved").read(700))


@scenario("M6", kills=("move-onto-itself-accepted",), rows=(98,))
def a_key_cannot_be_moved_onto_itself(ctx: Context) -> None:
    """A move of a key onto itself is refused, and leaves the object: on some backends it would delete it."""
    ctx.driver.put("key", ctx.payload("itself").read(700))
    before = ctx.open().stat("key")
    with refused(InvalidPathError):
        ctx.driver.move("key", "key")
    ctx.expect("key", ctx.payload("itself").read(700))
    assert ctx.open().stat("key") == before, "the object changed"
