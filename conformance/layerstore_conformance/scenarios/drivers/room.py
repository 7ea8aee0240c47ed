"""Room: what was refused or discarded, and what a killed process has left, takes no room on the disk for good."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from layerstore import DriverError, FencedError, Unpublished
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.moments import Held
from layerstore_conformance.kit.system_calls import begins_change, begins_sync
from layerstore_conformance.processes.elsewhere import Elsewhere, write
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.stores import a_folder, keep_house, room_of, store_in

if TYPE_CHECKING:
    from types import FrameType

    from layerstore.driver import Driver, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "leaks"

ROUNDS: Final = 12
"""Times that each call is refused, after the room was measured."""

LARGE: Final = 300_000
"""Bytes of what is refused."""

KILLED: Final = 3
"""Processes that are killed after the room was measured."""


def _write_below(driver: CheckedDriver, data: bytes) -> None:
    with driver.open_writer("object/below") as writer:
        writer.write(data)


def _write_over(driver: CheckedDriver, data: bytes) -> None:
    with driver.open_writer("prefix") as writer:
        writer.write(data)


def _object_above_comes_first(driver: CheckedDriver, data: bytes) -> None:
    writer = driver.open_writer("later/below")
    writer.write(data)
    driver.put("later", b"object")
    writer.close()


def _fenced(driver: CheckedDriver, data: bytes) -> None:
    writer = driver.open_writer("object")
    writer.seek(0)
    writer.write(data)
    driver.open_writer("object").discard()
    writer.close()


REFUSED: Final[tuple[Callable[[CheckedDriver, bytes], object], ...]] = (
    lambda driver, data: driver.put("object/below", data),
    lambda driver, data: driver.put("prefix", data),
    lambda driver, data: driver.put("prefix/no key/", data),
    lambda driver, data: driver.put(".hidden", data),
    lambda driver, _: driver.move("object", "object/below"),
    lambda driver, _: driver.move("object", "prefix"),
    lambda driver, _: driver.move("object", "away", version="no such version"),
    lambda driver, _: driver.move("missing", "object"),
    _write_below,
    _write_over,
    _object_above_comes_first,
    _fenced,
)


def _refuse_each(driver: CheckedDriver, data: bytes) -> None:
    """Make every call that may be refused; put things right after those that a driver does."""
    for call in REFUSED:
        driver.put("object", b"object")
        driver.put("prefix/key", b"below")
        with suppress(DriverError):
            call(driver, data)
        for key in ("object", "prefix", "later", "away"):
            driver.delete(key)


@scenario("E4", "C2", "K2", "T4", kills=("refused-puts-keep-their-bytes",), rows=(163,), needs=("traced", "url"))
def what_was_refused_takes_no_room(ctx: Context) -> None:
    """Puts, moves and flushes that are refused, again and again, leave no file and no bytes behind.

    A client that tries again all night would fill the disk.
    """
    with a_folder() as folder, closing(ctx.at(store_in(ctx, folder / "store"))) as driver:
        data = bulk("refused", LARGE, ctx.seed)
        for _ in range(3):
            _refuse_each(driver, data)
        before = room_of(folder)
        for _ in range(ROUNDS):
            _refuse_each(driver, data)
        after = room_of(folder)
        more = after.files - before.files, after.size - before.size
        assert more[0] < ROUNDS // 2, f"{more[0]} more files are there after {ROUNDS} refusals"
        assert more[1] < ROUNDS * LARGE // 2, f"{more[1]} more bytes are in use after {ROUNDS} refusals"


@scenario(
    *("W7", "T4", "C3"),
    kills=("what-the-dead-have-staged-stays",),
    rows=(161, 163),
    needs=("traced", "url", "shared"),
    profile="default",
)
def what_killed_processes_have_left_takes_no_room(ctx: Context) -> None:
    """When processes were killed that had not flushed, and others have written, the room of what they wrote is free.

    A server that is killed for want of memory starts again, and is killed again.
    """
    with a_folder() as folder:
        opens = store_in(ctx, folder / "store")
        with closing(ctx.at(opens)) as driver:
            driver.put("append", bytes(1000))
            driver.put("rewrite", bytes(MIB))
        rooms = []
        for _ in range(1 + KILLED):
            with Elsewhere(ctx, opens) as there:
                for key, offset in (("append", 1000), ("rewrite", 0), ("new", 0)):
                    there.hold(write, key, [(offset, bulk(key, MIB + 1000, ctx.seed))], flush=False)
                there.kill()
            with closing(ctx.at(opens)) as driver:
                _work_on(driver)
            rooms.append(room_of(folder))
        more = rooms[-1].files - rooms[0].files, rooms[-1].size - rooms[0].size
        assert more[0] < KILLED, f"{more[0]} more files are there after {KILLED} processes were killed"
        assert more[1] < MIB, f"{more[1]} more bytes are in use after {KILLED} processes were killed"


def _work_on(driver: CheckedDriver) -> None:
    """Write to other keys, as a process does that comes next."""
    driver.put("after/put", b"put")
    with driver.open_writer("after/written") as writer:
        writer.write(b"written")
    assert driver.get("append", MIB) == bytes(1000)
    assert driver.find("new") is None
    driver.delete("after")


GIVEN_UP: Final = 100
"""Writers that are discarded while a call stands still: of so many, some share with it what a driver has few of."""

UNFLUSHED: Final = 20_000
"""Bytes that each of them has written."""


@scenario("T4", "W7", "T6", kills=("what-is-given-up-meanwhile-stays",), rows=(161, 163), needs=("traced", "url"))
def what_is_given_up_while_a_call_stands_still_takes_no_room(ctx: Context) -> None:
    """Writers that are discarded in the middle of another call leave no bytes once it has ended and one more was made.

    A discard must not wait for the call. What it could not do then, it must not forget.
    """
    with a_folder() as folder, ctx.handles():
        opens = store_in(ctx, folder / "store")
        driver, other = ctx.at(opens), ctx.at(opens)
        for number in range(GIVEN_UP):
            driver.put(f"d/{number}", b"object")
        moments = _give_up(driver, other, 1 << 60)
        before = room_of(folder)
        for moment in ctx.sample(range(moments), 4):
            ctx.count("moments")
            _give_up(driver, other, moment)
            more = room_of(folder).size - before.size
            assert more < UNFLUSHED, f"{more} more bytes are in use after discards in the middle of a put"


def _give_up(driver: CheckedDriver, other: CheckedDriver, moment: int) -> int:
    """Discard many writers at a moment of a put, and put once more; return how many moments a put has."""
    driver.put("d/key", b"object")
    writers = [driver.open_writer(f"d/{number}") for number in range(GIVEN_UP)]
    for writer in writers:
        writer.write(bytes(UNFLUSHED))
    with Held(partial(other.put, "d/key", b"another"), moment, _changes_no_sync) as held:
        for writer in writers:
            writer.discard()
    driver.put("d/key", b"object")
    return held.events


def _changes_no_sync(frame: FrameType, event: str, called: object) -> bool:
    return begins_change(frame, event, called) and not begins_sync(frame, event, called)


DISCARDED = Axis("discarded", {"1 MiB": (MIB, 24), "5 MiB": (5 * MIB, 12), "17 MiB": (17 * MIB + 3, 6)})
"""Bytes that a writer is discarded with, and how often: a driver may gather them, or store them as they come."""


FENCED = Axis(
    "fenced",
    {
        "not fenced": lambda driver, key: None,
        "fenced by a writer": lambda driver, key: driver.open_writer(key).discard(),
        "fenced by a put": lambda driver, key: driver.put(key, b"put"),
        "fenced by a delete": lambda driver, key: driver.delete(key),
    },
)
"""What others do to the key before the writer writes."""


@scenario(
    *("T4", "W7"),
    kills=("what-was-discarded-is-kept-aside", "what-a-fenced-writer-wrote-is-kept-aside"),
    rows=(161, 163),
    needs=("traced",),
    axes=(DISCARDED, FENCED),
)
def what_was_discarded_takes_no_room(
    ctx: Context, discarded: tuple[int, int], fenced: Callable[[CheckedDriver, str], None]
) -> None:
    """Writers that are discarded, fenced or not, give back the room that their bytes took; their process goes on."""
    size, times = discarded
    with a_folder() as folder, closing(ctx.at(store_in(ctx, folder / "store"))) as driver:
        for number in range(times):
            driver.put(f"old-{number}", b"old")
        for _ in range(3):  # room that is kept to be used again
            _write_and_discard(driver, "old-0", size, fenced)
        before = room_of(folder).size
        for number in range(times):
            _write_and_discard(driver, f"old-{number}", size, fenced)
        more = room_of(folder).size - before
        assert more < times * size // 2, (
            f"{more} bytes more are in use after {2 * times} writers of {size} were discarded"
        )


ENDED = Axis("size", {"300 KB": 300_000, "17 MiB": 17 * MIB + 3})
"""Bytes that a writer has not flushed when it is killed."""


@scenario(
    *("L6", "T4", "W7"),
    kills=("drafts-lie-under-other-keys",),
    rows=(161, 163),
    needs=("traced", "url", "shared"),
    axes=(ENDED,),
    profile="default",
)
def what_killed_writers_took_is_told_and_can_be_deleted(ctx: Context, size: int) -> None:
    """What killed writers have left takes no room after a while, or a scan tells the keys, and a delete removes it.

    A store that keeps the bytes of every client that died, and tells nobody, fills up.
    """
    with a_folder() as folder:
        opens, rooms = store_in(ctx, folder / "store"), []
        for number in range(2):
            _write_and_be_killed(ctx, opens, f"up/{number}/data", size)
            with closing(ctx.at(opens)) as driver:
                assert list(driver.list("")) == [], "what was never published is listed"
                keep_house(driver)
                for left in _told_unpublished(driver, ""):
                    driver.delete(left)
                again = _told_unpublished(driver, "")
                assert not again, f"what was deleted is told of: {again}"
            rooms.append(room_of(folder).size)
        more = rooms[1] - rooms[0]
        assert more < size // 2, f"{more} bytes more are in use after one more writer of {size} was killed"


def _write_and_be_killed(ctx: Context, opens: str | Callable[[], Driver], key: str, size: int) -> None:
    with Elsewhere(ctx, opens) as there:
        there.hold(_begin, key, size)
        there.kill()


def _begin(driver: CheckedDriver, key: str, size: int) -> Writer:
    writer = driver.open_writer(key)
    writer.write(bytes(size))
    return writer


def _told_unpublished(driver: CheckedDriver, prefix: str) -> list[str]:
    """Return the keys that were taken and never published: whatever lies below a prefix shows in a scan of it."""
    found = [each for each in driver.scan(prefix) if isinstance(each, Unpublished)]
    assert all(each.modified.tzinfo for each in found), f"the times are not aware: {found}"
    keys = [each.name for each in found if not each.name.endswith("/")]
    for below in [each.name.rstrip("/") for each in found if each.name.endswith("/")]:
        deeper = _told_unpublished(driver, below)
        assert deeper, f"a scan tells of {below}/, and of nothing below it"
        keys += deeper
    return keys


def _write_and_discard(
    driver: CheckedDriver, old: str, size: int, fenced: Callable[[CheckedDriver, str], None]
) -> None:
    for key in (old, f"new-{token_hex(4)}"):
        writer = driver.open_writer(key)
        writer.write(bytes(size // 2))
        fenced(driver, key)
        with suppress(FencedError):
            writer.write(bytes(size - size // 2))
        writer.discard()
