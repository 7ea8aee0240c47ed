"""Clauses of the OCI distribution specification 1.1 that no other test is about, and what clients of all kinds send."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from layerstore import Digest, LayerService, layout

if TYPE_CHECKING:
    from tests.registry_client import DOCKER_LIST, NAME, OCI_IMAGE, OCI_INDEX, Client, digest, image, index
else:
    from registry_client import DOCKER_LIST, NAME, OCI_IMAGE, OCI_INDEX, Client, digest, image, index

V2 = f"/v2/{NAME}"


def test_every_resource_has_a_head(client: Client) -> None:
    """With the status and the headers of its GET, and no body."""
    manifest = digest(client.push_image("v1", b"layer"))
    upload = client.begin()
    below = (f"blobs/{digest(b'layer')}", "manifests/v1", f"manifests/{manifest}", "tags/list", f"referrers/{manifest}")
    missing = (f"blobs/{digest(b'none')}", "manifests/none", f"manifests/{digest(b'none')}", "blobs/x", "referrers/x")
    named = [f"{V2}/{path}" for path in (*below, *missing)]
    for path in (
        "/v2/",
        "/v2",
        "/v2/_catalog",
        "/",
        "/healthz",
        "/readyz",
        "/nowhere",
        "/v2/none/tags/list",
        upload,
        *named,
    ):
        there, head = client.get(path), client.head(path)
        assert (head.status_code, head.data) == (there.status_code, b""), path
        assert dict(head.headers) == dict(there.headers), path


@pytest.mark.parametrize("path", ["tags/list/", "manifests/v1/", "blobs/{}/", "referrers/{}/", "manifests/", "blobs/"])
def test_a_slash_at_the_end_is_of_another_resource(client: Client, path: str) -> None:
    """Of none, but for the base and the place where uploads begin."""
    client.push_image("v1", b"layer")
    answer = client.get(f"{V2}/{path.format(digest(b'layer'))}")
    assert client.code(answer) == (404, "NAME_UNKNOWN")
    assert client.post(f"{V2}/blobs/uploads").status_code == client.post(f"{V2}/blobs/uploads/").status_code == 202


@pytest.mark.parametrize("name", ["n" * 255, "/".join(["n"] * 128), "0", "a-----b", "a__b.c/d_e"])
@pytest.mark.parametrize("tag", ["t" * 128, "_", "0.-_", "sha256", "UPPER"])
def test_names_are_as_long_and_as_odd_as_may_be(client: Client, name: str, tag: str) -> None:
    """An image goes in and out, and is listed."""
    manifest = client.push_image(tag, b"layer", name=name)
    assert client.pull(tag, name).data == client.pull(digest(manifest), name).data == manifest
    assert client.get(f"/v2/{name}/blobs/{digest(b'layer')}").data == b"layer"
    assert client.tags(name) == [tag]
    assert name in json.loads(client.get("/v2/_catalog").data)["repositories"]


@pytest.mark.parametrize(
    "name", ["n" * 256, "Upper", "a/B", "a___b", "a..b", "-a", "a-", "a/", "a//b", "a:b", "a b", "é"]
)
def test_a_name_that_is_none_is_refused_by_every_step_of_a_push(client: Client, name: str) -> None:
    """As such, before anything is looked for."""
    manifest = image(b"{}")
    for method, path in (
        ("POST", "blobs/uploads/"),
        ("POST", f"blobs/uploads/?digest={digest(b'')}"),
        ("PATCH", "blobs/uploads/00000000-0000-4000-8000-000000000000"),
        ("HEAD", f"blobs/{digest(b'')}"),
        ("PUT", "manifests/v1"),
        ("GET", "tags/list"),
    ):
        answer = client.open(f"/v2/{name}/{path}", method=method, data=manifest if method == "PUT" else None)
        assert answer.status_code == 400
        assert method == "HEAD" or client.code(answer) == (400, "NAME_INVALID")


def test_a_tag_is_no_longer_than_it_may_be(client: Client) -> None:
    """128 characters: a longer one cannot be pushed, and is not there."""
    manifest = client.push_image("v1", b"layer")
    assert client.code(client.push_manifest(manifest, "t" * 129)) == (400, "MANIFEST_INVALID")
    assert client.pull("t" * 129).status_code == 404
    assert client.push_manifest(manifest, f"{digest(manifest)}?tag={'t' * 129}").status_code == 400
    assert client.tags() == ["v1"]


ACCEPTS = {
    "containerd": f"application/vnd.docker.distribution.manifest.v2+json, {DOCKER_LIST}, {OCI_IMAGE}, {OCI_INDEX}, */*",
    "weighted": f"{OCI_INDEX};q=0.9, {OCI_IMAGE};q=0.1, */*;q=0.01",
    "refused": f"{OCI_IMAGE};q=0",
    "anything": "*/*",
    "application": "application/*",
    "elsewhere": "text/html",
    "empty": "",
    "no list at all": ";;,,=;q=x",
}


@pytest.mark.parametrize("accept", ACCEPTS.values(), ids=ACCEPTS)
def test_what_is_there_is_sent_whatever_is_accepted(client: Client, accept: str) -> None:
    """The specification knows no other answer, and its bytes are what the digest names."""
    child = client.push_image("v1", b"layer")
    listed = index(child)
    assert client.push_manifest(listed, "list").status_code == 201
    for tag, data, kind in (("v1", child, OCI_IMAGE), ("list", listed, OCI_INDEX)):
        answer = client.get(f"{V2}/manifests/{tag}", headers={"Accept": accept})
        assert (answer.status_code, answer.data, answer.content_type) == (200, data, kind)


WELL_KNOWN = {
    "empty": b"",
    "empty JSON": b"{}",
    "empty layer": bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000"),
    "end of a tar": bytes(1024),
}


@pytest.mark.parametrize("data", WELL_KNOWN.values(), ids=WELL_KNOWN)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_blobs_that_everybody_has_are_as_any_other(client: Client, data: bytes, algorithm: str) -> None:
    """They go in, more than once, and out, and can be mounted and deleted."""
    named = client.push_blob(data, algorithm=algorithm)
    assert client.push_blob(data, algorithm=algorithm) == named
    assert client.get(f"{V2}/blobs/{named}").data == data
    assert client.post(f"/v2/other/blobs/uploads/?mount={named}&from={NAME}").status_code == 201
    assert client.delete(f"{V2}/blobs/{named}").status_code == 202
    assert client.get(f"{V2}/blobs/{named}").status_code == 404
    assert client.get(f"/v2/other/blobs/{named}").data == data


def test_images_of_few_or_the_same_parts_are_taken(client: Client) -> None:
    """Without layers, with one twice, and with a layer that is the config; an index of nothing, and of one twice."""
    client.push_blob(b"{}")
    child = image(b"{}")
    shapes = (child, image(b"{}", b"{}", b"{}"), index(), index(child, child), index(index()))
    for number, manifest in enumerate(shapes):
        assert client.push_manifest(manifest, f"v{number}").status_code == 201
        assert client.pull(f"v{number}").data == manifest


def test_of_a_repository_that_is_not_there_nothing_is(client: Client) -> None:
    """Pulled or deleted, by tag and by digest; but it has an empty list of referrers."""
    for reference in ("v1", digest(b"none"), digest(b"none", "sha512")):
        for method in ("GET", "HEAD", "DELETE"):
            assert client.open(f"/v2/none/manifests/{reference}", method=method).status_code == 404
    assert client.delete(f"/v2/none/blobs/{digest(b'none')}").status_code == 404
    assert client.referrers(digest(b"none"), "none") == []


def test_an_upload_is_of_one_repository_whatever_is_asked(client: Client) -> None:
    """By its right id, in the name of another repository, it can neither be read, gone on with, ended nor cancelled."""
    where = client.begin("first")
    assert client.patch(where, data=b"bytes").status_code == 202
    other = where.replace("first", "second")
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        answer = client.open(f"{other}?digest={digest(b'bytes')}", method=method)
        assert client.code(answer) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert client.put(f"{where}?digest={digest(b'bytes')}").status_code == 201


@pytest.mark.parametrize("store", ["memory"], indirect=True)  # on a disk it takes minutes
def test_ten_thousand_tags_are_listed_in_pages(client: Client, store: LayerService) -> None:
    """Each once, in order, by the links alone."""
    manifest = client.push_image("v1", b"layer")
    for number in range(10_000):
        store.driver.put(layout.tag(NAME, f"t{number}"), str(Digest.of(manifest)).encode())
    found, path = [], f"{V2}/tags/list?n=3000"
    while path:
        answer = client.get(path)
        page = json.loads(answer.data)["tags"]
        assert 0 < len(page) <= 1000
        found += page
        path = answer.headers.get("Link", "").partition(">")[0].lstrip("<")
    assert found == sorted(["v1", *(f"t{number}" for number in range(10_000))])
