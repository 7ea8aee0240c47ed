"""Uploads that another program, or another handle, changes behind the upload's own: no other bytes become a layer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from layerstore import LayerInvalidDigestError, LayerStoreError, LayerUploadUnknownError, PathNotFoundError
from layerstore.layout import UploadKeys
from layerstore_conformance import theorem
from layerstore_conformance.harness import HOWS, changed
from layerstore_conformance.layers import begin, expect_layer
from layerstore_conformance.payloads import digest
from layerstore_conformance.refusal import refused
from layerstore_conformance.scenario import scenario
from layerstore_conformance.scenarios.tampering import VISIBLE
from layerstore_conformance.watching import Trap, number, watched

if TYPE_CHECKING:
    from layerstore import LayerUpload, Verify
    from layerstore_conformance.context import Context
    from layerstore_conformance.harness import How

GROUP = "verify"

SIZE = 5000
"""Bytes of an upload."""

POLICIES: tuple[Verify, ...] = ("resume", "reread")

Change = Callable[["Context", str, "How"], bytes | None]
"""Changes an object, and returns what it holds then."""

Outcome = Literal["a layer", "refused"]


def by_another_program(ctx: Context, key: str, how: How) -> bytes | None:
    """Change an object behind the driver."""
    return ctx.tamper(key, how)


def by_another_handle(ctx: Context, key: str, how: How) -> bytes | None:
    """Change an object by the driver itself, as a tool does that knows nothing of uploads."""
    driver = ctx.open()
    after = changed(driver.get(key, theorem.WHOLE), how)
    ctx.step(f"another handle does to {key}: {how}")
    if after is None or how.startswith("remake"):
        driver.delete(key)
    if after is not None:
        driver.put(key, after)
    return after


def settle(ctx: Context, upload: LayerUpload, data: bytes) -> Outcome:
    """Finish a changed upload by the digest of what was written, and check that the layer is just that, or is none.

    Refused, the upload can be resumed, and finished by the digest of what it has become, unless its data is gone.
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
        with suppress(LayerUploadUnknownError):
            ctx.service().cancel("a", upload.uuid)
        return "refused"
    there = ctx.read(key)
    ctx.service().resume("a", upload.uuid).finish(digest(there), len(there)).close()
    expect_layer(ctx, "a", there)
    ctx.service().unlink("a", digest(there))
    return "refused"


def is_never_believed(ctx: Context, change: Change) -> None:
    """Close an upload, change it, resume it, and finish it by the old digest, and then by the digest of what is there.

    Its saved hash state is of the bytes from before.
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


@scenario("X1", "S2", kills=("version-is-noted", "state-of-another-version-trusted"), needs=("tamper",), rows=(159,))
def a_state_from_before_another_programs_change_is_not_believed(ctx: Context) -> None:
    """The hash state of an upload that another program has changed since is not believed, however little changed.

    Clients time out and their appends still take effect, a backup is restored: then a layer would not be what it says.
    """
    is_never_believed(ctx, by_another_program)


@scenario("S2", "F2", kills=("state-of-another-version-trusted",), rows=(159,))
def a_state_from_before_another_handles_change_is_not_believed(ctx: Context) -> None:
    """The hash state of an upload whose data was put or made anew since, past the upload, is not believed."""
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
    """Change an upload that is open, at every moment and in every way, and finish it."""
    for moment, how in itertools.product(MOMENTS, HOWS):
        data = ctx.payload(f"{moment.__name__.replace('_', '-')}-{how}").read(SIZE)
        with ctx.handles():
            upload = moment(ctx, data)
            ctx.step(moment.__name__.replace("_", " "))
            change(ctx, UploadKeys("a", upload.uuid).data, how)
            assert settle(ctx, upload, data) == "refused", "finished by a handle from before the change"


@scenario("X2", "M4", kills=("another-programs-change-is-published-over", "version-is-noted"), needs=("tamper",))
def an_upload_that_another_program_changed_is_not_finished(ctx: Context) -> None:
    """An upload that another program changed while a handle was open on it is not finished by that handle.

    It can be resumed, and is then what that program has made of it.
    """
    is_not_finished(ctx, by_another_program)


@scenario("F2", "F3", "M4", kills=("fencing-absent",), rows=(120,))
def an_upload_that_another_handle_put_over_is_not_finished(ctx: Context) -> None:
    """An upload whose data was put or made anew past it is not finished by the handle that was open."""
    is_not_finished(ctx, by_another_handle)


def meets_a_change(ctx: Context, change: Change, hows: Iterable[How], verify: Verify) -> None:
    """Change an upload before each driver call of its finish in turn: it is what was verified, or is refused."""
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
            if not trap.sprung:
                break
            ctx.count("moments")
        assert outcomes == {"a layer", "refused"}, f"only {outcomes}"


FEW: tuple[How, ...] = ("append", "replace-quietly")


@scenario("M4", "X1", "X2", kills=("moved-without-its-version", "version-is-noted"), needs=("tamper",), rows=(120,))
def a_finish_that_another_program_comes_into_makes_no_other_layer(ctx: Context) -> None:
    """When another program changes an upload between any two calls of its finish, the layer is what was verified.

    Or the finish is refused. An append that arrives between hashing and moving must not become part of the layer.
    """
    meets_a_change(ctx, by_another_program, FEW, "resume")


@scenario(
    "M4", "X1", "X2", kills=("moved-without-its-version", "version-is-noted"), needs=("tamper",), profile="default"
)
def no_finish_that_another_program_comes_into_makes_another_layer(ctx: Context) -> None:
    """The same holds for every change, and where the finish reads back what is stored."""
    meets_a_change(ctx, by_another_program, [how for how in HOWS if how not in FEW], "resume")
    meets_a_change(ctx, by_another_program, HOWS, "reread")


@scenario("M4", "X1", "X2", kills=("moved-without-its-version", "version-is-noted"), needs=("tamper",), rows=(120, 131))
def a_finish_of_what_another_program_began_takes_no_more_of_it(ctx: Context) -> None:
    """An upload that another program made what it is, resumed here, takes nothing more of that program as it ends.

    A registry's client that has timed out here and gone on there still appends.
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
        if not trap.sprung:
            return
        ctx.count("moments")


@scenario("M4", "F2", kills=("moved-without-its-version",), rows=(120,))
def a_finish_that_another_handle_comes_into_makes_no_other_layer(ctx: Context) -> None:
    """When an upload's data is put or made anew between any two calls of its finish, the layer is what was verified."""
    meets_a_change(ctx, by_another_handle, FEW, "resume")
