"""The driver contract on every driver: writing and publishing (W1 to W9)."""

import gc
import os
from collections.abc import Callable

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import Writer
from layerstore.errors import PathNotFoundError

MIB = 1 << 20


def test_a_writer_opens_at_the_end(driver: CheckedDriver) -> None:
    """The writer of an object is at its end, and knows its size and version (W1)."""
    driver.put("a", b"12345")
    writer = driver.open_writer("a")
    assert (writer.tell(), writer.size, writer.version) == (5, 5, driver.stat("a").version)


def test_opening_a_writer_creates_nothing(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A new object's writer has no bytes and no version, and is seen by nobody (W1, L5)."""
    writer = driver.open_writer("a/b")
    assert (writer.tell(), writer.size, writer.version) == (0, 0, None)
    assert list(other.list("")) == []
    with pytest.raises(PathNotFoundError):
        other.stat("a/b")


def test_size_grows_with_every_accepted_write(driver: CheckedDriver) -> None:
    """The size counts what was written at once, a gap included, and only what is beyond the end (W3)."""
    writer = driver.open_writer("a")
    sizes = []
    for offset, length in [(0, 3), (1, 1), (2, 4), (100, 1), (50, 2 * MIB)]:
        writer.seek(offset)
        writer.write(b"x" * length)
        sizes.append(writer.size)
    assert sizes == [3, 3, 6, 101, 2 * MIB + 50]


@pytest.mark.parametrize(
    ("before", "gap"), [(0, 1), (0, MIB), (5, 1), (5, 4096), (5, 2 * MIB + 3), (MIB - 1, 2), (MIB, MIB - 1), (MIB, MIB)]
)
def test_a_gap_reads_as_zeros(driver: CheckedDriver, other: CheckedDriver, before: int, gap: int) -> None:
    """A write beyond the end fills the bytes between with zeros (W4)."""
    driver.put("a", b"x" * before)
    with driver.open_writer("a") as writer:
        writer.seek(before + gap)
        writer.write(b"y")
    assert other.get("a", 9 * MIB) == b"x" * before + bytes(gap) + b"y"


def test_a_seek_alone_makes_no_gap(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A seek beyond the end grows nothing, nor does an empty write there (W3, W4)."""
    driver.put("a", b"12345")
    with driver.open_writer("a") as writer:
        writer.seek(1000)
        writer.write(b"")
    assert other.get("a", MIB) == b"12345"


@pytest.mark.parametrize("again", ["new writer", "old writer lives"])
def test_a_gap_holds_nothing_that_was_discarded_there(driver: CheckedDriver, other: CheckedDriver, again: str) -> None:
    """Where an earlier writer wrote in vain, a later one's gap is zeros (W4, W7)."""
    driver.put("a", b"12345")
    with driver.open_writer("a") as grower:
        grower.write(b"6")  # so that the earlier writer made the last published bytes itself
        grower.flush()
        grower.write(b"in vain")
        if again == "new writer":
            grower.discard()
        with driver.open_writer("a") as writer:
            writer.seek(20)
            writer.write(b"y")
        grower.discard()
    assert other.get("a", MIB) == b"123456" + bytes(14) + b"y"


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 1), (1, 4), (0, MIB), (MIB - 2, 4), (MIB - 2, MIB + 3), (MIB, MIB), (2 * MIB, MIB)],
)
def test_a_write_before_the_end_replaces_in_place(
    driver: CheckedDriver, other: CheckedDriver, offset: int, length: int
) -> None:
    """Bytes are replaced where they are written, and all others stay (W5)."""
    model = bytearray(os.urandom(2 * MIB + MIB // 2))
    driver.put("a", bytes(model))
    with driver.open_writer("a") as writer:
        writer.seek(offset)
        writer.write(b"x" * length)
    model[offset : offset + length] = b"x" * length
    assert other.get("a", 9 * MIB) == bytes(model)


def test_nothing_is_seen_before_the_flush(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Until the flush others see the object as last published, after it all of what was written (W6)."""
    driver.put("a", b"12345")
    writer = driver.open_writer("a")
    writer.write(b"678")
    writer.seek(0)
    writer.write(b"X")
    assert (other.get("a", 99), other.stat("a").size, other.stat("a").version) == (b"12345", 5, writer.version)
    writer.flush()
    assert (other.get("a", 99), other.stat("a").size, other.stat("a").version) == (b"X2345678", 8, writer.version)


def test_a_new_object_is_not_seen_before_its_first_flush(driver: CheckedDriver, other: CheckedDriver) -> None:
    """An object that was never flushed is in no listing and under no key; the flush puts it there (W6, L5)."""
    writer = driver.open_writer("a/b")
    writer.write(b"1" * 2 * MIB)
    assert other.find("a/b") is None
    assert list(other.list("")) == []
    writer.flush()
    assert list(other.list("a")) == ["a/b"]


def test_the_first_flush_creates_an_empty_object(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A new object that nothing was written to is there, with no bytes, after the flush (W6)."""
    writer = driver.open_writer("a")
    writer.flush()
    assert other.stat("a").size == 0
    assert other.stat("a").version == writer.version


def test_a_flush_of_nothing_new_keeps_the_version(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Opening and closing, or flushing twice, changes no version (W6, S2)."""
    driver.put("a", b"1")
    version = driver.stat("a").version
    with driver.open_writer("a"):
        pass
    assert other.stat("a").version == version
    with driver.open_writer("a") as writer:
        writer.write(b"2")
        writer.flush()
        flushed = writer.version
        writer.flush()
    assert writer.version == flushed == other.stat("a").version


def test_a_writer_goes_on_after_a_flush(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Flush after flush publishes what came since, on any side of what was published before (W6)."""
    model = bytearray()
    writer = driver.open_writer("a")
    for offset in (0, 700, 100, 1400, MIB - 3, 5):
        data = os.urandom(700)
        writer.seek(offset)
        writer.write(data)
        model.extend(bytes(max(0, offset - len(model))))
        model[offset : offset + 700] = data
        writer.flush()
        assert other.get("a", 9 * MIB) == bytes(model)


ENDS: dict[str, Callable[[Writer], None]] = {"discarded": Writer.discard, "collected": lambda _writer: None}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_what_was_not_flushed_never_appears(
    driver: CheckedDriver, other: CheckedDriver, end: Callable[[Writer], None]
) -> None:
    """After a discard or a collection the object is as last flushed, to readers and to the next writer (W7)."""
    writer = driver.open_writer("a")
    writer.write(b"kept")
    writer.flush()
    version = writer.version
    writer.seek(2)
    writer.write(b"lost bytes")
    end(writer)
    del writer
    gc.collect()
    assert (other.get("a", 99), other.stat("a").size, other.stat("a").version) == (b"kept", 4, version)
    assert other.open_writer("a").size == 4


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_a_new_object_that_was_not_flushed_leaves_nothing(
    driver: CheckedDriver, other: CheckedDriver, end: Callable[[Writer], None]
) -> None:
    """A new object's writer that is discarded or collected was never there (W7, L5)."""
    writer = driver.open_writer("a/b")
    writer.write(b"lost")
    end(writer)
    del writer
    gc.collect()
    assert other.find("a/b") is None
    assert list(other.list("")) == []
    assert (other.open_writer("a/b").size, other.open_writer("a/b").version) == (0, None)


def test_an_error_in_the_with_block_discards(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A with block that ends in an error publishes nothing (W7)."""

    def fail_half_way() -> None:
        with driver.open_writer("a") as writer:
            writer.write(b"half")
            raise RuntimeError("made up")

    with pytest.raises(RuntimeError, match="made up"):
        fail_half_way()
    assert other.find("a") is None


@pytest.mark.parametrize("size", [1, 4096, MIB, 2 * MIB + 1])
def test_the_buffer_is_the_callers_again(driver: CheckedDriver, other: CheckedDriver, size: int) -> None:
    """What the caller does to its buffer after the write changes nothing of what was written (W9)."""
    buffer = bytearray(b"x" * size)
    with driver.open_writer("a") as writer:
        writer.write(buffer)
        buffer[:] = b"y" * size
        buffer.clear()  # raises BufferError where a view of it was kept
    assert other.get("a", 9 * MIB) == b"x" * size
