"""The driver contract on every driver: fencing (F1 to F4), and what is deleted stays deleted (D3)."""

import gc
from collections.abc import Callable
from contextlib import suppress

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import Writer
from layerstore.errors import FencedError


def _open(driver: CheckedDriver, key: str) -> None:
    driver.open_writer(key).discard()


def _publish(driver: CheckedDriver, key: str) -> None:
    driver.open_writer(key).close()


def _move_over(driver: CheckedDriver, key: str) -> None:
    driver.put("source", b"new")
    driver.move("source", key)


TAKEOVERS: dict[str, Callable[[CheckedDriver, str], None]] = {
    "open_writer": _open,
    "publish": _publish,
    "put": lambda driver, key: driver.put(key, b"new"),
    "delete": lambda driver, key: driver.delete(key),
    "delete of the prefix": lambda driver, key: driver.delete(key.split("/")[0]),
    "move over": _move_over,
}
takeovers = pytest.mark.parametrize("take_over", TAKEOVERS.values(), ids=TAKEOVERS.keys())


def _seen(driver: CheckedDriver, key: str) -> tuple[bytes, str] | None:
    return (driver.get(key, 99), driver.stat(key).version) if driver.find(key) else None


@takeovers
@pytest.mark.parametrize("written", [b"", b"more"], ids=["nothing written", "written"])
@pytest.mark.parametrize("exists", [True, False], ids=["object", "new object"])
def test_a_writer_is_fenced(
    driver: CheckedDriver,
    other: CheckedDriver,
    take_over: Callable[[CheckedDriver, str], None],
    written: bytes,
    exists: bool,
) -> None:
    """A later writer, put, move or delete fences, also where nothing is to be published or no object is (F1 to F3)."""
    if exists:
        driver.put("a/b", b"old")
    writer = driver.open_writer("a/b")
    writer.write(written)
    take_over(other, "a/b")
    seen = _seen(other, "a/b")
    for _ in range(2):
        with pytest.raises(FencedError):
            writer.flush()
    assert _seen(other, "a/b") == seen


def test_a_writer_of_what_was_moved_away_is_fenced(driver: CheckedDriver, other: CheckedDriver) -> None:
    """The source's writer can bring nothing back, and add nothing to the target (F2, M1)."""
    writer = driver.open_writer("a")
    writer.write(b"old")
    writer.flush()
    writer.write(b"more")
    other.move("a", "b")
    with pytest.raises(FencedError):
        writer.close()
    assert (_seen(other, "a"), other.get("b", 99)) == (None, b"old")


def test_a_fenced_writer_fences_nobody(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Whatever becomes of the earlier writer, the later one publishes (F1, T2)."""
    earlier = driver.open_writer("a")
    later = other.open_writer("a")
    later.write(b"later")
    with pytest.raises(FencedError):
        earlier.close()
    later.close()
    assert driver.get("a", 99) == b"later"


def test_the_end_of_a_later_writer_lifts_no_fence(driver: CheckedDriver, other: CheckedDriver) -> None:
    """A writer stays fenced when the one that fenced it is discarded and collected (F3)."""
    earlier = driver.open_writer("a")
    other.open_writer("a").discard()
    gc.collect()
    with pytest.raises(FencedError):
        earlier.close()
    assert other.find("a") is None


def test_a_writer_is_not_fenced_by_others_keys(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Writers, puts, moves and deletes of other keys, with similar names too, fence nobody (F1, F2, D1)."""
    writer = driver.open_writer("a/bb")
    writer.write(b"mine")
    other.put("a/c", b"1")
    other.move("a/c", "a/d")
    for key in ("a/d", "a/b", "a/bbb"):
        other.delete(key)
    other.open_writer("a/b").close()
    writer.close()
    assert other.get("a/bb", 99) == b"mine"


def test_a_reader_fences_nobody(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Reading, describing and listing leave a writer its object (F1)."""
    driver.put("a", b"old")
    writer = driver.open_writer("a")
    writer.write(b"+")
    other.get("a", 99)
    other.stat("a")
    list(other.list(""))
    writer.close()
    assert other.get("a", 99) == b"old+"


def test_a_fenced_writer_changes_nothing_by_writing_on(driver: CheckedDriver, other: CheckedDriver) -> None:
    """What a fenced writer still writes never appears, in the later writer's gap neither (F3, W4)."""
    earlier = driver.open_writer("a")
    earlier.write(b"12345")
    earlier.flush()
    earlier.write(b"6")
    later = other.open_writer("a")
    with suppress(FencedError):  # F3 lets it be raised early
        earlier.write(b"fenced")
    later.seek(8)
    later.write(b"9")
    later.close()
    earlier.discard()
    assert other.get("a", 99) == b"12345\0\0\x009"


def test_a_fenced_writer_reaches_nothing_a_later_one_has_published(driver: CheckedDriver, other: CheckedDriver) -> None:
    """Where both wrote behind the same published bytes, the later one's stay as it published them (F3, F4)."""
    size = (1 << 20) + 10
    earlier = driver.open_writer("a")
    earlier.write(b"o" * size)
    earlier.flush()
    later = other.open_writer("a")
    for offset, data in [(0, b"O"), (size, b"later")]:
        later.seek(offset)
        later.write(data)
        later.flush()
    with suppress(FencedError):  # as above
        earlier.write(b"fenced")
    assert other.get("a", 2 * size) == b"O" + b"o" * (size - 1) + b"later"


@pytest.mark.parametrize("end", [Writer.close, Writer.discard, lambda _writer: None], ids=["close", "discard", "drop"])
@pytest.mark.parametrize("key", ["a/b", "a"], ids=["the key", "a prefix"])
def test_what_is_deleted_stays_deleted(
    driver: CheckedDriver, other: CheckedDriver, end: Callable[[Writer], None], key: str
) -> None:
    """No handle that was open brings a deleted object back when it is closed or collected (D3)."""
    driver.put("a/b", b"old")
    reader = driver.open_reader("a/b")
    writer = driver.open_writer("a/b")
    writer.write(b"more")
    other.delete(key)
    with suppress(FencedError):  # as the close of a fenced writer is to (F3)
        end(writer)
    reader.close()
    del reader, writer
    gc.collect()
    assert other.find("a/b") is None
    assert list(other.list("")) == []
