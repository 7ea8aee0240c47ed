"""Paths, names and methods; and what is refused of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

import layerstore
from layerstore import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    InvalidPathError,
    LayerService,
    NoSpaceError,
    UnsupportedOperationError,
)
from layerstore_registry import Settings
from layerstore_registry.refusals import refusal_of

if TYPE_CHECKING:
    from tests.registry_client import NAME, UPLOADS, Client, digest
else:
    from registry_client import NAME, UPLOADS, Client, digest

ODD = ["x/blobs", "x/manifests", "x/blobs/uploads", "x/tags/list", "x/referrers", "blobs", "manifests/x", "v2", "v2/x"]


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_the_base_says_that_this_is_a_registry(client: Client, path: str) -> None:
    """In the old way, too."""
    answer = client.get(path)
    assert (answer.status_code, json.loads(answer.data)) == (200, {})
    assert client.head(path).status_code == 200


@pytest.mark.parametrize("name", ODD)
def test_a_repository_may_be_called_as_parts_of_paths_are(client: Client, name: str) -> None:
    """A path is read from its right end."""
    manifest = client.push_image("v1", b"layer", name=name)
    assert client.pull("v1", name).data == manifest
    assert client.tags(name) == ["v1"]
    assert client.referrers(digest(manifest), name) == []
    assert client.get(f"/v2/{name}/blobs/{digest(b'layer')}").data == b"layer"
    assert client.delete(client.begin(name)).status_code == 204


BAD_NAMES = [
    "A",
    "a/B",
    "a//b",
    "a/",
    "-a",
    "a..b",
    "a/../b",
    "..",
    "a_",
    "a___b",
    "a b",
    "ä",
    "x" * 256,
    "a\n",
    "a/.",
    "a\\b",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused(client: Client, store: LayerService, name: str) -> None:
    """By every resource, and nothing is stored under it."""
    name = quote(name)
    paths = [f"/v2/{name}/manifests/v1", f"/v2/{name}/tags/list", f"/v2/{name}/blobs/{digest(b'')}"]
    for path in [*paths, f"/v2/{name}/manifests/{digest(b'')}", f"/v2/{name}/referrers/{digest(b'')}"]:
        assert client.code(client.get(path)) == (400, "NAME_INVALID")
    assert client.code(client.post(f"/v2/{name}/blobs/uploads/")) == (400, "NAME_INVALID")
    assert client.code(client.put(paths[0], data=b"{}")) == (400, "NAME_INVALID")
    assert client.code(client.delete(paths[0])) == (400, "NAME_INVALID")
    assert list(store.repositories()) == []


@pytest.mark.parametrize(
    "raw", ["/v2/a%2Fb/tags/list", "/v2/a%2fb/tags/list", "/v2/a%5Cb/tags/list", "/v2/a%2F..%2Fb/tags/list"]
)
def test_a_slash_is_spelled_as_one(client: Client, raw: str) -> None:
    """What stands before the registry may not have taken it for one."""
    client.push_blob(b"x", "a/b")
    answer = client.get("/v2/a/b/tags/list", environ_overrides={"RAW_URI": raw})
    assert client.code(answer) == (400, "NAME_INVALID")
    raw = "/v2/a/b/tags/list?last=a%2Fb"
    assert client.get("/v2/a/b/tags/list", environ_overrides={"RAW_URI": raw}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/x", "/v1/", "/v2/a", "/v2//tags/list", "/v2/a/tags", "/v2/a/blobs/", "/v2/a/manifests/", "/v2x"]
)
def test_what_is_no_resource_is_not_found(client: Client, path: str) -> None:
    """By a refusal as of any other."""
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v2/", "GET, HEAD"),
        ("DELETE", "/v2/_catalog", "GET, HEAD"),
        ("GET", UPLOADS, "POST"),
        ("POST", f"/v2/{NAME}/manifests/v1", "GET, PUT, DELETE, HEAD"),
        ("PUT", f"/v2/{NAME}/blobs/{digest(b'')}", "GET, DELETE, HEAD"),
        ("OPTIONS", f"/v2/{NAME}/tags/list", "GET, HEAD"),
        ("TRACE", "/v2/", "GET, HEAD"),
    ],
)
def test_another_method_is_refused(client: Client, method: str, path: str, allowed: str) -> None:
    """With those that are not."""
    answer = client.open(path, method=method)
    assert client.code(answer) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == allowed


def test_what_only_reads_is_all_that_a_read_only_registry_does(
    client: Client, serve: Callable[[Settings], Client], store: LayerService
) -> None:
    """Whatever would change the store is refused."""
    manifest = client.push_image("v1", b"layer")
    where, reader = client.begin(), serve(Settings(read_only=True))
    before = sorted(str(info) for info in [*store.layers(), *store.uploads()])
    for method, path in (
        ("POST", UPLOADS),
        ("POST", f"/v2/other/blobs/uploads/?mount={digest(b'layer')}&from={NAME}"),
        ("PATCH", where),
        ("PUT", where),
        ("DELETE", where),
        ("PUT", f"/v2/{NAME}/manifests/v1"),
        ("DELETE", f"/v2/{NAME}/manifests/v1"),
        ("DELETE", f"/v2/{NAME}/blobs/{digest(b'layer')}"),
    ):
        answer = reader.open(path, method=method, data=manifest)
        assert client.code(answer) == (405, "UNSUPPORTED")
        assert set(answer.headers["Allow"].split(", ")) <= {"GET", "HEAD", ""}
    assert reader.pull("v1").data == manifest
    assert reader.tags() == ["v1"]
    assert sorted(str(info) for info in [*store.layers(), *store.uploads()]) == before


ERRORS: list[tuple[type[DriverError], int]] = [
    (NoSpaceError, 507),
    (AccessDeniedError, 500),
    (BackendUnavailableError, 503),
    (InvalidPathError, 400),
    (UnsupportedOperationError, 400),
    (DriverError, 500),
]


@pytest.mark.parametrize(("kind", "status"), ERRORS)
def test_a_failure_of_the_store_tells_nothing_of_it(
    client: Client,
    store: LayerService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[DriverError],
    status: int,
) -> None:
    """Neither keys nor the driver's words; those are in the log, where the server is at fault."""

    def fail(key: str, data: bytes) -> None:
        raise kind(key, "secret words", "driver")

    monkeypatch.setattr(store.driver, "put", fail)
    answer = client.post(UPLOADS)
    assert answer.status_code == status
    assert "docker/registry" not in answer.text
    assert "secret" not in answer.text
    assert ("secret words" in caplog.text) == (status >= 500)


def test_every_error_has_an_answer() -> None:
    """None is a failure of the program."""
    for name in dir(layerstore.errors):
        kind = getattr(layerstore.errors, name)
        if isinstance(kind, type) and issubclass(kind, layerstore.LayerStoreError):
            assert 400 <= refusal_of(kind.__new__(kind)).status <= 599 if issubclass(kind, DriverError) else True
    assert refusal_of(layerstore.MarkingIncompleteError("a", "b")).status == 500


def test_parameters_that_are_not_known_are_ignored(client: Client) -> None:
    """As of clients that take this for a mirror."""
    client.push_image("v1", b"layer")
    assert client.get(f"/v2/{NAME}/manifests/v1?ns=docker.io&x=%00").status_code == 200


def test_who_watches_learns_whether_it_answers_and_whether_its_store_does(
    client: Client, store: LayerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two questions: for the first the store is not asked."""
    assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]

    def fail(prefix: str) -> None:
        raise BackendUnavailableError(prefix, "secret words")

    monkeypatch.setattr(store.driver, "list", fail)
    assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 503]
    assert "secret" not in client.get("/readyz").text
    assert client.post("/healthz").status_code == 405
