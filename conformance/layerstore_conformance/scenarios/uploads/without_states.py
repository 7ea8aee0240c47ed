"""Without states: uploads of a process whose hash gives out no state, alone and in turns with one whose hash does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from layerstore import LayerInvalidDigestError, LayerService, layout
from layerstore.hashing import sha256
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.steps.expectations import expect_gone, expect_layer

if TYPE_CHECKING:
    from layerstore import Verify
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "resume"

KIB, MIB = 1 << 10, 1 << 20


def give_out_no_state() -> None:
    """Have the hash of this process, which has not been used yet, give out no state: there is no usable libcrypto."""
    os.environ["LAYERSTORE_HASH"] = "hashlib"
    assert not sha256.exportable(), "the hash of this process was chosen before"


SIZES = (0, 700, 70_001, MIB + 300_007)
"""Bytes: gathered, hashed together, and hashed by a thread."""


def rewinds(size: int) -> Iterator[tuple[int, int]]:
    """Yield where an upload of so many bytes goes back to, and how many bytes it writes there."""
    for at in sorted({0, 64 * KIB, size // 2, max(0, size - 1), size, size + 1000}):
        if at <= size + 1000:
            yield at, 700
    if size > MIB:
        yield MIB, 300_000


def upload_everything(driver: CheckedDriver, seed: int) -> int:
    """Upload in many ways, and check every digest; return how many layers there are."""
    give_out_no_state()
    made = 0
    ways: tuple[tuple[Verify, bool], ...] = (("resume", False), ("resume", True), ("reread", False))
    for verify, flushed in ways:
        service = LayerService(driver, verify=verify)
        for size in SIZES:
            for at, count in rewinds(size) if verify == "resume" else [(size // 2, 700)]:
                _upload(service, Random(seed + made).randbytes(size + count), size, at, flushed=flushed)
                made += 1
    return made


def _upload(service: LayerService, source: bytes, size: int, at: int, *, flushed: bool) -> None:
    """Write, go back, write over it, resume perhaps, and finish by a wrong digest and by the right one."""
    data, over = source[:size], source[size:]
    upload = service.upload("a")
    for start in range(0, size, 600_000):
        upload.write(data[start : start + 600_000])
        if flushed:
            upload.flush()
    _expect_digest(str(upload.digest()), data)
    upload.seek(at)
    upload.write(over)
    whole = data[:at].ljust(at, b"\0") + over + data[at + len(over) :]
    _expect_digest(str(upload.digest()), whole)
    if flushed:
        upload.close()
        assert service.driver.find(layout.UploadKeys("a", upload.uuid).state) is None, "a state is saved"
        upload = service.resume("a", upload.uuid, offset=len(whole))
        upload.write(b"and more")
        whole += b"and more"
    with refused(LayerInvalidDigestError):
        upload.finish(digest(b"something else"))
    with upload.finish(digest(whole), len(whole)) as layer:
        found = layer.read()
    _expect_digest(f"sha256:{hashlib.sha256(found).hexdigest()}", whole)


def _expect_digest(found: str, data: bytes) -> None:
    assert found == digest(data), f"{len(data)} bytes have the digest {digest(data)}, not {found}"


@scenario(
    *("W6", "S2", "M4"),
    kills=("every-state-is-exported", "copies-of-a-hash-are-one"),
    rows=(142, 159),
    profile="default",
    needs=("url",),
)
def an_upload_without_a_hash_state_is_hashed_all_the_same(ctx: Context) -> None:
    """In a process whose hash gives out no state, uploads are written, rewound, resumed and finished as in any other.

    Python may be built without OpenSSL, or with one that hides its functions. Then bytes are read back instead.
    """
    with Elsewhere(ctx) as there:
        ctx.count("layers", there.run(upload_everything, ctx.seed))


def go_on_there(driver: CheckedDriver, uuid: str, at: int, data: bytes) -> str:
    """Resume an upload without a state, write at an offset, and close it; return the digest before that."""
    give_out_no_state()
    with LayerService(driver).resume("a", uuid) as upload:
        upload.seek(at)
        upload.write(data)
        return str(upload.digest())


@scenario(
    *("S2", "C3", "W6"),
    kills=("every-state-is-exported",),
    rows=(123, 159),
    needs=("url", "shared", "hash_state"),
)
def an_upload_in_turns_with_a_process_without_states_has_the_digest_of_its_bytes(ctx: Context) -> None:
    """An upload that goes on in a process without hash states, and then here, has the digest of its bytes.

    The state that was saved here describes bytes which the other process has written over.
    """
    data = ctx.payload("turns").read(300_000)
    with Elsewhere(ctx) as there:
        for at in (300_000, 150_000, 0):
            upload = ctx.service().upload("a")
            upload.write(data)
            upload.close()
            whole = data[:at] + b"written there" + data[at + 13 :]
            assert there.run(go_on_there, upload.uuid, at, b"written there") == digest(whole), "the digest there"
            upload = ctx.service().resume("a", upload.uuid, offset=len(whole))
            assert str(upload.digest()) == digest(whole), "the digest here is that of other bytes"
            upload.write(b"and here")
            upload.finish(digest(whole + b"and here")).close()
            expect_layer(ctx, "a", whole + b"and here")
            expect_gone(ctx, "a", upload.uuid)
