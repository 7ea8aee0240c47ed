"""Fetching and deleting blobs (OCI distribution specification 1.1, "Pulling blobs", "Deleting Blobs")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from layerstore import LayerService, layout
from layerstore.digest import Digest
from layerstore_registry import Registry, Settings
from layerstore_registry.access.htpasswd import Htpasswd
from layerstore_registry.access.rules import Rules

if TYPE_CHECKING:
    from tests.registry_client import NAME, Client, digest
else:
    from registry_client import NAME, Client, digest

DATA = bytes(range(256)) * 8  # 2,048 bytes
BLOB = f"/v2/{NAME}/blobs/{digest(DATA)}"


@pytest.fixture
def blob(client: Client) -> str:
    """Push a blob, and return its path."""
    return f"/v2/{NAME}/blobs/{client.push_blob(DATA)}"


def test_a_blob_is_sent_whole(client: Client, blob: str) -> None:
    """With its digest, its length, and that parts of it may be had."""
    answer = client.get(blob)
    assert (answer.status_code, answer.data) == (200, DATA)
    assert answer.headers["Docker-Content-Digest"] == digest(DATA)
    assert answer.headers["Content-Length"] == "2048"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert "Content-Encoding" not in answer.headers


def test_the_head_of_a_blob_is_as_its_get(client: Client, blob: str) -> None:
    """But for the body."""
    head, get = client.head(blob), client.get(blob)
    assert (head.status_code, head.data) == (200, b"")
    assert dict(head.headers) == dict(get.headers)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_the_repository_does_not_have_is_not_found(client: Client, blob: str, method: str) -> None:
    """Neither a blob that nobody has nor one that another repository has."""
    for path in (blob.replace(NAME, "other"), f"/v2/{NAME}/blobs/{digest(b'none')}"):
        answer = client.open(path, method=method)
        assert answer.status_code == 404
        assert method == "HEAD" or client.code(answer) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("wrong", ["sha256:abc", "sha1:" + "0" * 40, "latest", "sha256:" + "G" * 64, "sha512:00"])
def test_what_is_no_digest_names_no_blob(client: Client, wrong: str) -> None:
    """It is refused as such."""
    assert client.code(client.get(f"/v2/{NAME}/blobs/{wrong}")) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, 2048),
        ("bytes=-100", 1948, 2048),
        ("bytes=-5000", 0, 2048),
        ("bytes=2000-5000", 2000, 2048),
        ("bytes=0-0", 0, 1),
        ("bytes=2047-", 2047, 2048),
        ("bytes=0-" + "9" * 30, 0, 2048),
    ],
)
def test_a_part_of_a_blob_is_sent(client: Client, blob: str, asked: str, start: int, end: int) -> None:
    """Exactly that, and which it is."""
    answer = client.get(blob, headers={"Range": asked})
    assert (answer.status_code, answer.data) == (206, DATA[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/2048"
    assert answer.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize(
    "asked", ["bytes=5000-10000", "bytes=2048-", "bytes=500-0", "bytes=-0", "bytes=" + "9" * 30 + "-"]
)
def test_a_part_that_is_not_there_is_refused(client: Client, blob: str, asked: str) -> None:
    """With how large the blob is."""
    answer = client.get(blob, headers={"Range": asked})
    assert client.code(answer)[0] == 416
    assert answer.headers["Content-Range"] == "bytes */2048"


BOMB = "bytes=" + ",".join(["0-2047"] * 500)


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", BOMB, "bytes=-", "bytes=a-b", "lines=0-1", "bytes", "bytes=0-" + "9" * 5000]
)
def test_another_form_of_range_is_answered_by_the_whole(client: Client, blob: str, asked: str) -> None:
    """Never by more than that."""
    answer = client.get(blob, headers={"Range": asked})
    assert (answer.status_code, answer.data) == (200, DATA)


def test_a_part_is_sent_if_the_blob_is_the_one_that_was_begun(client: Client, blob: str) -> None:
    """If it is not, the whole is."""
    tag = client.head(blob).headers["ETag"]
    assert tag == f'"{digest(DATA)}"'
    for condition, status in ((tag, 206), ('"other"', 200), (f"W/{tag}", 200)):
        answer = client.get(blob, headers={"Range": "bytes=5-", "If-Range": condition})
        assert answer.status_code == status


def test_a_blob_that_the_client_has_is_not_sent(client: Client, blob: str) -> None:
    """Nor read."""
    tag = client.head(blob).headers["ETag"]
    answer = client.get(blob, headers={"If-None-Match": f'"other", {tag}'})
    assert (answer.status_code, answer.data) == (304, b"")
    assert client.get(blob, headers={"If-None-Match": '"other"'}).status_code == 200


def test_an_empty_blob_is_sent(client: Client) -> None:
    """No part of it can be."""
    path = f"/v2/{NAME}/blobs/{client.push_blob(b'')}"
    assert client.get(path).headers["Content-Length"] == "0"
    assert client.get(path, headers={"Range": "bytes=0-"}).status_code == 416


def test_a_deleted_blob_is_gone_at_once(client: Client, blob: str) -> None:
    """From its repository; deleting it again finds nothing."""
    client.push_blob(DATA, "other")
    assert client.delete(blob).status_code == 202
    assert client.get(blob).status_code == client.head(blob).status_code == 404
    assert client.code(client.delete(blob)) == (404, "BLOB_UNKNOWN")
    assert client.get(blob.replace(NAME, "other")).data == DATA


def test_a_blob_is_deleted_under_the_digest_that_was_asked_for(client: Client) -> None:
    """Its other name stays."""
    long = client.push_blob(DATA, algorithm="sha512")
    assert client.get(f"/v2/{NAME}/blobs/{long}").headers["Docker-Content-Digest"] == long
    assert client.delete(f"/v2/{NAME}/blobs/{long}").status_code == 202
    assert client.get(f"/v2/{NAME}/blobs/{long}").status_code == 404
    assert client.get(BLOB).data == DATA


def test_deleting_blobs_can_be_switched_off(client: Client, blob: str, serve: Callable[[Settings], Client]) -> None:
    """Then it is refused, and says which methods are not."""
    answer = serve(Settings(delete_blobs=False)).delete(blob)
    assert client.code(answer) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == "GET, HEAD"
    assert client.get(blob).status_code == 200


def test_a_blob_that_has_gone_behind_its_link_is_unknown(client: Client, blob: str, store: LayerService) -> None:
    """A link alone is no blob."""
    store.driver.delete(layout.blob(Digest.parse(digest(DATA))))
    assert client.code(client.get(blob)) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("asked", ["bytes=0-1", "bytes=9-"])
def test_the_head_of_a_blob_is_of_all_of_it(client: Client, asked: str) -> None:
    """A range is of a GET alone (RFC 9110, section 14.2)."""
    answer = client.head(f"/v2/{NAME}/blobs/{client.push_blob(b'bytes')}", headers={"Range": asked})
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "5")


LED = Settings(redirect=True)
URL = "https://elsewhere/blob?sig=secret"


@pytest.fixture
def signing(store: LayerService, monkeypatch: pytest.MonkeyPatch) -> LayerService:
    """Have the store's driver sign URLs."""

    def redirect_url(key: str, lasts: timedelta) -> str:
        store.driver.stat(key)
        assert lasts == timedelta(minutes=20)
        return URL

    monkeypatch.setattr(store.driver, "redirect_url", redirect_url)
    return store


def test_who_pulls_a_blob_is_led_to_where_it_is(blob: str, signing: LayerService) -> None:
    """If that was asked for, by a GET, whatever part of it is wanted; the URL is for nobody to keep."""
    led = Client(Registry(signing, LED))
    for headers in ({}, {"Range": "bytes=5-9"}):
        answer = led.get(blob, headers=headers)
        assert (answer.status_code, answer.headers["Location"], answer.data) == (307, URL, b"")
        assert answer.headers["Docker-Content-Digest"] == digest(DATA)
        assert answer.headers["Cache-Control"] == "no-store"
    assert Client(Registry(signing)).get(blob).data == DATA


def test_nobody_is_led_who_asks_after_a_blob(blob: str, signing: LayerService) -> None:
    """By a HEAD, or whether it is another one than they have."""
    led = Client(Registry(signing, LED))
    answer = led.head(blob)
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "2048")
    assert led.get(blob, headers={"If-None-Match": f'"{digest(DATA)}"'}).status_code == 304


def test_nobody_is_led_to_what_the_repository_does_not_have(blob: str, signing: LayerService) -> None:
    """It is not found, as without."""
    led = Client(Registry(signing, LED))
    for path in (blob.replace(NAME, "other"), f"/v2/{NAME}/blobs/{digest(b'none')}"):
        assert led.code(led.get(path)) == (404, "BLOB_UNKNOWN")


def test_nobody_is_led_who_may_not_pull(blob: str, signing: LayerService) -> None:
    """They are asked who they are."""
    users = {"alice": b"$2b$04$" + b"a" * 53}
    access = Htpasswd(users, Rules.simple(users, (), anonymous_pull=False))
    answer = Client(Registry(signing, LED, access)).get(blob)
    assert (answer.status_code, "Location" in answer.headers) == (401, False)


def test_what_a_store_has_no_url_of_is_sent(blob: str, store: LayerService) -> None:
    """By the registry itself."""
    answer = Client(Registry(store, LED)).get(blob)
    assert (answer.status_code, answer.data) == (200, DATA)
