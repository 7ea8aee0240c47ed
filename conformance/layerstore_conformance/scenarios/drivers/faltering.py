"""Faltering: a read that fails half way moves nothing, and a small object is read whole though it is replaced."""

from __future__ import annotations

import errno
import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from layerstore import BackendUnavailableError, DriverError, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.keys import WHOLE
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.passing import PassingDriver, PassingReader
from layerstore_conformance.kit.payloads import Payload
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.watching import Trap, fail, of

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Driver, Reader
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.cutting import Side
    from layerstore_conformance.steps.watching import When

GROUP = "primitives"
IDS = "reading"

SIZE = 5000
"""Bytes of the object."""

DRIP = 700
"""Bytes that the connection gives at a time."""

DATA = Payload("faltering").read(SIZE)


class _Faltering(PassingDriver):
    """A driver whose connection gives few bytes at a time, and fails once, at the read of a number, from 1."""

    def __init__(self, inner: Driver, number: int, failure: Callable[[], int]) -> None:
        super().__init__(inner)
        self.left = number
        self.failure = failure

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        return _FalteringReader(self, self.inner.open_reader(key, offset))


class _FalteringReader(PassingReader):
    def __init__(self, driver: _Faltering, inner: Reader) -> None:
        super().__init__(inner)
        self._driver = driver

    def read_at(self, offset: int, buffer: memoryview) -> int:
        self._driver.left -= 1
        if not self._driver.left:
            buffer[:DRIP] = bytes(len(buffer[:DRIP]))  # what is in the buffer of a read that failed is nobody's
            return self._driver.failure()
        return super().read_at(offset, buffer[:DRIP])


def _raise(error: BaseException) -> Any:  # noqa: ANN401  (it never returns)
    raise error


FAILURES = Axis(
    "failure",
    {
        "of the system": lambda: _raise(OSError(errno.EIO, "made to fail by the scenario")),
        "of the driver": lambda: _raise(BackendUnavailableError("key", "made to fail by the scenario")),
        "no bytes": lambda: 0,
        "Ctrl-C": lambda: _raise(KeyboardInterrupt("made by the scenario")),
    },
)


def _readinto(reader: Reader, size: int) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: reader.readinto(buffer)])


READS = Axis(
    "read",
    {
        "read": lambda reader: reader.read(),
        "read of a size": lambda reader: reader.read(SIZE + 1),
        "readall": lambda reader: reader.readall(),
        "readinto": lambda reader: _readinto(reader, SIZE + 1),
        "in pieces": lambda reader: reader.read(2000),
    },
)


@scenario("R5", "R6", kills=("failed-read-moves-the-position",), rows=(50, 170), axes=(FAILURES, READS))
def a_read_that_failed_has_moved_nothing(
    ctx: Context, failure: Callable[[], int], read: Callable[[Reader], bytes]
) -> None:
    """A read that fails after some of its bytes leaves the position, and the same read, tried again, returns them all.

    Whoever retries would otherwise get the object with a piece missing, and no error.
    """
    ctx.driver.put("key", DATA)
    for start in (0, 900):
        for number in range(1, 2 + (SIZE - start - 1) // DRIP):
            driver = CheckedDriver(_Faltering(ctx.driver, number, failure), "faltering")
            with driver.open_reader("key", start) as reader:
                found = _with_one_retry(reader, read)
            ctx.same(found, DATA[start:], f"from byte {start}, when read {number} had failed")


def _with_one_retry(reader: Reader, read: Callable[[Reader], bytes]) -> bytes:
    """Read all, and try once more what failed."""
    found, at = b"", reader.tell()
    for _ in range(SIZE):
        assert reader.tell() == at, f"at byte {reader.tell()} instead of {at}"
        with suppress(DriverError, KeyboardInterrupt):
            part = read(reader)
            found, at = found + part, at + len(part)
            if not part:
                break
    return found


class _KeepsNothing(PassingDriver):
    """A driver whose readers can no longer read what was replaced since they were opened, as R4 allows."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        return _Outdated(self.inner, key, self.inner.open_reader(key, offset))


class _Outdated(PassingReader):
    def __init__(self, driver: Driver, key: str, inner: Reader) -> None:
        super().__init__(inner)
        self._driver, self._asked = driver, key

    def read_at(self, offset: int, buffer: memoryview) -> int:
        try:
            found = self._driver.stat(self._asked).version
        except PathNotFoundError:
            found = ""
        if found != self.version:
            raise BackendUnavailableError(self.key, "it was replaced since")
        return super().read_at(offset, buffer)


REPLACED = Axis(
    "replaced",
    {
        "by an empty one": lambda driver: driver.put("key", b""),
        "by a byte": lambda driver: driver.put("key", b"1"),
        "by a shorter one": lambda driver: driver.put("key", DATA[::-1][:700]),
        "by one of the same size": lambda driver: driver.put("key", DATA[::-1]),
        "by a longer one": lambda driver: driver.put("key", DATA[::-1] + DATA),
        "and deleted": lambda driver: driver.delete("key"),
    },
)
LIMITS = Axis(
    "limit", {"0": 0, "1": 1, "699": 699, "size - 1": SIZE - 1, "size": SIZE, "size + 1": SIZE + 1, "all": WHOLE}
)


@scenario(
    *("R1", "R4", "R5"),
    kills=("get-expects-the-first-size", "limit-of-nothing-is-none"),
    rows=(48,),
    axes=(REPLACED, LIMITS),
    profile="default",
)
def a_small_object_is_got_whole_though_it_is_replaced(
    ctx: Context, replaced: Callable[[CheckedDriver], object], limit: int
) -> None:
    """``get`` returns the first ``limit`` bytes of the old object or of the new one, though it is replaced meanwhile.

    A link that is rewritten while it is read is no failure of the storage.
    """
    moments: tuple[tuple[Side, str], ...] = (("after", "open_reader"), ("before", "read_at"))
    for side, method in moments:
        for keeps_nothing in (False, True):
            ctx.driver.put("key", DATA)
            ctx.same(ctx.driver.get("key", limit), DATA[:limit], "before it was replaced")
            trap = Trap(side)
            inner = _KeepsNothing(ctx.driver) if keeps_nothing else ctx.driver
            driver = CheckedDriver(ObservedDriver(inner, trap), ctx.driver.scheme)
            trap.set(of(method), lambda: replaced(ctx.open()))
            try:
                found: bytes | None = driver.get("key", limit)
            except PathNotFoundError:
                found = None
            new = ctx.driver.get("key", limit) if ctx.driver.find("key") else None
            assert trap.sprung or not limit, "it was not replaced"
            assert found in (DATA[:limit], new), f"of {limit} bytes, {found if found is None else len(found)} were got"


WRITTEN = Axis("written", {"700": 700, "1 MiB + 1": MIB + 1, "9 MiB": 9 * MIB, "33 MiB + 5": 33 * MIB + 5})
"""Bytes of one write: what a front may pass on in parts."""

PARTS = 4
"""Calls of the driver in a write that fail, one after the other, if there are as many."""


def _write_of(number: int) -> When:
    """Be true for the ``write_at`` of this number."""
    calls = itertools.count()
    return lambda _, call: call.method == "write_at" and next(calls) == number


@scenario("W2", "W3", "E4", kills=("large-writes-are-passed-on-in-parts",), rows=(58, 59, 170), axes=(WRITTEN,))
def a_write_that_failed_at_any_call_has_moved_nothing(ctx: Context, written: int) -> None:
    """If any call of the driver in a write fails, the writer has the size and position of before, and the old bytes."""
    data = bulk("faltering", written, ctx.seed)
    for number in range(PARTS):
        trap, inner = Trap(), ctx.open()
        writer = CheckedDriver(ObservedDriver(inner, trap)).open_writer("d/key")
        writer.seek(0)
        writer.write(b"before")
        trap.set(_write_of(number), fail)
        with suppress(BackendUnavailableError):
            writer.write(data)
        before = b"before" + (b"" if trap.sprung else data)
        assert (writer.size, writer.tell()) == (len(before), len(before)), f"size {writer.size}, at {writer.tell()}"
        writer.close()
        ctx.same(ctx.read("d/key"), before, f"call {number} of a write failed: {trap.sprung}")
        ctx.driver.delete("d")
        if not trap.sprung:
            break
