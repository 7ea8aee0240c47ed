"""Defects that show in a forked child, or in its parent's open handles."""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from weakref import finalize

from layerstore.driver import Reader, Writer
from layerstore.errors import BackendUnavailableError, FencedError
from layerstore_conformance.defects.drivers.fencing import ReplayingWriter
from layerstore_conformance.defects.drivers.stat_versions import VersionedDriver
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core
from layerstore_conformance.kit.passing import PassingReader, PassingWriter

if TYPE_CHECKING:
    from layerstore.driver import Driver, Stat

LARGE = 4 << 20
"""Bytes that threads share."""


@planted_in_core("T5")
def forked_children_use_handles() -> Iterator[None]:
    """A reader or writer works in a forked child as in the process that opened it."""
    with (
        patch.object(Reader, "_opened_here", lambda self: True),
        patch.object(Writer, "_opened_here", lambda self: True),
    ):
        yield


class _NamedResource:
    """A resource outside the process, held by name, and released when its holder is collected, in any process."""

    def __init__(self) -> None:
        descriptor, self._path = tempfile.mkstemp(prefix="layerstore-defect-")
        os.close(descriptor)
        self.give_back = finalize(self, _remove, self._path)

    def check(self, key: str) -> None:
        """Refuse to work without it."""
        if not self.is_there():
            raise BackendUnavailableError(key, "what was held is gone")

    def is_there(self) -> bool:
        """Return whether nobody has released it."""
        return os.path.exists(self._path)


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.remove(path)


@planted("T5", "T4")
class DraftsGoWithAForkedChild(DefectiveDriver):
    """A writer's temporary file is removed when the writer is collected, in a forked child too."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer with a temporary file."""
        return _DraftingWriter(self.inner.open_writer(key))


class _DraftingWriter(PassingWriter):
    def __init__(self, inner: Writer) -> None:
        super().__init__(inner)
        self._held = _NamedResource()

    def publish(self) -> str:
        self._held.check(self.key)
        return super().publish()

    def release(self) -> None:
        self._held.give_back()
        super().release()


@planted("T5", "T4")
class ReadersEndWithAForkedChild(DefectiveDriver):
    """A reader ends its session with the server when it is collected, in a forked child too."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader with a session of its own."""
        return _SessionReader(self.inner.open_reader(key, offset))


class _SessionReader(PassingReader):
    def __init__(self, inner: Reader) -> None:
        super().__init__(inner)
        self._held = _NamedResource()

    def read_at(self, offset: int, buffer: memoryview) -> int:
        self._held.check(self.key)
        return super().read_at(offset, buffer)

    def release(self) -> None:
        self._held.give_back()
        super().release()


@planted("T5", "T2")
class AForkedChildClosesForItsParent(DefectiveDriver):
    """A driver that is closed in a forked child ends its parent's session with the server."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self._held = _NamedResource()

    def put(self, key: str, data: bytes) -> None:
        """Put by the session."""
        self._held.check(key)
        self.inner.put(key, data)

    def close(self) -> None:
        """Say goodbye."""
        self._held.give_back()
        self.inner.close()


@planted("T5", "F1")
class AForkedChildKeepsTheLock(DefectiveDriver):
    """A writer releases its lock by closing a file, of which a forked child has a copy."""

    def open_writer(self, key: str) -> Writer:
        """Take the lock, of this process's earlier writer too."""
        import fcntl  # where there is os.fork

        locks: dict[str, int] = self.memory.setdefault("locks", {})
        if key in locks:
            os.close(locks.pop(key))
        locks[key] = os.open(_beside(self.memory, key), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(locks[key], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackendUnavailableError(key, "somebody else has the lock") from None
        return _LockingWriter(self.inner.open_writer(key), locks)


class _LockingWriter(PassingWriter):
    def __init__(self, inner: Writer, locks: dict[str, int]) -> None:
        super().__init__(inner)
        self._locks = locks
        self._lock = locks[self.key]

    def release(self) -> None:
        if self._locks.get(self.key) == self._lock:
            os.close(self._locks.pop(self.key))
        super().release()


def _beside(memory: dict[str, Any], key: str) -> Path:
    """Return a file of a key's beside the store, in a folder that goes with the defect."""
    if "folder" not in memory:
        memory["folder"] = tempfile.TemporaryDirectory(prefix="layerstore-defect-")
    return Path(memory["folder"].name, key.replace("/", ","))


@planted("T5", "C3")
class DriverIsBoundToItsProcess(DefectiveDriver):
    """A driver stores nothing in a forked child of the process that opened it."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self._process = os.getpid()

    def put(self, key: str, data: bytes) -> None:
        """Put, in the process that it is bound to."""
        if os.getpid() != self._process:
            raise BackendUnavailableError(key, "opened in another process")
        self.inner.put(key, data)


@planted("T5")
class AForkedChildKeepsItsTurn(DefectiveDriver):
    """Threads take turns, and in a forked child the thread that forked never gives its turn back."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self._process = os.getpid()
        self._turn = threading.RLock()

    def put(self, key: str, data: bytes) -> None:
        """Put when it is this thread's turn."""
        with self._turn:
            self.inner.put(key, data)
            if os.getpid() != self._process:
                self._turn.acquire()


@planted("T5", "F1", "F3")
class FencingTokensRepeatAfterAFork(DefectiveDriver):
    """A writer's token is a random number, and a forked child draws the same numbers as its parent."""

    def open_writer(self, key: str) -> Writer:
        """Draw a number, and note it as the owner's."""
        draw = self.memory.setdefault("draw", random.Random(1))  # that it repeats is the point
        return _TokenWriter(self, self.inner.open_writer(key), _beside(self.memory, key), str(draw.random()))


class _TokenWriter(ReplayingWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer, owner: Path, token: str) -> None:
        super().__init__(driver, inner)
        self._owner, self._token = owner, token
        owner.write_text(token)

    def fenced(self, error: FencedError) -> str:
        if self._owner.read_text() != self._token:
            raise error
        return self.take_over()


@planted("T5", "T6")
class ThreadsStayBehindAtAFork(DefectiveDriver):
    """Large reads are shared by threads that are kept, and a forked child waits for those of its parent."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that has help."""
        if "pool" not in self.memory:
            self.memory["pool"] = ThreadPoolExecutor(2)
        return _HelpedReader(self.inner.open_reader(key, offset), self.memory["pool"])


class _HelpedReader(PassingReader):
    def __init__(self, inner: Reader, pool: ThreadPoolExecutor) -> None:
        super().__init__(inner)
        self._pool = pool

    def read_at(self, offset: int, buffer: memoryview) -> int:
        if len(buffer) < LARGE:
            return super().read_at(offset, buffer)
        return self._pool.submit(super().read_at, offset, buffer).result()


@planted("T5", "C3")
class AForkedChildStoresWhereNobodyLooks(DefectiveDriver):
    """A child notes its moves in a log that it shares with its parent, whose readers take the log along."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self.process = os.getpid()
        self.log = _NamedResource()

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that ends the log."""
        return _LoggedReader(self, self.inner.open_reader(key, offset))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, unless that is noted in a log that is gone."""
        if os.getpid() == self.process or self.log.is_there():
            self.inner.move(source, target, version=version)


class _LoggedReader(PassingReader):
    def __init__(self, driver: AForkedChildStoresWhereNobodyLooks, inner: Reader) -> None:
        super().__init__(inner)
        self._driver = driver

    def release(self) -> None:
        if os.getpid() == self._driver.process:
            self._driver.log.give_back()
        super().release()


@planted("S2", "T5")
class VersionsDrawnInAdvance(VersionedDriver):
    """Versions come from a generator of random numbers, which a forked child has as its parent had it."""

    def version_of(self, key: str, found: Stat) -> str:
        """Draw one for each that was not seen before."""
        drawn: dict[tuple[str, str], str] = self.memory.setdefault("versions", {})
        generator: random.Random = self.memory.setdefault("generator", random.Random())
        if (key, found.version) not in drawn:
            drawn[key, found.version] = f"{generator.getrandbits(128):032x}"
        return drawn[key, found.version]
