"""Deleting: an object and everything below its key, nothing else, and for good."""

from __future__ import annotations

import gc
from itertools import product
from threading import Thread
from typing import TYPE_CHECKING

from layerstore import FencedError, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

LOOKS = 1000
"""Checks whether a delete has begun, before the deleting process is killed all the same."""


@scenario("D1", kills=("delete-does-nothing", "deleted-key-still-read", "delete-waits-for-close"), rows=(108, 114))
def what_was_deleted_is_gone(ctx: Context) -> None:
    """A deleted object is gone at once from reads, ``stat`` and listings of every handle."""
    ctx.driver.put("dir/key", ctx.payload("deleted").read(700))
    ctx.driver.put("dir/other", ctx.payload("other").read(700))
    other = ctx.open()
    other.stat("dir/key")
    ctx.driver.delete("dir/key")
    for driver in (ctx.driver, other, ctx.open()):
        with refused(PathNotFoundError):
            driver.open_reader("dir/key")
        with refused(PathNotFoundError):
            driver.stat("dir/key")
    assert ctx.stored() == ["dir/other"]


@scenario("D1", kills=("children-left", "grandchildren-left"), rows=(110,))
def a_prefix_is_deleted_with_all_below(ctx: Context) -> None:
    """A delete of a prefix deletes every object below it, however deep.

    One call removes a cancelled upload's bytes, states and locks.
    """
    for key in ("a/1", "a/b/2", "a/b/c/3", "a/b/c/d/e/f/4", "a/z/5", "b/6"):
        ctx.driver.put(key, ctx.payload("below").read(600))
    ctx.driver.delete("a/b")
    assert ctx.stored() == ["a/1", "a/z/5", "b/6"]
    ctx.driver.delete("a")
    assert ctx.stored() == ["b/6"]


@scenario("D1", "K3", kills=("delete-goes-by-letters", "delete-takes-what-is-above"), rows=(80, 111))
def a_delete_takes_nothing_else(ctx: Context) -> None:
    """A delete keeps keys that only begin with the same letters, and keys above.

    A delete of one tenant's ``app`` must not delete ``app2``.
    """
    others = ("key2", "key.x", "key-1", "key-b/x", "key+", "key_", "ke", "keyring/a", "dir/key", "KEY")
    for number, other in enumerate(others):
        ctx.driver.put(other, ctx.payload("others").read(600, 512 * number))
    ctx.driver.put("key/a", ctx.payload("deleted").read(600))
    ctx.driver.delete("key")
    ctx.driver.delete("dir/key/below")
    for number, other in enumerate(others):
        ctx.expect(other, ctx.payload("others").read(600, 512 * number))
    assert sorted(ctx.stored()) == sorted(others)


@scenario(
    "D1", kills=("grandchildren-left", "children-left", "delete-takes-a-run"), rows=(110, 111), needs=("nested_keys",)
)
def a_key_is_deleted_with_the_keys_below(ctx: Context) -> None:
    """If a key is both object and prefix, a delete removes both, and no key that sorts between them.

    A delete below the object keeps the object.
    """
    for key in ("a", "a-", "a/b", "a/b-", "a/b/c"):
        ctx.driver.put(key, ctx.payload("nested").read(600))
    ctx.driver.delete("a/b")
    assert ctx.stored() == ["a", "a-", "a/b-"]
    ctx.driver.put("a/b/c", ctx.payload("nested").read(600))
    ctx.driver.delete("a")
    assert ctx.stored() == ["a-"]


@scenario("D2", kills=("delete-of-nothing-raises",), rows=(109,))
def deleting_what_is_not_there_is_no_error(ctx: Context) -> None:
    """A delete of a missing key succeeds, and a delete may be repeated: a client that was cut off asks again."""
    ctx.driver.delete("missing")
    ctx.driver.delete("missing/deeper")
    ctx.driver.put("dir/key", ctx.payload("twice").read(600))
    for _ in range(2):
        ctx.driver.delete("dir/key")
        ctx.open().delete("dir/key")
    assert ctx.stored() == []


@scenario("D3", "W7", kills=("closing-brings-it-back", "delete-does-not-fence"), rows=(108, 115))
def what_was_deleted_stays_deleted(ctx: Context) -> None:
    """An open handle of a deleted object never brings it back, whether it is closed, discarded or collected.

    The object may have been deleted by its own key or with a prefix.
    """
    for end, deleted in product(("close", "discard", "collect"), ("dir/key", "dir")):
        ctx.driver.put("dir/key", ctx.payload("deleted").read(700))
        reader, writer = ctx.open().open_reader("dir/key"), ctx.open().open_writer("dir/key")
        writer.write(ctx.payload("late").read(700))
        ctx.driver.delete(deleted)
        if end == "close":
            with refused(FencedError):
                writer.close()
        elif end == "discard":
            writer.discard()
        reader.close()
        del reader, writer
        gc.collect()
        assert ctx.stored() == [], f"the object was back after a delete of {deleted} and {end}"


@scenario("D1", "K3", kills=("deleted-name-stays-taken", "deleted-bytes-come-back"), rows=(116,))
def what_was_deleted_can_be_made_anew(ctx: Context) -> None:
    """An object made under a deleted key has nothing of the old one, whether it is put or written."""
    for key in ("put", "written"):
        ctx.driver.put(key, ctx.payload("old").read(5000))
        ctx.driver.delete(key)
    ctx.driver.put("put", ctx.payload("new").read(600))
    with ctx.driver.open_writer("written") as writer:
        assert (writer.size, writer.version) == (0, None), f"{writer.size} bytes of the deleted object"
        writer.seek(1000)
        writer.write(ctx.payload("new").read(600))
    ctx.expect("put", ctx.payload("new").read(600))
    ctx.expect("written", bytes(1000) + ctx.payload("new").read(600))


@scenario("D4", "C3", "C4", kills=("publishes-behind",), rows=(110, 161), needs=("shared", "url"))
def a_delete_outlives_the_process(ctx: Context) -> None:
    """A deleted object stays deleted though the process is killed right after the delete."""
    for key in ("a/1", "a/b/2", "c"):
        ctx.driver.put(key, ctx.payload("deleted").read(600))
    with Elsewhere(ctx) as there:
        there.run(CheckedDriver.delete, "a")
        there.kill()
    assert ctx.stored() == ["c"]


@scenario("D4", "D2", kills=("delete-stops-at-what-is-gone",), rows=(113, 114))
def a_delete_may_be_repeated(ctx: Context) -> None:
    """A delete that was cut off half way can be repeated, and deletes the rest."""
    for key in ("a/1", "a/b/2", "a/b/3", "c"):
        ctx.driver.put(key, ctx.payload("deleted").read(600))
    ctx.driver.delete("a/b/2")
    ctx.driver.delete("a/b")
    ctx.driver.delete("a")
    assert ctx.stored() == ["c"]
    ctx.driver.delete("a")
    ctx.expect("c", ctx.payload("deleted").read(600))


@scenario("D4", "D1", "C3", kills=("delete-does-nothing",), rows=(113, 161), needs=("shared", "url"))
def a_delete_that_is_cut_off_leaves_whole_objects(ctx: Context) -> None:
    """When the deleting process is killed, every object is intact or gone, and the delete may be repeated."""
    keys = [f"d/{number:02}" for number in range(ctx.size(40))]
    for number, key in enumerate(keys):
        ctx.driver.put(key, ctx.payload("deleted").read(600, 512 * number))
    before = ctx.driver.stat(keys[0])
    with Elsewhere(ctx) as there:
        there.run(_begin_to_delete, "d")
        for _ in range(LOOKS):
            if ctx.driver.find(keys[0]) != before:
                break
        there.kill()
    for key in ctx.stored():
        ctx.expect(key, ctx.payload("deleted").read(600, 512 * keys.index(key)))
    ctx.driver.delete("d")
    assert ctx.stored() == [], f"{ctx.stored()} left by the repeated delete"


def _begin_to_delete(driver: CheckedDriver, key: str) -> None:
    """Delete in a thread, so that the process can be killed meanwhile."""
    Thread(target=driver.delete, args=(key,), daemon=True).start()
