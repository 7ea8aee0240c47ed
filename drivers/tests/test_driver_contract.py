"""The driver contract on every driver: keys, opening, handles, reading, putting, stat and declarations."""

import gc
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import CONTRACT_VERSION, Writer
from layerstore.errors import (
    BackendUnavailableError,
    InvalidOffsetError,
    LayerClosedError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore_drivers.local import LocalDriver

MIB = 1 << 20

LONGEST = "/".join(["k" * 255] * 3 + ["k" * 232])
EDGE_KEYS = ["a", "_", "-", "+", "a.", "a..b", "CON", "a.tmp", "0" * 255, LONGEST]


@pytest.mark.parametrize("key", EDGE_KEYS, ids=lambda key: key[:8])
def test_every_key_in_the_grammar_is_stored_under_its_own_name(
    driver: CheckedDriver, other: CheckedDriver, key: str
) -> None:
    """Any key of 1 to 1,000 bytes can be put, written, read and listed (K1)."""
    driver.put(key, b"put")
    with driver.open_writer(key) as writer:
        writer.write(b" and written")
    assert other.get(key, MIB) == b"put and written"
    parent, _, _ = key.rpartition("/")
    assert list(other.list(parent)) == [key]


def test_keys_that_differ_in_case_are_different_objects(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Upper and lower case name different objects (K3)."""
    for key in ("key", "KEY", "Key"):
        driver.put(key, key.encode())
    assert [other.get(key, 9) for key in ("key", "KEY", "Key")] == [b"key", b"KEY", b"Key"]


def test_a_prefix_is_gone_with_its_last_key(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A prefix exists only while a key exists below it, and its name is free for a key then (K3)."""
    driver.put("a/b/c", b"1")
    driver.delete("a/b/c")
    assert list(other.list("")) == []
    driver.put("a", b"2")
    assert other.get("a", 9) == b"2"


@pytest.mark.parametrize(
    "ask",
    [
        lambda driver: driver.open_reader("a"),
        lambda driver: driver.stat("a"),
        lambda driver: driver.list(""),
        lambda driver: driver.list("a"),
    ],
    ids=["open_reader", "stat", "list the top", "list a prefix"],
)
def test_a_missing_root_directory_is_no_empty_store(
    tmp_path: Path, ask: Callable[[CheckedDriver], Iterable[object]]
) -> None:
    """Without its root directory the local driver is unavailable, and makes none by being asked (E2, O2)."""
    root = tmp_path / "missing"
    with pytest.raises(BackendUnavailableError):
        list(ask(CheckedDriver(LocalDriver(root))))
    assert not root.exists()


def test_a_driver_is_closed_any_number_of_times(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Closing a driver again does nothing, and closes no other driver of the store (T2, T3)."""
    driver.put("a", b"1")
    driver.close()
    driver.close()
    assert other.get("a", 9) == b"1"


def test_a_closed_handle_refuses_to_work(driver: CheckedDriver) -> None:
    """A closed reader or writer raises LayerClosedError, and closes again in silence (T3)."""
    writer = driver.open_writer("a")
    writer.close()
    reader = driver.open_reader("a")
    reader.close()
    with pytest.raises(LayerClosedError):
        writer.write(b"1")
    with pytest.raises(LayerClosedError):
        reader.read()
    writer.close()
    reader.close()


def test_any_number_of_handles_are_open_at_once(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Handles live on their own: closing one changes nothing for the others (T2)."""
    writers = [driver.open_writer(f"a/{number}") for number in range(50)]
    for number, writer in enumerate(writers):
        writer.write(str(number).encode())
    writers[0].discard()
    for writer in writers[1:]:
        writer.close()
    readers = [other.open_reader(f"a/{number}") for number in range(1, 50)]
    readers[0].close()
    assert [reader.read() for reader in readers[1:]] == [str(number).encode() for number in range(2, 50)]


def test_a_handle_moves_from_thread_to_thread(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A writer or reader is used by one thread at a time, not always the same one (T1)."""

    def in_new_thread(work: Callable[[], object]) -> object:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(work).result()

    writer = driver.open_writer("a")
    in_new_thread(lambda: writer.write(b"one "))
    in_new_thread(lambda: writer.write(b"two"))
    in_new_thread(writer.close)
    reader = other.open_reader("a")
    assert [in_new_thread(lambda: reader.read(4)) for _ in range(2)] == [b"one ", b"two"]


@pytest.mark.parametrize("end", [Writer.close, Writer.discard, lambda _writer: None], ids=["close", "discard", "drop"])
def test_handles_give_back_their_descriptors(driver: CheckedDriver, end: Callable[[Writer], None]) -> None:
    """What a handle holds is given back when it is closed, discarded or collected (T4)."""
    driver.put("a", b"1")
    gc.collect()
    before = len(os.listdir("/dev/fd"))
    writer, reader = driver.open_writer("a"), driver.open_reader("a")
    writer.write(b"2")
    reader.read(1)
    end(writer)
    del writer, reader
    gc.collect()
    assert len(os.listdir("/dev/fd")) == before


def test_a_reader_begins_at_its_offset(driver: CheckedDriver) -> None:
    """A reader is positioned at its offset and knows size and version of what it reads (R1)."""
    driver.put("a", b"0123456789")
    reader = driver.open_reader("a", 4)
    assert (reader.tell(), reader.size, reader.version) == (4, 10, driver.stat("a").version)
    assert reader.read(3) == b"456"


@pytest.mark.parametrize("size", [0, 1, 3 * MIB])
def test_the_end_is_the_last_offset(driver: CheckedDriver, size: int) -> None:
    """An offset equal to the size reads nothing; one beyond it is refused (R2)."""
    driver.put("a", bytes(size))
    assert driver.open_reader("a", size).read() == b""
    with pytest.raises(InvalidOffsetError):
        driver.open_reader("a", size + 1)


@pytest.mark.parametrize("key", ["missing", "a", "a/b", "a/b/c/d"])
def test_only_an_object_can_be_opened_or_described(driver: CheckedDriver, key: str) -> None:
    """A missing key, a prefix and what would be below an object are PathNotFoundError (R3, S3)."""
    driver.put("a/b/c", b"1")
    with pytest.raises(PathNotFoundError):
        driver.open_reader(key)
    with pytest.raises(PathNotFoundError):
        driver.stat(key)


def _rewrite(driver: CheckedDriver) -> None:
    with driver.open_writer("a") as writer:
        writer.seek(0)
        writer.write(b"N" * 3 * MIB)


def _replace_by_move(driver: CheckedDriver) -> None:
    driver.put("b", b"N" * 3 * MIB)
    driver.move("b", "a")


CHANGES: dict[str, Callable[[CheckedDriver], None]] = {
    "rewritten": _rewrite,
    "put": lambda driver: driver.put("a", b"N" * 3 * MIB),
    "moved over": _replace_by_move,
    "moved away": lambda driver: driver.move("a", "b"),
    "deleted": lambda driver: driver.delete("a"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_reader_never_mixes_two_versions(
    driver: CheckedDriver, other: CheckedDriver, change: Callable[[CheckedDriver], None]
) -> None:
    """After a change an open reader reads on in its old version, or is refused (R4)."""
    driver.put("a", b"o" * 3 * MIB)
    reader = other.open_reader("a")
    assert reader.read(10) == b"o" * 10
    change(driver)
    try:
        rest = reader.read()
    except BackendUnavailableError:
        return
    assert rest == b"o" * (3 * MIB - 10)


@pytest.mark.parametrize("step", [1, 4093, MIB, MIB + 1])
def test_reads_of_any_length_join_into_the_object(driver: CheckedDriver, step: int) -> None:
    """However much is asked for at a time, no byte is left out, doubled or cut off (R5)."""
    data = os.urandom(5000 if step == 1 else 3 * MIB + 17)
    driver.put("a", data)
    reader = driver.open_reader("a")
    assert b"".join(iter(lambda: reader.read(step), b"")) == data


@pytest.mark.parametrize("size", [0, 1, MIB, 2 * MIB + 1])
def test_put_replaces_the_whole_object(driver: CheckedDriver, other: CheckedDriver, size: int) -> None:
    """Of a longer or shorter object before nothing is left, down to no bytes at all (P1, P3)."""
    driver.put("a", b"longer" * (MIB // 2))
    driver.put("a", b"x" * size)
    assert (other.get("a", 9 * MIB), other.stat("a").size) == (b"x" * size, size)


def test_stat_tells_what_a_reader_would_read(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Size and version are a reader's, the time is aware and in UTC (S1)."""
    driver.put("a/b", b"12345")
    stat, reader = other.stat("a/b"), driver.open_reader("a/b")
    assert (stat.size, stat.version) == (5, reader.version)
    assert stat.modified.utcoffset() == timedelta(0)


def test_every_change_makes_a_new_version(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Changes that follow each other at once, of one size or undone again, make versions never seen before (S2)."""
    seen = []
    for number in range(20):
        driver.put("a", b"%d" % (number % 2))
        seen.append(other.stat("a").version)
        with driver.open_writer("a") as writer:
            writer.seek(0)
            writer.write(b"x")
        seen.append(other.stat("a").version)
        driver.delete("a")
    assert len(set(seen)) == 40


def test_a_version_stays_while_nothing_happens(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Reading, describing, opening and discarding change no version; all who tell it agree (S2, W1)."""
    driver.put("a", b"1")
    version = driver.stat("a").version
    writer = driver.open_writer("a")
    assert driver.open_reader("a").version == writer.version == version
    writer.discard()
    driver.put("b", b"2")
    assert other.stat("a").version == version


def test_the_contract_version_is_spelled_out(driver: CheckedDriver) -> None:
    """The driver says itself which contract it was written for (C1)."""
    assert type(driver.inner).__dict__["contract_version"] == CONTRACT_VERSION


def _flush(driver: CheckedDriver, key: str) -> None:
    with driver.open_writer(key) as writer:
        writer.write(b"new")


def _move(driver: CheckedDriver, key: str) -> None:
    driver.put("source", b"new")
    driver.move("source", key)


WAYS = {"put": lambda driver, key: driver.put(key, b"new"), "flush": _flush, "move": _move}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a", "a/b/c"), ("a/b", "a"), ("a/b/c", "a")])
def test_a_key_below_a_key_is_stored_or_refused_as_declared(
    driver: CheckedDriver, other: CheckedDriver, first: str, second: str, way: Callable[[CheckedDriver, str], None]
) -> None:
    """With nested_keys both objects live; without, the second is refused and nothing is changed (C2)."""
    driver.put(first, b"old")
    if driver.capabilities.nested_keys:
        way(driver, second)
        assert other.get(second, 9) == b"new"
    else:
        with pytest.raises(UnsupportedOperationError):
            way(driver, second)
        assert other.find(second) is None
    assert other.get(first, 9) == b"old"


@pytest.mark.parametrize(("early", "late"), [("a", "a/b"), ("a/b", "a")])
def test_a_key_that_came_later_is_minded_by_the_flush(
    driver: CheckedDriver, other: CheckedDriver, early: str, late: str
) -> None:
    """A writer opened before a key came above or below its own is refused at its flush, or not at all (C2)."""
    writer = driver.open_writer(early)
    writer.write(b"new")
    driver.put(late, b"old")
    if driver.capabilities.nested_keys:
        writer.close()
        assert other.get(early, 9) == b"new"
    else:
        with pytest.raises(UnsupportedOperationError):
            writer.close()
        assert other.find(early) is None
    assert other.get(late, 9) == b"old"
