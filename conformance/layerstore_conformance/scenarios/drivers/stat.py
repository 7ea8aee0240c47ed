"""Stat: the same size, time and version as those of a reader opened at that moment; every change has a new version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from layerstore import PathNotFoundError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


@scenario("S1", kills=("stat-size-lags",), rows=(57, 69))
def stat_tells_the_size(ctx: Context) -> None:
    """``stat`` returns the size in bytes that a reader would read, after every put and every flush."""
    for size in (0, 1, 5000, 70_000, 600):
        ctx.driver.put("dir/put", ctx.payload("put").read(size))
        found = ctx.open().stat("dir/put").size
        assert found == size, f"size {found} instead of {size}"
    writer = ctx.driver.open_writer("dir/written")
    for size in (0, 700, 70_000):
        writer.write(ctx.payload("written").read(size - writer.size, writer.size))
        writer.flush()
        found = ctx.open().stat("dir/written").size
        assert found == size == len(ctx.read("dir/written")), f"size {found} instead of {size}"
    writer.close()


@scenario("S1", kills=("modified-without-zone", "modified-in-local-time"), rows=(69,))
def stat_tells_when_in_utc(ctx: Context) -> None:
    """``modified`` is an aware time in UTC, so that no two hosts can understand it differently."""
    ctx.driver.put("key", ctx.payload("when").read(700))
    modified = ctx.open().stat("key").modified
    assert modified.utcoffset() == timedelta(0), f"{modified.isoformat()} is not in UTC"


@scenario("S1", kills=("local-time-called-utc", "modified-unknown"), rows=(69, 73))
def modified_is_by_the_clock(ctx: Context) -> None:
    """``modified`` of a fresh object is the present time, within a quarter of an hour.

    Clocks differ by seconds, and time zones by half an hour at least. The purge of abandoned uploads compares the two.
    """
    ctx.driver.put("key", ctx.payload("clock").read(700))
    found, now = ctx.open().stat("key").modified, datetime.now(UTC)
    assert abs(now - found) < timedelta(minutes=15), f"stored just now, at {now.isoformat()}: {found.isoformat()}"


@scenario("S1", kills=("modified-is-now",), rows=(73,))
def modified_is_when_the_bytes_changed(ctx: Context) -> None:
    """``modified`` stays while the bytes do, also when they are read, and does not go back when they change.

    The purge of abandoned uploads relies on it.
    """
    ctx.driver.put("key", ctx.payload("first").read(700))
    before = ctx.open().stat("key")
    ctx.driver.put("other", ctx.payload("other").read(700))
    ctx.read("key")
    assert ctx.open().stat("key").modified == before.modified, "the time changed, and the bytes did not"
    ctx.driver.put("key", ctx.payload("second").read(700))
    after = ctx.open().stat("key")
    assert after.modified >= before.modified, f"changed at {after.modified}, after {before.modified}"


@scenario("S1", kills=("stat-cached",), rows=(5, 69, 93))
def stat_sees_what_another_handle_did(ctx: Context) -> None:
    """A handle that has asked before asks the backend again: another handle's changes show at once."""
    here, there = ctx.driver, ctx.open()
    for size in (700, 1400, 0):
        there.put("key", ctx.payload("there").read(size))
        found = here.stat("key").size
        assert found == size, f"size {found} instead of {size}"
    there.delete("key")
    with refused(PathNotFoundError):
        here.stat("key")


@scenario(
    "S2", kills=("version-never-changes", "version-is-the-size", "version-is-the-second", "stat-cached"), rows=(74, 91)
)
def every_put_makes_a_version(ctx: Context) -> None:
    """However fast puts of one size follow each other, each makes a new version.

    Fencing, conditional moves and saved hashes compare versions: if one repeats, changed bytes pass.
    """
    versions = []
    for number in range(12):
        ctx.driver.put("key", ctx.payload("fast").read(600, 512 * number))
        versions.append(ctx.driver.stat("key").version)
    assert len(set(versions)) == 12, f"versions repeat: {versions}"


@scenario("S2", kills=("version-never-changes", "version-is-the-size", "version-is-the-second"), rows=(62, 74))
def every_flush_of_something_makes_a_version(ctx: Context) -> None:
    """However fast flushes follow each other, each makes a new version, even if it only writes over bytes."""
    versions = []
    with ctx.driver.open_writer("key") as writer:
        writer.write(ctx.payload("begin").read(5000))
        for number in range(12):
            writer.seek(number)
            writer.write(ctx.payload("over").read(600, 512 * number))
            writer.flush()
            versions.append(ctx.open().stat("key").version)
    assert len(set(versions)) == 12, f"versions repeat: {versions}"


@scenario("S2", kills=("version-is-a-hash", "version-never-changes", "version-is-the-size"), rows=(74, 116))
def an_object_made_anew_has_a_version_of_its_own(ctx: Context) -> None:
    """An object that is deleted and made anew, of the same bytes, has a new version."""
    versions = []
    for _ in range(8):
        ctx.driver.put("key", ctx.payload("anew").read(700))
        versions.append(ctx.open().stat("key").version)
        ctx.driver.delete("key")
    assert len(set(versions)) == 8, f"versions repeat: {versions}"


@scenario("S2", "M1", kills=("a-version-moves-with-its-object",))
def an_object_moved_away_and_back_has_a_version_of_its_own(ctx: Context) -> None:
    """An object that is moved away, and moved back after another was in its place, has a new version.

    Whoever saw the version before would take what is there for what it saw, and for the same object.
    """
    data, versions = ctx.payload("away").read(700), []
    ctx.driver.put("key", data)
    versions.append(ctx.open().stat("key").version)
    for meanwhile in (b"another", b"", data):
        ctx.driver.move("key", "d/aside")
        ctx.driver.put("key", meanwhile)
        versions.append(ctx.open().stat("key").version)
        ctx.driver.delete("key")
        ctx.driver.move("d/aside", "key")
        versions.append(ctx.open().stat("key").version)
    assert len(set(versions)) == len(versions), f"versions repeat: {versions}"
    ctx.expect("key", data)


@scenario("S2", "W5", "M1", kills=("puts-and-flushes-counted-apart", "version-is-a-hash"), rows=(74, 91, 116))
def no_kind_of_change_brings_a_version_back(ctx: Context) -> None:
    """Puts, writes, moves and re-creations, in turns, never bring back a version that the object had before.

    If a version came back, a move could take bytes that nobody has verified.
    """
    data, versions = ctx.payload("turns").read(700), []
    for _ in range(4):
        ctx.driver.put("key", data)
        versions.append(ctx.open().stat("key").version)
        with ctx.driver.open_writer("key") as writer:
            writer.seek(0)
            writer.write(ctx.payload("over").read(700))
        versions.append(ctx.open().stat("key").version)
        ctx.driver.put("source", data)
        ctx.driver.move("source", "key")
        versions.append(ctx.open().stat("key").version)
        ctx.driver.delete("key")
    assert len(set(versions)) == 12, f"versions repeat: {versions}"


@scenario("S2", "M1", kills=("version-never-changes", "version-is-the-size", "stat-cached"), rows=(74, 95))
def an_object_moved_over_has_another_version(ctx: Context) -> None:
    """When an object is moved over another one, the version under the target changes."""
    ctx.driver.put("target", ctx.payload("target").read(700))
    before = ctx.driver.stat("target").version
    ctx.driver.put("source", ctx.payload("source").read(700))
    ctx.driver.move("source", "target")
    assert ctx.driver.stat("target").version != before, "the version is that of the bytes that were replaced"


@scenario("S2", kills=("version-changes-on-reading", "opening-makes-a-version"), rows=(74,))
def the_version_stays_while_nothing_happens(ctx: Context) -> None:
    """Reads, listings, an opened writer and changes of other objects leave the version as it is."""
    ctx.driver.put("dir/key", ctx.payload("stays").read(5000))
    before = ctx.open().stat("dir/key").version
    ctx.read("dir/key")
    assert ctx.stored() == ["dir/key"]
    ctx.driver.open_writer("dir/key").discard()
    ctx.driver.put("dir/key2", ctx.payload("other").read(700))
    ctx.driver.delete("dir/key2")
    after = ctx.open().stat("dir/key").version
    assert after == before, f"version {before} became {after}, and nothing had changed"


@scenario("S2", "R1", "W1", kills=("version-of-a-reader-differs", "flush-returns-another-version"), rows=(48, 49, 74))
def reader_writer_and_stat_agree_on_the_version(ctx: Context) -> None:
    """Readers, writers and ``stat``, of one handle or of several, return the same version."""
    with ctx.driver.open_writer("key") as writer:
        for number in range(3):
            writer.write(ctx.payload("agree").read(700, 700 * number))
            writer.flush()
            with ctx.open().open_reader("key") as reader:
                found = {reader.version, writer.version, ctx.driver.stat("key").version, ctx.open().stat("key").version}
            assert len(found) == 1, f"one version, {len(found)} names: {found}"
    with ctx.open().open_writer("key") as again:
        assert again.version == ctx.driver.stat("key").version, "a new writer names the version otherwise"


@scenario("S3", "E1", kills=("missing-key-has-a-stat", "missing-key-is-a-key-error"), rows=(10, 70))
def a_missing_key_has_no_stat(ctx: Context) -> None:
    """``stat`` of a missing key raises PathNotFoundError; it never returns a size of 0."""
    ctx.driver.put("there", ctx.payload("there").read(600))
    for key in ("missing", "missing/deeper", "ther", "there2"):
        with refused(PathNotFoundError):
            ctx.open().stat(key)


@scenario("S3", kills=("prefix-has-a-stat",), rows=(71, 72))
def a_prefix_has_no_stat(ctx: Context) -> None:
    """A prefix is no object, and has neither size nor version."""
    ctx.driver.put("a/b/c", ctx.payload("c").read(600))
    for prefix in ("a", "a/b"):
        with refused(PathNotFoundError):
            ctx.open().stat(prefix)
