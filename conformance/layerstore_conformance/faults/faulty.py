"""A driver that follows a fault plan, in front of one that works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from layerstore import BackendUnavailableError, NoSpaceError
from layerstore.checked import CheckedDriver
from layerstore.driver import Driver, Reader, Stat, Writer
from layerstore_conformance.faults.plan import ANY, KINDS, Fault, FaultPlan, Kind
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.passing import PassingDriver, PassingReader, PassingWriter

T = TypeVar("T")

SILENT: Final = frozenset({"stale", "slow"})
"""Kinds that raise nothing for any method; a short read and the call of a short listing raise nothing either."""


class FaultyDriver(PassingDriver):
    """Any driver, with the faults of a plan. Threads share it."""

    def __init__(self, inner: Driver, plan: FaultPlan) -> None:
        """Put the plan in front of ``inner``."""
        super().__init__(inner)
        self.plan = plan
        self.calls: list[str] = []
        """The methods of all calls, in order."""
        self.struck: list[str] = []
        """The faults that have struck, each with its key."""
        self.open_handles = 0
        """Readers and writers that are open."""
        self._stored = 0
        self._full = plan.full
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def counted(self) -> dict[str, int]:
        """Return how many calls of each method there were."""
        return {method: self.calls.count(method) for method in KINDS}

    def make_room(self) -> None:
        """Let there be room from now on."""
        self._full = None

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """See :meth:`Driver.open_reader`."""
        reader = self.follow("open_reader", key, lambda _: self.inner.open_reader(key, offset))
        return _FaultyReader(self, reader)

    def open_writer(self, key: str) -> Writer:
        """See :meth:`Driver.open_writer`."""
        opened: list[Writer] = []
        try:
            self.follow("open_writer", key, lambda _: opened.append(self.inner.open_writer(key)))
        except BackendUnavailableError:
            for writer in opened:
                writer.discard()
            raise
        return _FaultyWriter(self, opened[0])

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`Driver.put`."""
        self.follow("put", key, lambda _: self.inner.put(key, data), size=len(data))

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        return self.follow("stat", key, lambda _: self.inner.stat(key))

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`."""
        return self.follow("list", prefix, lambda kind: self._list(prefix, kind))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        self._seen.add(target)
        self.follow("move", source, lambda kind: self._move(source, target, version, kind))

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        self.follow("delete", key, lambda kind: self._delete(key, kind))

    def follow(self, method: str, key: str, act: Callable[[Kind | None], T], *, size: int = 0) -> T:
        """Do a call as the plan says. ``act`` takes the kind, may do only a part, and stores ``size`` bytes."""
        fault = self._next(method, key, size)
        kind = fault.kind if fault else None
        if kind == "fail-before":
            raise BackendUnavailableError(key, f"made to fail by the plan, {fault}")
        if kind == "slow":
            time.sleep(0)  # no time: a turn for the other threads
        result = act(kind)
        if method in ("put", "publish"):
            self._seen.add(key)
        if kind is None or kind in SILENT or (method, kind) in (("read_at", "short"), ("list", "short")):
            return result
        raise BackendUnavailableError(key, f"made to fail by the plan, {fault}")

    def _next(self, method: str, key: str, size: int) -> Fault | None:
        """Count a call, and return the fault that strikes it.

        Raises:
            NoSpaceError: it would not fit.
        """
        with self._lock:
            self.calls.append(method)
            numbers = {ANY: len(self.calls), method: self.calls.count(method)}
            for fault in self.plan.faults:
                if fault.strikes(method, numbers.get(fault.method, 0)):
                    self.struck.append(f"{fault} {key}")
                    return fault
            if size and self._full is not None and self._stored + size > self._full:
                self.struck.append(f"full:{self._full} {method} {key}")
                raise NoSpaceError(key, f"made to be full by the plan, beyond {self._full} bytes")
            self._stored += size
            return None

    def _list(self, prefix: str, kind: Kind | None) -> Iterator[str]:
        if kind == "short":
            return _half(prefix, tuple(self.inner.list(prefix)))
        if kind == "stale":
            return iter(sorted({*self.inner.list(prefix), *self._seen_below(prefix)}))
        return self.inner.list(prefix)

    def _seen_below(self, prefix: str) -> Iterator[str]:
        below = f"{prefix}/" if prefix else ""
        for key in self._seen:
            if key.startswith(below):
                end = key.find("/", len(below)) + 1
                yield key[:end] if end else key

    def _move(self, source: str, target: str, version: str | None, kind: Kind | None) -> None:
        if kind != "torn" or version not in (None, self.inner.stat(source).version):
            self.inner.move(source, target, version=version)
            return
        with self.inner.open_reader(source) as reader:
            self.inner.put(target, reader.readall())

    def _delete(self, key: str, kind: Kind | None) -> None:
        if kind != "torn":
            self.inner.delete(key)
            return
        front = CheckedDriver(self.inner)
        there = [*keys_below(front, key), *([] if front.find(key) is None else [key])]  # it takes all below it along
        for each in there[: -(-len(there) // 2)]:
            self.inner.delete(each)


def _half(prefix: str, children: Sequence[str]) -> Iterator[str]:
    yield from children[: len(children) // 2]
    raise BackendUnavailableError(prefix, "made to fail by the plan, half way through a listing")


class _FaultyReader(PassingReader):
    def __init__(self, driver: FaultyDriver, inner: Reader) -> None:
        super().__init__(inner)
        self._driver = driver
        driver.open_handles += 1

    def read_at(self, offset: int, buffer: memoryview) -> int:
        return self._driver.follow("read_at", self.key, lambda kind: self._read(offset, buffer, kind))

    def _read(self, offset: int, buffer: memoryview, kind: Kind | None) -> int:
        return super().read_at(offset, buffer[: max(1, len(buffer) // 2)] if kind == "short" else buffer)

    def release(self) -> None:
        self._driver.open_handles -= 1
        super().release()


class _FaultyWriter(PassingWriter):
    def __init__(self, driver: FaultyDriver, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver
        driver.open_handles += 1

    def write_at(self, offset: int, data: memoryview) -> None:
        size = len(data)
        self._driver.follow("write_at", self.key, lambda kind: self._write(offset, data, kind), size=size)

    def _write(self, offset: int, data: memoryview, kind: Kind | None) -> None:
        if kind in (None, "slow"):
            super().write_at(offset, data)
            return
        within = data[: max(0, self.size - offset)]  # bytes beyond the end must not appear: clause W2
        for start, end in _PARTS[kind]:
            part = within[len(within) * start // 4 : len(within) * end // 4]
            if part:
                super().write_at(offset + len(within) * start // 4, part)

    def publish(self) -> str:
        return self._driver.follow("publish", self.key, lambda _: super(_FaultyWriter, self).publish())

    def release(self) -> None:
        self._driver.open_handles -= 1
        super().release()


_PARTS: Final = {"fail-after": ((0, 4),), "short": ((0, 2),), "torn": ((1, 2), (3, 4))}
"""The quarters of a failed write that reach the driver, from and to."""
