"""Repositories: mounting, unlinking and listing; names of any length, and names that begin alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from layerstore import Digest, LayerExistsError, UnknownLayerError, layout
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.layers import BLOBS, begin, blob, link, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.together import together
from layerstore_conformance.steps.expectations import expect_layer, fetched

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "upload"
IDS = "uploading"


@scenario("P1", kills=("mount-links-nothing",), rows=(155,))
def a_mounted_layer_is_in_both_repositories(ctx: Context) -> None:
    """A layer mounted from another repository is in both, and is not copied."""
    data = ctx.payload("mounted").read(5000)
    store(ctx.service(), "source", data)
    with ctx.service().mount("target", digest(data), source="source") as layer:
        assert layer.name == "target"
        ctx.same(layer.read(), data, "the layer mounted")
    assert ctx.stored(BLOBS) == [blob(data)]
    expect_layer(ctx, "source", data)
    expect_layer(ctx, "target", data)


@scenario("S3", kills=("mount-does-not-ask-the-source",), rows=(155,))
def what_the_source_lacks_is_not_mounted(ctx: Context) -> None:
    """A mount is refused if the source repository does not have the layer, though another one has it.

    Otherwise a client that knows a digest could fetch a private layer through a repository of its own.
    """
    data = ctx.payload("private").read(3000)
    store(ctx.service(), "private", data)
    before = ctx.stored()
    with refused(UnknownLayerError) as refusal:
        ctx.service().mount("mine", digest(data), source="public")
    assert (refusal.error.name, refusal.error.fs_layer.blob_sum) == ("public", digest(data))
    assert ctx.stored() == before, "a refused mount left something"


@scenario("D1", "D2", kills=("unlink-of-nothing-is-accepted", "unlink-deletes-the-blob"), rows=(148,))
def an_unlinked_layer_is_gone_from_its_repository(ctx: Context) -> None:
    """An unlinked layer is unknown in its repository, can be uploaded again, and cannot be unlinked twice."""
    data, other = ctx.payload("out").read(3000), ctx.payload("in").read(3000)
    for each in (data, other):
        store(ctx.service(), "a", each)
    ctx.service().unlink("a", digest(data))
    for attempt in (ctx.service().fetch, ctx.service().unlink):
        with refused(UnknownLayerError):
            attempt("a", digest(data))
    expect_layer(ctx, "a", other)
    assert ctx.stored(BLOBS) == sorted([blob(data), blob(other)])
    store(ctx.service(), "a", data)
    expect_layer(ctx, "a", data)


@scenario("P1", "D1", kills=("expected-layer-is-not-looked-for",), rows=(156,))
def an_upload_of_a_layer_that_is_there_is_refused_at_once(ctx: Context) -> None:
    """An upload begun with the digest of a layer that the repository has is refused, and leaves nothing."""
    data = ctx.payload("there").read(3000)
    store(ctx.service(), "a", data)
    before = ctx.stored()
    with refused(LayerExistsError) as refusal:
        ctx.service().upload("a", expected=digest(data))
    assert (refusal.error.name, refusal.error.digest) == ("a", digest(data))
    assert ctx.stored() == before, "a refused upload left something"
    upload = ctx.service().upload("b", expected=digest(data))
    upload.write(data)
    upload.finish(digest(data)).close()
    expect_layer(ctx, "b", data)


@scenario("L1", "L2", "L4", "P1", kills=("layers-listed-up-to-a-thousand",), rows=(92,), profile="default")
def more_than_a_thousand_layers_are_listed(ctx: Context) -> None:
    """A repository of more than 1,000 layers is listed whole, in order, each once.

    Backends answer in pages of 1,000: a garbage collection that reads only the first page deletes blobs in use.
    """
    data = ctx.payload("many").read(100)
    store(ctx.service(), "many", data)
    count = ctx.size(1003)
    names = sorted(f"sha512:{index:0128x}" for index in range(count))

    def put(part: int) -> None:
        driver = ctx.open()
        for name in names[part::8]:
            driver.put(link("many", name), digest(data).encode())

    together([lambda part=part: put(part) for part in range(8)])  # type: ignore[misc]
    listed = [info for info in ctx.service().layers("many") if info.digest.algorithm == "sha512"]
    assert len(listed) == count, f"{len(listed)} of {count} layers are listed"
    assert [str(info.digest) for info in listed] == names
    assert {info.size for info in listed} == {100}


@scenario("L1", "L3", kills=("repositories-below-others-hidden",), rows=(80,))
def repositories_are_listed_by_what_they_hold(ctx: Context) -> None:
    """Every repository with a layer or an upload is listed, also one below another, and no others."""
    service = ctx.service()
    for name in ("a", "a/b", "a/b/c-d", "ab", "z/deep/er"):
        store(service, name, ctx.payload("listed").read(300))
    uuid = begin(service, "uploading/only", b"x")
    listed = ["a", "a/b", "a/b/c-d", "ab", "uploading/only", "z/deep/er"]
    assert sorted(ctx.service().repositories()) == listed
    service.cancel("uploading/only", uuid)
    assert sorted(ctx.service().repositories()) == [name for name in listed if name != "uploading/only"]


@scenario("K1", "K3", kills=("long-keys-collide",), rows=(28,))
def names_at_the_length_limit_are_kept_apart(ctx: Context) -> None:
    """Repositories whose names have the full length, and differ in the last character, have their own layers."""
    names = ["n" * 254 + last for last in "ab"] + ["/".join(["deep"] * 50) + "/" + last * 5 for last in "xy"]
    assert {len(name) for name in names} == {layout.MAX_NAME}
    for name in names:
        store(ctx.service(), name, ctx.payload(f"long-{name[-1]}").read(2000))
    for name in names:
        data = ctx.payload(f"long-{name[-1]}").read(2000)
        expect_layer(ctx, name, data)
        assert [str(info.digest) for info in ctx.service().layers(name)] == [digest(data)]
    assert sorted(ctx.service().repositories()) == sorted(names)


@scenario("K3", "L1", "L3", kills=("layers-of-a-sibling-listed",), rows=(80, 179))
def repositories_whose_names_begin_alike_share_nothing(ctx: Context) -> None:
    """Of repositories named a, a/b and ab, each lists its own layers and uploads, and only those."""
    names = ("a", "a/b", "ab", "a-b")
    uuids = {name: begin(ctx.service(), name, b"begun") for name in names}
    for name in names:
        store(ctx.service(), name, ctx.payload(name.replace("/", "-of-")).read(1000))
    for name in names:
        data = ctx.payload(name.replace("/", "-of-")).read(1000)
        assert [str(info.digest) for info in ctx.service().layers(name)] == [digest(data)], f"layers of {name}"
        assert [info.uuid for info in ctx.service().uploads(name)] == [uuids[name]], f"uploads of {name}"
        ctx.same(fetched(ctx, name, digest(data)), data, name)


@scenario("L1", "S1", kills=("uploads-listed-at-offset-zero",), rows=(129,))
def uploads_are_listed_with_their_offsets(ctx: Context) -> None:
    """Every upload of every repository is listed with its offset and its start time."""
    begun = {}
    for name, size in (("a", 0), ("a", 700), ("b/c", 3000)):
        upload = ctx.service().upload(name)
        upload.write(ctx.payload("listed").read(size))
        upload.flush()
        begun[name, upload.uuid] = (size, upload.started_at)
        upload.write(b"not flushed")
    listed = {(info.name, info.uuid): (info.offset, info.started_at) for info in ctx.service().uploads()}
    assert listed == begun


def _linked(length: int, algorithm: str) -> Callable[[str], str]:
    return lambda name: link(name, f"{algorithm}:{'1' * length}")


ALONE: dict[str, Callable[[str], str]] = {
    "a layer's sha256": _linked(64, "sha256"),
    "a layer's sha384": _linked(96, "sha384"),
    "a layer's sha512": _linked(128, "sha512"),
    "a layer's tarsum": _linked(64, "tarsum.v1+sha256"),
    "a manifest": lambda name: layout.revision(name, Digest.parse(digest(b""))),
    "a tag": lambda name: layout.tag(name, "latest"),
    "an upload": lambda name: layout.UploadKeys(name, f"{1:08}-0000-0000-0000-{0:012}").started_at,
}
"""What a repository may have and nothing else, and the key of that."""


@scenario("L1", "L3", kills=("manifests-make-no-repository", "no-repository-without-a-sha256"), rows=(80,))
def a_repository_is_listed_for_any_one_thing_in_it(ctx: Context) -> None:
    """A repository that has one layer, by any digest, or one manifest, tag or upload, is listed, and no other is.

    What is not listed is not backed up, and not scrubbed.
    """
    names: dict[str, str] = {}
    for number, (what, key) in enumerate(ALONE.items()):
        for name in (f"of/{number}/only", f"of/{number}/only-this"):
            ctx.driver.put(key(name), digest(b"").encode())
            names[name] = what
    listed = list(ctx.service().repositories())
    lost = [what for name, what in names.items() if name not in listed]
    assert listed == list(names), f"not listed for {lost}: {listed}"


@scenario("L1", "P1", kills=("layers-need-a-sha256-link", "tarsums-are-not-listed"), rows=(80, 92))
def a_layer_is_listed_by_each_digest_that_links_it(ctx: Context) -> None:
    """A layer is listed once by each digest by which it is linked, whichever others link it, and is there by each."""
    data = archive("in", "the", "layer")
    ctx.driver.put(blob(data), data)
    names = [f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}" for algorithm in ("sha256", "sha384", "sha512")]
    names.append(tarsum_of(data))
    of = {f"only/{number}": [wanted] for number, wanted in enumerate(names)} | {"all": names}
    for name, those in of.items():
        for wanted in those:
            ctx.driver.put(link(name, wanted), digest(data).encode())
    service = ctx.service()
    for name, those in of.items():
        listed = [(info.name, str(info.digest), info.size) for info in service.layers(name)]
        assert listed == [(name, wanted, len(data)) for wanted in those], f"listed of {name}: {listed}"
        assert all(service.exists(name, wanted) for wanted in those), f"not all of {those} are there"
    everything = [(info.name, str(info.digest)) for info in service.layers()]
    assert everything == [(name, wanted) for name in sorted(of) for wanted in of[name]], f"listed: {everything}"
