"""The front of every driver: arguments, positions, closing and the names of errors, over a toy driver of one dict."""

from __future__ import annotations

import array
import errno
import gc
import io
import os
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import (
    CONTRACT_VERSION,
    Capabilities,
    Driver,
    DropsCache,
    Reader,
    Settles,
    SignsURLs,
    Stat,
    Writer,
    moment,
)
from layerstore.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    FencedError,
    InvalidOffsetError,
    InvalidPathError,
    LayerClosedError,
    LayerStoreError,
    NoSpaceError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore.handles import call_driver
from layerstore.keys import check_key, check_prefix
from layerstore.threads import process
from layerstore.url import StoreURL
from layerstore_conformance.kit.passing import PassingDriver

GOOD_KEYS = [
    "a",
    "Z9._+-",
    "-",
    "+",
    "_",
    "a/b/c",
    "a.b/c.d",
    "a..b",
    "a.",
    "x" * 255,
    "/".join(["x" * 255] * 3),
]

BAD_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/..",
    "../a",
    "a/../b",
    "a/./b",
    ".hidden",
    "a/.hidden",
    "a b",
    "a\\b",
    "a:b",
    "a%2Fb",
    "a~",
    "a\n",
    "\na",
    "a\nb",
    "a\x00",
    "a\x00b",
    "é",
    "a/\u0661\u0662",  # Arabic digits: str.isdigit, and \d, say yes
    "\uff41",  # a letter of double width
    "K\u212a",  # the Kelvin sign, a k to a regular expression that ignores case
    "\ud800",
    "x" * 256,
    "a/" + "x" * 256 + "/b",
    "a/" * 500 + "b",
]


class ToyReader(Reader):
    """Read a dict's value, at most ``step`` bytes a time; ``shown`` of its bytes are there in truth."""

    def __init__(self, key: str, data: bytes, offset: int, step: int, shown: int) -> None:
        super().__init__(key, len(data), "v1", offset)
        self.data, self.step, self.asked, self.released = data[:shown], step, 0, 0

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Copy what is there."""
        self.asked += 1
        part = self.data[offset : offset + min(len(buffer), self.step)]
        buffer[: len(part)] = part
        return len(part)

    def release(self) -> None:
        """Count."""
        self.released += 1


class ToyWriter(Writer):
    """Gather a value and hand it to the dict when published."""

    def __init__(self, key: str, toy: Toy) -> None:
        data = toy.objects.get(key, b"")
        super().__init__(key, len(data), "v1" if key in toy.objects else None)
        self.toy, self.data, self.released = toy, bytearray(data), 0

    def write_at(self, offset: int, data: memoryview) -> None:
        """Copy."""
        self.toy.fail()
        self.data.extend(bytes(max(0, offset - len(self.data))))
        self.data[offset : offset + len(data)] = data

    def publish(self) -> str:
        """Show."""
        self.toy.fail()
        self.toy.objects[self.key] = bytes(self.data)
        return f"v{len(self.data)}"

    def release(self) -> None:
        """Count."""
        self.released += 1
        self.toy.released += 1


class Toy(Driver):
    """Keep bytes in a dict, fail when told to, and count what was asked for."""

    contract_version = CONTRACT_VERSION
    capabilities = Capabilities(nested_keys=True, shared=False, durable=False)

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {"a": b"0123456789"}
        self.failure: Exception | None = None
        self.calls = self.closed = self.released = 0
        self.step, self.shown = 1000, 1000

    @classmethod
    def open(cls, url: StoreURL, **_options: Any) -> Toy:  # noqa: ANN401  (as Driver.open)
        """Open nothing."""
        raise NotImplementedError

    def fail(self) -> None:
        """Count a call, and fail if told to."""
        self.calls += 1
        if self.failure:
            raise self.failure

    def open_reader(self, key: str, offset: int = 0) -> ToyReader:
        """Open a value."""
        return ToyReader(key, self._data(key), offset, self.step, self.shown)

    def open_writer(self, key: str) -> ToyWriter:
        """Open a value or none."""
        self.fail()
        return ToyWriter(key, self)

    def put(self, key: str, data: bytes) -> None:
        """Set a value."""
        self.fail()
        self.objects[key] = data

    def stat(self, key: str) -> Stat:
        """Measure a value."""
        return Stat(len(self._data(key)), datetime.now(UTC), "v1")

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys, and fail after the first if told to."""
        self.calls += 1
        for key in sorted(self.objects):
            yield key
            self.fail()

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move a value."""
        self.objects[target] = self._data(source) + (version or "").encode()
        del self.objects[source]

    def delete(self, key: str) -> None:
        """Forget a value."""
        self.fail()
        self.objects.pop(key, None)

    def close(self) -> None:
        """Count."""
        self.closed += 1
        self.fail()

    def _data(self, key: str) -> bytes:
        self.fail()
        if key not in self.objects:
            raise PathNotFoundError(key)
        return self.objects[key]


Call = Callable[[CheckedDriver, str], object]

CALLS: dict[str, Call] = {
    "open_reader": lambda front, key: front.open_reader(key),
    "open_writer": lambda front, key: front.open_writer(key),
    "put": lambda front, key: front.put(key, b"x"),
    "get": lambda front, key: front.get(key, 10),
    "stat": lambda front, key: front.stat(key),
    "find": lambda front, key: front.find(key),
    "list": lambda front, key: list(front.list(key)),
    "move from": lambda front, key: front.move(key, "target"),
    "move to": lambda front, key: front.move("a", key),
    "delete": lambda front, key: front.delete(key),
}
"""Every way to give the front a key."""

REACHES = {name: call for name, call in CALLS.items() if name != "move to"}
"""Those whose errors are of the key given: a move's are of its source."""


@pytest.fixture
def toy() -> Toy:
    """Return a driver that keeps ``a``, ten digits."""
    return Toy()


@pytest.fixture
def front(toy: Toy) -> CheckedDriver:
    """Return the driver behind its front."""
    return CheckedDriver(toy, "toy")


@pytest.mark.parametrize("key", GOOD_KEYS, ids=lambda key: ascii(key[:20]))
def test_a_key_of_the_grammar_is_a_key(key: str) -> None:
    """Clauses K1 and K2, to their limits."""
    check_key(key)
    check_prefix(key)


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: ascii(key[:20]))
def test_what_breaks_the_grammar_is_no_key(key: str) -> None:
    """Clauses K1 and K2, and the message does not run on."""
    with pytest.raises(InvalidPathError) as caught:
        check_key(key)
    assert len(str(caught.value)) < 400


def test_a_key_of_200_segments_is_a_key_and_of_201_is_none() -> None:
    """Azure counts them, too (clause K1)."""
    check_key("/".join(["s"] * 200))
    with pytest.raises(InvalidPathError, match="201 segments, at most 200"):
        check_key("/".join(["s"] * 201))


def test_a_key_of_1000_bytes_is_a_key_and_of_1001_is_none() -> None:
    """The limit of clause K1 is inclusive."""
    longest = "/".join(["x" * 199] * 5)
    check_key(longest + "x")
    with pytest.raises(InvalidPathError, match="1001 characters, at most 1000"):
        check_key(longest + "xx")


def test_the_empty_prefix_is_the_top_and_a_slash_at_the_end_is_refused() -> None:
    """Clause L1: what is listed below is a key, or everything."""
    check_prefix("")
    with pytest.raises(InvalidPathError):
        check_prefix("a/")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_method_of_the_driver_sees_a_bad_key(toy: Toy, front: CheckedDriver, call: Call) -> None:
    """Every argument that is a key is checked, before the driver is called (clause K1)."""
    with pytest.raises(InvalidPathError, match="toy driver: not a key"):
        call(front, "a/../b")
    assert toy.calls == 0


def test_a_listing_is_checked_at_the_call(toy: Toy, front: CheckedDriver) -> None:
    """A bad prefix is refused where it was given, not where the listing is read."""
    with pytest.raises(InvalidPathError):
        front.list("/a")
    front.list("a")
    assert toy.calls == 0


def test_a_negative_offset_is_refused(toy: Toy, front: CheckedDriver) -> None:
    """Clause R2; the driver is not asked."""
    with pytest.raises(InvalidOffsetError, match=r"toy driver: .*'a' \(offset -1\)"):
        front.open_reader("a", -1)
    assert toy.calls == 0


class Hollow(ToyWriter):
    """Takes everything, and notes where its end would be."""

    ends: tuple[int, ...] = ()

    def write_at(self, offset: int, data: memoryview) -> None:
        """Note."""
        self.ends += (offset + len(data),)


@pytest.mark.parametrize("end", [(1 << 63) - 1, 1 << 63, (1 << 63) + 2, 1 << 70])
def test_no_object_is_larger_than_offsets_go(toy: Toy, end: int) -> None:
    """A write that ends beyond 63 bits is refused like one of a full backend, and the driver is not asked."""
    writer = Hollow("key", toy)
    writer.seek(end - 3)
    if end < 1 << 63:
        assert (writer.write(b"end"), writer.ends, writer.size) == (3, (end,), end)
        return
    with pytest.raises(NoSpaceError, match="at most 9223372036854775807 bytes"):
        writer.write(b"end")
    assert (writer.ends, writer.tell(), writer.size) == ((), end - 3, 0)


def test_a_move_onto_itself_is_refused(toy: Toy, front: CheckedDriver) -> None:
    """Clause M6; the driver is not asked, and could not lose the object."""
    with pytest.raises(InvalidPathError, match=r"toy driver: .*moved onto itself"):
        front.move("a", "a")
    assert toy.calls == 0


@pytest.mark.parametrize("call", REACHES.values(), ids=REACHES)
def test_an_error_of_the_system_is_named_with_driver_and_key(toy: Toy, front: CheckedDriver, call: Call) -> None:
    """An ``OSError`` from any method is a driver error that pickles, its cause chained (clause E1)."""
    toy.failure = OSError(errno.ENOSPC, "full")
    with pytest.raises(NoSpaceError) as caught:
        call(front, "a")
    assert str(caught.value) == f"toy driver: no space left: 'a' ({os.strerror(errno.ENOSPC)})"
    assert caught.value.__cause__ is toy.failure
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args


@pytest.mark.parametrize("call", REACHES.values(), ids=REACHES)
def test_a_drivers_own_error_passes_and_gets_its_name(toy: Toy, front: CheckedDriver, call: Call) -> None:
    """The error raised is the driver's, not a copy (clause E1)."""
    toy.failure = FencedError("a")
    with pytest.raises(FencedError, match="toy driver: taken over") as caught:
        call(front, "a")
    assert caught.value is toy.failure


def test_a_defect_of_a_driver_is_not_dressed_up(toy: Toy, front: CheckedDriver) -> None:
    """An error that is no failure of storage keeps its type."""
    toy.failure = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        front.stat("a")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (OSError(errno.EDQUOT, ""), NoSpaceError),
        (PermissionError(errno.EACCES, ""), AccessDeniedError),
        (FileNotFoundError(errno.ENOENT, ""), BackendUnavailableError),
        (ConnectionResetError(errno.ECONNRESET, ""), BackendUnavailableError),
        (TimeoutError("slow"), BackendUnavailableError),
    ],
)
def test_call_driver_translates_what_the_system_raises(failure: OSError, expected: type[DriverError]) -> None:
    """A missing file is no missing key: only the driver can tell (clause E2)."""

    def method(argument: int, *, keyword: int) -> None:
        assert (argument, keyword) == (1, 2)
        raise failure

    with pytest.raises(expected) as caught:
        call_driver("toy", "a/b", method, 1, keyword=2)
    assert (caught.value.key, caught.value.driver) == ("a/b", "toy")


def test_a_handles_errors_are_named_too(toy: Toy, front: CheckedDriver) -> None:
    """Reading, writing and flushing pass through the front as opening does."""
    writer = front.open_writer("a")
    toy.failure = OSError(errno.EIO, "torn")
    for call in (lambda: writer.write(b"x"), writer.flush, writer.close):
        with pytest.raises(BackendUnavailableError, match=r"toy driver: .*'a'"):
            call()


def test_a_front_without_a_scheme_is_named_for_the_drivers_class(toy: Toy) -> None:
    """A driver put behind the front by hand has a name in messages."""
    with pytest.raises(PathNotFoundError, match="Toy driver: nothing under this key: 'b'"):
        CheckedDriver(toy).stat("b")


def test_the_front_has_the_drivers_capabilities_and_is_not_opened_itself(toy: Toy, front: CheckedDriver) -> None:
    """A driver's declarations are seen through the front."""
    assert front.capabilities is toy.capabilities
    for wrapper in (CheckedDriver, PassingDriver):
        with pytest.raises(NotImplementedError):
            wrapper.open(StoreURL("toy"))


def test_the_front_hands_arguments_and_results_through(toy: Toy, front: CheckedDriver) -> None:
    """Valid arguments reach the driver."""
    front.put("b", array.array("H", [1, 2]))
    assert toy.objects["b"] == array.array("H", [1, 2]).tobytes()
    assert list(front.list("")) == ["a", "b"]
    front.move("a", "c", version="!")
    front.delete("b")
    assert toy.objects == {"c": b"0123456789!"}
    assert front.stat("c").size == 11


def test_put_takes_bytes_and_no_number(toy: Toy, front: CheckedDriver) -> None:
    """``bytes(5)`` is five zeros, which nobody meant to store."""
    with pytest.raises(TypeError):
        front.put("b", 5)  # type: ignore[arg-type]  # what is tried here
    assert "b" not in toy.objects


def test_get_reads_a_small_object_whole_and_of_a_larger_one_the_beginning(toy: Toy, front: CheckedDriver) -> None:
    """The limit is in bytes and inclusive, however little the driver returns at a time."""
    toy.step = 3
    toy.objects["empty"] = b""
    assert [front.get("a", limit) for limit in (0, 4, 10, 11)] == [b"", b"0123", b"0123456789", b"0123456789"]
    assert front.get("empty", 10) == b""


def test_find_tells_nothing_from_a_failure(toy: Toy, front: CheckedDriver) -> None:
    """None is no object; a failing backend raises."""
    found = front.find("a")
    assert found is not None
    assert found.size == 10
    assert front.find("b") is None
    toy.failure = OSError(errno.EIO, "torn")
    with pytest.raises(BackendUnavailableError):
        front.find("b")


def test_closing_the_front_twice_closes_the_driver_once(toy: Toy, front: CheckedDriver) -> None:
    """Clause T3, without the driver's doing; a failure is named."""
    toy.failure = OSError(errno.EIO, "torn")
    with pytest.raises(BackendUnavailableError, match="toy driver"):
        front.close()
    front.close()
    assert toy.closed == 1


def test_a_driver_that_holds_nothing_needs_no_close(toy: Toy) -> None:
    """The default does nothing, as often as it is called: what is open stays so."""
    reader = toy.open_reader("a")
    Driver.close(toy)
    Driver.close(toy)
    assert (toy.closed, reader.read(3)) == (0, b"012")


def test_a_reader_is_a_binary_file_object(front: CheckedDriver) -> None:
    """Clause R6: what reads files reads objects."""
    with front.open_reader("a", 2) as reader:
        assert isinstance(reader, io.RawIOBase)
        assert (reader.readable(), reader.seekable(), reader.writable()) == (True, True, False)
        assert (reader.size, reader.version, reader.tell()) == (10, "v1", 2)
        assert (reader.read(3), reader.tell(), reader.read(), reader.read(), reader.read(1)) == (
            *(b"234", 5, b"56789"),
            *(b"", b""),
        )
        reader.seek(0)
        assert io.BufferedReader(reader, 4).read() == b"0123456789"


@pytest.mark.parametrize(
    ("offset", "whence", "position", "rest"),
    [
        (3, os.SEEK_SET, 3, b"3456789"),
        (0, os.SEEK_CUR, 4, b"456789"),
        (-4, os.SEEK_CUR, 0, b"0123456789"),
        (2, os.SEEK_CUR, 6, b"6789"),
        (-1, os.SEEK_END, 9, b"9"),
        (0, os.SEEK_END, 10, b""),
        (7, os.SEEK_END, 17, b""),
    ],
)
def test_seeking_moves_without_reading(
    front: CheckedDriver, offset: int, whence: int, position: int, rest: bytes
) -> None:
    """Clause R6: a seek costs no read, and one beyond the end reads nothing."""
    reader = front.open_reader("a", 4)
    assert isinstance(reader, ToyReader)
    assert reader.seek(offset, whence) == reader.tell() == position
    assert reader.asked == 0
    assert reader.readall() == rest


@pytest.mark.parametrize("opener", ["open_reader", "open_writer"])
def test_a_seek_before_the_start_is_refused_and_moves_nothing(front: CheckedDriver, opener: str) -> None:
    """Clause R6; an unknown whence is a caller's mistake of another kind."""
    handle = getattr(front, opener)("a")
    handle.seek(4)
    with pytest.raises(InvalidOffsetError, match=r"toy driver: .*seek to -1"):
        handle.seek(-5, os.SEEK_CUR)
    with pytest.raises(ValueError, match="whence is 0, 1 or 2, not 3"):
        handle.seek(0, 3)
    assert handle.tell() == 4


def test_a_read_takes_as_many_calls_as_the_driver_needs(toy: Toy, front: CheckedDriver) -> None:
    """However little a driver gives at a time, a short read means the end (clause R5)."""
    toy.step = 4
    reader = front.open_reader("a")
    buffer = bytearray(6)
    assert reader.readinto(buffer) == 6
    assert buffer == b"012345"
    assert reader.readall() == b"6789"


def test_reading_into_any_buffer_fills_its_bytes(front: CheckedDriver) -> None:
    """The length of a buffer is counted in bytes, whatever it holds; an empty one costs no read."""
    reader = front.open_reader("a")
    assert isinstance(reader, ToyReader)
    assert reader.readinto(bytearray()) == 0
    assert reader.asked == 0
    words = array.array("H", [0] * 3)
    assert reader.readinto(words) == 6
    assert words.tobytes() == b"012345"


@pytest.mark.parametrize("shown", [0, 1, 9])
@pytest.mark.parametrize("read", [lambda front: front.open_reader("a").readall(), lambda front: front.get("a", 10)])
def test_an_object_shorter_than_its_size_is_an_error(
    toy: Toy, front: CheckedDriver, shown: int, read: Callable[[CheckedDriver], bytes]
) -> None:
    """An object is never cut short in silence (clause R5)."""
    toy.shown = shown
    with pytest.raises(BackendUnavailableError, match=rf"toy driver: .*'a' \(ends at byte {shown} of 10\)"):
        read(front)


def test_a_reader_without_its_authors_part_says_so() -> None:
    """``read_at`` is the author's to write; ``release`` need not be."""
    with Reader("a", 1, "v1") as reader, pytest.raises(NotImplementedError):
        reader.read(1)


@pytest.mark.parametrize("name", ["read", "readall", "tell", "readline"])
@pytest.mark.parametrize("position", [0, 10])
def test_a_closed_reader_raises(front: CheckedDriver, name: str, position: int) -> None:
    """Clause T3, at the end of the object too, where an open one reads nothing."""
    reader = front.open_reader("a", position)
    reader.close()
    with pytest.raises(LayerClosedError, match="reader of 'a' is closed"):
        getattr(reader, name)()
    with pytest.raises(LayerClosedError):
        reader.seek(0)
    with pytest.raises(LayerClosedError):
        reader.readinto(bytearray(1))


def test_a_reader_is_released_once(front: CheckedDriver) -> None:
    """Closing again does nothing (clause T3)."""
    reader = front.open_reader("a")
    assert isinstance(reader, ToyReader)
    with reader:
        assert reader.released == 0
    reader.close()
    assert reader.released == 1


def test_a_collected_reader_is_released() -> None:
    """A reader gives back what it holds without a close (clause T4)."""
    released = []

    class Holding(Reader):
        def release(self) -> None:
            released.append(self.key)

    Holding("a", 1, "v1")
    gc.collect()
    assert released == ["a"]


def test_a_writer_starts_at_the_end_and_grows_with_every_write(toy: Toy, front: CheckedDriver) -> None:
    """Clauses W1, W3 and W5."""
    writer = front.open_writer("a")
    assert (writer.tell(), writer.size, writer.version) == (10, 10, "v1")
    assert (writer.write(b"ab"), writer.tell(), writer.size) == (2, 12, 12)
    writer.seek(1)
    assert (writer.write(array.array("H", [0x4141])), writer.tell(), writer.size) == (2, 3, 12)
    writer.close()
    assert toy.objects["a"] == b"0AA3456789ab"


def test_a_write_beyond_the_end_grows_and_an_empty_one_does_not(toy: Toy, front: CheckedDriver) -> None:
    """Clause W4: it is the bytes written that make the gap, not the seek."""
    writer = front.open_writer("b")
    assert (writer.size, writer.version) == (0, None)
    calls = toy.calls
    assert (writer.seek(3), writer.write(b""), writer.size, writer.tell(), toy.calls) == (3, 0, 0, 3, calls)
    assert (writer.write(b"x"), writer.size) == (1, 4)
    writer.close()
    assert toy.objects["b"] == b"\0\0\0x"


def test_a_write_that_fails_changes_neither_size_nor_position(toy: Toy, front: CheckedDriver) -> None:
    """Clause W2."""
    writer = front.open_writer("a")
    toy.failure = OSError(errno.ENOSPC, "full")
    with pytest.raises(NoSpaceError):
        writer.write(b"x")
    assert (writer.size, writer.tell()) == (10, 10)


def test_the_callers_buffer_is_the_callers_again(front: CheckedDriver) -> None:
    """A buffer is not held after a write or a read: a bytearray can be resized (clause W9)."""
    data = bytearray(b"xyz")
    writer, reader = front.open_writer("a"), front.open_reader("a")
    writer.write(data)
    reader.readinto(data)
    data.extend(b"more")  # BufferError, if a handle that is still open holds it
    assert data == b"012more"


def test_a_flush_sets_the_version_and_one_that_fails_keeps_it(toy: Toy, front: CheckedDriver) -> None:
    """``version`` is that of the bytes now visible (clause W6), and the flush may be tried again (clause W8)."""
    writer = front.open_writer("a")
    writer.write(b"x")
    toy.failure = OSError(errno.EIO, "torn")
    with pytest.raises(BackendUnavailableError):
        writer.flush()
    assert writer.version == "v1"
    toy.failure = None
    writer.flush()
    assert (writer.version, toy.objects["a"]) == ("v11", b"0123456789x")


def test_a_writer_closed_twice_publishes_and_releases_once(toy: Toy, front: CheckedDriver) -> None:
    """Clause T3."""
    with front.open_writer("a") as writer:
        writer.write(b"x")
    toy.objects.clear()
    writer.close()
    writer.discard()
    assert (toy.objects, toy.released) == ({}, 1)


def test_a_writer_whose_last_flush_fails_is_closed_and_released(toy: Toy, front: CheckedDriver) -> None:
    """Nothing leaks where the backend is down (clause T4)."""
    writer = front.open_writer("a")
    toy.failure = OSError(errno.EIO, "torn")
    with pytest.raises(BackendUnavailableError):
        writer.close()
    assert (writer.closed, toy.released) == (True, 1)


@pytest.mark.parametrize(
    "call",
    [lambda w: w.write(b""), lambda w: w.seek(0), lambda w: w.tell(), lambda w: w.flush()],
    ids=["write", "seek", "tell", "flush"],
)
def test_a_closed_writer_raises(front: CheckedDriver, call: Callable[[Writer], object]) -> None:
    """Clause T3, after a discard as after a close."""
    writer = front.open_writer("a")
    writer.discard()
    with pytest.raises(LayerClosedError, match="writer of 'a' is closed"):
        call(writer)


def test_a_with_block_that_fails_publishes_nothing(toy: Toy, front: CheckedDriver) -> None:
    """Half of what was meant to be written never appears (clause W7)."""
    writer = front.open_writer("a")
    writer.write(b"half")
    with pytest.raises(ZeroDivisionError), writer:
        raise ZeroDivisionError
    assert (writer.closed, toy.released, toy.objects["a"]) == (True, 1, b"0123456789")


def test_a_collected_writer_publishes_nothing_and_is_released(toy: Toy, front: CheckedDriver) -> None:
    """A writer that is dropped is a writer discarded (clauses W7 and T4)."""
    writer = front.open_writer("a")
    writer.write(b"lost")
    del writer
    gc.collect()
    assert (toy.released, toy.objects["a"]) == (1, b"0123456789")


def test_a_writer_from_before_a_fork_is_the_parents_alone(
    toy: Toy, front: CheckedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked child can neither use its copy of a writer nor, by closing it, take away what the parent holds."""
    writer = front.open_writer("a")
    with monkeypatch.context() as child:
        child.setattr(process._this, "number", 0)
        with pytest.raises(LayerClosedError, match="opened before a fork, is closed"):
            writer.write(b"x")
        writer.discard()
    assert (writer.closed, toy.released, toy.objects["a"]) == (True, 0, b"0123456789")


def test_a_reader_from_before_a_fork_is_the_parents_alone(
    front: CheckedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked child can neither use its copy of a reader, which shares a connection, nor end what its parent reads."""
    reader = front.open_reader("a")
    assert isinstance(reader, ToyReader)
    with monkeypatch.context() as child:
        child.setattr(process._this, "number", 0)
        with pytest.raises(LayerClosedError, match="reader of 'a', opened before a fork, is closed"):
            reader.read(1)
        reader.close()
    assert (reader.closed, reader.released, reader.asked) == (True, 0, 0)


def test_a_writer_whose_constructor_failed_is_collected_quietly(recwarn: pytest.WarningsRecorder) -> None:
    """There is nothing to release yet, and no message without a traceback to follow."""

    class Failing(ToyWriter):
        def __init__(self) -> None:  # super's is not called: the failure comes first
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Failing()
    gc.collect()
    assert not recwarn.list


def test_every_error_of_the_front_is_a_layer_store_error(front: CheckedDriver) -> None:
    """A caller needs one ``except``; a closed handle is a ``ValueError`` as a closed file is."""
    assert issubclass(LayerClosedError, LayerStoreError)
    with pytest.raises(ValueError, match="not a key"):
        front.stat("..")
    with pytest.raises(LookupError):
        front.stat("b")


class Forgetful(PassingDriver):
    """A driver that has the optional method."""

    def drop_cache(self, key: str) -> bool:
        """Look whether the object is there."""
        return bool(self.inner.stat(key))


def test_a_driver_that_can_drop_no_cache_says_so(toy: Toy) -> None:
    """The method is optional: the front of a driver without it drops nothing; a key is checked as everywhere."""
    assert not isinstance(toy, DropsCache)
    assert CheckedDriver(toy).drop_cache("a") is False
    assert CheckedDriver(PassingDriver(toy)).drop_cache("a") is False
    with pytest.raises(InvalidPathError):
        CheckedDriver(toy).drop_cache("../a")


def test_the_front_asks_a_driver_that_can_drop_its_cache(toy: Toy) -> None:
    """The driver's answer is returned, and a failure names the driver and the key."""
    with pytest.raises(PathNotFoundError, match=r"^toy driver: .*'absent'"):
        CheckedDriver(Forgetful(toy), "toy").drop_cache("absent")
    toy.put("a", b"")
    assert CheckedDriver(Forgetful(toy)).drop_cache("a") is True


MINUTE = timedelta(minutes=1)


class Signing(PassingDriver):
    """A driver that has the optional method."""

    def redirect_url(self, key: str, lasts: timedelta) -> str | None:
        """Look whether the object is there."""
        self.inner.stat(key)
        return f"https://elsewhere/{key}?for={lasts.total_seconds():.0f}"


def test_a_driver_that_signs_no_urls_gives_none(toy: Toy) -> None:
    """The method is optional; a key is checked as everywhere."""
    assert not isinstance(toy, SignsURLs)
    assert CheckedDriver(toy).redirect_url("a", MINUTE) is None
    with pytest.raises(InvalidPathError):
        CheckedDriver(toy).redirect_url("../a", MINUTE)


def test_the_front_asks_a_driver_that_signs_urls(toy: Toy) -> None:
    """The driver's answer is returned, and a failure names the driver and the key."""
    with pytest.raises(PathNotFoundError, match=r"^toy driver: .*'absent'"):
        CheckedDriver(Signing(toy), "toy").redirect_url("absent", MINUTE)
    toy.put("a", b"")
    assert CheckedDriver(Signing(toy)).redirect_url("a", MINUTE) == "https://elsewhere/a?for=60"


class Settling(PassingDriver):
    """A driver that has the optional method."""

    def settle(self, key: str) -> bool:
        """Look whether the object is there."""
        return bool(self.inner.stat(key))


def test_a_driver_that_settles_nothing_by_itself_flushes_a_writer(toy: Toy) -> None:
    """The method is optional; a key is checked as everywhere, and of an object that is not there none is made."""
    front = CheckedDriver(toy)
    assert not isinstance(toy, Settles)
    assert front.settle("absent") is False
    front.put("a", b"data")
    before = front.stat("a").version
    assert (front.settle("a"), front.stat("a").version, front.find("absent")) == (True, before, None)
    with pytest.raises(InvalidPathError):
        front.settle("../a")


class Unwritable(PassingDriver):
    """A driver that opens no writer, as one without ``nested_keys`` does for a prefix."""

    def open_writer(self, key: str) -> Writer:
        """Refuse."""
        raise UnsupportedOperationError(key, "other keys are below it")


def test_where_no_writer_can_be_opened_nothing_is_settled_unless_an_object_is_there(toy: Toy) -> None:
    """A prefix is no object, and settled as a missing key is; an object that cannot be settled is told."""
    front = CheckedDriver(Unwritable(toy))
    assert front.settle("prefix") is False
    toy.put("a", b"data")
    with pytest.raises(UnsupportedOperationError):
        front.settle("a")


def test_the_front_asks_a_driver_that_settles_by_itself(toy: Toy) -> None:
    """The driver's answer is returned, and a failure names the driver and the key."""
    with pytest.raises(PathNotFoundError, match=r"^toy driver: .*'absent'"):
        CheckedDriver(Settling(toy), "toy").settle("absent")
    toy.put("a", b"")
    assert CheckedDriver(Settling(toy)).settle("a") is True


def test_a_time_out_of_range_is_the_nearest_in_it() -> None:
    """A file's time may be of any year; a ``datetime`` may not."""
    assert moment(1_500_000_000) == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert moment(10**30) == datetime.max.replace(tzinfo=UTC)
    assert moment(-(10**30)) == datetime.min.replace(tzinfo=UTC)
