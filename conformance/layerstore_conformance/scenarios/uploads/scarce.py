"""Scarce: uploads for which no thread can be started, and uploads whose hashing lags behind as far as it may."""

from __future__ import annotations

import io
import itertools
import threading
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest.mock import patch

from layerstore import LayerService, LayerStoreError
from layerstore.threads import lanes
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.kit.together import in_another_thread
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.forking import Forked
from layerstore_conformance.steps.expectations import expect_layer

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from layerstore import LayerUpload, Verify
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "verify"

MIB = 1 << 20

ALL = 6 * MIB + 300_007
"""Bytes: more than all the buffers into which a stream is read."""

FEW = MIB + 700_007
"""Bytes: enough for several blocks."""

Way = Callable[["LayerUpload", bytes], None]


class _Reading:
    """A stream that has ``read`` only."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._stream.read(size)


def _at_once(upload: LayerUpload, data: bytes) -> None:
    upload.write(data)


def _in_one_buffer(upload: LayerUpload, data: bytes) -> None:
    """Write out of one buffer, which has other bytes as soon as each write has returned."""
    buffer = bytearray(MIB + 5)
    for start in range(0, len(data), len(buffer)):
        piece = data[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        upload.write(memoryview(buffer)[: len(piece)])
        buffer[:] = bytes(len(buffer))


def _in_pieces(upload: LayerUpload, data: bytes) -> None:
    """Write pieces that are gathered, hashed together or hashed by a thread."""
    sizes, start = (300_000, 70_000, 10, MIB, 262_144), 0
    while start < len(data):
        size = sizes[start % len(sizes)]
        upload.write(data[start : start + size])
        start += size


def _back_and_forth(upload: LayerUpload, data: bytes) -> None:
    """Write something else first, and go back while it is hashed."""
    upload.write(data[:MIB])
    upload.write(bytes(len(data) - MIB))
    upload.seek(MIB)
    upload.write(data[MIB:])


STREAMS: dict[str, Way] = {
    "a stream that fills buffers": lambda upload, data: _expect_all(upload.read_from(io.BytesIO(data)), data),
    "a stream that returns bytes": lambda upload, data: _expect_all(upload.read_from(_Reading(data)), data),
}

WAYS: dict[str, Way] = {
    **STREAMS,
    "one write": _at_once,
    "one buffer": _in_one_buffer,
    "pieces": _in_pieces,
    "back and forth": _back_and_forth,
}
"""How the bytes are written."""


def _expect_all(count: int, data: bytes) -> None:
    assert count == len(data), f"{count} of {len(data)} bytes are written"


def _upload(ctx: Context, way: Way, size: int, verify: Verify = "resume", count: int = 1) -> None:
    """Write to so many uploads, ask for their digests, go on, and finish."""
    data = bulk("failing", size, ctx.seed)
    uploads = [ctx.service(verify).upload("a") for _ in range(count)]
    for each in uploads:
        way(each, data[:-100_000])
    for each in uploads:
        assert str(each.digest()) == digest(data[:-100_000]), "the digest is that of other bytes"
        each.flush()
        each.write(data[-100_000:])
    for each in uploads:
        each.finish(digest(data), len(data)).close()
    expect_layer(ctx, "a", data)


@contextmanager
def few_threads(number: int) -> Iterator[None]:
    """Let core's lanes start so many threads, and no more, as a process at a limit of the system's."""
    started = iter(range(number))

    def start(*args: object) -> int:
        if next(started, None) is None:
            raise RuntimeError("can't start new thread")
        return start_new_thread(*args)  # type: ignore[call-overload,no-any-return]  # passed on

    with patch.object(lanes, "_threads", lanes._Threads()), patch.object(lanes, "start_new_thread", start):
        yield


@contextmanager
def threads_stand_still() -> Iterator[None]:
    """Have core's lanes find what they find while the interpreter ends: a thread is free, others start, none works."""
    threads = lanes._Threads()
    threads._free.put(None)
    ending = SimpleNamespace(is_finalizing=lambda: True)
    with (
        patch.object(lanes, "_threads", threads),
        patch.object(lanes, "start_new_thread", lambda *args: 0),
        patch.object(lanes, "sys", ending),
    ):
        yield


Threads = Callable[[], AbstractContextManager[None]]

THREADS: dict[str, tuple[Threads, int]] = {
    "none": (partial(few_threads, 0), 1),
    "one for two uploads": (partial(few_threads, 1), 2),
    "none that work": (threads_stand_still, 1),
}
"""The threads that core gets, and how many uploads there are."""


@scenario(
    *("T6", "W6", "E4"),
    kills=("no-thread-is-an-error", "threads-are-trusted-at-the-end"),
    rows=(142, 163),
    axes=(Axis("way", WAYS), Axis("threads", THREADS)),
)
def an_upload_goes_on_though_no_thread_works_for_it(ctx: Context, way: Way, threads: tuple[Threads, int]) -> None:
    """At a limit of threads, or while the interpreter ends, uploads are slower, and nothing else.

    A process or a container may have few threads, and an object that is collected at the end may have bytes to store.
    """
    limited, count = threads
    with limited():
        _upload(ctx, way, FEW, count=count)


class _Lagging(lanes.Task):
    """A task that another thread begins with when it is waited for, or when everything ends."""

    gates: list[threading.Event]

    def __init__(self) -> None:
        super().__init__()
        self._gate = threading.Event()
        self._owner = threading.get_ident()
        self.gates.append(self._gate)

    def do(self, work: Callable[[], object]) -> None:
        if threading.get_ident() != self._owner:
            self._gate.wait()
        super().do(work)

    def wait(self) -> BaseException | None:
        self._gate.set()
        return super().wait()


@contextmanager
def hashing_lags() -> Iterator[list[threading.Event]]:
    """Have each block hashed at the last moment: when its hash is waited for."""
    gates: list[threading.Event] = []
    lagging = type("Lagging", (_Lagging,), {"gates": gates})
    with patch.object(lanes, "Task", lagging):
        try:
            yield gates
        finally:
            for gate in gates:
                gate.set()


@scenario("W6", "M4", "T6", kills=("hashing-lags-too-far",), rows=(141, 142), axes=(Axis("way", WAYS),))
def an_upload_whose_hashing_lags_behind_has_the_digest_of_its_bytes(ctx: Context, way: Way) -> None:
    """However far hashing lags behind a fast stream or caller, it hashes the bytes that were given, and stored.

    Streams are read into few buffers. If one were filled anew before it is hashed, a good layer would be refused, or
    the saved state be that of bytes which nobody has sent.
    """
    with hashing_lags() as gates:
        verify: Verify = "reread" if way is _at_once else "resume"  # it is read back into few buffers, too
        _upload(ctx, way, ALL if verify == "reread" or way in STREAMS.values() else FEW, verify)
        assert gates, "nothing was hashed by a thread"


PATIENCE = 5.0
"""Seconds to wait for a thread at most: it comes at once, or never."""

RELEASES = 2
"""Locks that a thread gives back when it has hashed the only block there is: the task's, and the lane's."""


class _RunningOut:
    """Holds a thread up as it gives back its lock of this number, until more work has come."""

    def __init__(self, wanted: int) -> None:
        self.there, self.more = threading.Event(), threading.Event()
        self._wanted, self._released, self._owner = wanted, itertools.count(), threading.get_ident()

    def lock(self) -> _Lock:
        """Make a lock of the lanes."""
        return _Lock(self)

    def released(self) -> None:
        """Be told of a lock that is about to be given back."""
        if threading.get_ident() != self._owner and next(self._released) == self._wanted:
            self.there.set()
            self.more.wait(PATIENCE)


class _Lock:
    def __init__(self, running_out: _RunningOut) -> None:
        self._lock, self._running_out = allocate_lock(), running_out

    def acquire(self, blocking: bool = True) -> bool:  # noqa: FBT001, FBT002  (as a lock has it)
        return self._lock.acquire(blocking)

    def release(self) -> None:
        self._running_out.released()
        self._lock.release()


@scenario("T6", "W6", kills=("work-is-lost-as-a-thread-runs-out",), rows=(141, 142))
def what_comes_as_a_thread_runs_out_of_work_is_hashed(ctx: Context) -> None:
    """If more is written just when a thread has hashed all there was, that is hashed too, and the upload ends.

    Otherwise the upload waits for ever for a thread that has stopped looking.
    """
    data = bulk("more", 10 + 2 * MIB, ctx.seed)
    for number in range(RELEASES):
        running_out = _RunningOut(number)
        with patch.object(lanes, "allocate_lock", running_out.lock):
            upload = ctx.service().upload("a")
            upload.write(data[:10])
            upload.flush()  # from here on whole blocks are not gathered
            upload.write(data[10 : 10 + MIB])
            assert running_out.there.wait(PATIENCE), "no thread has hashed the first block"
            upload.write(data[10 + MIB :])
            running_out.more.set()
            told = str(in_another_thread(upload.digest, PATIENCE))
        assert told == digest(data), "the digest is that of other bytes"
        upload.finish(told).close()
        expect_layer(ctx, "a", data)


LONGEST = 20
"""Seconds that a forked child may take for one upload; one that waits for a thread of its parent's waits for ever."""


@scenario("T5", "T6", kills=("a-forked-child-has-no-seats",), rows=(142,), needs=("url", "fork"))
def a_forked_child_has_threads_of_its_own(ctx: Context) -> None:
    """If every thread of a process has hashed something, a forked child, which has none of them, hashes all the same.

    If the store is not shared, the child may be refused, but its upload must end.
    """
    with Elsewhere(ctx) as there:
        there.run(_upload_in_a_child, "shared" in ctx.harness.declared(ctx.capabilities))


def _upload_in_a_child(driver: CheckedDriver, shared: bool) -> None:  # noqa: FBT001  (sent to another process)
    data = Payload("forked").read(10 + MIB)
    with hashing_lags():  # so each upload has a thread of its own
        uploads = [_written(driver, "parent", data) for _ in range(lanes.THREADS)]

    def child(_parent: Connection) -> None:
        with suppress(*() if shared else (LayerStoreError,)):
            _written(driver, "child", data).finish(digest(data)).close()

    for upload in uploads:
        upload.finish(digest(data)).close()
    with Forked(child, longest=LONGEST):
        pass
    _written(driver, "after", data).finish(digest(data)).close()


def _written(driver: CheckedDriver, name: str, data: bytes) -> LayerUpload:
    """Begin an upload, and write all of the data, most of it in a block that a thread hashes."""
    upload = LayerService(driver).upload(name)
    upload.write(data[:10])
    upload.flush()  # from here on whole blocks are not gathered
    upload.write(data[10:])
    return upload
