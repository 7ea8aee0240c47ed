"""Uploads whose data another program or another handle changes: no other bytes become a layer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from layerstore import LayerInvalidDigestError, LayerStoreError, PathNotFoundError, UnknownUploadError, layout
from layerstore.layout import UploadKeys
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.harness import HOWS, changed
from layerstore_conformance.kit.keys import WHOLE
from layerstore_conformance.kit.layers import begin
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.promises import theorem
from layerstore_conformance.scenarios.drivers.tampering import VISIBLE
from layerstore_conformance.steps.expectations import expect_layer
from layerstore_conformance.steps.watching import Trap, number, watched

if TYPE_CHECKING:
    from layerstore import LayerUpload, Verify
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.harness import How

GROUP = "verify"

SIZE = 5000
"""Bytes of an upload."""

POLICIES: tuple[Verify, ...] = ("resume", "reread")

Change = Callable[["Context", str, "How"], bytes | None]
"""Changes an object, and returns its bytes afterwards."""

Settled = Literal["a layer", "refused"]


def by_another_program(ctx: Context, key: str, how: How) -> bytes | None:
    """Change an object behind the driver."""
    return ctx.tamper(key, how)


def by_another_handle(ctx: Context, key: str, how: How) -> bytes | None:
    """Change an object by the driver itself, as a tool does that knows nothing of uploads."""
    driver = ctx.open()
    after = changed(driver.get(key, WHOLE), how)
    ctx.step(f"another handle does to {key}: {how}")
    if after is None or how.startswith("remake"):
        driver.delete(key)
    if after is not None:
        driver.put(key, after)
    return after


def settle(ctx: Context, upload: LayerUpload, data: bytes) -> Settled:
    """Finish a changed upload by the digest of the written bytes: the layer has just those bytes, or there is none.

    If the finish is refused, the upload can be resumed and finished by the digest of its present bytes, unless they are
    gone.
    """
    try:
        upload.finish(digest(data)).close()
    except LayerStoreError:
        assert not ctx.service().exists("a", digest(data)), "the finish was refused, and the layer is there"
    else:
        expect_layer(ctx, "a", data)
        ctx.service().unlink("a", digest(data))
        return "a layer"
    theorem.check_store(ctx.open())
    key = UploadKeys("a", upload.uuid).data
    if ctx.open().find(key) is None:
        with suppress(UnknownUploadError):
            ctx.service().cancel("a", upload.uuid)
        return "refused"
    there = ctx.read(key)
    ctx.service().resume("a", upload.uuid).finish(digest(there), len(there)).close()
    expect_layer(ctx, "a", there)
    ctx.service().unlink("a", digest(there))
    return "refused"


def empty(ctx: Context) -> None:
    """Delete every upload and layer: each check of the store reads them all, and a hundred of them a hundred times."""
    ctx.driver.delete(layout.ROOT)


def is_never_believed(ctx: Context, change: Change) -> None:
    """Close an upload, change it, resume it, and finish it by the old digest, then by the digest of its present bytes.

    Its saved hash state is of the bytes before the change.
    """
    for how, verify in itertools.product(VISIBLE, POLICIES):
        data = ctx.payload(f"{how}-{verify}").read(SIZE)
        uuid = begin(ctx.service(), "a", data)
        after = change(ctx, UploadKeys("a", uuid).data, how) or b""
        upload = ctx.service(verify).resume("a", uuid, offset=len(after))
        if after != data:
            with refused(LayerInvalidDigestError) as refusal:
                upload.finish(digest(data))
            assert refusal.error.actual == digest(after), f"taken for {refusal.error.actual}"
        upload.finish(digest(after), len(after)).close()
        expect_layer(ctx, "a", after)
        theorem.check_store(ctx.open())
        empty(ctx)


@scenario("X1", "S2", kills=("version-is-noted", "state-of-another-version-trusted"), needs=("tamper",), rows=(159,))
def a_state_from_before_another_programs_change_is_not_believed(ctx: Context) -> None:
    """If another program changes an upload, however little, its saved hash state is not trusted.

    A client times out and its append still takes effect, or a backup is restored: the layer would not match its digest.
    """
    is_never_believed(ctx, by_another_program)


@scenario("S2", "F2", kills=("state-of-another-version-trusted",), rows=(159,))
def a_state_from_before_another_handles_change_is_not_believed(ctx: Context) -> None:
    """If an upload's data is put or made anew by another handle, its saved hash state is not trusted."""
    is_never_believed(ctx, by_another_handle)


def flushed(ctx: Context, data: bytes) -> LayerUpload:
    """Begin an upload, write and flush it."""
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.flush()
    return upload


def written_on(ctx: Context, data: bytes) -> LayerUpload:
    """Flush the first half, and write the second."""
    upload = flushed(ctx, data[: SIZE // 2])
    upload.write(data[SIZE // 2 :])
    return upload


def hashed(ctx: Context, data: bytes) -> LayerUpload:
    """Write an upload, and ask for its digest."""
    upload = flushed(ctx, data)
    assert str(upload.digest()) == digest(data)
    return upload


def resumed(ctx: Context, data: bytes) -> LayerUpload:
    """Close an upload, and resume it with its saved state."""
    return ctx.service().resume("a", begin(ctx.service(), "a", data), offset=SIZE)


def resumed_to_be_reread(ctx: Context, data: bytes) -> LayerUpload:
    """Close an upload, and resume it to read it back."""
    return ctx.service("reread").resume("a", begin(ctx.service(), "a", data), offset=SIZE)


def resumed_and_written_on(ctx: Context, data: bytes) -> LayerUpload:
    """Close half an upload, resume it, and write the rest."""
    upload = ctx.service().resume("a", begin(ctx.service(), "a", data[: SIZE // 2]))
    upload.write(data[SIZE // 2 :])
    return upload


MOMENTS = (flushed, written_on, hashed, resumed, resumed_to_be_reread, resumed_and_written_on)


def is_not_finished(ctx: Context, change: Change) -> None:
    """Change an open upload, at every moment and in every way, and finish it."""
    for moment, how in itertools.product(MOMENTS, HOWS):
        data = ctx.payload(f"{moment.__name__.replace('_', '-')}-{how}").read(SIZE)
        with ctx.handles():
            upload = moment(ctx, data)
            ctx.step(moment.__name__.replace("_", " "))
            change(ctx, UploadKeys("a", upload.uuid).data, how)
            assert settle(ctx, upload, data) == "refused", "finished by a handle from before the change"
            empty(ctx)


@scenario("X2", "M4", kills=("another-programs-change-is-published-over", "version-is-noted"), needs=("tamper",))
def an_upload_that_another_program_changed_is_not_finished(ctx: Context) -> None:
    """If another program changes an open upload, its handle does not finish it.

    The upload can be resumed, and then has the bytes that the program has left.
    """
    is_not_finished(ctx, by_another_program)


@scenario("F2", "F3", "M4", kills=("fencing-absent",), rows=(120,))
def an_upload_that_another_handle_put_over_is_not_finished(ctx: Context) -> None:
    """If another handle puts or makes anew an open upload's data, the upload's handle does not finish it."""
    is_not_finished(ctx, by_another_handle)


def meets_a_change(ctx: Context, change: Change, hows: Iterable[How], verify: Verify) -> None:
    """Change an upload before each call of its finish: the layer has the verified bytes, or the finish raises."""
    for how in hows:
        outcomes = set()
        for index in itertools.count():
            data, trap = ctx.payload(f"between-{how}-{index}").read(SIZE), Trap()
            upload = watched(ctx, trap, verify).upload("a")
            upload.write(data)
            upload.flush()

            def act(key: str = UploadKeys("a", upload.uuid).data, how: How = how) -> None:
                with suppress(PathNotFoundError):  # it has become a blob
                    change(ctx, key, how)

            trap.set(number(index), act)
            outcomes.add(settle(ctx, upload, data))
            empty(ctx)
            if not trap.sprung:
                break
            ctx.count("moments")
        assert outcomes == {"a layer", "refused"}, f"only {outcomes}"


FEW: tuple[How, ...] = ("append", "replace-quietly")


@scenario("M4", "X1", "X2", kills=("moved-without-its-version", "version-is-noted"), needs=("tamper",), rows=(120,))
def a_finish_that_another_program_comes_into_makes_no_other_layer(ctx: Context) -> None:
    """If another program changes an upload between two calls of its finish, the layer has the verified bytes.

    Or the finish is refused. An append that arrives between the hash and the move must not become part of the layer.
    """
    meets_a_change(ctx, by_another_program, FEW, "resume")


@scenario(
    "M4", "X1", "X2", kills=("moved-without-its-version", "version-is-noted"), needs=("tamper",), profile="default"
)
def no_finish_that_another_program_comes_into_makes_another_layer(ctx: Context) -> None:
    """The same holds for every kind of change, and for a finish that reads the stored bytes back."""
    meets_a_change(ctx, by_another_program, [how for how in HOWS if how not in FEW], "resume")
    meets_a_change(ctx, by_another_program, HOWS, "reread")


@scenario("M4", "X1", "X2", kills=("moved-without-its-version", "version-is-noted"), needs=("tamper",), rows=(120, 131))
def a_finish_of_what_another_program_began_takes_no_more_of_it(ctx: Context) -> None:
    """A finish of an upload that another program wrote takes no further byte of that program.

    A client that timed out here and went on with another registry may still append.
    """
    for index in itertools.count():
        trap, uuid = Trap(), begin(ctx.service(), "a", ctx.payload(f"began-{index}").read(SIZE))
        key = UploadKeys("a", uuid).data
        data = ctx.tamper(key, "remake-otherwise") or b""
        upload = watched(ctx, trap).resume("a", uuid, offset=len(data))

        def act(key: str = key) -> None:
            with suppress(PathNotFoundError):  # it has become a blob
                ctx.tamper(key, "append")

        trap.set(number(index), act)
        settle(ctx, upload, data)
        empty(ctx)
        if not trap.sprung:
            return
        ctx.count("moments")


@scenario("M4", "F2", kills=("moved-without-its-version",), rows=(120,))
def a_finish_that_another_handle_comes_into_makes_no_other_layer(ctx: Context) -> None:
    """If another handle puts the data anew between two calls of a finish, the layer has the verified bytes."""
    meets_a_change(ctx, by_another_handle, FEW, "resume")
