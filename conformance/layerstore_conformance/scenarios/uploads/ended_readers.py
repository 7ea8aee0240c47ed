"""Objects replaced before any read, on a driver whose readers then end (clause R4): callers read what is there now."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import FencedError, LayerClosedError, LayerService, UnknownUploadError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.ending import EndingDriver
from layerstore_conformance.kit.layers import store
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.expectations import expect_layer
from layerstore_conformance.steps.moved import moved_only
from layerstore_conformance.steps.rivals import finish
from layerstore_conformance.steps.watching import Trap, number

if TYPE_CHECKING:
    from layerstore import Verify
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

SIZE = 3000
"""Bytes."""


def ending(ctx: Context, verify: Verify = "resume") -> Iterator[tuple[int, Trap, LayerService]]:
    """Yield a number, a trap to set at that call, and a service whose readers end; until a trap was not sprung."""
    for index in itertools.count():
        trap, driver = Trap(), ctx.open()
        front = CheckedDriver(ObservedDriver(EndingDriver(driver), trap), driver.scheme)
        yield index, trap, LayerService(front, verify=verify)
        if not trap.sprung:
            return
        ctx.count("moments")
        ctx.step(f"replaced before {trap.calls[index].method} {trap.calls[index].key}")


def read_in_pieces(service: LayerService, wanted: str) -> bytes:
    """Read a layer of the repository ``a`` in three pieces."""
    with service.fetch("a", wanted) as layer:
        return b"".join(layer.read(SIZE // 3) for _ in range(3))


def mounted(service: LayerService, wanted: str) -> bytes:
    """Mount a layer of the repository ``a``, and read it there."""
    with service.mount("b", wanted, source="a") as layer:
        return layer.read()


@scenario("R4", "X3", kills=("replaced-layer-begins-anew", "small-object-is-read-once"), rows=(117, 119))
def a_layer_replaced_before_any_read_is_read_whole(ctx: Context) -> None:
    """If a layer is uploaded again before any call of its reading, its bytes are read, from each position on.

    The bytes are the same; only the version is another. A pull of a layer that is pushed meanwhile must not fail.
    """
    data = ctx.payload("replaced").read(SIZE)
    store(ctx.service(), "a", data)
    acts: tuple[Callable[[LayerService, str], bytes], ...] = (read_in_pieces, mounted)
    for act in acts:
        for index, trap, service in ending(ctx):
            trap.set(number(index), lambda: store(ctx.service(), "a", data))
            ctx.same(act(service, digest(data)), data, f"{act.__name__}, replaced at call {index}")


@scenario("R4", "S3", kills=("small-object-is-read-once",), rows=(117,))
def a_layer_replaced_before_any_call_is_found(ctx: Context) -> None:
    """If a layer is uploaded again before any call, it exists, is renewed, listed, sound and no garbage."""
    data = ctx.payload("found").read(SIZE)
    store(ctx.service(), "a", data)
    acts: dict[str, Callable[[LayerService], object]] = {
        "exists": lambda service: service.exists("a", digest(data)),
        "renew": lambda service: service.renew("a", digest(data)),
        "layers": lambda service: [str(each.digest) for each in service.layers("a")] == [digest(data)],
        "scrub": lambda service: {each.kind for each in service.scrub()} == {"ok"},
        "collect": lambda service: service.collect().in_use == 1,
    }
    for name, act in acts.items():
        for index, trap, service in ending(ctx):
            trap.set(number(index), lambda: store(ctx.service(), "a", data))
            assert act(service), f"{name}, replaced at call {index}"


@scenario("R4", "F1", "F3", kills=("fence-met-by-a-read-is-an-outage",), rows=(120, 141))
def an_upload_rewritten_before_any_read_back_is_fenced(ctx: Context) -> None:
    """If a rival writes before any call of a finish that reads back, it is told of the rival, and not of an outage.

    A client waits for an outage to end, and sends its bytes once more: here for nothing.
    """
    for algorithm in ("sha256", "sha512"):
        for index, trap, service in ending(ctx, "reread"):
            data = ctx.payload(f"{algorithm}-{index}").read(SIZE)
            upload = service.upload("a")
            upload.write(data)
            upload.flush()

            def rewrite(uuid: str = upload.uuid) -> None:
                with suppress(UnknownUploadError, LayerClosedError), ctx.service().resume("a", uuid) as rival:
                    rival.write(b"more")

            trap.set(number(index), rewrite)
            try:
                upload.finish(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}").close()
            except FencedError:
                finish(ctx.service().resume("a", upload.uuid), data + b"more")
                expect_layer(ctx, "a", data + b"more")
            else:
                expect_layer(ctx, "a", data)


@scenario("R4", "W6", "F1", kills=("moved-blob-is-read-once", "settle-is-fenced"), rows=(119, 162))
def a_finish_gone_on_with_whose_blob_is_replaced_goes_on(ctx: Context) -> None:
    """If a blob is uploaded again before any call of a finish that goes on with it, that finish succeeds.

    Somebody else has made the blob durable then, and it has the same bytes.
    """
    for index, trap, service in ending(ctx):
        data = ctx.payload(f"moved-{index}").read(SIZE)
        uuid = moved_only(ctx, data).uuid
        upload = service.resume("a", uuid)
        trap.set(number(index), lambda: store(ctx.service(), "b", data))  # noqa: B023  (called within the turn)
        finish(upload, data)
        expect_layer(ctx, "a", data)
