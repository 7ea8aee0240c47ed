"""Arguments: every name of the grammar is one, what makes no sense is refused, and an empty one is no missing one."""

from __future__ import annotations

import hashlib
import itertools
import string
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from layerstore import Digest, FencedError, InvalidNameError, LayerExistsError, LayerService, OffsetMismatchError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import begin, blob, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import expect_layer
from layerstore_conformance.steps.watching import Tally, watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layerstore_conformance.engine.context import Context

GROUP = "upload"

LONGEST: Final = 255
"""Characters of a name."""

KEPT: Final = "a--b/c__d/e.f_g-h---i/0/1-2__3.4"
"""A name with every separator."""


def _is_name(text: str) -> bool:
    """Return whether the OCI distribution specification's grammar has the name, found out without its expression.

    Components are joined by slashes. Each is letters and digits in lower case, joined by one dot, one or two
    underscores, or any number of dashes.
    """
    return all(_is_component(each) for each in text.split("/")) and len(text) <= LONGEST


def _is_component(text: str) -> bool:
    runs = ["".join(run) for _, run in itertools.groupby(text, lambda each: each in "._-")]
    if not text or len(runs) % 2 == 0 or runs[0][0] in "._-":
        return False
    joints = runs[1::2]
    words = "".join(runs[::2])
    return all(each in {".", "_", "__"} or set(each) == {"-"} for each in joints) and set(words) <= set(
        string.ascii_lowercase + string.digits
    )


def _texts() -> Iterator[str]:
    for length in range(1, 6):
        yield from map("".join, itertools.product("a._-/", repeat=length))
    for length in range(1, 4):
        yield from map("".join, itertools.product("az09A\u00e4-", repeat=length))
    yield from (KEPT, "a" * LONGEST, "a" * (LONGEST + 1), f"a{'-' * (LONGEST - 2)}b", f"a{'-' * (LONGEST - 1)}b")
    yield from ("a/" * 127 + "b", "a/" * 128 + "b", "a" * 128 + "/" + "b" * 126, "a" * 128 + "/" + "b" * 127)


@scenario(
    *("K1", "L1"),
    kills=("names-have-single-dashes", "names-have-one-underscore", "names-have-one-component", "names-end-in-a-dash"),
    rows=(20, 176),
)
def every_name_of_the_grammar_is_one(ctx: Context) -> None:
    """A repository may have every name of the OCI grammar and no other, and is listed by its name.

    Whoever pushes to a repository whose name other registries take must not be told that it is none.
    """
    tally = Tally.zero()
    service = watched(ctx, tally)
    for text in _texts():
        try:
            taken = service.upload(text).name == text
        except InvalidNameError:
            taken = False
        assert taken == _is_name(text), f"{text!r} is {'taken for a name' if taken else 'refused, and is a name'}"
    assert not tally.calls, f"a name reached the driver: {dict(tally.calls)}"
    data = ctx.payload("named").read(700)
    uuid = begin(ctx.service(), KEPT, data)
    store(ctx.service(), KEPT, data)
    expect_layer(ctx, KEPT, data)
    assert list(ctx.service().repositories()) == [KEPT]
    assert [(each.name, each.uuid) for each in ctx.service().uploads()] == [(KEPT, uuid)]
    assert [(each.name, str(each.digest)) for each in ctx.service().layers()] == [(KEPT, digest(data))]


POLICIES: Final[tuple[Any, ...]] = ("", "reed", "Resume", "REREAD", "resume ", "re", "resumereread", None, 0, 1, True)
"""What is no policy."""


@scenario(*("O1", "E4"), kills=("any-policy-is-taken", "rereading-is-resuming", "untagged-goes-alone"), rows=(12, 166))
def a_choice_that_there_is_not_is_refused(ctx: Context) -> None:
    """A policy that there is not, and a choice that goes with another one only, is refused before the driver is asked.

    A misspelt policy that is taken for the default verifies less than its user believes.
    """
    for each in POLICIES:
        with refused(ValueError):
            LayerService(ctx.driver, verify=each)
    for policy in ("resume", "reread"):
        assert LayerService(ctx.driver, verify=policy).verify == policy, f"{policy} is not taken"
    store(ctx.service(), "a", b"unlinked")
    ctx.service().unlink("a", digest(b"unlinked"))
    before = ctx.stored()
    tally = Tally.zero()
    service = watched(ctx, tally)
    for dry_run in (True, False):
        for grace in (None, timedelta(0)):
            with refused(ValueError):
                service.collect(untagged=True, dry_run=dry_run, grace=grace)
    with refused(ValueError):
        service.collect(untagged=True, ignore_foreign=True)
    assert not tally.calls, f"a choice that was refused reached the driver: {dict(tally.calls)}"
    assert ctx.stored() == before, "a collection that was refused has deleted something"


@scenario(
    *("M4", "E4", "R2"),
    kills=("an-empty-version-is-any", "no-grace-is-the-default", "no-offset-is-any", "no-limit-is-any"),
    rows=(12, 48, 62),
)
def an_empty_argument_is_no_missing_one(ctx: Context) -> None:
    """A version of no characters, an offset, a limit or a grace of 0 means that, and not that none was given.

    What a caller reads from a database or a header may be empty, and must not switch the check off.
    """
    data = ctx.payload("empty").read(700)
    ctx.driver.put("key", data)
    with refused(FencedError):
        ctx.driver.move("key", "target", version="")
    assert ctx.stored() == ["key"], "a move at an empty version was done"
    ctx.same(ctx.driver.get("key", 0), b"", "of at most 0 bytes")
    with ctx.driver.open_reader("key") as reader:
        ctx.same(reader.read(0) or b"", b"", "a read of 0 bytes")
        ctx.same(reader.read(-1) or b"", data, "a read of everything")
    store(ctx.service(), "a", data)
    uuid = begin(ctx.service(), "a", data)
    with refused(OffsetMismatchError) as refusal:
        ctx.service().resume("a", uuid, offset=0)
    assert (refusal.error.expected, refusal.error.actual) == (0, len(data)), str(refusal.error)
    ctx.service().cancel("a", uuid)
    assert list(ctx.service().repositories(after="")) == ["a"]
    ctx.service().unlink("a", digest(data))
    soon = datetime.now(UTC) + timedelta(minutes=30)  # a backend's clock may be another one
    assert ctx.service().collect(now=soon).removed == [], "a blob that is younger than an hour was collected"
    assert ctx.service().collect(now=soon, grace=timedelta(0)).removed, (
        "nothing was collected, though there is no grace"
    )
    assert ctx.driver.find(blob(data)) is None, "a blob that nobody links, and no grace protects, is there"


@scenario(
    *("K1", "R1"),
    kills=("an-unlink-takes-text-only", "a-finish-takes-text-only", "an-expected-digest-is-text"),
    rows=(141, 155, 156),
)
def a_digest_may_be_given_as_one(ctx: Context) -> None:
    """Every method that takes a digest's text takes a ``Digest``, too, of each algorithm, and means the same layer."""
    data = ctx.payload("digest").read(700)
    for algorithm in ("sha256", "sha512"):
        given = Digest.parse(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")
        ctx.step(algorithm)
        service = ctx.service()
        upload = service.upload("a", expected=given)
        upload.write(data)
        for layer in (upload.finish(given), service.fetch("a", given), service.mount("b", given, source="a")):
            assert layer.digest == given, f"the digest of a layer is {layer.digest!r}"
            ctx.same(layer.read(), data, f"a layer of {given}")
            layer.close()
        assert service.exists("a", given), f"{given} is not there"
        assert service.renew("b", given), f"{given} is not renewed"
        service.redirect_url("a", given)
        with refused(LayerExistsError):
            service.upload("a", expected=given)
        for name in "ab":
            service.unlink(name, given)
            assert not service.exists(name, str(given)), f"{given} was unlinked, and is there"


GIVEN: Final = (
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "0190163d-8694-739b-aea5-966c26f8ad91",
)
"""Upload ids: UUIDs of any version."""


@scenario("K1", "L1", kills=("a-given-id-is-not-taken", "ids-are-of-version-4"), rows=(128, 130))
def an_upload_has_the_id_that_it_was_given(ctx: Context) -> None:
    """An upload that is begun by an id has that id, whatever version of UUID it is, and goes on by it."""
    data = ctx.payload("id").read(700)
    for uuid in GIVEN:
        assert ctx.service().begin("a", uuid=uuid).uuid == uuid
    assert sorted(each.uuid for each in ctx.service().uploads("a")) == sorted(GIVEN)
    assert (ctx.service().status("a", GIVEN[1]).uuid, ctx.service().status("a", GIVEN[1]).offset) == (GIVEN[1], 0)
    upload = ctx.service().resume("a", GIVEN[1], offset=0)
    assert upload.uuid == GIVEN[1]
    upload.write(data)
    upload.finish(digest(data)).close()
    expect_layer(ctx, "a", data)
