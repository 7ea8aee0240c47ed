"""Conditions of requests: what is sent, changed and deleted is what the client means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.registry_client import NAME, OCI_IMAGE, Client, digest
else:
    from registry_client import NAME, OCI_IMAGE, Client, digest

OTHER = f'"{digest(b"other")}"'


@pytest.fixture
def first(client: Client) -> bytes:
    """Push an image."""
    return client.push_image("v1", b"layer")


def paths(first: bytes) -> list[tuple[str, str]]:
    """Return where things are, and their digests."""
    named = digest(first)
    return [
        (f"/v2/{NAME}/manifests/v1", named),
        (f"/v2/{NAME}/manifests/{named}", named),
        (f"/v2/{NAME}/blobs/{digest(b'layer')}", digest(b"layer")),
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_what_is_not_what_the_client_means_is_neither_sent_nor_deleted(
    client: Client, first: bytes, method: str
) -> None:
    """A tag that has moved, for example."""
    for path, named in paths(first):
        wrong = {"If-Match": OTHER}
        assert client.open(path, method=method, headers=wrong).status_code == 412
        assert client.open(path, method=method, headers={"If-Match": f'W/"{named}"'}).status_code == 412
        assert client.get(path, headers={"If-Match": f'{OTHER}, "{named}"'}).status_code == 200
        assert client.get(path, headers={"If-Match": "*"}).status_code == 200
        missing = path.replace("v1", "none").replace(named, digest(b"none"))
        assert client.open(missing, method=method, headers=wrong).status_code == 404


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', '"x", W/"{}"', "*"])
def test_what_the_client_has_is_not_sent_however_it_is_spelled(client: Client, first: bytes, form: str) -> None:
    """A proxy on the way may have weakened the tag."""
    for path, named in paths(first):
        for method in ("GET", "HEAD"):
            answer = client.open(path, method=method, headers={"If-None-Match": form.format(named)})
            assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", f'"{named}"')
        assert client.delete(path, headers={"If-None-Match": form.format(named)}).status_code == 412
        assert client.get(path).status_code == 200


def test_a_tag_moves_only_from_where_the_client_says(client: Client, first: bytes) -> None:
    """Else another client's push is lost: two that add to an index of referrers, for example."""
    path = f"/v2/{NAME}/manifests/v1"
    second = client.push_image("v2", b"another")

    def put(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.put(path, data=second, content_type=OCI_IMAGE, headers=named).status_code

    assert put(If_Match=OTHER) == put(If_None_Match="*") == put(If_None_Match=f'"{digest(first)}"') == 412
    assert client.pull("v1").data == first
    assert put(If_Match=f'"{digest(first)}"') == 201
    assert client.pull("v1").data == second
    assert put(If_Match=f'"{digest(first)}"') == 412


def test_a_tag_that_is_new_is_not_put_over_another(client: Client, first: bytes) -> None:
    """A client may ask for that; one that means a tag that is not there any more is refused."""
    path = f"/v2/{NAME}/manifests/new"

    def put(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.put(path, data=first, content_type=OCI_IMAGE, headers=named).status_code

    assert put(If_Match="*") == put(If_Match=f'"{digest(first)}"') == 412
    assert client.pull("new").status_code == 404
    assert put(If_None_Match="*") == 201
    assert put(If_None_Match="*") == 412


def test_a_part_is_sent_only_of_what_the_client_means(client: Client, first: bytes) -> None:
    """The whole is sent where it has begun with another; nothing, where it says so."""
    path, named = paths(first)[2]
    for headers, status in (
        ({"If-Range": f'"{named}"'}, 206),
        ({"If-Range": f'W/"{named}"'}, 200),
        ({"If-Range": OTHER}, 200),
        ({"If-Range": "Mon, 01 Jan 2035 00:00:00 GMT"}, 200),
        ({"If-Match": OTHER}, 412),
        ({"If-None-Match": f'"{named}"'}, 304),
    ):
        assert client.get(path, headers={"Range": "bytes=1-2", **headers}).status_code == status
