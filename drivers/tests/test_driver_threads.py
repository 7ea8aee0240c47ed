"""The driver contract on every driver: what threads see of each other, and which of two that meet has its way."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest

from layerstore.checked import CheckedDriver
from layerstore.errors import BackendUnavailableError, DriverError, FencedError, PathNotFoundError

SIZE = (1 << 20) + 5
ROUNDS = 15


def _together(*works: Callable[[], object]) -> list[object]:
    """Begin all at once, each in its own thread, and return what each returned, or the driver error it raised."""
    barrier = Barrier(len(works))

    def begin(work: Callable[[], object]) -> object:
        barrier.wait(timeout=30)
        try:
            return work()
        except DriverError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


def _write_over(driver: CheckedDriver, data: bytes) -> None:
    with driver.open_writer("a") as writer:
        writer.seek(0)
        writer.write(data[: len(data) // 2])
        writer.write(data[len(data) // 2 :])


def _move_over(driver: CheckedDriver, data: bytes) -> None:
    driver.put("source", data)
    driver.move("source", "a")


@pytest.mark.parametrize(
    "replace", [_write_over, lambda driver, data: driver.put("a", data), _move_over], ids=["flush", "put", "move"]
)
def test_readers_see_all_of_a_change_or_nothing(
    driver: CheckedDriver, other: CheckedDriver, replace: Callable[[CheckedDriver, bytes], None]
) -> None:
    """While an object is replaced, every read is of one version: never less, never a mix (R4, W6, P1, M2, T1)."""
    driver.put("a", b"\0" * SIZE)

    def change() -> None:
        for number in range(1, ROUNDS):
            replace(driver, bytes([number]) * (SIZE + number))

    def read() -> list[bytes]:
        wrong = []
        for _ in range(ROUNDS):
            try:
                data = other.open_reader("a").readall()
            except BackendUnavailableError:
                continue  # R4 lets a version go when it is replaced
            if data != data[:1] * (SIZE + data[0]):
                wrong.append(data)
        return wrong

    assert _together(change, read, read) == [None, [], []]


def test_of_writers_flushed_together_the_last_opened_publishes(driver: CheckedDriver, other: CheckedDriver) -> None:
    """However they meet in flushing, one writer has its way and all earlier ones are fenced (F1, F4)."""
    for _ in range(ROUNDS):
        writers = [by.open_writer("a/b") for by in (driver, other, driver)]
        for number, writer in enumerate(writers):
            writer.write(b"%d" % number)
        ends = _together(*(writer.close for writer in writers))
        assert [type(end) for end in ends] == [FencedError, FencedError, type(None)]
        assert other.get("a/b", 9) == b"2"
        driver.delete("a")


def _increment(driver: CheckedDriver) -> int:
    writer = driver.open_writer("a")
    try:
        with driver.open_reader("a") as reader:
            value = int(reader.read())
            if reader.version != writer.version:
                return 0
        writer.seek(0)
        writer.write(b"%03d" % (value + 1))
        writer.flush()
    except (FencedError, BackendUnavailableError):
        return 0  # another was faster: F3, R4
    finally:
        writer.discard()
    return 1


def test_no_increment_is_lost(driver: CheckedDriver, other: CheckedDriver) -> None:
    """What is read at a writer's version and published by it was replaced by nobody in between (F4)."""
    driver.put("a", b"000")
    counted: list[int] = []

    def count(by: CheckedDriver) -> None:
        counted.extend(_increment(by) for _ in range(ROUNDS))

    assert _together(*(partial(count, by) for by in (driver, other, other))) == [None] * 3
    # The writer opened last of all is fenced by nobody, so at least that one counts.
    assert int(driver.get("a", 9)) == sum(counted) > 0


FINAL: dict[str, tuple[Callable[[CheckedDriver], None], bytes | None]] = {
    "put": (lambda driver: driver.put("a/b", b"final"), b"final"),
    "delete": (lambda driver: driver.delete("a/b"), None),
    "delete of the prefix": (lambda driver: driver.delete("a"), None),
    "move over": (lambda driver: driver.move("source", "a/b"), b"final"),
}


@pytest.mark.parametrize(("act", "final"), FINAL.values(), ids=FINAL.keys())
def test_a_flush_that_meets_a_change_comes_before_it_or_never(
    driver: CheckedDriver, other: CheckedDriver, act: Callable[[CheckedDriver], None], final: bytes | None
) -> None:
    """A flush that returns was overtaken afterwards, one that came late is fenced: the change stands (F2, F4, D3)."""
    for _ in range(ROUNDS):
        driver.put("source", b"final")
        writer = driver.open_writer("a/b")
        writer.write(b"flushed")
        flushed, acted = _together(writer.close, lambda: act(other))
        assert flushed is None or isinstance(flushed, FencedError)
        assert acted is None
        assert (other.get("a/b", 9) if other.find("a/b") else None) == final
        driver.delete("a")


def test_no_flush_comes_between_the_check_and_the_move(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Of a flush and a move at the version before it, exactly one succeeds, and no flushed byte is lost (M4, F4)."""
    for _ in range(ROUNDS):
        writer = driver.open_writer("a")
        writer.write(b"one")
        writer.flush()
        writer.write(b" two")
        move = partial(other.move, "a", "b", version=writer.version)
        flushed, moved = _together(writer.close, move)
        assert {type(flushed), type(moved)} == {type(None), FencedError}
        assert other.get("a" if moved else "b", 9) == (b"one two" if moved else b"one")
        driver.delete("a")
        driver.delete("b")


def test_of_two_moves_one_finds_the_source(driver: CheckedDriver, other: CheckedDriver) -> None:
    """An object moved to two names at once arrives under one of them (M1, M3)."""
    for _ in range(ROUNDS):
        driver.put("a", b"1")
        ends = _together(partial(driver.move, "a", "b/x"), partial(other.move, "a", "b/y"))
        assert {type(end) for end in ends} == {type(None), PathNotFoundError}
        assert list(other.list("b")) == ["b/x" if ends[0] is None else "b/y"]
        driver.delete("b")


def test_keys_come_and_go_beside_each_other(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Threads that make and delete keys of one prefix do not disturb each other, nor a listing (T1, L4, K3)."""
    driver.put("a/stays", b"1")

    def come_and_go(name: str) -> Callable[[], None]:
        def work() -> None:
            for _ in range(ROUNDS):
                driver.put(f"a/{name}/deep/key", b"1")
                with other.open_writer(f"a/{name}/flushed") as writer:
                    writer.write(b"2")
                driver.delete(f"a/{name}")

        return work

    def look() -> set[bool]:
        return {"a/stays" in list(other.list("a")) for _ in range(4 * ROUNDS)}

    assert _together(come_and_go("x"), come_and_go("y"), look) == [None, None, {True}]
    assert list(other.list("a")) == ["a/stays"]
