"""Lives of objects whose writers hold bytes that they have not flushed: these must never appear."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from layerstore import Writer
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.promises.states import Around, State

OLD, NEW, MORE = bulk("old", 10_000), bulk("new", 7000), bulk("more", 3000)


def calls_over_open_writers(driver: CheckedDriver, _around: Around) -> Iterator[State]:
    """Put over, move and delete objects whose writers are open, each with unflushed bytes; let go of these later."""
    yield {}
    for number, (call, after) in enumerate(_CALLS.items()):
        for write in (_appended, (_rewritten, _appended_and_rewritten)[number % 2]):
            key = f"{write.__name__}{call.__name__}/key"
            driver.put(f"{key}.other", NEW)
            driver.put(key, OLD)
            yield (before := {key: OLD, f"{key}.other": NEW})
            writer = driver.open_writer(key)
            write(writer)
            yield before
            call(driver, key)
            yield after(key)
            writer.discard()
            yield after(key)
            driver.delete(key.rpartition("/")[0])
            yield {}


def _appended(writer: Writer) -> None:
    writer.write(MORE)


def _rewritten(writer: Writer) -> None:
    writer.seek(100)
    writer.write(MORE)


def _appended_and_rewritten(writer: Writer) -> None:
    _appended(writer)
    _rewritten(writer)


def _put_over(driver: CheckedDriver, key: str) -> None:
    driver.put(key, NEW)


def _move_of(driver: CheckedDriver, key: str) -> None:
    driver.move(key, f"{key}.moved")


def _move_over(driver: CheckedDriver, key: str) -> None:
    driver.move(f"{key}.other", key)


def _delete_of(driver: CheckedDriver, key: str) -> None:
    driver.delete(key)


def _delete_above(driver: CheckedDriver, key: str) -> None:
    driver.delete(key.rpartition("/")[0])


_CALLS: dict[Callable[[CheckedDriver, str], None], Callable[[str], State]] = {
    _put_over: lambda key: {key: NEW, f"{key}.other": NEW},
    _move_of: lambda key: {f"{key}.moved": OLD, f"{key}.other": NEW},
    _move_over: lambda key: {key: NEW},
    _delete_of: lambda key: {f"{key}.other": NEW},
    _delete_above: lambda _: {},
}
"""The calls on an object of the old bytes beside another one, and what there is after each."""


def calls_with_unflushed_bytes(driver: CheckedDriver, _around: Around) -> Iterator[State]:
    """Discard writers, take objects over from them, and flush, each time after bytes that were not flushed."""
    yield {}
    for number, step in enumerate((_discard, _take_over, _flush_on, _take_over_a_new_one)):
        yield from step(driver, f"u/{number}")
        driver.delete("u")
        yield {}


def _discard(driver: CheckedDriver, key: str) -> Iterator[State]:
    driver.put(key, OLD)
    yield {key: OLD}
    for write in (_appended, _rewritten, _appended_and_rewritten):
        writer = driver.open_writer(key)
        write(writer)
        yield {key: OLD}
        writer.discard()
        yield {key: OLD}


def _take_over(driver: CheckedDriver, key: str) -> Iterator[State]:
    driver.put(key, OLD)
    yield {key: OLD}
    first = driver.open_writer(key)
    first.write(MORE)
    yield {key: OLD}
    with driver.open_writer(key) as second:
        yield {key: OLD}
        second.write(NEW)
        yield {key: OLD}
    yield {key: OLD + NEW}
    first.discard()
    yield {key: OLD + NEW}


def _flush_on(driver: CheckedDriver, key: str) -> Iterator[State]:
    writer = driver.open_writer(key)
    writer.write(OLD)
    yield {}
    writer.flush()
    yield {key: (whole := OLD)}
    for write in (_appended, _appended_and_rewritten, _appended, _rewritten, _appended):
        writer.seek(writer.size)
        write(writer)
        yield {key: whole}
        writer.flush()
        yield {key: (whole := _after(write, whole))}
    writer.discard()
    yield {key: whole}


def _take_over_a_new_one(driver: CheckedDriver, key: str) -> Iterator[State]:
    first = driver.open_writer(key)
    first.write(OLD)
    yield {}
    with driver.open_writer(key) as second:
        second.write(NEW)
        yield {}
    yield {key: NEW}
    first.discard()
    yield {key: NEW}


def _after(write: Callable[[Writer], None], whole: bytes) -> bytes:
    """Return an object's bytes after writes of a writer whose position was at the end."""
    longer = whole if write is _rewritten else whole + MORE
    return longer if write is _appended else longer[:100] + MORE + longer[3100:]
