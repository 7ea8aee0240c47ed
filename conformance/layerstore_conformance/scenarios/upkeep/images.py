"""Images in many repositories: a collection drops what nothing leads to, and tells it before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from layerstore import Digest, layout
from layerstore.digest import TARSUM
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.images import Images
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.steps.ages import later

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "upkeep"

LARGEST = 4096
"""Bytes: more than anything here has."""


EMPTY = b'{"schemaVersion": 2, "config": {}, "layers": []}'


@dataclass(frozen=True, slots=True)
class Case:
    """A repository, and what of it may go when it is old."""

    make: Callable[[Images], object]
    idle: str = ""
    """The names of the layers that nothing refers to."""
    untagged: str = ""
    """Those of the manifests to which no tag leads, and of their layers."""
    notes: str = ""
    """Those of the manifests of which it is noted what they have been, and that go then."""


def all_that_an_image_mentions(images: Images) -> None:
    """An image with layers, and others that are only mentioned; one layer is of no image."""
    for label in ("config", "layer", "noted", "blob", "idle"):
        images.layer(label)
    mentioned = {"base": str(images.digests["noted"])}
    images.image("image", "config", "layer", annotations=mentioned, blobs=[images.described("blob")])
    images.tag("latest", "image")


def an_index_in_an_index(images: Images) -> None:
    """A tag leads to an image by two indexes; two other images are of no tag, one of them by an index of none."""
    for label in "abc":
        images.layer(label)
        images.image(f"image-{label}", label)
    images.index("inner", "image-a")
    images.index("outer", "inner")
    images.index("untagged", "image-b")
    images.tag("latest", "outer")


def a_layer_as_a_child(images: Images) -> None:
    """An index whose children are layers, as those of a cache are."""
    for label in ("layer", "config", "idle"):
        images.layer(label)
    images.index("cache", "layer", annotations={"config": str(images.digests["config"])})
    images.tag("cache", "cache")


def signatures(images: Images) -> None:
    """What is about a tagged image stays, and what is about that; what is about an untagged one goes after it."""
    for label in ("a", "b", "c", "d", "e"):
        images.layer(label)
    images.image("image", "a")
    images.image("other", "b")
    images.tag("latest", "image")
    for label, layer, subject in (
        ("signature", "c", "image"),
        ("of-signature", "d", "signature"),
        ("of-other", "e", "other"),
    ):
        images.image(label, layer, subject=images.described(subject))
        images.refer(label, subject)


def other_names(images: Images) -> None:
    """Layers that are linked by other digests: one is referred to by its sha512, and of a tarsum nobody knows."""
    for label in ("named", "summed", "idle"):
        images.layer(label)
        images.link(label, Digest("sha512", hashlib.sha512(label.encode()).hexdigest()))
    images.link("summed", Digest(TARSUM, hashlib.sha256(b"summed").hexdigest()))
    sha512 = hashlib.sha512(b"named").hexdigest()
    images.manifest("image", {"config": {"digest": f"sha512:{sha512}"}, "layers": []})
    images.tag("latest", "image")


def moved_tags(images: Images) -> None:
    """A tag has stood for another image before."""
    for label in ("before", "after"):
        images.layer(label)
        images.image(f"image-{label}", label)
        images.tag("latest", f"image-{label}")


def spoilt(body: Callable[[Images], bytes]) -> Callable[[Images], None]:
    """Return what makes an idle layer, an untagged image, and a manifest that nobody can be sure of: all stays."""

    def make(images: Images) -> None:
        for label in ("idle", "layer"):
            images.layer(label)
        images.image("image", "layer")
        images.manifest_of("spoilt", body(images))

    return make


def a_member_twice(images: Images) -> bytes:
    """Some read the first of two members, some the last, and some do not look at case."""
    one, other = (json.dumps([images.described(label)]) for label in ("layer", "idle"))
    return f'{{"schemaVersion": 2, "config": {{}}, "layers": {one}, "Layers": {other}}}'.encode()


def bytes_that_are_gone(images: Images) -> None:
    """A manifest without bytes may refer to anything."""
    spoilt(lambda images: b"to be deleted")(images)
    images.service.driver.delete(layout.blob(images.digests["spoilt"]))


def bytes_of_another(images: Images) -> None:
    """So may one with other bytes than it is named by, though these can be understood."""
    spoilt(lambda images: b"to be put over")(images)
    images.service.driver.put(layout.blob(images.digests["spoilt"]), EMPTY)


CASES = {
    "mentioned": Case(all_that_an_image_mentions, idle="idle"),
    "indexes": Case(an_index_in_an_index, untagged="untagged image-b b image-c c"),
    "cache": Case(a_layer_as_a_child, idle="idle"),
    "signatures": Case(signatures, untagged="other b of-other e", notes="of-other"),
    "names": Case(other_names, idle="idle"),
    "history": Case(moved_tags, untagged="image-before before", notes="image-before"),
    "no-json": Case(spoilt(lambda images: b"no JSON")),
    "no-version": Case(spoilt(lambda images: EMPTY.replace(b"schemaVersion", b"version"))),
    "no-known-type": Case(spoilt(lambda images: b'{"schemaVersion": 2, "mediaType": "x", "config": {}, "layers": []}')),
    "member-twice": Case(spoilt(a_member_twice)),
    "gone": Case(bytes_that_are_gone),
    "another": Case(bytes_of_another),
}
"""By the names of their repositories."""


@scenario(
    "M4",
    "D1",
    kills=("gc-unreferenced-drops-all", "gc-unreferenced-drops-nothing", "gc-unreferenced-guesses"),
    profile="default",
    rows=(120,),
)
def what_goes_is_what_nothing_leads_to(ctx: Context) -> None:
    """A collection tells in a dry run what goes, and changes nothing; then that goes, and nothing else has changed.

    A link that an earlier collection has condemned, and to which something refers, is spelled as before.
    """
    service = ctx.service()
    images = {name: Images(service, name) for name in ctx.sample(list(CASES), len(CASES))}
    for name, each in images.items():
        CASES[name].make(each)
    before = _stored(ctx)
    early = service.collect(now=later(-timedelta(hours=12)), unreferenced=True, untagged=True)
    assert early.dropped.removed == [] == early.removed, "dropped within a day"
    _expect_told(ctx, images, untagged=False)
    told = _expect_told(ctx, images, untagged=True)
    assert _stored(ctx) == before, "a dry run has changed something"
    for key in (key for key in before if "/mentioned/" in key and "/_layers/" in key and key not in told):
        ctx.open().put(key, before[key].replace(b"sha256", b"SHA256"))
    report = service.collect(now=later(), unreferenced=True, untagged=True)
    gone = {each.key for each in report.dropped.removed} | {layout.blob(each.digest) for each in report.removed}
    assert gone == told, f"told of {sorted(told)}, and gone are {sorted(gone)}"
    assert _stored(ctx) == {key: data for key, data in before.items() if key not in gone}, "more than that has changed"


def _expect_told(ctx: Context, images: dict[str, Images], *, untagged: bool) -> set[str]:
    """Check what a dry run tells, and return the keys of that."""
    report = ctx.service().collect(now=later(), unreferenced=True, untagged=untagged, dry_run=True)
    removed = {each.digest for each in report.removed}
    for name, each in images.items():
        case, links = CASES[name], [link for link in report.dropped.removed if link.name == name]
        wanted = {*case.idle.split(), *(case.untagged.split() if untagged else ())}
        told = {each.named(link) for link in links if link.kind in {"layer", "manifest"}}
        assert told == wanted, f"{name}: told of {sorted(told)} instead of {sorted(wanted)}"
        blobs = {label for label, digest in each.digests.items() if digest in removed}
        assert blobs == wanted, f"{name}: the bytes of {sorted(blobs)} would go instead of those of {sorted(wanted)}"
        notes = [each.named(link) for link in links if link.kind in {"history", "referrer"}]
        assert notes == (case.notes.split() if untagged else []), f"{name}: notes of {notes} would go"
    return {each.key for each in report.dropped.removed} | {layout.blob(digest) for digest in removed}


def _stored(ctx: Context) -> dict[str, bytes]:
    driver = ctx.open()
    return {key: driver.get(key, LARGEST) for key in keys_below(driver, layout.ROOT)}
