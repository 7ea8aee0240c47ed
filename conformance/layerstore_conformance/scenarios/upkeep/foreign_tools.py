"""Purge, scrub, collect and listings in a store with foreign things, which no tool understands."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from layerstore import Foreign, LayerService, MarkingIncompleteError, layout
from layerstore.layout import UploadKeys
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import begin, blob, link, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.ages import SMALL, WEEK, later
from layerstore_conformance.steps.expectations import expect_gone, expect_layer, expect_stored

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "upkeep"


def used_store(ctx: Context) -> tuple[str, str, str]:
    """Store a linked layer, a blob without a link and an upload; return the two digests and the upload's id."""
    data, unused = ctx.payload("used").read(SMALL), ctx.payload("unused").read(SMALL)
    store(ctx.service(), "a/b", data)
    ctx.open().put(blob(unused), unused)
    return digest(data), digest(unused), begin(ctx.service(), "a/b", b"an upload")


def places(linked: str, uuid: str) -> list[str]:
    """Return the prefixes below which something may refer to a blob."""
    repository = f"{layout.REPOSITORIES}/a/b"
    return [
        *(layout.REPOSITORIES, f"{layout.REPOSITORIES}/a", repository),
        *(layout.layers("a/b"), layout.links("a/b", "sha256"), link("a/b", linked).removesuffix("/link")),
        *(f"{repository}/_manifests", f"{repository}/_manifests/revisions/sha256", f"{layout.REPOSITORIES}/empty"),
        *(layout.uploads("a/b"), UploadKeys("a/b", uuid).prefix, UploadKeys("a/b", uuid).intents),
    ]


def empty(ctx: Context, place: str) -> list[str]:
    """Return a prefix and the prefixes above it, as far as they hold no object, and so count as foreign themselves."""
    prefixes = [place.rsplit("/", depth)[0] for depth in range(place.count("/"))]
    return [f"{prefix}/" for prefix in prefixes if not ctx.stored(prefix)]


def expect_there(ctx: Context, place: str, names: list[str]) -> None:
    """Check that the foreign things below a prefix are still there."""
    found = [each.name for each in ctx.open().scan(place) if isinstance(each, Foreign)]
    assert sorted(found) == names, f"of {names} there are {sorted(found)}"


@scenario(
    "L6",
    "D5",
    kills=("gc-passes-over-what-is-foreign",),
    profile="default",
)
def a_collection_that_does_not_understand_everything_deletes_nothing(ctx: Context) -> None:
    """If a foreign thing may refer to a blob, a collection is refused, and its error names one such thing.

    A repository that is a link to another disk is in use all the same.
    """
    linked, _, uuid = used_store(ctx)
    before = ctx.stored()
    for place in places(linked, uuid):
        with ctx.foreign(place) as names:
            for dry_run in (True, False):
                with refused(MarkingIncompleteError) as refusal:
                    ctx.service().collect(now=later(), dry_run=dry_run)
                said = str(refusal.error)
                told = [name for name in (*names, *empty(ctx, place)) if name in said or repr(name)[1:-1] in said]
                assert told, f"{said!r} names none of {names}"
            expect_there(ctx, place, names)
        assert ctx.stored() == before, "a collection that was refused has deleted something"


@scenario("L6", "D5", kills=("gc-never-ignores-what-is-foreign",))
def a_collection_may_be_made_to_go_on(ctx: Context) -> None:
    """With ``ignore_foreign`` a collection passes over foreign things, and leaves them in place."""
    data = ctx.payload("used").read(SMALL)
    linked, unused, uuid = used_store(ctx)
    place = f"{layout.REPOSITORIES}/a"
    with ctx.foreign(place) as names:
        report = ctx.service().collect(now=later(), ignore_foreign=True)
        assert [str(each.digest) for each in report.removed] == [unused], f"removed were {report.removed}"
        expect_there(ctx, place, names)
        expect_layer(ctx, "a/b", data)
    ctx.service().cancel("a/b", uuid)
    assert ctx.stored() == [blob(data), link("a/b", linked)]


PLACES = (
    *(
        "_layers/sha256/{:064x}",
        "_layers/sha384/{:096x}",
        "_layers/sha512/{:0128x}",
        "_layers/tarsum/v1/sha256/{:064x}",
    ),
    *("_manifests/revisions/sha256/{:064x}", "_manifests/revisions/sha512/{:0128x}", "_manifests/tags/latest/current"),
    *("_manifests/tags/latest/index/sha256/{:064x}", "_manifests/tags/v1/index/sha512/{:0128x}"),
    "_manifests/revisions/sha256/{:064x}/signatures/sha256/{:064x}",
)
"""Where a registry has a link, each below its repository."""


@scenario("L6", "D5", kills=("long-links-are-no-links", "links-below-a-link-are-links"), profile="default")
def objects_below_the_place_of_a_link_stop_a_collection(ctx: Context) -> None:
    """If objects lie where a link should be, as below a folder of its name, a collection is refused and names it.

    The link that should be there may keep a blob in use. A scrub reports the place as harm.
    """
    linked, unused, _ = used_store(ctx)
    for number, (place, below) in enumerate(zip(PLACES, itertools.cycle(("sha256", "link", "a/b", "0/link")))):
        key = f"{layout.REPOSITORIES}/a/b/{place.format(number + 1, number)}/link"
        ctx.driver.put(f"{key}/{below}", unused.encode())
        with refused(MarkingIncompleteError) as refusal:
            ctx.service().collect(now=later())
        assert key in str(refusal.error), f"{refusal.error!s} does not name {key}"
        harm = [each.key for each in ctx.service().scrub() if each.harmful]
        assert [each.rstrip("/") for each in harm] == [key], f"a scrub tells of {harm}, and not of {key}"
        ctx.driver.delete(key)
    assert [str(each.digest) for each in ctx.service().collect(now=later()).removed] == [unused]
    expect_layer(ctx, "a/b", ctx.payload("used").read(SMALL))
    assert ctx.service().exists("a/b", linked)


@scenario("L6", kills=("scrub-passes-over-what-is-foreign",))
def a_scrub_reports_what_it_does_not_understand(ctx: Context) -> None:
    """A scrub reports each foreign thing in a repository as harm, and goes on."""
    linked, _, uuid = used_store(ctx)
    for place in places(linked, uuid):
        with ctx.foreign(place) as names:
            found = list(ctx.service().scrub())
            told = {each.key for each in found if each.harmful}
            if nothing_else := empty(ctx, place):  # then one of them stands for all
                assert told & {*names, *nothing_else}, f"none of {names} is reported as harm"
            else:
                assert told >= set(names), f"of {names} these are reported as harm: {sorted(told)}"
            assert linked in {str(each.digest) for each in found if each.kind == "ok"}, "the layer was not looked at"
    assert not [each for each in ctx.service().scrub() if each.harmful]


@scenario("L6", "D5", kills=("purge-stops-at-what-is-foreign",))
def a_purge_leaves_what_it_does_not_understand(ctx: Context) -> None:
    """A purge removes the old uploads, and leaves the foreign things beside them."""
    linked, _, uuid = used_store(ctx)
    for place in [*places(linked, uuid)[:3], layout.uploads("a/b")]:
        gone = begin(ctx.service(), "a/b", b"old")
        with ctx.foreign(place) as names:
            report = ctx.service().purge(WEEK, now=later())
            assert gone in {each.uuid for each in report.removed}, f"removed were {report.removed}"
            expect_there(ctx, place, names)
            expect_gone(ctx, "a/b", gone)


@scenario("D5", "L6", kills=("purge-passes-over-what-is-foreign",))
def an_upload_ends_beside_what_it_does_not_understand(ctx: Context) -> None:
    """An upload with a foreign thing below it can be finished or cancelled, and the thing stays.

    A purge leaves such an upload alone: the owner of the thing may want all of it.
    """
    data = ctx.payload("beside").read(SMALL)

    def finish(uuid: str) -> None:
        ctx.service().resume("a", uuid).finish(digest(data)).close()

    def cancel(uuid: str) -> None:
        ctx.service().cancel("a", uuid)

    for end in (finish, cancel):
        uuid = begin(ctx.service(), "a", data)
        prefix = UploadKeys("a", uuid).prefix
        with ctx.foreign(prefix) as names:
            report = ctx.service().purge(timedelta(0), now=later())
            assert not report.removed, f"purged were {report.removed}"
            assert report.skipped, "a purge left an upload alone, and does not say so"
            expect_stored(ctx, "a", uuid, data)
            end(uuid)
            assert ctx.stored(prefix) == [], f"left of an upload that was ended: {ctx.stored(prefix)}"
            expect_there(ctx, prefix, names)
    expect_layer(ctx, "a", data)


@scenario("L6", "L1", kills=("names-that-are-no-keys-are-listed",))
def listings_pass_over_what_they_do_not_understand(ctx: Context) -> None:
    """Repositories, layers and uploads are listed as if no foreign thing were there."""
    linked, _, uuid = used_store(ctx)

    def listed() -> list[object]:
        service = ctx.service()
        return [list(service.repositories()), list(service.layers()), list(service.uploads())]

    before = listed()
    with ExitStack() as stack:
        for place in places(linked, uuid):
            stack.enter_context(ctx.foreign(place))
        assert listed() == before
        assert ctx.service().exists("a/b", linked)


class _Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _told() -> Iterator[list[str]]:
    """Yield the warnings that core logs in the block."""
    handler, log = _Told(), logging.getLogger("layerstore")
    log.addHandler(handler)
    try:
        yield handler.texts
    finally:
        log.removeHandler(handler)


@scenario("L6", "L1", kills=("listings-say-nothing-of-what-is-foreign", "each-foreign-thing-is-warned-of"))
def a_listing_warns_once_of_what_it_passes_over(ctx: Context) -> None:
    """A listing that leaves out foreign things logs one warning, with the first of them; any other logs none."""
    linked, _, uuid = used_store(ctx)
    listings: dict[str, Callable[[LayerService], Iterator[object]]] = {
        "repositories": lambda service: service.repositories(),
        "layers": lambda service: service.layers(),
        "layers of one": lambda service: service.layers("a/b"),
        "uploads": lambda service: service.uploads(),
        "uploads of one": lambda service: service.uploads("a/b"),
    }
    meeting = {
        f"{layout.REPOSITORIES}/a": ("repositories", "layers", "uploads"),
        layout.uploads("a/b"): ("uploads", "uploads of one"),
        layout.links("a/b", "sha256"): ("layers", "layers of one"),
    }
    for place, expected in meeting.items():
        for name, listing in listings.items():
            with _told() as told:
                list(listing(ctx.service()))
                assert told == [], f"{name} warn of {told}"
                with ctx.foreign(place) as names:
                    list(listing(ctx.service()))
            if name in expected:
                assert len(told) == 1, f"{name} warn {len(told)} times of {names}: {told}"
                assert any(each in told[0] for each in names), f"{name} warn of {told[0]!r}, and of none of {names}"
    assert ctx.service().status("a/b", uuid).uuid == uuid
    assert ctx.service().exists("a/b", linked)


NOTES = (
    "tags/latest/current/digest",
    *(f"referrers/sha{bits}/{'1' * (bits // 4)}/sha256/{'2' * 64}/referrer" for bits in (256, 512)),
    f"referrers/sha256/{'1' * 64}/sha512/{'2' * 128}/referrer",
)
"""What layerstore's registry keeps below a repository's manifests beside links."""


@scenario("L1", "L6", kills=("notes-are-foreign", "whatever-lies-beside-manifests-is-known"))
def a_scrub_knows_the_notes_of_a_registry(ctx: Context) -> None:
    """Below a repository's manifests, a scrub knows links and the notes of a registry, and tells of all else."""
    manifests = layout.manifests("a")
    for note in NOTES:
        for key, kinds in ((note, []), (f"{note}2", ["foreign"]), (f"other/{note}", ["foreign"])):
            ctx.driver.put(f"{manifests}/{key}", b"sha512:noted")
            told = [(each.kind, each.key) for each in ctx.service().scrub()]
            assert told == [(kind, f"{manifests}/{key}") for kind in kinds], f"of {key} a scrub tells {told}"
            ctx.driver.delete(f"{manifests}/{key.partition('/')[0]}")
