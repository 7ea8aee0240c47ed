"""Security: hostile names, digests and ids never reach storage, and no repository sees into another."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from layerstore import (
    InvalidDigestError,
    InvalidNameError,
    InvalidUploadIDError,
    UnknownLayerError,
    UnknownUploadError,
    UnsupportedDigestError,
    UnsupportedTarSumVersionError,
    layout,
)
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import begin, link, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import expect_layer, expect_stored, fetched
from layerstore_conformance.steps.watching import Tally, watched

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "security"

UUID = "01234567-89ab-4cde-8f01-23456789abcd"
DIGEST = f"sha256:{'0' * 64}"

NAMES = (
    *("", "/", ".", "..", "../a", "a/../b", "a/..", "a/./b", "/a", "a/", "a//b", "..%2fa", "%2e%2e/a", "a\\..\\b"),
    *("A", "a/B", "_layers", "a/_uploads/b", "a/_layers", "-a", "a-", "a.", ".a", "a..b", "a__.b", "a b", "a\n", "\na"),
    *("a\0", "a\0b", "\u00e4", "\u0430", "a\u0301", "\uff0e\uff0e/a", "a\u2028", "\ud800", "a:b", "a@b", "a?b", "~a"),
    *("n" * 256, "a/" * 128 + "b"),
)
"""Texts that are no repository name: ways out of the root, into the layout, around the grammar."""

ZEROS = "0" * 62

DIGESTS = (
    *("", ":", "sha256", "sha256:", f":{ZEROS}00", f"sha256:{ZEROS}0", f"sha256:{ZEROS}000", f"sha256:{ZEROS}AA"),
    *("sha256:../../../etc/passwd", f"sha256:{'../' * 21}0", f"sha256:{ZEROS}/0", f"{DIGEST}\n", f"sha256:{ZEROS}0\0"),
    *(f"sha256:{chr(0x660) * 64}", f" {DIGEST}", f"{DIGEST} ", f"SHA256:{ZEROS}00", f"../sha256:{ZEROS}00"),
    *(f"sha512:{ZEROS}00", f"sha384:{ZEROS * 2}0000", f"sha256/../..:{ZEROS}00"),
)
"""Texts that are no digest."""

UNSUPPORTED = ("md5:" + "0" * 32, "sha1:" + "0" * 40, "sha512-256:" + "0" * 64, "blake3:" + "0" * 64)
"""Digests of algorithms that are not verified."""

TARSUMS = tuple(f"{label}+sha256:{'0' * 64}" for label in ("tarsum", "tarsum.v0", "tarsum.v2", "tarsum.dev"))
"""Tarsums of versions that are not verified."""

UUIDS = (
    *("", ".", "..", "../" + UUID, UUID + "/..", UUID + "/data", UUID.upper(), UUID.replace("-", ""), UUID[:-1]),
    *(UUID + "0", UUID + "\n", UUID.replace("0", "\u0660"), "{" + UUID + "}", "urn:uuid:" + UUID, "%2e%2e", "\0"),
)
"""Texts that are no upload id."""


@scenario("K1", kills=("name-is-not-checked",), rows=(20, 176, 177, 178))
def a_hostile_name_never_reaches_storage(ctx: Context) -> None:
    """Every method refuses a text that is no repository name, without a single driver call.

    A name becomes part of a path: a hostile one would read and write outside the store.
    """
    tally = Tally.zero()
    service = watched(ctx, tally)
    for name in NAMES:
        for attempt in (
            lambda name=name: service.exists(name, DIGEST),
            lambda name=name: service.renew(name, DIGEST),
            lambda name=name: service.fetch(name, DIGEST),
            lambda name=name: service.redirect_url(name, DIGEST),
            lambda name=name: service.begin(name),
            lambda name=name: service.upload(name),
            lambda name=name: service.upload(name, expected=DIGEST),
            lambda name=name: service.resume(name, UUID),
            lambda name=name: service.status(name, UUID),
            lambda name=name: service.cancel(name, UUID),
            lambda name=name: service.unlink(name, DIGEST),
            lambda name=name: service.mount(name, DIGEST, source="a"),
            lambda name=name: service.mount("a", DIGEST, source=name),
            lambda name=name: list(service.layers(name)),
            lambda name=name: list(service.uploads(name)),
            lambda name=name: service.purge(timedelta(0), name=name),
            lambda name=name: list(service.scrub(name=name)),
        ):
            with refused(InvalidNameError):
                attempt()
            assert not tally.calls, f"{name!r} reached the driver: {dict(tally.calls)}"


@scenario("K1", kills=("digest-is-not-checked",), rows=(176, 182))
def a_hostile_digest_never_reaches_storage(ctx: Context) -> None:
    """Every method refuses a text that is no digest, without a single driver call."""
    tally = Tally.zero()
    service = watched(ctx, tally)
    for each in (*DIGESTS, *UNSUPPORTED, *TARSUMS):
        for attempt in (
            lambda each=each: service.exists("a", each),
            lambda each=each: service.renew("a", each),
            lambda each=each: service.redirect_url("a", each),
            lambda each=each: service.fetch("a", each),
            lambda each=each: service.upload("a", expected=each),
            lambda each=each: service.unlink("a", each),
            lambda each=each: service.mount("b", each, source="a"),
        ):
            with refused(InvalidDigestError):
                attempt()
            assert not tally.calls, f"{each!r} reached the driver: {dict(tally.calls)}"


@scenario("K1", kills=("digest-is-not-checked",), rows=(182,))
def an_unsupported_digest_ends_no_upload(ctx: Context) -> None:
    """A finish by a malformed or unsupported digest raises an error that names it, and the upload can go on."""
    data = ctx.payload("unsupported").read(2000)
    tally = Tally.zero()
    upload = watched(ctx, tally).upload("a")
    upload.write(data)
    tally.forget()
    for kind, digests in (
        (InvalidDigestError, DIGESTS),
        (UnsupportedDigestError, UNSUPPORTED),
        (UnsupportedTarSumVersionError, TARSUMS),
    ):
        for each in digests:
            with refused(kind) as refusal:
                upload.finish(each)
            assert (type(refusal.error), refusal.error.text) == (kind, each)
    assert not tally.calls, f"a digest reached the driver: {dict(tally.calls)}"
    upload.finish(digest(data)).close()
    expect_layer(ctx, "a", data)


@scenario("K1", kills=("id-is-not-checked", "an-empty-id-is-a-new-one"), rows=(176, 130))
def a_hostile_upload_id_never_reaches_storage(ctx: Context) -> None:
    """Every method refuses a text that is no upload id, without a single driver call."""
    tally = Tally.zero()
    service = watched(ctx, tally)
    for uuid in UUIDS:
        for attempt in (
            lambda uuid=uuid: service.resume("a", uuid),
            lambda uuid=uuid: service.resume("a", uuid, offset=0),
            lambda uuid=uuid: service.status("a", uuid),
            lambda uuid=uuid: service.cancel("a", uuid),
            lambda uuid=uuid: service.begin("a", uuid=uuid),
        ):
            with refused(InvalidUploadIDError):
                attempt()
            assert not tally.calls, f"{uuid!r} reached the driver: {dict(tally.calls)}"


@scenario("K3", kills=("repository-is-ignored-by-fetch", "repository-is-ignored-by-exists"), rows=(179,))
def a_layer_is_seen_in_its_own_repository_alone(ctx: Context) -> None:
    """A layer of one repository is unknown in every other, also in one whose name begins with the same letters.

    A client that may pull from one repository must not thereby pull from all.
    """
    data = ctx.payload("secret").read(3000)
    store(ctx.service(), "team/secret", data)
    for name in ("team", "team/secret/sub", "team/secre", "team/secrets", "other", "team-secret"):
        assert not ctx.service().exists(name, digest(data)), f"seen in {name}"
        for attempt in (ctx.service().fetch, ctx.service().unlink):
            with refused(UnknownLayerError) as refusal:
                attempt(name, digest(data))
            assert (refusal.error.name, refusal.error.fs_layer.blob_sum) == (name, digest(data))
        assert list(ctx.service().layers(name)) == []
    expect_layer(ctx, "team/secret", data)


@scenario("K3", kills=("repository-is-ignored-by-resume",), rows=(179,))
def an_upload_is_seen_in_its_own_repository_alone(ctx: Context) -> None:
    """An upload of one repository can be neither resumed nor cancelled through another."""
    data = ctx.payload("secret").read(3000)
    uuid = begin(ctx.service(), "team/secret", data)
    for name in ("team", "team/secret/sub", "team/secrets", "other"):
        for attempt in (ctx.service().resume, ctx.service().cancel):
            with refused(UnknownUploadError):
                attempt(name, uuid)
        assert list(ctx.service().uploads(name)) == []
    expect_stored(ctx, "team/secret", uuid, data)


@scenario("P1", "R1", kills=("link-is-followed-anywhere",), rows=(179, 182))
def a_link_leads_to_nothing_but_its_layer(ctx: Context) -> None:
    """A link whose text names another layer, or something outside the store, is no layer.

    An attacker who can write one key of a backend must not thereby serve other bytes under a digest.
    """
    data, other = ctx.payload("linked").read(2000), ctx.payload("other").read(2000)
    for each in (data, other):
        store(ctx.service(), "a", each)
    for text in (digest(other), "sha256:" + "../" * 21 + "0", f"sha512:{'0' * 128}", "md5:" + "0" * 32):
        ctx.open().put(link("a", digest(data)), text.encode())
        assert not ctx.service().exists("a", digest(data)), f"with the link {text!r}"
        with refused(UnknownLayerError):
            ctx.service().fetch("a", digest(data))
        assert [str(info.digest) for info in ctx.service().layers("a")] == [digest(other)]
    expect_layer(ctx, "a", other)


@scenario("L1", "P1", kills=("foreign-keys-are-an-error", "listing-takes-away"), rows=(182,))
def what_others_left_in_the_layout_is_passed_over(ctx: Context) -> None:
    """Keys that other programs left among layers and uploads break no listing, and are neither layer nor upload."""
    data = ctx.payload("ours").read(2000)
    store(ctx.service(), "a", data)
    uuid = begin(ctx.service(), "a", data)
    for key in (
        f"{layout.layers('a')}/sha256/short/link",
        f"{layout.layers('a')}/sha256/{'0' * 64}/link.tmp",
        f"{layout.layers('a')}/md5/{'0' * 32}/link",
        f"{layout.uploads('a')}/not-an-id/startedat",
        f"{layout.uploads('a')}/{UUID}/data",
        f"{layout.REPOSITORIES}/a/_manifests/tags/latest/current/link",
    ):
        ctx.open().put(key, b"of another program")
    before = ctx.stored()
    assert [str(info.digest) for info in ctx.service().layers()] == [digest(data)]
    assert [info.uuid for info in ctx.service().uploads()] == [uuid]
    assert list(ctx.service().repositories()) == ["a"]
    assert ctx.stored() == before, "a listing changed the store"
    with refused(UnknownUploadError):
        ctx.service().resume("a", UUID)


@scenario("P1", "S1", kills=("foreign-keys-are-an-error",), rows=(182,))
def an_unreadable_start_is_no_error(ctx: Context) -> None:
    """An upload is resumed and finished though its start time is unreadable, or was written by another program."""
    data = ctx.payload("start").read(2000)
    for text in (
        b"",
        b"\xff\xfe",
        b"yesterday",
        b"2015-02-30T00:00:00Z",
        b"9" * 5000,
        b"2015-01-27T14:05:33.123+01:00",
    ):
        uuid = begin(ctx.service(), "a", data)
        ctx.open().put(layout.UploadKeys("a", uuid).started_at, text)
        assert [info.started_at.utcoffset() is not None for info in ctx.service().uploads("a")] == [True]
        upload = ctx.service().resume("a", uuid, offset=2000)
        assert upload.started_at.utcoffset() is not None
        assert str(upload.digest()) == digest(data)
        if text == b"yesterday":
            upload.finish(digest(data)).close()
        upload.cancel()
    ctx.same(fetched(ctx, "a", digest(data)), data, "the layer")
