"""Manifests (OCI distribution specification 1.1, "Pushing Manifests", "Pulling manifests", "Deleting Manifests")."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from layerstore import LayerService, layout
from layerstore.digest import Digest
from layerstore_registry import Settings
from layerstore_registry.resources import documents
from layerstore_registry.resources.revisions import Revisions

if TYPE_CHECKING:
    from tests.registry_client import (
        DOCKER_IMAGE,
        DOCKER_LIST,
        LAYER,
        NAME,
        OCI_IMAGE,
        OCI_INDEX,
        Client,
        described,
        digest,
        dumped,
        image,
        index,
    )
else:
    from registry_client import (
        DOCKER_IMAGE,
        DOCKER_LIST,
        LAYER,
        NAME,
        OCI_IMAGE,
        OCI_INDEX,
        Client,
        described,
        digest,
        dumped,
        image,
        index,
    )

LAYERS = (b"one", b"two")
CONFIG_DATA = b"{}"


@pytest.fixture
def manifest(client: Client) -> bytes:
    """Push blobs, and return the manifest of an image of them."""
    for blob in (CONFIG_DATA, *LAYERS):
        client.push_blob(blob)
    return image(CONFIG_DATA, *LAYERS)


def test_a_manifest_is_pushed_by_tag(client: Client, manifest: bytes) -> None:
    """Its bytes are kept as they are; the answer says what it is called by, and where it is."""
    odd = manifest.replace(b", ", b" ,\n ")
    answer = client.push_manifest(odd, "v1")
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, digest(odd))
    assert answer.headers["Location"] == f"/v2/{NAME}/manifests/{digest(odd)}"
    for reference in ("v1", digest(odd)):
        pulled = client.pull(reference)
        assert (pulled.status_code, pulled.data, pulled.content_type) == (200, odd, OCI_IMAGE)
        assert pulled.headers["Docker-Content-Digest"] == digest(odd)
        assert pulled.headers["Content-Length"] == str(len(odd))


def test_the_head_of_a_manifest_is_as_its_get(client: Client, manifest: bytes) -> None:
    """But for the body."""
    client.push_manifest(manifest, "v1")
    head, get = client.head(f"/v2/{NAME}/manifests/v1"), client.pull("v1")
    assert (head.data, dict(head.headers)) == (b"", dict(get.headers))
    assert client.head(f"/v2/{NAME}/manifests/none").status_code == 404


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_is_pushed_by_digest(client: Client, manifest: bytes, algorithm: str) -> None:
    """Of either algorithm; no tag stands for it then."""
    wanted = digest(manifest, algorithm)
    answer = client.push_manifest(manifest, wanted)
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, wanted)
    assert client.pull(wanted).headers["Docker-Content-Digest"] == wanted
    assert client.tags() == []


def test_a_manifest_of_other_bytes_than_its_digest_is_refused(client: Client, manifest: bytes) -> None:
    """And not stored."""
    answer = client.push_manifest(manifest, digest(b"other"))
    assert client.code(answer) == (400, "DIGEST_INVALID")
    assert client.pull(digest(manifest)).status_code == 404


def test_a_manifest_is_pushed_with_many_tags(client: Client, manifest: bytes) -> None:
    """By its digest; the answer names them."""
    tags = [f"v{number}-{'x' * 120}" for number in range(10)]
    answer = client.put(
        f"/v2/{NAME}/manifests/{digest(manifest)}", query_string={"tag": tags}, data=manifest, content_type=OCI_IMAGE
    )
    assert (answer.status_code, answer.headers.getlist("OCI-Tag")) == (201, tags)
    assert client.tags() == tags


def test_a_tag_tells_the_digest_that_it_was_pushed_by(client: Client, manifest: bytes, store: LayerService) -> None:
    """A sha512 as long as it stands for that manifest, and that is known by it; deleted, nothing is left of it."""
    long, other = digest(manifest, "sha512"), image(CONFIG_DATA)
    path, kind = f"/v2/{NAME}/manifests/{long}", OCI_IMAGE
    client.put(path, query_string={"tag": ["a", "b", "c", "d"]}, data=manifest, content_type=kind)
    for tag in "abcd":
        assert (client.pull(tag).headers["Docker-Content-Digest"], client.pull(tag).data) == (long, manifest)
    client.push_manifest(other, "a")
    assert client.pull("a").headers["Docker-Content-Digest"] == digest(other)
    client.push_manifest(manifest, "a")
    assert client.pull("a").headers["Docker-Content-Digest"] == digest(manifest)
    client.push_manifest(other, "a")
    store.driver.put(layout.tag_digest(NAME, "b"), b"\xff")
    assert client.pull("b").headers["Docker-Content-Digest"] == digest(manifest)
    client.delete(f"/v2/{NAME}/manifests/c")
    assert store.driver.find(layout.tag_digest(NAME, "c")) is None
    store.driver.delete(layout.revision(NAME, Digest.parse(long)))
    assert client.pull("d").headers["Docker-Content-Digest"] == digest(manifest)
    client.delete(f"/v2/{NAME}/manifests/{digest(manifest)}")
    assert list(store.driver.list(layout.tags(NAME))) == [f"{layout.tags(NAME)}/a/"]


@pytest.mark.parametrize("tags", [["good", "-bad"], [""], [f"t{number}" for number in range(101)]])
def test_tags_that_are_none_are_refused(client: Client, manifest: bytes, tags: list[str]) -> None:
    """And too many; then nothing is stored."""
    answer = client.put(
        f"/v2/{NAME}/manifests/{digest(manifest)}", query_string={"tag": tags}, data=manifest, content_type=OCI_IMAGE
    )
    assert client.code(answer) == (400, "MANIFEST_INVALID")
    assert client.tags() == []
    assert client.pull(digest(manifest)).status_code == 404


@pytest.mark.parametrize("reference", ["-bad", "sha256:abc", "x" * 129, "a:b", ".x", "tag with space"])
def test_what_is_neither_tag_nor_digest_names_no_manifest(client: Client, manifest: bytes, reference: str) -> None:
    """Pushing it is refused, and nothing is found under it."""
    assert client.push_manifest(manifest, reference).status_code == 400
    for method in ("GET", "HEAD", "DELETE"):
        assert client.open(f"/v2/{NAME}/manifests/{reference}", method=method).status_code in (400, 404)


def test_a_tag_moves(client: Client, manifest: bytes) -> None:
    """To what was pushed last; what it stood for stays."""
    other = image(CONFIG_DATA, LAYERS[0])
    for each in (manifest, other, other):
        assert client.push_manifest(each, "v1").status_code == 201
        assert client.pull("v1").data == each
    assert client.pull(digest(manifest)).data == manifest
    assert client.tags() == ["v1"]


@pytest.mark.parametrize("kind", [OCI_IMAGE, DOCKER_IMAGE])
def test_an_image_of_either_kind_is_taken(client: Client, manifest: bytes, kind: str) -> None:
    """It is served as what it was pushed as; parameters of its type are not kept."""
    data = manifest.replace(OCI_IMAGE.encode(), kind.encode())
    assert client.push_manifest(data, "v1", kind=f"{kind}; charset=utf-8").status_code == 201
    assert client.pull("v1").content_type == kind


@pytest.mark.parametrize("kind", [OCI_INDEX, DOCKER_LIST])
def test_an_index_of_either_kind_is_taken(client: Client, manifest: bytes, kind: str) -> None:
    """Of manifests that are there, and of indexes."""
    client.push_manifest(manifest, digest(manifest))
    data = index(manifest).replace(OCI_INDEX.encode(), kind.encode())
    assert client.push_manifest(data, "multi", kind=kind).status_code == 201
    assert client.pull("multi").content_type == kind
    assert client.push_manifest(index(data), "nested").status_code == 201
    assert client.push_manifest(index(), "empty").status_code == 201


@pytest.mark.parametrize("kind", ["", OCI_IMAGE])
def test_a_manifest_need_not_say_its_kind(client: Client, manifest: bytes, kind: str) -> None:
    """It shows."""
    data = dumped({key: value for key, value in json.loads(manifest).items() if key != "mediaType"})
    assert client.put(f"/v2/{NAME}/manifests/v1", data=data, content_type=kind).status_code == 201
    assert client.pull("v1").content_type == OCI_IMAGE
    client.put(f"/v2/{NAME}/manifests/v2", data=b'{"schemaVersion": 2, "manifests": []}')
    assert client.pull("v2").content_type == OCI_INDEX


def bad(**more: Any) -> bytes:
    """Write a manifest that is wrong in one place."""
    return dumped({**json.loads(image(CONFIG_DATA, *LAYERS)), **more})


INVALID = {
    "no JSON": b"{",
    "no UTF-8": b'{"mediaType": "\xff"}',
    "UTF-16": image(CONFIG_DATA).decode().encode("utf-16"),
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "null": b"null",
    "another schema": bad(schemaVersion=1),
    "no schema": bad(schemaVersion=None),
    "another kind": bad(mediaType="application/vnd.oci.image.config.v1+json"),
    "a kind that is no text": bad(mediaType=[]),
    "an index by its kind": bad(mediaType=OCI_INDEX),
    "both": bad(manifests=[]),
    "an index with layers": dumped({**json.loads(index()), "layers": []}),
    "an index with a config": dumped({**json.loads(index()), "config": {}}),
    "no config": bad(config=None),
    "a config that is a text": bad(config="x"),
    "no layers": bad(layers=None),
    "a layer that is none": bad(layers=["x"]),
    "a layer without a digest": bad(layers=[{"size": 1}]),
    "a digest that is none": bad(layers=[{"digest": "sha256:x"}]),
    "another algorithm": bad(layers=[{"digest": "md5:" + "0" * 32}]),
    "a subject that is none": bad(subject="x"),
    "a subject without a digest": bad(subject={}),
    "annotations that are none": bad(annotations=["x"]),
    "an annotation that is no text": bad(annotations={"x": 1}),
    "an annotation that is no number either": bad(annotations={"x": float("nan")}),
    "no number anywhere": bad(x=[float("inf")]),
    "a member twice": b'{"layers": [], ' + bad()[1:],
    "a member twice in a layer": bad().replace(b'"layers": [{', b'"layers": [{"size": 1, ', 1),
    "a member of another case": bad(Layers=[]),
    "a member that folds to another": bad(x=1).replace(b'"x"', b'"layer\\u017f"'),
    "a digest of another case": bad(layers=[described(LAYERS[0], LAYER, Digest=digest(LAYERS[1]))]),
}


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
def test_what_is_no_manifest_is_refused(client: Client, manifest: bytes, data: bytes) -> None:
    """And not stored."""
    for kind in (OCI_INDEX if data.startswith(index()[:60]) else OCI_IMAGE, ""):
        answer = client.put(f"/v2/{NAME}/manifests/v1", data=data, content_type=kind)
        assert client.code(answer) == (400, "MANIFEST_INVALID")
    assert client.pull("v1").status_code == client.pull(digest(data)).status_code == 404


@pytest.mark.parametrize("kind", [OCI_INDEX, DOCKER_IMAGE, "application/json", "text/plain", "x" * 3000])
def test_a_manifest_is_of_the_kind_that_it_is_said_to_be(client: Client, manifest: bytes, kind: str) -> None:
    """Nobody is to understand it in two ways."""
    assert client.code(client.push_manifest(manifest, "v1", kind=kind)) == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize("missing", [CONFIG_DATA, *LAYERS])
def test_a_manifest_of_what_is_not_there_is_refused(client: Client, manifest: bytes, missing: bytes) -> None:
    """The answer names it."""
    client.delete(f"/v2/{NAME}/blobs/{digest(missing)}")
    answer = client.push_manifest(manifest, "v1")
    assert client.code(answer) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert digest(missing) in answer.text
    assert client.pull("v1").status_code == 404


def test_an_index_of_what_is_not_there_is_refused(client: Client, manifest: bytes) -> None:
    """Also where it is another repository's blob."""
    client.push_blob(manifest, "other")
    assert client.code(client.push_manifest(index(manifest), "multi")) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_an_index_may_be_of_blobs(client: Client) -> None:
    """As BuildKit's cache in a registry is."""
    client.push_blob(b"layer")
    cache = dumped({**json.loads(index()), "manifests": [described(b"layer", LAYER)]})
    assert client.push_manifest(cache, "cache").status_code == 201
    assert client.pull("cache").data == cache


@pytest.mark.parametrize("kind", [DOCKER_IMAGE, DOCKER_LIST])
def test_a_manifest_of_docker_has_to_say_its_kind(client: Client, manifest: bytes, kind: str) -> None:
    """It would be served as another one than it was pushed as."""
    body = json.loads(manifest if kind == DOCKER_IMAGE else index())
    del body["mediaType"]
    answer = client.push_manifest(dumped(body), "v1", kind=kind)
    assert client.code(answer) == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2, "mediaType": "%s"}', '{"a": NaN, "mediaType": "%s"}'])
def test_a_manifest_that_another_registry_took_is_what_it_says(client: Client, store: LayerService, text: str) -> None:
    """It is served as it was pushed there, though it would be refused here."""
    data = (text % DOCKER_IMAGE).encode("ascii")
    Revisions(store.driver).add(NAME, data, Digest.of(data), [])
    assert client.code(client.push_manifest(data, "v1")) == (400, "MANIFEST_INVALID")
    answer = client.pull(str(Digest.of(data)))
    assert (answer.data, answer.content_type) == (data, DOCKER_IMAGE)


def test_large_manifests_are_parsed_one_at_a_time(
    client: Client, manifest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push and a pull of one hold the others up until what it takes is free again; small ones wait for nobody."""
    turns: list[bool] = []
    real = json.loads

    def loads(text: str, **more: Any) -> Any:
        turns.append(documents._PARSING.locked())
        return real(text, **more)

    large = bad(annotations={"x": "x" * documents.LARGE})
    monkeypatch.setattr(json, "loads", loads)
    kind = {"content_type": OCI_IMAGE}
    for data, held in ((large, True), (manifest, False)):
        turns.clear()
        assert client.put(f"/v2/{NAME}/manifests/v1", data=data, **kind).status_code == 201
        assert client.head(f"/v2/{NAME}/manifests/v1").content_type == OCI_IMAGE
        assert turns == [held, held]


@pytest.mark.parametrize(
    "layer",
    [
        described(b"elsewhere", LAYER, urls=["https://example.invalid/layer"]),
        described(b"elsewhere", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
        described(b"elsewhere", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    ],
)
def test_a_layer_that_is_elsewhere_need_not_be_here(client: Client, manifest: bytes, layer: dict[str, Any]) -> None:
    """By its addresses, or by what it is."""
    body = json.loads(manifest)
    body["layers"].append(layer)
    assert client.push_manifest(dumped(body), "v1").status_code == 201


def test_what_is_not_known_of_a_manifest_is_kept(client: Client, manifest: bytes) -> None:
    """Members that the specification does not know, or not of a registry's concern."""
    body = json.loads(manifest) | {"artifactType": "a/b", "annotations": {"a": "\ud800"}, "custom": [1, {"x": None}]}
    body["config"]["data"] = "e30="
    assert client.push_manifest(dumped(body), "v1").status_code == 201
    assert client.pull("v1").data == dumped(body)


def test_a_large_manifest_is_taken_and_a_larger_one_refused(client: Client, manifest: bytes) -> None:
    """4 MiB, and not a byte more; of one that says no length no more is read than shows it."""
    body = json.loads(manifest)
    room = (4 << 20) - len(dumped(body | {"annotations": {"x": ""}}))
    largest, larger = (dumped(body | {"annotations": {"x": "x" * size}}) for size in (room, room + 1))
    assert client.push_manifest(largest, "v1").status_code == 201
    assert client.pull("v1").data == largest
    assert client.code(client.push_manifest(larger, "v1")) == (413, "SIZE_INVALID")

    class Endless:
        given = 0

        def read(self, size: int) -> bytes:
            self.given += size
            return b" " * size

    endless = Endless()
    path = f"/v2/{NAME}/manifests/v1"
    assert client.code(client.stream("PUT", path, endless, None)) == (413, "SIZE_INVALID")
    assert endless.given == (4 << 20) + 1


def test_a_manifest_that_is_cut_off_is_refused(client: Client, manifest: bytes) -> None:
    """Though what came of it might be one."""
    path = f"/v2/{NAME}/manifests/v1"
    answer = client.stream("PUT", path, io.BytesIO(manifest), len(manifest) + 1, content_type=OCI_IMAGE)
    assert client.code(answer) == (400, "SIZE_INVALID")
    assert client.pull("v1").status_code == 404


@pytest.mark.parametrize("accept", ["*/*", "text/html", OCI_INDEX, ""])
def test_a_manifest_is_served_as_what_it_is(client: Client, manifest: bytes, accept: str) -> None:
    """Whatever else the client would rather have."""
    client.push_manifest(manifest, "v1")
    answer = client.get(f"/v2/{NAME}/manifests/v1", headers={"Accept": accept})
    assert (answer.status_code, answer.data) == (200, manifest)


def test_a_manifest_that_the_client_has_is_not_sent(client: Client, manifest: bytes) -> None:
    """By tag too, as long as that stands for it."""
    client.push_manifest(manifest, "v1")
    tag = client.pull("v1").headers["ETag"]
    answer = client.get(f"/v2/{NAME}/manifests/v1", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.data) == (304, b"")
    client.push_manifest(image(CONFIG_DATA), "v1")
    assert client.get(f"/v2/{NAME}/manifests/v1", headers={"If-None-Match": tag}).status_code == 200


def test_a_manifest_is_no_blob(client: Client, manifest: bytes) -> None:
    """Of its repository; and a blob is no manifest."""
    client.push_manifest(manifest, "v1")
    assert client.get(f"/v2/{NAME}/blobs/{digest(manifest)}").status_code == 404
    assert client.pull(digest(LAYERS[0])).status_code == 404


def test_a_manifest_is_of_one_repository(client: Client, manifest: bytes) -> None:
    """Another does not have it."""
    client.push_manifest(manifest, "v1")
    for reference in ("v1", digest(manifest)):
        assert client.code(client.pull(reference, "other")) == (404, "MANIFEST_UNKNOWN")


def test_a_deleted_tag_is_gone_alone(client: Client, manifest: bytes, store: LayerService) -> None:
    """What it stood for stays, and so do other tags."""
    for tag in ("v1", "v2"):
        client.push_manifest(manifest, tag)
    assert client.delete(f"/v2/{NAME}/manifests/v1").status_code == 202
    assert client.code(client.pull("v1")) == (404, "MANIFEST_UNKNOWN")
    assert client.code(client.delete(f"/v2/{NAME}/manifests/v1")) == (404, "MANIFEST_UNKNOWN")
    assert list(store.driver.list(layout.tags(NAME))) == [f"{layout.tags(NAME)}/v2/"]
    assert client.pull(digest(manifest)).data == client.pull("v2").data == manifest


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_deleted_manifest_takes_its_tags_along(client: Client, manifest: bytes, algorithm: str) -> None:
    """And its other name; other manifests, and their tags, stay."""
    other = image(CONFIG_DATA)
    client.push_manifest(other, "other")
    for tag in ("v1", "v2", "moved"):
        client.push_manifest(manifest, tag)
    client.push_manifest(manifest, digest(manifest, "sha512"))
    client.push_manifest(other, "moved")
    assert client.delete(f"/v2/{NAME}/manifests/{digest(manifest, algorithm)}").status_code == 202
    for reference in ("v1", "v2", digest(manifest), digest(manifest, "sha512")):
        assert client.pull(reference).status_code == 404
    assert client.tags() == ["moved", "other"]
    assert client.pull("moved").data == other
    assert client.delete(f"/v2/{NAME}/manifests/{digest(manifest)}").status_code == 404


def test_a_manifest_whose_bytes_are_gone_is_deleted_too(client: Client, manifest: bytes, store: LayerService) -> None:
    """It is unknown before, and its tags are gone after."""
    client.push_manifest(manifest, "v1")
    store.driver.delete(layout.blob(Digest.of(manifest)))
    assert client.pull("v1").status_code == 404
    assert client.delete(f"/v2/{NAME}/manifests/{digest(manifest)}").status_code == 202
    assert client.tags() == []


@pytest.mark.parametrize("reference", ["v1", digest(image(CONFIG_DATA, *LAYERS))])
def test_deleting_manifests_can_be_switched_off(
    client: Client, manifest: bytes, serve: Callable[[Settings], Client], reference: str
) -> None:
    """Tags and manifests alike; blobs have a switch of their own."""
    client.push_manifest(manifest, "v1")
    answer = serve(Settings(delete_manifests=False)).delete(f"/v2/{NAME}/manifests/{reference}")
    assert client.code(answer) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == "GET, PUT, HEAD"
    assert client.pull("v1").status_code == 200


def test_a_damaged_manifest_is_not_served(client: Client, manifest: bytes, store: LayerService) -> None:
    """What does not hash to its digest is nothing."""
    client.push_manifest(manifest, "v1")
    store.driver.put(layout.blob(Digest.of(manifest)), manifest + b" ")
    assert client.pull("v1").status_code == 404
    assert client.push_manifest(manifest, "v1").status_code == 201
    assert client.pull("v1").data == manifest


def test_a_manifest_lies_where_another_registry_looks(client: Client, manifest: bytes, store: LayerService) -> None:
    """A blob, a revision, and a tag with its entry."""
    client.push_manifest(manifest, "v1")
    canonical = Digest.of(manifest)
    assert store.driver.get(layout.blob(canonical), 1 << 20) == manifest
    for key in (layout.revision(NAME, canonical), layout.tag(NAME, "v1"), layout.tag_entry(NAME, "v1", canonical)):
        assert store.driver.get(key, 100) == str(canonical).encode()


def test_a_push_that_meets_a_delete_of_the_same_manifest_is_there(
    client: Client, manifest: bytes, store: LayerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delete has seen the tag before it was pushed, and takes the revision after: the push puts it again."""
    client.push_manifest(manifest, digest(manifest))
    real, canonical = store.driver.put, Digest.of(manifest)

    def put(key: str, data: bytes) -> None:
        real(key, data)
        if key == layout.tag(NAME, "v1"):
            Revisions(store.driver).remove(NAME, [canonical])

    monkeypatch.setattr(store.driver, "put", put)
    assert client.push_manifest(manifest, "v1").status_code == 201
    assert client.pull("v1").data == manifest


def test_a_push_that_meets_a_collection_is_there(
    client: Client, manifest: bytes, store: LayerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collection has seen the blob before it was linked, and takes it after: the push puts it again."""
    real, canonical = store.driver.put, Digest.of(manifest)
    taken: list[str] = []

    def put(key: str, data: bytes) -> None:
        real(key, data)
        if key == layout.revision(NAME, canonical) and not taken:
            taken.append(key)
            store.driver.delete(layout.blob(canonical))

    monkeypatch.setattr(store.driver, "put", put)
    assert client.push_manifest(manifest, "v1").status_code == 201
    assert client.pull("v1").data == manifest


@pytest.mark.parametrize("known", [True, False])
def test_a_push_whose_layer_goes_meanwhile_is_refused(
    client: Client, manifest: bytes, store: LayerService, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    """It leaves no manifest behind, but one that was there before."""
    if known:
        client.push_manifest(manifest, "old")
    real = store.driver.put

    def put(key: str, data: bytes) -> None:
        real(key, data)
        if key == layout.revision(NAME, Digest.of(manifest)):
            store.driver.delete(layout.link(NAME, Digest.parse(digest(LAYERS[1]))))

    monkeypatch.setattr(store.driver, "put", put)
    assert client.code(client.push_manifest(manifest, "v1")) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert client.pull("v1").status_code == 404
    assert client.pull(digest(manifest)).status_code == (200 if known else 404)


def test_a_delete_takes_no_tag_that_has_moved_on(
    client: Client, manifest: bytes, store: LayerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the tag and its taking it away, another push has been answered."""
    other = image(CONFIG_DATA)
    client.push_manifest(manifest, "v1")
    real = store.driver.move
    moved: list[str] = []

    def move(source: str, target: str, *, version: str | None = None) -> None:
        if not moved:
            moved.append(source)
            assert client.push_manifest(other, "v1").status_code == 201
        real(source, target, version=version)

    monkeypatch.setattr(store.driver, "move", move)
    assert client.delete(f"/v2/{NAME}/manifests/{digest(manifest)}").status_code == 202
    assert moved == [layout.tag(NAME, "v1")]
    assert client.pull("v1").data == other


def test_two_deletes_of_one_manifest_are_both_answered(
    client: Client, manifest: bytes, store: LayerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later finds a tag gone that it was about to take."""
    client.push_manifest(manifest, "v1")
    real, path = store.driver.move, f"/v2/{NAME}/manifests/{digest(manifest)}"
    moved: list[str] = []

    def move(source: str, target: str, *, version: str | None = None) -> None:
        if not moved:
            moved.append(source)
            assert client.delete(path).status_code == 202
        real(source, target, version=version)

    monkeypatch.setattr(store.driver, "move", move)
    assert client.delete(path).status_code == 202
    assert client.tags() == []


def test_a_collection_keeps_manifests_and_their_layers(client: Client, manifest: bytes, store: LayerService) -> None:
    """Whatever a tag stands for can be pulled afterwards."""
    client.push_manifest(manifest, "v1")
    later = datetime.now(UTC) + timedelta(days=1)
    assert store.collect(now=later).removed == []
    client.delete(f"/v2/{NAME}/manifests/{digest(manifest)}")
    assert [str(blob.digest) for blob in store.collect(now=later).removed] == [digest(manifest)]
