"""Requests that meet each other, or a failure of the store: an answer that was given stays true."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from layerstore import BackendUnavailableError, LayerService, layout
from layerstore.digest import Digest
from layerstore_registry.resources.revisions import Revisions
from layerstore_registry.resources.uploads import Uploads

if TYPE_CHECKING:
    from tests.registry_client import NAME, OCI_IMAGE, Client, digest, image
else:
    from registry_client import NAME, OCI_IMAGE, Client, digest, image

LAYER_DATA = b"layer"
MANIFEST = image(b"{}", LAYER_DATA)
OTHER = image(b"{}")
PATH = f"/v2/{NAME}/manifests/{digest(MANIFEST)}"
DATA = b"abc"
LARGE = bytes(range(256)) * 6000  # more than is kept in memory


@pytest.fixture
def pushed(client: Client) -> Client:
    """Push what the manifests are of."""
    for blob in (b"{}", LAYER_DATA):
        client.push_blob(blob)
    return client


def after_put(store: LayerService, monkeypatch: pytest.MonkeyPatch, key: str, event: Callable[[], object]) -> None:
    """Have something happen once, when a key has been put."""
    real, happened = store.driver.put, list[str]()

    def put(where: str, data: bytes) -> None:
        real(where, data)
        if where == key and not happened:
            happened.append(where)
            event()

    monkeypatch.setattr(store.driver, "put", put)


@pytest.fixture
def at_the_second_look(
    pushed: Client, store: LayerService, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], bool]], None]:
    """Return a function: when a push looks for its blobs again, another of the same bytes is answered, then it acts."""

    def set_up(act: Callable[[], bool]) -> None:

        def renew(name: str, wanted: Digest) -> bool:
            monkeypatch.undo()
            assert pushed.push_manifest(MANIFEST, "theirs").status_code == 201
            return act()

        monkeypatch.setattr(store, "renew", renew)

    return set_up


def test_a_push_that_fails_takes_nothing_from_another(
    pushed: Client, at_the_second_look: Callable[[Callable[[], bool]], None]
) -> None:
    """The store fails at the second look, when another push of the same bytes has been answered."""

    def fail() -> bool:
        raise BackendUnavailableError("blob", "failed on purpose")

    at_the_second_look(fail)
    assert pushed.push_manifest(MANIFEST, "mine").status_code == 503
    assert pushed.pull("theirs").data == MANIFEST


def test_a_push_that_is_refused_takes_nothing_from_another(
    pushed: Client, at_the_second_look: Callable[[Callable[[], bool]], None]
) -> None:
    """A layer is away at the second look, and back when another push of the same bytes is answered."""
    at_the_second_look(lambda: False)
    assert pushed.code(pushed.push_manifest(MANIFEST, "mine")) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert pushed.pull("theirs").data == MANIFEST


def test_a_delete_leaves_no_tag_that_stands_for_nothing(
    pushed: Client, store: LayerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push put its tag when the delete had listed the tags, and ended before the revision went."""
    assert pushed.push_manifest(MANIFEST, "v1").status_code == 201
    real = Revisions.untag_all

    def untag_all(revisions: Revisions, name: str, canonical: Digest) -> None:
        real(revisions, name, canonical)
        monkeypatch.undo()
        assert pushed.push_manifest(MANIFEST, "v2").status_code == 201

    monkeypatch.setattr(Revisions, "untag_all", untag_all)
    assert pushed.delete(PATH).status_code == 202
    assert pushed.tags() == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_push_that_meets_a_delete_is_there_with_what_it_refers_to(
    pushed: Client, store: LayerService, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    """The delete takes its names and its note as a referrer before the push is answered; all are put again."""
    subject = {"mediaType": OCI_IMAGE, "digest": digest(b"subject"), "size": 7}
    manifest = image(b"{}", subject=subject)
    named = digest(manifest, algorithm)
    key = layout.referrer(NAME, Digest.parse(digest(b"subject")), Digest.parse(named))
    after_put(store, monkeypatch, key, lambda: pushed.delete(f"/v2/{NAME}/manifests/{named}"))
    assert pushed.push_manifest(manifest, named).status_code == 201
    assert pushed.pull(named).data == manifest
    assert [found["digest"] for found in pushed.referrers(digest(b"subject"))] == [named]


def test_a_tag_that_moves_can_be_pulled_all_the_time(pushed: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull has read the tag; then it moves, and what it stood for is deleted."""
    assert pushed.push_manifest(MANIFEST, "v1").status_code == 201
    real = Revisions.standing_for

    def standing_for(revisions: Revisions, name: str, tag: str) -> Digest | None:
        found = real(revisions, name, tag)
        monkeypatch.undo()
        assert pushed.push_manifest(OTHER, "v1").status_code == 201
        assert pushed.delete(PATH).status_code == 202
        return found

    monkeypatch.setattr(Revisions, "standing_for", standing_for)
    assert pushed.pull("v1").data == OTHER


def test_a_tag_of_bytes_that_are_gone_is_unknown(pushed: Client, store: LayerService) -> None:
    """It repeats, and is not read for ever."""
    assert pushed.push_manifest(MANIFEST, "v1").status_code == 201
    store.driver.delete(layout.blob(Digest.of(MANIFEST)))
    assert pushed.code(pushed.pull("v1")) == (404, "MANIFEST_UNKNOWN")


class Between(io.BytesIO):
    """A body before whose end something else happens."""

    def __init__(self, data: bytes, event: Callable[[], object]) -> None:
        """Have it happen once, when all bytes but the last are read."""
        super().__init__(data)
        self.event: Callable[[], object] | None = event

    def read(self, size: int | None = -1) -> bytes:
        """Give what there is."""
        if self.event:
            event, self.event = self.event, None
            event()
        return super().read(size)


def test_an_earlier_put_leaves_what_a_later_chunk_was_answered_for(client: Client) -> None:
    """The chunk came while the body of the PUT, which is stored at once, was on its way."""
    where = client.begin()
    body = Between(DATA, lambda: client.patch(where, data=LARGE))
    client.stream("PUT", where, body, len(DATA), query_string={"digest": digest(DATA)})
    assert client.get(where).headers["Range"] == f"0-{len(LARGE) - 1}"


def test_a_put_that_comes_again_while_the_first_ends_is_answered_alike(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one ends the upload when the second has asked how far it has come."""
    where, query = client.begin(), {"digest": digest(LARGE)}
    assert client.patch(where, data=LARGE).status_code == 202
    real = Uploads._span

    def span(*told: object) -> object:
        monkeypatch.undo()
        assert client.put(where, query_string=query).status_code == 201
        return real(*told)  # type: ignore[arg-type]  # as it is called

    monkeypatch.setattr(Uploads, "_span", span)
    assert client.put(where, query_string=query).status_code == 201


def test_a_last_chunk_that_comes_again_ends_an_upload_that_was_cut_off(
    client: Client, store: LayerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its range; the bytes have become a blob, and only the link is missing."""
    whole, where = LARGE + DATA, client.begin()
    assert client.patch(where, data=LARGE).status_code == 202
    real = store.driver.put

    def fail(key: str, data: bytes) -> None:
        if key.endswith("/link"):
            raise BackendUnavailableError(key, "cut off")
        real(key, data)

    monkeypatch.setattr(store.driver, "put", fail)
    headers = {"Content-Range": f"{len(LARGE)}-{len(whole) - 1}"}
    query = {"digest": digest(whole)}
    assert client.put(where, query_string=query, data=DATA, headers=headers).status_code == 503
    monkeypatch.undo()
    assert client.put(where, query_string=query, data=DATA, headers=headers).status_code == 201
    assert client.get(f"/v2/{NAME}/blobs/{digest(whole)}").data == whole


def test_a_last_chunk_that_comes_again_before_the_end_is_refused(
    client: Client, store: LayerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are in the upload, which has not become a blob: it may be other bytes that end at its place."""
    whole, where = LARGE + DATA, client.begin()
    for data in (LARGE, DATA):
        assert client.patch(where, data=data).status_code == 202
    headers = {"Content-Range": f"{len(LARGE)}-{len(whole) - 1}"}
    answer = client.put(where, query_string={"digest": digest(whole)}, data=DATA, headers=headers)
    assert client.code(answer) == (416, "BLOB_UPLOAD_INVALID")
    assert client.put(where, query_string={"digest": digest(whole)}).status_code == 201
