"""Leaks: descriptors, threads, handles and keys are given back, and nothing outside the store is touched."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import (
    BackendUnavailableError,
    LayerClosedError,
    LayerInvalidDigestError,
    LayerService,
    UnknownUploadError,
    layout,
)
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.kit.layers import begin, blob, link, store
from layerstore_conformance.kit.ledger import LedgerDriver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import expect_layer
from layerstore_conformance.steps.watching import Trap, change, fail, of, watched

if TYPE_CHECKING:
    from layerstore.driver import Driver
    from layerstore_conformance.engine.context import Context

GROUP = "leaks"

MIB = 1 << 20
ROUNDS = 10


def straight(service: LayerService, data: bytes) -> object:
    """Upload a layer straight, and return the closed handles."""
    upload = service.upload("a")
    upload.write(data)
    layer = upload.finish(digest(data))
    layer.read(1)
    layer.close()
    return upload, layer


def resumed(service: LayerService, data: bytes) -> object:
    """Upload a layer in three handles, the first closed, the second fenced, and return them all."""
    first = service.upload("a")
    first.write(data[:1000])
    first.close()
    second, third = (service.resume("a", first.uuid) for _ in range(2))
    with suppress(Exception):  # fenced
        second.close()
    third.write(data[1000:])
    third.finish(digest(data)).close()
    return first, second, third


def refused_by_digest(service: LayerService, data: bytes) -> object:
    """Finish with a wrong digest, and return the closed handle."""
    upload = service.upload("a")
    upload.write(data)
    with refused(LayerInvalidDigestError):
        upload.finish(digest(b"something else"))
    upload.close()
    service.cancel("a", upload.uuid)
    return upload


def cancelled(service: LayerService, data: bytes) -> object:
    """Cancel an upload, and return the handle."""
    upload = service.upload("a")
    upload.write(data)
    upload.flush()
    upload.cancel()
    return upload


def dropped(service: LayerService, data: bytes) -> object:
    """Drop a handle, cancel by its id, and return nothing."""
    upload = service.upload("a")
    upload.write(data[:1000])
    upload.flush()
    upload.write(data[1000:])
    uuid = upload.uuid
    del upload
    gc.collect()
    service.cancel("a", uuid)
    return None


LIVES: tuple[Callable[[LayerService, bytes], object], ...] = (straight, resumed, refused_by_digest, cancelled, dropped)
"""Ways for an upload to come to an end."""


@scenario("T4", kills=("writer-is-not-released", "layer-does-not-close-its-reader"), rows=(163,))
def every_handle_is_released(ctx: Context) -> None:
    """However an upload ends, every reader and writer of the driver that was opened is released with it.

    The scenario keeps the service's handles: they must release when they are closed, not when they are collected.
    """
    for life in LIVES:
        ledger = LedgerDriver(ctx.open())
        kept = life(LayerService(CheckedDriver(ledger)), ctx.payload("handles").read(300_000))
        assert not ledger.held, f"{life.__name__}: still open are {ledger.held}"
        del kept


@scenario("T4", "E4", kills=("writer-is-not-released",), rows=(163, 174))
def every_handle_is_released_when_the_backend_fails(ctx: Context) -> None:
    """Though the backend fails at any call of an upload, every handle is released when the upload is closed."""
    for index in range(8):
        ledger = LedgerDriver(ctx.open())
        trap = Trap()
        service = watched_over(ledger, trap)
        data = ctx.payload(f"failed-{index}").read(3000)
        uuid = begin(service, "a", data)
        trap.set(change(index), fail)
        kept = []
        for _ in range(2):
            with suppress(BackendUnavailableError, UnknownUploadError):
                kept.append(service.resume("a", uuid))
                with suppress(LayerClosedError):  # it has become a blob already
                    kept[-1].seek(len(data))
                    kept[-1].write(data)
                kept[-1].finish(digest(data + data)).close()
                break
        for upload in kept:
            with suppress(Exception):  # fenced, or failing again: closed all the same
                upload.close()
        assert not ledger.held, f"failed at {trap.calls[-1].method}: still open are {ledger.held}"


def watched_over(driver: Driver, trap: Trap) -> LayerService:
    """Open a service with a trap beside its driver."""
    from layerstore_conformance.kit.observed import ObservedDriver

    return LayerService(CheckedDriver(ObservedDriver(driver, trap)))


@scenario("T4", kills=("descriptor-for-every-writer",), rows=(163,))
def descriptors_are_given_back(ctx: Context) -> None:
    """Straight, resumed, refused, cancelled and dropped uploads, however many, leave no descriptor open."""
    service = ctx.service()
    data = ctx.payload("descriptors").read(3000)

    def rounds() -> int:
        for index in range(ROUNDS):
            LIVES[index % len(LIVES)](service, data)
        return descriptors()

    before = rounds()
    after = rounds()
    assert after - before < ROUNDS // 2, f"{after - before} more descriptors are open after {ROUNDS} more uploads"


@scenario("T4", kills=("worker-is-not-ended", "thread-for-every-writer"), rows=(163,))
def threads_are_ended(ctx: Context) -> None:
    """However an upload ends, no thread that was started for it is left when it is closed."""
    service = ctx.service()
    data = ctx.payload("threads").read(1_700_000)  # more than is gathered, and hashed in a thread
    LIVES[0](service, data)
    gc.collect()
    before = set(threading.enumerate())
    kept = [life(service, data) for life in LIVES]
    left = [each.name for each in set(threading.enumerate()) - before]
    assert len(left) < len(LIVES), f"threads left of {len(LIVES)} uploads: {left}"
    del kept


@scenario("D1", "W7", kills=("cancel-keeps-the-data", "finish-removes-nothing"), rows=(147, 163))
def no_keys_are_left(ctx: Context) -> None:
    """However uploads end, only the blobs and links of layers are left of them, and no other key."""
    service = ctx.service()
    data = ctx.payload("keys").read(5000)
    for life in LIVES:
        life(service, data)
    assert ctx.stored() == [blob(data), link("a", digest(data))]


@scenario("D1", "K3", kills=("cancel-takes-the-neighbours", "writes-beside-the-prefix"), rows=(179, 111))
def what_lies_outside_is_untouched(ctx: Context) -> None:
    """Keys beside the store, and keys in it beside its layout, stay as they were, and none is added.

    A backend is shared, with a registry or with something else entirely.
    """
    canary = ctx.payload("canary").read(700)
    bare = ctx.bare()
    beside = [f"{ctx.prefix}2/canary", f"{ctx.prefix}-canary", f"{ctx.prefix}.d/a/b"]
    uuid = begin(ctx.service(), "a", b"cancelled below")
    within = ["canary", "docker/canary", "docker/registry/v2/canary", f"{layout.UploadKeys('a', uuid).prefix}2/canary"]
    try:
        for driver, keys in ((bare, beside), (ctx.open(), within)):
            for key in keys:
                driver.put(key, canary)
        ctx.service().cancel("a", uuid)
        for life in LIVES:
            life(ctx.service(), ctx.payload("life").read(3000))
        for key in within:
            ctx.expect(key, canary)
        for key in beside:
            assert bare.get(key, MIB) == canary, f"{key} beside the store was changed"
        theirs = [key for key in bare.list(ctx.prefix.rpartition("/")[0]) if key.startswith(ctx.prefix)]
        assert theirs == [f"{ctx.prefix}-canary", f"{ctx.prefix}.d/", f"{ctx.prefix}/", f"{ctx.prefix}2/"]
    finally:
        for key in beside:
            bare.delete(key)


@scenario("D3", "W7", kills=("dropped-upload-is-flushed",), rows=(161, 163))
def a_dropped_upload_is_what_it_was_when_flushed(ctx: Context) -> None:
    """A dropped handle, in any state, leaves its upload as it was last flushed, and no temporary key."""
    data = ctx.payload("dropped").read(3000)
    service = ctx.service()
    uuids = []
    for flushed in (True, False):
        upload = service.upload("a")
        upload.write(data)
        if flushed:
            upload.flush()
        upload.write(b"never flushed")
        uuids.append(upload.uuid)
        del upload
    gc.collect()
    listed = {info.uuid: info.offset for info in ctx.service().uploads("a")}
    assert listed == {uuids[0]: 3000}
    ctx.service().cancel("a", uuids[0])
    assert ctx.stored() == [], "dropped handles left something"


@scenario("E4", "M1", kills=("failed-cancel-counts",), rows=(163, 171))
def a_failed_upload_leaves_nothing_once_cancelled(ctx: Context) -> None:
    """An upload whose write, flush or finish failed leaves nothing when it is cancelled."""
    data = ctx.payload("failed").read(3000)
    for when in (of("write_at"), of("publish"), of("put", "intent"), of("move"), of("delete")):
        trap = Trap()
        upload = watched(ctx, trap).upload("a")
        trap.set(when, fail)
        with refused(BackendUnavailableError):
            upload.write(data)
            upload.flush()
            upload.finish(digest(data))
        upload.cancel()
    with suppress(Exception):
        ctx.service().unlink("a", digest(data))
    left = set(ctx.stored()) - {blob(data)}
    assert not left, f"left: {sorted(left)}"
    store(ctx.service(), "a", data)
    expect_layer(ctx, "a", data)
