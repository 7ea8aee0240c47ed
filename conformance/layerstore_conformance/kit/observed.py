"""Watch a driver at work: every call of a primitive, before and after. Counting, cutting and tracing are observers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self, TypeVar

from layerstore.driver import Driver, Reader, Scanned, Stat, Writer
from layerstore_conformance.kit.passing import PassingDriver, PassingReader, PassingWriter

T = TypeVar("T")


class Call(NamedTuple):
    """One call of a driver's, reader's or writer's method."""

    method: str
    """``open_reader``, ``read_at``, ``open_writer``, ``write_at``, ``publish``, ``put``, ``stat``, ``list``, ``move``
    or ``delete``."""

    key: str
    """The key, prefix or source."""

    size: int = 0
    """Bytes given to ``write_at`` or ``put``, or asked of ``read_at``."""


class Observer(Protocol):
    """Watches an :class:`ObservedDriver`. An exception raised here is raised by the call."""

    def before(self, call: Call) -> None:
        """Be told of a call that is about to happen."""

    def after(self, call: Call, result: object) -> None:
        """Be told of a call that returned ``result``; one that raised is not followed by this."""


class ObservedDriver(PassingDriver):
    """Any driver, with an observer told of every call of a primitive, those of its readers and writers included."""

    def __init__(self, driver: Driver, observer: Observer) -> None:
        """Watch ``driver``."""
        super().__init__(driver)
        self.observer = observer
        self.has_raised = False
        """Whether a call has ended with an error, or was interrupted."""

    def watch(self, call: Call, action: Callable[[], T]) -> T:
        """Do what the call stands for, between the observer's two ends."""
        self.observer.before(call)
        try:
            result = action()
        except BaseException:
            self.has_raised = True
            raise
        self.observer.after(call, result)
        return result

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """See :meth:`Driver.open_reader`."""
        inner = self.watch(Call("open_reader", key), lambda: self.inner.open_reader(key, offset))
        return _ObservedReader(self, inner)

    def open_writer(self, key: str) -> Writer:
        """See :meth:`Driver.open_writer`."""
        return _ObservedWriter(self, self.watch(Call("open_writer", key), lambda: self.inner.open_writer(key)))

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`Driver.put`."""
        self.watch(Call("put", key, len(data)), lambda: self.inner.put(key, data))

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        return self.watch(Call("stat", key), lambda: self.inner.stat(key))

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`."""
        return self.watch(Call("list", prefix), lambda: self.inner.list(prefix))

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """See :meth:`Driver.scan`; to the observer it is a ``list``."""
        return self.watch(Call("list", prefix), lambda: self.inner.scan(prefix))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        self.watch(Call("move", source), lambda: self.inner.move(source, target, version=version))

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        self.watch(Call("delete", key), lambda: self.inner.delete(key))


class _ObservedReader(PassingReader):
    def __init__(self, driver: ObservedDriver, inner: Reader) -> None:
        super().__init__(inner)
        self._driver = driver

    def read_at(self, offset: int, buffer: memoryview) -> int:
        call = Call("read_at", self.key, len(buffer))
        return self._driver.watch(call, lambda: self.inner.read_at(offset, buffer))


class _ObservedWriter(PassingWriter):
    def __init__(self, driver: ObservedDriver, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver

    def write_at(self, offset: int, data: memoryview) -> None:
        call = Call("write_at", self.key, len(data))
        self._driver.watch(call, lambda: super(_ObservedWriter, self).write_at(offset, data))

    def publish(self) -> str:
        return self._driver.watch(Call("publish", self.key), super().publish)

    def publish_last(self) -> None:
        self._driver.watch(Call("publish", self.key), self.inner.end)


@dataclass
class Counts:
    """An observer that counts: what a piece of work costs in calls and bytes."""

    calls: Counter[str]
    """Calls by method."""

    bytes_read: int = 0
    bytes_written: int = 0
    """By ``write_at`` and ``put``."""

    @classmethod
    def zero(cls) -> Self:
        """Begin counting."""
        return cls(Counter())

    def before(self, call: Call) -> None:
        """Count nothing yet: a call that fails is not counted."""

    def after(self, call: Call, result: object) -> None:
        """Count a call."""
        self.calls[call.method] += 1
        if call.method in ("write_at", "put"):
            self.bytes_written += call.size
        elif call.method == "read_at" and isinstance(result, int):
            self.bytes_read += result
