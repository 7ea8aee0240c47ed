"""Defects that show in odd processes: those without standard streams, those that end, those with two stores."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING, Any

from layerstore.errors import BackendUnavailableError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted

if TYPE_CHECKING:
    from layerstore.driver import Driver


@planted("E1", "P1")
class DescriptorZeroIsAFailure(DefectiveDriver):
    """A put opens a file, and takes the first descriptor that a process may have for a failure."""

    def put(self, key: str, data: bytes) -> None:
        """Open a file, and put."""
        number = os.open(os.devnull, os.O_RDONLY)
        os.close(number)
        if not number:
            raise BackendUnavailableError(key, os.strerror(0))
        self.inner.put(key, data)


@planted("W6", "T2", "E1")
class HandlesEndBeforeTheirProcess(DefectiveDriver):
    """A driver lets go of its backend at exit, while others there may still use it."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self._gone: list[bool] = []
        atexit.register(self._gone.append, True)  # noqa: FBT003  (that it is)

    def put(self, key: str, data: bytes) -> None:
        """Put, unless it is gone."""
        if self._gone:
            raise BackendUnavailableError(key, "closed at exit")
        self.inner.put(key, data)


class _Threaded(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        if len(data) > 1 << 20 and self.driver.memory["ended"]:
            raise RuntimeError("cannot schedule new futures after shutdown")
        super().write_at(offset, data)


@planted("W6", "W2", "E1")
class NoThreadsAtTheEnd(WriterDefect):
    """A large write wants threads, which no process can start any more once it has begun to end."""

    writer = _Threaded

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        memory["ended"] = []
        atexit.register(memory["ended"].append, True)  # noqa: FBT003  (that it has)


@planted("T2", "E1")
class ALockIsOfEveryStore(DefectiveDriver):
    """A put locks its key, in whichever store, and raises if the key is locked: a thread would wait for itself."""

    def put(self, key: str, data: bytes) -> None:
        """Put, under the lock."""
        locked: set[str] = self.memory.setdefault("locked", set())
        if key in locked:
            raise BackendUnavailableError(key, "it is locked by another call of this thread")
        locked.add(key)
        try:
            self.inner.put(key, data)
        finally:
            locked.remove(key)
