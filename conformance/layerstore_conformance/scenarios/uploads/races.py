"""Concurrency: two users of one upload, or of one layer, interleaved call by call, and in threads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from typing import TYPE_CHECKING

from layerstore import (
    BackendUnavailableError,
    FencedError,
    LayerClosedError,
    LayerExistsError,
    LayerInvalidDigestError,
    LayerService,
    UnknownUploadError,
)
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.layers import begin, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.together import together
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.promises import theorem
from layerstore_conformance.promises.interleaving import Gate, WriterResult, attempt, take_turns, write_somewhere
from layerstore_conformance.steps.expectations import expect_gone, expect_layer, expect_no_layer, expect_stored, fetched
from layerstore_conformance.steps.rivals import disturbed, finish
from layerstore_conformance.steps.watching import Trap, change, of, watched

if TYPE_CHECKING:
    from layerstore import LayerUpload
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"


@scenario("F1", "F4", "M4", kills=("moved-without-its-version",), rows=(120,))
def an_upload_written_to_during_its_finish_is_not_mistaken(ctx: Context) -> None:
    """If a rival resumes and writes to an upload between two calls of its finish, one of the two is refused.

    If both succeeded, a registry would answer 201 for a blob that does not match its digest.
    """
    other = ctx.payload("rival").read(5000)

    def rewrite(uuid: str) -> None:
        try:
            with ctx.service().resume("a", uuid) as rival:
                rival.seek(0)
                rival.write(other)
        except (UnknownUploadError, LayerClosedError):
            pass  # too late: it has become a blob

    met = disturbed(ctx, rewrite, finish)
    theorem.check_store(ctx.open())
    assert {"done", "FencedError"} <= {outcome for *_, outcome in met}, f"only {met}"
    for uuid, data, outcome in met:
        if outcome == "done":
            expect_layer(ctx, "a", data)
            continue
        assert not ctx.service().exists("a", digest(data)), "refused, and yet a layer"
        ctx.service().resume("a", uuid, offset=5000).finish(digest(other)).close()
        expect_layer(ctx, "a", other)


@scenario("F1", "F3", "M4", kills=("gone-upload-is-merely-fenced",), rows=(120, 123))
def an_upload_resumed_during_its_finish_has_one_owner(ctx: Context) -> None:
    """If an upload is resumed between two calls of its finish, exactly one of the two handles can finish it.

    The other handle's error says whether the upload is gone or was taken over.
    """
    taken: dict[str, LayerUpload] = {}

    def take_over(uuid: str) -> None:
        with suppress(UnknownUploadError):  # too late: it is finished
            taken[uuid] = ctx.service().resume("a", uuid)

    for uuid, data, outcome in disturbed(ctx, take_over, finish):
        if outcome != "done":
            taken[uuid].write(b"and more")
            taken[uuid].finish(digest(data + b"and more")).close()
            expect_layer(ctx, "a", data + b"and more")
        else:
            expect_layer(ctx, "a", data)
            if uuid in taken:
                with refused(UnknownUploadError, LayerClosedError):
                    with suppress(FencedError):  # clause F3: a write may raise it earlier, the close says why
                        taken[uuid].write(b"and more")
                    taken[uuid].close()
        expect_gone(ctx, "a", uuid)
    theorem.check_store(ctx.open())


@scenario("D3", "F2", "M3", kills=("cancelled-finish-leaves-its-intent",), rows=(149, 153))
def cancelling_during_a_finish_leaves_a_layer_or_nothing(ctx: Context) -> None:
    """If an upload is cancelled between two calls of its finish, its layer is there and whole, or the finish raises."""

    def cancel(uuid: str) -> None:
        with suppress(UnknownUploadError):  # too late: it is finished
            ctx.service().cancel("a", uuid)

    met = disturbed(ctx, cancel, finish)
    theorem.check_store(ctx.open())
    assert {"done", "UnknownUploadError"} == {outcome for *_, outcome in met}, f"only {met}"
    for uuid, data, outcome in met:
        expect_gone(ctx, "a", uuid)
        if outcome == "done":
            expect_layer(ctx, "a", data)
        else:
            assert not ctx.service().exists("a", digest(data)), "cancelled, and yet a layer"


@scenario("D3", "F2", kills=("cancelled-flush-leaves-its-state",), rows=(149, 153))
def cancelling_during_a_close_leaves_nothing(ctx: Context) -> None:
    """If an upload is cancelled between two calls of its close, nothing of it is left, and the close raises."""

    def write_and_close(upload: LayerUpload, data: bytes) -> None:
        with suppress(FencedError):  # clause F3: a write may raise it earlier, the close says why
            upload.write(data)
        upload.close()

    met = disturbed(ctx, lambda uuid: ctx.service().cancel("a", uuid), write_and_close)
    assert met, "no rival came between"
    for uuid, _, outcome in met:
        assert outcome == "UnknownUploadError", f"a cancelled upload was closed: {outcome}"
        expect_gone(ctx, "a", uuid)


@scenario("F2", "M2", "M3", kills=("finish-lost-to-another",), rows=(119, 157))
def two_finishing_with_one_digest_make_one_layer(ctx: Context) -> None:
    """If a rival finishes an upload between two calls of its finish, the layer is there, and the upload is gone."""

    def finish_too(uuid: str) -> None:
        data = next(data for data in payloads if digest(data) not in done)
        done.add(digest(data))
        with suppress(UnknownUploadError):  # too late: it is finished
            ctx.service().resume("a", uuid).finish(digest(data)).close()

    done: set[str] = set()
    payloads = [ctx.payload(f"disturbed-{index}").read(3000) for index in range(20)]
    for uuid, data, _ in disturbed(ctx, finish_too, finish):
        expect_layer(ctx, "a", data)
        expect_gone(ctx, "a", uuid)
    theorem.check_store(ctx.open())


@scenario("F4", "M2", "M4", kills=("linked-before-moved",), rows=(119, 120))
def two_finishing_with_two_digests_make_no_wrong_layer(ctx: Context) -> None:
    """If a rival rewrites and finishes an upload between two calls of its finish, exactly one of them succeeds.

    Whichever finish has returned, the layer under its digest has its bytes.
    """
    other = ctx.payload("rival").read(3000)
    done = []

    def finish_as_other(uuid: str) -> None:
        try:
            rival = ctx.service().resume("a", uuid)
            rival.seek(0)
            rival.write(other)
            rival.finish(digest(other)).close()
            done.append(uuid)
        except (UnknownUploadError, LayerClosedError):
            pass  # too late: it has become a blob

    met = disturbed(ctx, finish_as_other, finish)
    theorem.check_store(ctx.open())
    for uuid, data, outcome in met:
        assert (outcome == "done") != (uuid in done), f"{outcome}, and the rival {'too' if uuid in done else 'neither'}"
        expect_layer(ctx, "a", data if outcome == "done" else other)
        expect_gone(ctx, "a", uuid)


@scenario("F1", "F4", kills=("tarsum-is-pointed-elsewhere",), rows=(61, 121))
def a_tarsum_claimed_by_two_goes_to_one(ctx: Context) -> None:
    """If two archives with one tarsum are finished between each other's calls, one gets the name and keeps it."""
    first, second = archive("first", "second"), archive("second", "first")
    for index in itertools.count():
        name = f"turn-{index}"
        trap = Trap()
        uploads = [watched(ctx, trap).upload(name), ctx.service().upload(name)]
        for upload, data in zip(uploads, (first, second), strict=True):
            upload.write(data)
        trap.set(change(index), lambda rival=uploads[1]: rival.finish(tarsum_of(second)).close())  # type: ignore[misc]
        try:
            uploads[0].finish(tarsum_of(first)).close()
            assert not trap.sprung, "a tarsum was given to two"
            return
        except LayerExistsError:
            uploads[0].cancel()
        except AssertionError:
            if fetched(ctx, name, tarsum_of(first)) != second:
                raise


@scenario("T1", "F1", "F3", kills=("fenced-flush-is-silent", "writers-share-a-draft"), rows=(119, 120))
def writers_at_once_never_mix(ctx: Context) -> None:
    """If threads open one upload and rewrite it chunk by chunk, the last one to open it stores its bytes.

    Every other thread is refused, and nothing of its bytes is stored.
    """
    count = 4
    uuid = begin(ctx.service(), "a", b"")
    payloads = [ctx.payload(f"writer-{index}").read(4000) for index in range(count)]
    step = threading.Barrier(count, timeout=600)

    def write(index: int) -> bytes:
        with unbroken(step), ctx.service().resume("a", uuid) as upload:
            step.wait()
            for turn in range(count):
                upload.seek(1000 * ((index + turn) % count))  # each chunk has another last writer
                with suppress(FencedError):  # clause F3: a write may tell, the close does
                    upload.write(payloads[index][upload.tell() :][:1000])
                step.wait()
        return payloads[index]

    def told(index: int) -> bytes:
        try:
            return write(index)
        except FencedError:
            return b""

    stored = [data for data in together([lambda index=index: told(index) for index in range(count)]) if data]  # type: ignore[misc]
    assert len(stored) == 1, f"{len(stored)} of {count} writers finished: their bytes cannot all be stored"
    expect_stored(ctx, "a", uuid, stored[0])
    ctx.service().resume("a", uuid, offset=4000).finish(digest(stored[0])).close()
    expect_layer(ctx, "a", stored[0])


@contextmanager
def unbroken(step: threading.Barrier) -> Iterator[None]:
    """Ignore a barrier that a failed thread has broken."""
    try:
        yield
    except FencedError:
        raise
    except BaseException:
        step.abort()
        raise


@scenario("T1", "T2", kills=("handles-share-a-position",), rows=(118,))
def uploads_at_once_are_kept_apart(ctx: Context) -> None:
    """Layers uploaded in several threads through one service, chunk by chunk, are each whole."""
    service = ctx.service()
    payloads = [ctx.payload(f"thread-{index}").read(40_000 + index) for index in range(4)]

    def upload(data: bytes) -> None:
        mine = service.upload("a")
        for at in range(0, len(data), 9999):
            mine.write(data[at : at + 9999])
            mine.flush()
        mine.finish(digest(data)).close()

    together([lambda data=data: upload(data) for data in payloads])  # type: ignore[misc]
    for data in payloads:
        expect_layer(ctx, "a", data)
    assert list(ctx.service().uploads("a")) == []


@scenario("T2", "W7", kills=("handles-share-a-position",), rows=(122,))
def uploads_in_turns_are_kept_apart(ctx: Context) -> None:
    """Uploads of one service, written to in turns, never see each other's bytes, and end independently."""
    service = ctx.service()
    payloads = [ctx.payload(f"turn-{index}").read(6000) for index in range(3)]
    uploads = [service.upload("a") for _ in payloads]
    for at in range(0, 6000, 1500):
        for upload, data in zip(uploads, payloads, strict=True):
            upload.write(data[at : at + 1500])
    uploads[1].cancel()
    for index in (0, 2):
        uploads[index].finish(digest(payloads[index])).close()
        expect_layer(ctx, "a", payloads[index])


DEALS = 200
"""Deals of turns at most, until a finish was accepted, and another call refused."""


@scenario("F1", "F3", "F4", "M4", kills=("finish-does-not-verify", "wrong-digest-is-visible"), rows=(120, 50))
def writers_in_random_turns_keep_the_theorem(ctx: Context) -> None:
    """Two writers resume, write, flush and finish one upload in random turns, and every layer matches its digest."""
    outcomes: list[WriterResult] = []
    for deal in range(DEALS):
        if deal >= ctx.size(8) and _has_both(outcomes):
            break
        seed = ctx.seed * 1000 + deal
        name = f"turns-{seed}"
        uuid = begin(ctx.service(), name, ctx.payload("first").read(1500))
        ctx.step(f"turns as seed {seed} deals them")
        race = in_turns(ctx, name, uuid, seed)
        theorem.check_store(ctx.open())
        for each in race:
            each.check()
            for accepted in each.accepted:
                assert digest(fetched(ctx, name, accepted)) == accepted, f"seed {seed}"
        outcomes += race
    assert _has_both(outcomes), f"in {DEALS} deals there was no finish to prove anything, or no race"


def _has_both(outcomes: Sequence[WriterResult]) -> bool:
    return any(each.accepted for each in outcomes) and any(each.refused for each in outcomes)


def in_turns(ctx: Context, name: str, uuid: str, seed: int) -> list[WriterResult]:
    """Let two threads write to an upload, and let a random generator give them turns at every driver call."""
    pipes = [Pipe() for _ in range(2)]

    def write(index: int) -> None:
        ours, theirs = pipes[index]
        del ours
        service = watched(ctx, Gate(theirs))
        theirs.send(attempt(lambda: write_somewhere(service, name, uuid, 2 * seed + index)))

    threads = [threading.Thread(target=write, args=(index,)) for index in range(2)]
    for each in threads:
        each.start()
    try:
        return take_turns([ours for ours, _ in pipes], seed)
    finally:
        for each in threads:
            each.join()
        for end in itertools.chain(*pipes):
            end.close()


@scenario("R4", "M2", kills=("existing-blob-is-an-error",), rows=(117, 119))
def a_layer_read_while_it_is_uploaded_again_is_whole(ctx: Context) -> None:
    """A layer that is uploaded again, or unlinked, while it is read is read whole, or the read raises."""
    data = ctx.payload("read").read(200_000)
    store(ctx.service(), "a", data)
    layer = ctx.service().fetch("a", digest(data))
    found = layer.read(70_000)
    store(ctx.service(), "b", data)
    ctx.service().unlink("a", digest(data))
    try:
        found += layer.read()
    except BackendUnavailableError:
        found = data  # clause R4: it says so, instead of going on with something else
    layer.close()
    ctx.same(found, data, "a layer that was uploaded again while it was read")
    expect_layer(ctx, "b", data)


def take_over_there(driver: CheckedDriver, uuid: str, offset: int, data: bytes) -> None:
    """Resume an upload in another process, and write to it."""
    with LayerService(driver).resume("a", uuid, offset=offset) as upload:
        upload.write(data)


@scenario("C3", "F1", "F3", kills=("every-process-has-its-own",), rows=(120, 123), needs=("shared", "url"))
def an_upload_resumed_by_another_process_fences_this_one(ctx: Context) -> None:
    """If another process resumes an upload, the handle here is refused, and the upload has that process's bytes."""
    data = ctx.payload("processes").read(6000)
    upload = ctx.service().upload("a")
    upload.write(data[:2000])
    upload.flush()
    upload.write(b"of this process")
    with Elsewhere(ctx) as there:
        there.run(take_over_there, upload.uuid, 2000, data[2000:])
    for attempted in (upload.flush, lambda: upload.finish(digest(data)), upload.close):
        with refused(FencedError):
            attempted()
    ctx.service().resume("a", upload.uuid, offset=6000).finish(digest(data)).close()
    expect_layer(ctx, "a", data)


@scenario("T1", "W6", "M4", kills=("uploads-take-no-turns",), rows=(118, 142))
def what_is_written_in_the_middle_of_a_finish_is_not_hashed(ctx: Context) -> None:
    """A write to a handle in the middle of its own finish, by a signal handler say, never makes a wrong layer."""
    data, more = ctx.payload("finished").read(3000), ctx.payload("in-the-middle").read(1000)
    trap = Trap("after")
    upload = watched(ctx, trap).upload("a")

    def handle() -> None:
        with suppress(RuntimeError):
            upload.write(more)

    upload.write(data)
    upload.flush()
    trap.set(of("publish"), handle)
    with refused(LayerInvalidDigestError):
        upload.finish(digest(data + more))
    assert trap.sprung, "finish does not flush"
    expect_no_layer(ctx, "a", digest(data + more))
    upload.finish(digest(data)).close()
    expect_layer(ctx, "a", data)
