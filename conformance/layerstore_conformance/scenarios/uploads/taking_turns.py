"""Turns: what a signal handler or another thread calls of an upload in the middle of a call, and of a stream's wait."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from layerstore import LayerClosedError
from layerstore.uploads.front import FRONT
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.moments import PATIENCE
from layerstore_conformance.kit.observed import Call
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.together import in_another_thread
from layerstore_conformance.steps.expectations import expect_gone, expect_layer
from layerstore_conformance.steps.watching import Trap, of, watched

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from layerstore import LayerUpload
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

MIB = 1 << 20

LONG = 10.0
"""Seconds after which a call that waits for another thread's stream is taken for one that never returns."""

Do = Callable[["LayerUpload"], object]

CALLS: dict[str, Do] = {
    "write": lambda upload: upload.write(b"in the middle"),
    "write of nothing": lambda upload: upload.write(b""),
    "write of more than is gathered": lambda upload: upload.write(bytes(MIB + 5)),
    "read_from": lambda upload: upload.read_from(io.BytesIO(b"in the middle")),
    "seek": lambda upload: upload.seek(3),
    "seek to the end": lambda upload: upload.seek(0, io.SEEK_END),
    "flush": lambda upload: upload.flush(),
    "digest": lambda upload: upload.digest(),
    "finish": lambda upload: upload.finish(digest(b"something else")),
    "close": lambda upload: upload.close(),
    "cancel": lambda upload: upload.cancel(),
}
"""Every method that takes turns."""

SMALL, WRITTEN, LARGE = (Random(size).randbytes(size) for size in (3000, MIB + 5, 2 * MIB + 7))


class Middle(NamedTuple):
    """A call in whose middle others are tried."""

    prepare: Do
    act: Do
    holds: bytes
    """What the upload holds afterwards."""
    ends: bool = False
    """Whether it is over then."""


def _written_over(upload: LayerUpload) -> None:
    upload.write(LARGE)
    upload.seek(MIB)
    upload.write(LARGE[MIB:][:300_000])
    upload.seek(0, io.SEEK_END)


def _flushed(upload: LayerUpload) -> None:
    upload.write(SMALL)
    upload.flush()


MIDDLES: dict[str, Middle] = {
    "a large write": Middle(lambda upload: upload.write(SMALL), lambda upload: upload.write(LARGE), SMALL + LARGE),
    "a small write": Middle(
        lambda upload: upload.write(LARGE[: FRONT - 10]),
        lambda upload: upload.write(SMALL),
        LARGE[: FRONT - 10] + SMALL,
    ),
    "a stream": Middle(lambda upload: None, lambda upload: upload.read_from(io.BytesIO(LARGE)), LARGE),
    "a flush": Middle(lambda upload: upload.write(SMALL), lambda upload: upload.flush(), SMALL),
    "a digest that reads back": Middle(_written_over, lambda upload: upload.digest(), LARGE),
    "a finish of a small layer": Middle(
        lambda upload: upload.write(SMALL), lambda upload: upload.finish(digest(SMALL)), SMALL, ends=True
    ),
    "a finish of a large layer": Middle(
        lambda upload: upload.write(LARGE), lambda upload: upload.finish(digest(LARGE)), LARGE, ends=True
    ),
    "a finish of what was flushed": Middle(_flushed, lambda upload: upload.finish(digest(SMALL)), SMALL, ends=True),
    "a close": Middle(lambda upload: upload.write(SMALL), lambda upload: upload.close(), SMALL),
    "a cancel": Middle(_flushed, lambda upload: upload.cancel(), b"", ends=True),
}


class Handler:
    """An observer that calls every method of an upload in each driver call, as the handler of a signal does."""

    def __init__(self) -> None:
        """Wait for :attr:`upload`."""
        self.upload: LayerUpload | None = None
        self.called = 0
        self.let_in: list[str] = []
        """The calls that got something else than RuntimeError."""

    def before(self, call: Call) -> None:
        """Call them."""
        upload, self.upload = self.upload, None  # once: what is let in calls the driver, too
        if upload is None:
            return
        for name, act in CALLS.items():
            self.called += 1
            try:
                act(upload)
            except RuntimeError:
                continue
            except Exception as error:  # noqa: BLE001  (the scenario tells)
                if name == "read_from" and isinstance(error, LayerClosedError):
                    continue  # which it says before it asks the stream for bytes
                self.let_in.append(f"{name} in {call.method}: {type(error).__name__}")
            else:
                self.let_in.append(f"{name} in {call.method}: done")
        self.upload = upload

    def after(self, call: Call, result: object) -> None:
        """Call them once more."""
        del result
        self.before(call)


@scenario(
    *("T1", "W6", "M4"),
    kills=("a-method-takes-no-turn", "uploads-take-no-turns"),
    rows=(118, 142),
    axes=(Axis("middle", MIDDLES),),
)
def a_signal_handler_that_calls_an_upload_in_the_middle_of_a_call_is_refused(ctx: Context, middle: Middle) -> None:
    """Every method that is called by the same thread in the middle of a call gets RuntimeError, and changes nothing.

    The handler of a signal sees a half-changed upload: a cancel there removes what the call goes on to store.
    """
    handler = Handler()
    upload = watched(ctx, handler).upload("a")
    middle.prepare(upload)
    handler.upload = upload
    middle.act(upload)
    handler.upload = None
    assert handler.called, "the call did not reach the driver"
    assert not handler.let_in, f"let in: {handler.let_in}"
    if not middle.ends:
        if upload.closed:
            upload = ctx.service().resume("a", upload.uuid, offset=len(middle.holds))
        assert (upload.tell(), upload.size) == (len(middle.holds), len(middle.holds))
        upload.finish(digest(middle.holds), len(middle.holds)).close()
    if middle.holds:
        expect_layer(ctx, "a", middle.holds)
    expect_gone(ctx, "a", upload.uuid)


State = tuple[str, str, bool, int, str]


def _outcome(act: Do, upload: LayerUpload) -> str:
    try:
        found = act(upload)
    except Exception as error:  # noqa: BLE001  (it is compared)
        return type(error).__name__
    return str(found) if isinstance(found, int) else "done"


def _state(upload: LayerUpload, first: str, second: str) -> State:
    """Return what came of two calls: their results, and what the upload is afterwards."""
    if upload.closed:
        return first, second, True, 0, ""
    return first, second, False, upload.tell(), str(upload.digest())


@scenario(
    *("T1", "W6"),
    kills=("threads-are-refused-their-turn", "uploads-take-no-turns"),
    rows=(118,),
    axes=(Axis("call", CALLS),),
)
def a_thread_that_calls_an_upload_in_the_middle_of_a_write_comes_after_it(ctx: Context, call: Do) -> None:
    """What another thread calls in the middle of a write is as if it were called after it, or before it.

    Threads that share a handle take turns: neither is refused, and no bytes are mixed.
    """

    def write(upload: LayerUpload) -> object:
        return upload.write(WRITTEN)

    orders: list[State] = []
    for before in (True, False):
        upload = ctx.service().upload("a")
        upload.write(SMALL)
        if before:
            theirs, mine = _outcome(call, upload), _outcome(write, upload)
        else:
            mine, theirs = _outcome(write, upload), _outcome(call, upload)
        orders.append(_state(upload, mine, theirs))
    trap, came = Trap(), threading.Event()
    upload, heard = watched(ctx, trap).upload("a"), []

    def come() -> None:
        heard.append(_outcome(call, upload))
        came.set()

    thread = threading.Thread(target=come, daemon=True)

    def meet() -> None:
        thread.start()
        came.wait(PATIENCE)  # in vain, if it waits for its turn

    upload.write(SMALL)
    trap.set(of("write_at"), meet)
    mine = _outcome(write, upload)
    thread.join()
    found = _state(upload, mine, heard[0])
    assert found in orders, f"in the middle of a write: {found}; one after the other: {orders}"
    upload.cancel()


class _Waiting(io.RawIOBase):
    """A stream that lets something happen while it is waited for, between two pieces of its bytes."""

    def __init__(self, pieces: tuple[bytes, ...], meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self._pieces = iter(pieces)
        self._meanwhile = meanwhile
        self._turn = 0

    def readinto(self, buffer: Buffer) -> int:
        self._turn += 1
        if self._turn == 2:
            self._meanwhile()
        piece = next(self._pieces, b"")
        memoryview(buffer)[: len(piece)] = piece
        return len(piece)


def _in_time(act: Callable[[], object]) -> None:
    """Have another thread do something, and check that it returns though this one does nothing meanwhile."""

    def run() -> None:
        with suppress(LayerClosedError):
            act()

    try:
        in_another_thread(run, LONG)
    except TimeoutError:
        raise AssertionError("it waits for the stream that another thread reads") from None


@scenario("T6", "T1", "W6", kills=("a-stream-keeps-the-turn",), rows=(118,))
def while_a_stream_is_waited_for_other_threads_have_their_turns(ctx: Context) -> None:
    """While ``read_from`` waits for its stream, every method of the upload returns, and the stream's bytes follow.

    A client that sends nothing more must not keep a server from cancelling, or from saving what there is.
    """
    first, second, more = (ctx.payload(label).read(5000) for label in ("first", "second", "more"))
    upload = ctx.service().upload("a")

    def use() -> None:
        for act in (upload.tell, lambda: upload.seek(0), lambda: upload.seek(0, io.SEEK_END), upload.flush):
            _in_time(act)
        _in_time(upload.digest)
        _in_time(lambda: upload.write(more))

    assert upload.read_from(_Waiting((first, second), use)) == len(first + second)
    whole = first + more + second
    upload.finish(digest(whole), len(whole)).close()
    expect_layer(ctx, "a", whole)
    for name in ("cancel", "close", "finish"):
        upload = ctx.service().upload("b")
        end = partial(getattr(upload, name), *([digest(first)] if name == "finish" else []))
        with refused(LayerClosedError):
            upload.read_from(_Waiting((first, second), partial(_in_time, end)))
    with suppress(Exception):
        ctx.service().cancel("b", upload.uuid)
