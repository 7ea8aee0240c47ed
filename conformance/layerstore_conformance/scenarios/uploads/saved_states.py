"""Saved hash states: a missing, damaged, stale or foreign one costs a reading, and never a wrong layer."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from layerstore import layout
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import begin
from layerstore_conformance.kit.odd_json import ODD, OTHER_TYPES
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.expectations import expect_stored, finish_resumed
from layerstore_conformance.steps.watching import Trap, fail, of, watched

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "resume"
IDS = "resuming"


@scenario("D1", "P1", kills=("state-is-demanded",), rows=(159,))
def a_missing_state_is_no_error(ctx: Context) -> None:
    """An upload whose saved hash state is missing goes on all the same, and its layer is right."""
    data = ctx.payload("missing").read(7000)
    uuid = begin(ctx.service(), "a", data[:5000])
    ctx.open().delete(layout.UploadKeys("a", uuid).state)
    finish_resumed(ctx, uuid, data[:5000], data[5000:])


@scenario("P1", "R5", kills=("state-is-not-checked", "state-is-demanded"), rows=(159,))
def a_damaged_state_is_not_trusted(ctx: Context) -> None:
    """An upload whose saved hash state is damaged, in any place, goes on, and its layer is right."""
    data = ctx.payload("damaged").read(7000)
    uuid = begin(ctx.service(), "a", data[:5000])
    state = ctx.open().get(layout.UploadKeys("a", uuid).state, 1 << 16) if sha256_is_saved(ctx, uuid) else b"{}"
    places = [state.find(b"c2hhA") + 20]  # in the chaining value, after its magic in base64: only a checksum shows it
    places += ctx.random.sample(range(len(state)), min(len(state), 8))
    flipped = [state[:at] + bytes([state[at] ^ 3]) + state[at + 1 :] for at in places if at < len(state)]
    for each in (b"", b"\xff\x00", b"null", state[:-1], bytes(len(state)), *flipped):
        ctx.open().put(layout.UploadKeys("a", uuid).state, each)
        upload = ctx.service().resume("a", uuid, offset=5000)
        assert str(upload.digest()) == digest(data[:5000]), f"with the state {each[:200]!r}"
    finish_resumed(ctx, uuid, data[:5000], data[5000:])


def sha256_is_saved(ctx: Context, uuid: str) -> bool:
    """Return whether a hash state was saved with an upload; without libcrypto none is."""
    return ctx.open().find(layout.UploadKeys("a", uuid).state) is not None


@scenario("S2", "P1", kills=("state-of-another-version-trusted",), rows=(159,))
def a_stale_state_is_not_trusted(ctx: Context) -> None:
    """A saved hash state from before the bytes changed is not trusted: the layer is right.

    A node may die between storing bytes and saving the state that describes them.
    """
    data, other = ctx.payload("before").read(5000), ctx.payload("after").read(5000)
    uuid = begin(ctx.service(), "a", data)
    stale = ctx.open().get(layout.UploadKeys("a", uuid).state, 1 << 16) if sha256_is_saved(ctx, uuid) else b"{}"
    with ctx.service().resume("a", uuid) as upload:
        upload.seek(1000)
        upload.write(other[1000:2000])
    ctx.open().put(layout.UploadKeys("a", uuid).state, stale)
    finish_resumed(ctx, uuid, data[:1000] + other[1000:2000] + data[2000:], other[:100])


@scenario("S2", "P1", kills=("state-of-another-version-trusted",), rows=(159,))
def a_foreign_state_is_not_trusted(ctx: Context) -> None:
    """The saved hash state of another upload, of the same size and well formed, is not trusted."""
    mine, foreign = ctx.payload("mine").read(5000), ctx.payload("foreign").read(5000)
    uuid, other = (begin(ctx.service(), "a", data) for data in (mine, foreign))
    if sha256_is_saved(ctx, other):
        ctx.open().put(layout.UploadKeys("a", uuid).state, ctx.open().get(layout.UploadKeys("a", other).state, 1 << 16))
    finish_resumed(ctx, uuid, mine, foreign[:100])


@scenario("P2", "E4", kills=("unsaved-state-is-an-error",), rows=(174,))
def a_state_that_cannot_be_saved_is_no_error(ctx: Context) -> None:
    """An upload whose hash state could not be saved is stored all the same, and its layer is right."""
    data = ctx.payload("unsaved").read(6000)
    trap = Trap()
    upload = watched(ctx, trap).upload("a")
    upload.write(data[:4000])
    trap.set(of("put", "/state"), fail)
    upload.close()
    expect_stored(ctx, "a", upload.uuid, data[:4000])
    finish_resumed(ctx, upload.uuid, data[:4000], data[4000:])


def _checked(body: dict[str, object]) -> bytes:
    """Write a document as a saved state is written, whatever it holds."""
    checksum = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()
    return json.dumps(body | {"checksum": checksum}).encode("ascii")


@scenario("P1", "R5", kills=("odd-state-is-an-error", "state-at-any-offset"), rows=(159,))
def a_state_of_another_form_is_not_trusted(ctx: Context) -> None:
    """An upload whose saved hash state is other JSON, or has members of other types, goes on, and its layer is right.

    So it does if the checksum is right: another version of this program may have saved it.
    """
    data = ctx.payload("odd").read(7000)
    uuid = begin(ctx.service(), "a", data[:5000])
    key, odd = layout.UploadKeys("a", uuid).state, dict(ODD)
    if sha256_is_saved(ctx, uuid):
        body = json.loads(ctx.open().get(key, 1 << 16))
        del body["checksum"]
        ((offset, state), *_) = body["states"]
        for member in body:
            odd |= {f"{member} {value!r}": _checked(body | {member: value}) for value in OTHER_TYPES}
            odd[f"no {member}"] = _checked({name: value for name, value in body.items() if name != member})
        places = [[value, state] for value in (*OTHER_TYPES, 0, -1, offset + 1, 1 << 70)]
        states = [*OTHER_TYPES, *places, *([offset, value] for value in OTHER_TYPES), [offset], [offset, state, state]]
        odd |= {f"states [{each!r}]": _checked(body | {"states": [each]}) for each in states}
    for index in ctx.sample(range(len(odd)), len(odd)):
        what, document = list(odd.items())[index]
        ctx.driver.put(key, document)
        upload = ctx.service().resume("a", uuid, offset=5000)
        assert str(upload.digest()) == digest(data[:5000]), f"with the state {what}"
    finish_resumed(ctx, uuid, data[:5000], data[5000:])
