"""Closing: what is closed refuses every call, and is closed once."""

from __future__ import annotations

import gc
from collections import Counter
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, DriverError, FencedError, LayerService
from layerstore.checked import CheckedDriver
from layerstore.driver import Writer
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.failing import FailingCloses
from layerstore_conformance.kit.passing import PassingDriver, PassingReader, PassingWriter
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import expect_layer
from layerstore_conformance.steps.moved import moved_only
from layerstore_conformance.steps.refusing import OF_LAYER, OF_READER, OF_UPLOAD, OF_WRITER, TAKES, expect_refusals
from layerstore_conformance.steps.watching import Trap, fail, of, watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore import LayerUpload
    from layerstore.driver import Driver, Reader
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

SHORT = Payload("closing").read(3000)


@scenario(
    "T3",
    kills=(
        *("closed-readers-read-nothing", "closed-writers-take-nothing", "closed-readers-are-only-read-only"),
        "closed-readers-cannot-be-printed",
    ),
    rows=(6, 9),
)
def a_closed_reader_or_writer_refuses_every_call(ctx: Context) -> None:
    """Every call of a closed reader or writer raises LayerClosedError, also one that would do nothing.

    An empty write that a closed handle takes hides a mistake until a write is lost.
    """
    ctx.driver.put("key", SHORT)
    with ctx.driver.open_reader("key") as left:
        left.read(1)
    reader = ctx.driver.open_reader("key")
    reader.close()
    for name, each in {"a reader that was closed": reader, "a reader whose block was left": left}.items():
        expect_refusals(each, OF_READER, name)
        each.close()
    for name, end in _ENDS.items():
        writer = ctx.driver.open_writer("key")
        end(writer)
        expect_refusals(writer, OF_WRITER, f"a writer {name}")
        writer.close()
        writer.discard()
    ctx.expect("key", SHORT)


def _leave_by_an_error(writer: Writer) -> None:
    with refused(KeyError), writer:
        raise KeyError


def _leave(writer: Writer) -> None:
    with writer:
        pass


_ENDS: dict[str, Callable[[Writer], object]] = {
    "that was closed": lambda writer: writer.close(),
    "that was discarded": lambda writer: writer.discard(),
    "that was ended": lambda writer: writer.end(),
    "whose block was left": _leave,
    "whose block ended in an error": _leave_by_an_error,
}


@scenario(
    "T3",
    kills=("closed-uploads-take-nothing", "closed-layers-are-only-read-only", "closed-uploads-tell"),
    rows=(6, 9),
)
def a_closed_upload_or_layer_refuses_every_call(ctx: Context) -> None:
    """Every call of a closed upload or layer raises LayerClosedError, also one that would do nothing."""
    service = ctx.service()
    closed, cancelled, finished = (_upload(service, name) for name in "abc")
    closed.close()
    cancelled.cancel()
    unread = finished.finish(digest(SHORT))
    unread.close()
    with service.fetch("c", digest(SHORT)) as left:
        left.read(1)
    before = ctx.stored()
    uploads = {"closed": closed, "cancelled": cancelled, "finished": finished}
    for name, upload in uploads.items():
        expect_refusals(upload, OF_UPLOAD, f"a {name} upload")
        upload.close()
    for name, layer in {"a layer that was not read": unread, "a layer whose block was left": left}.items():
        expect_refusals(layer, OF_LAYER, name)
        layer.close()
    assert ctx.stored() == before, "a closed handle has changed the store"


def _upload(service: LayerService, name: str) -> LayerUpload:
    upload = service.upload(name)
    upload.write(SHORT)
    return upload


@scenario("T3", "W2", kills=("closed-uploads-take-nothing",), rows=(6, 152))
def an_upload_whose_data_has_become_a_blob_takes_no_write(ctx: Context) -> None:
    """If a finish was cut off behind its move, every write to the resumed upload raises LayerClosedError.

    So does an empty one. The upload can be finished afterwards.
    """
    upload = ctx.service().resume("a", moved_only(ctx, SHORT).uuid)
    expect_refusals(upload, TAKES, "an upload whose data has become a blob")
    assert (upload.size, upload.tell()) == (len(SHORT), len(SHORT)), "a write that was refused has changed it"
    upload.finish(digest(SHORT)).close()
    expect_layer(ctx, "a", SHORT)


@scenario("T3", kills=("a-driver-whose-close-failed-is-open",), rows=(9,))
def a_driver_whose_close_failed_is_closed(ctx: Context) -> None:
    """If the close of a driver fails, that is raised once: closing again does nothing, by a service either.

    A program closes what it has open in the end, often twice, and must not fail for it a second time.
    """
    for error in (OSError(5, "made to fail"), BackendUnavailableError("", "made to fail"), ValueError("made to fail")):
        kind = DriverError if isinstance(error, OSError) else type(error)
        for through in (lambda driver: driver.close, lambda driver: LayerService(driver).close):
            inner = FailingCloses(ctx.driver, error)
            driver = CheckedDriver(inner, "failing")
            with refused(kind):
                through(driver)()
            for again in (driver.close, LayerService(driver).close, through(driver)):
                again()
            assert inner.closed == 1, f"the driver below was closed {inner.closed} times"


@scenario("T3", "T4", kills=("an-error-leaves-the-service-open",), rows=(9,))
def a_service_whose_block_is_left_is_closed(ctx: Context) -> None:
    """However a ``with`` block of a service is left, its driver is closed once, and an error of the block comes out."""
    for error in (None, ValueError("of the block"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()):
        inner, came_out = FailingCloses(ctx.driver, None), None
        service = LayerService(inner)
        try:
            with service:
                if error is not None:
                    raise error
        except BaseException as raised:  # noqa: BLE001  (Ctrl-C, too: compared with what the block raised)
            came_out = raised
        assert came_out is error, f"the block raised {error!r}, and {came_out!r} came out"
        assert inner.closed == 1, f"left by {error!r}, the driver was closed {inner.closed} times"
        service.close()
        assert inner.closed == 1, "closed once more, the service has closed its driver again"


class _Counting(PassingDriver):
    """A driver that notes each handle that it opens, with how often it was released."""

    def __init__(self, inner: Driver) -> None:
        super().__init__(inner)
        self.released: list[Counter[str]] = []

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        return _CountedReader(self.inner.open_reader(key, offset), self.counter())

    def open_writer(self, key: str) -> Writer:
        return _CountedWriter(self.inner.open_writer(key), self.counter())

    def counter(self) -> Counter[str]:
        """Return the counter of a handle that is opened now."""
        self.released.append(Counter())
        return self.released[-1]


class _CountedReader(PassingReader):
    def __init__(self, inner: Reader, times: Counter[str]) -> None:
        super().__init__(inner)
        self._times = times

    def release(self) -> None:
        self._times["released"] += 1
        super().release()


class _CountedWriter(PassingWriter):
    def __init__(self, inner: Writer, times: Counter[str]) -> None:
        super().__init__(inner)
        self._times = times

    def release(self) -> None:
        self._times["released"] += 1
        super().release()


def _end_readers(driver: CheckedDriver) -> None:
    with driver.open_reader("key") as reader:
        reader.read(1)
    reader.close()
    driver.open_reader("key").read(1)


def _end_writers(driver: CheckedDriver) -> None:
    for end in _ENDS.values():
        writer = driver.open_writer("key")
        end(writer)
        writer.close()
        writer.discard()
    for last in (Writer.close, Writer.end):
        fenced = driver.open_writer("key")
        driver.put("key", SHORT)
        with refused(FencedError):
            last(fenced)
        fenced.close()
        fenced.discard()
    driver.open_writer("key").write(b"let go of")


def _end_layers(driver: CheckedDriver) -> None:
    service = LayerService(driver)
    unread = _upload(service, "a").finish(digest(SHORT))
    unread.read(1)
    with service.fetch("a", digest(SHORT)) as layer:
        layer.read(1)
    for each in (unread, layer):
        each.close()
        each.close()
    service.fetch("a", digest(SHORT)).read(1)


def _end_uploads(driver: CheckedDriver) -> None:
    service = LayerService(driver)
    closed, cancelled, fenced, finished = (_upload(service, "a") for _ in range(4))
    for upload in (closed, cancelled, fenced, finished):
        upload.flush()
    closed.close()
    cancelled.cancel()
    resumed = service.resume("a", fenced.uuid)
    with refused(FencedError):
        fenced.close()
    finished.finish(digest(SHORT)).close()
    for upload in (closed, cancelled, fenced, finished):
        upload.close()
    del resumed


@scenario(
    *("T3", "T4"),
    kills=("readers-are-released-at-each-close", "writers-are-released-at-each-discard", "a-fenced-close-holds-on"),
    rows=(9, 163),
)
def a_handle_is_released_once(ctx: Context) -> None:
    """However a reader, a writer, a layer or an upload ends, and is closed again, what it holds is given back once.

    A descriptor that is closed twice may be another handle's by then.
    """
    ctx.driver.put("key", SHORT)
    counting = {ends: _Counting(ctx.driver) for ends in (_end_readers, _end_writers, _end_layers, _end_uploads)}
    for ends, driver in counting.items():
        ends(CheckedDriver(driver, "counting"))
    gc.collect()
    for ends, driver in counting.items():
        times = [each["released"] for each in driver.released]
        assert times, f"{ends.__name__} has opened no handle"
        assert times == [1] * len(times), f"{ends.__name__}: its handles were released so often: {times}"


@scenario("T3", kills=("an-upload-whose-close-failed-is-open",), rows=(9, 162))
def an_upload_whose_close_failed_is_closed(ctx: Context) -> None:
    """If the close of an upload fails, that is raised once: it is closed, refuses every call, and is resumable.

    Its bytes up to the last flush stay.
    """
    trap = Trap()
    upload = watched(ctx, trap).upload("a")
    upload.write(SHORT)
    upload.flush()
    upload.write(b"lost")
    trap.set(of("publish"), fail)
    with refused(BackendUnavailableError):
        upload.close()
    assert trap.sprung, "a close published nothing"
    expect_refusals(upload, OF_UPLOAD, "an upload whose close failed")
    upload.close()
    again = ctx.service().resume("a", upload.uuid, offset=len(SHORT))
    again.finish(digest(SHORT)).close()
    expect_layer(ctx, "a", SHORT)
