"""Uploading (OCI distribution specification 1.1, "Pushing blobs", "Mounting a blob from another repository")."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from layerstore import BackendUnavailableError, LayerService, LayerUpload, layout
from layerstore_registry import Registry, Settings
from layerstore_registry.messages.body import BLOCK

if TYPE_CHECKING:
    from tests.registry_client import NAME, UPLOADS, Client, digest
else:
    from registry_client import NAME, UPLOADS, Client, digest

DATA = b"0123456789" * 1000
LARGE = bytes(range(256)) * 6000  # more than is kept in memory


def got(client: Client, data: bytes = DATA, name: str = NAME) -> bool:
    """Tell whether a blob is there, and right."""
    answer = client.get(f"/v2/{name}/blobs/{digest(data)}")
    return answer.status_code == 200 and answer.data == data


def finish(client: Client, where: str, whole: bytes = DATA, data: bytes = b"", **headers: str) -> TestResponse:
    """Send the PUT that ends an upload."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.put(where, query_string={"digest": digest(whole)}, data=data, headers=headers)


def chunk(client: Client, where: str, data: bytes, said: str | None = None) -> TestResponse:
    """Send a PATCH, with or without a range."""
    return client.patch(where, data=data, headers={"Content-Range": said} if said else {})


@pytest.mark.parametrize("path", [UPLOADS, UPLOADS.rstrip("/")])
def test_an_upload_begins(client: Client, path: str) -> None:
    """It has a place of its own, an id, and no bytes."""
    answer = client.post(path)
    assert answer.status_code == 202
    assert answer.headers["Location"] == UPLOADS + answer.headers["Docker-Upload-UUID"]
    assert answer.headers["Range"] == "0-0"


def test_a_blob_is_pushed_by_post_and_put(client: Client) -> None:
    """The answer says where it is, and what it is called by."""
    answer = finish(client, client.begin(), data=DATA)
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, digest(DATA))
    assert client.get(answer.headers["Location"]).data == DATA


def test_a_large_blob_is_pushed_by_post_and_put(client: Client) -> None:
    """What does not fit in memory at once, too."""
    assert finish(client, client.begin(), LARGE, LARGE).status_code == 201
    assert got(client, LARGE)


@pytest.mark.parametrize("data", [b"", DATA, LARGE])
def test_a_blob_is_pushed_by_one_post(client: Client, data: bytes) -> None:
    """With its digest in the query."""
    answer = client.post(UPLOADS, query_string={"digest": digest(data)}, data=data)
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v2/{NAME}/blobs/{digest(data)}")
    assert got(client, data)


def test_one_post_of_other_bytes_leaves_nothing(client: Client, store: LayerService) -> None:
    """Neither a blob nor an upload."""
    for data in (DATA, LARGE):
        answer = client.post(UPLOADS, query_string={"digest": digest(b"other")}, data=data)
        assert client.code(answer) == (400, "DIGEST_INVALID")
    assert [*store.driver.list(layout.uploads(NAME)), *store.layers()] == []


def test_one_post_of_other_bytes_leaves_nothing_where_all_is_read_back(store: LayerService) -> None:
    """Where others already know of the upload, either."""
    client = Client(Registry(LayerService(store.driver, verify="reread")))
    answer = client.post(UPLOADS, query_string={"digest": digest(b"other")}, data=LARGE)
    assert client.code(answer) == (400, "DIGEST_INVALID")
    assert [*store.driver.list(layout.uploads(NAME)), *store.layers()] == []


@pytest.mark.parametrize("bytes_before", ["", "bytes "])
def test_a_blob_is_pushed_in_chunks_with_ranges(client: Client, bytes_before: str) -> None:
    """Each answer says how far it has come; the last chunk may come with the PUT."""
    where = client.begin()
    for start in (0, 3000):
        answer = chunk(client, where, DATA[start : start + 3000], f"{bytes_before}{start}-{start + 2999}")
        assert (answer.status_code, answer.headers["Range"]) == (202, f"0-{start + 2999}")
        where = answer.headers["Location"]
    last = f"6000-{len(DATA) - 1}"
    assert finish(client, where, data=DATA[6000:], Content_Range=last).status_code == 201
    assert got(client)


def test_a_blob_is_pushed_in_chunks_without_ranges(client: Client) -> None:
    """They are appended."""
    where = client.begin()
    for part in (LARGE[:-5000], LARGE[-5000:]):
        assert chunk(client, where, part).status_code == 202
    assert finish(client, where, LARGE).status_code == 201
    assert got(client, LARGE)


def chunked(client: Client, method: str, where: str, data: bytes, **more: Any) -> TestResponse:
    """Send a body whose length is not said."""
    return client.stream(method, where, io.BytesIO(data), None, **more)


@pytest.mark.parametrize("data", [DATA, LARGE])
def test_a_body_need_not_say_its_length(client: Client, data: bytes) -> None:
    """In a PATCH, a PUT, and a POST."""
    where = client.begin()
    assert chunked(client, "PATCH", where, data).headers["Range"] == f"0-{len(data) - 1}"
    assert finish(client, where, data).status_code == 201
    assert chunked(client, "PUT", client.begin("b"), data, query_string={"digest": digest(data)}).status_code == 201
    assert (
        chunked(client, "POST", "/v2/c/blobs/uploads/", data, query_string={"digest": digest(data)}).status_code == 201
    )
    assert all(got(client, data, name) for name in (NAME, "b", "c"))


def test_the_status_of_an_upload_says_how_far_it_has_come(client: Client) -> None:
    """Where to go on, and that nothing at all is spelled as clients can read it."""
    where = client.begin()
    assert client.get(where).headers["Range"] == "0-0"
    chunk(client, where, DATA)
    answer = client.get(where)
    assert (answer.status_code, answer.data, answer.headers["Location"]) == (204, b"", where)
    assert answer.headers["Range"] == f"0-{len(DATA) - 1}"


def test_asking_after_an_upload_disturbs_nobody(client: Client, store: LayerService) -> None:
    """Whoever sends to it goes on."""
    where = client.begin()
    upload = store.resume(NAME, where.rpartition("/")[2])
    upload.write(DATA)
    assert client.get(where).status_code == 204
    upload.close()
    assert client.get(where).headers["Range"] == f"0-{len(DATA) - 1}"


def test_a_last_chunk_that_is_not_the_first_is_refused(client: Client) -> None:
    """Though all that came is what the digest says."""
    where = client.begin()
    answer = finish(client, where, data=DATA, Content_Range=f"5-{len(DATA) + 4}")
    assert (client.code(answer)[0], answer.headers["Range"]) == (416, "0-0")
    assert not got(client)


@pytest.mark.parametrize("said", ["0-9", "5000-5009", "2999-3008", "3001-3010"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_chunk_at_another_place_is_refused(client: Client, said: str, method: str) -> None:
    """The answer says where the upload is and how far it has come; it can be gone on with."""
    where = client.begin()
    chunk(client, where, DATA[:3000])
    query = {"digest": digest(DATA)} if method == "PUT" else {}
    answer = client.open(where, method=method, data=b"x" * 10, headers={"Content-Range": said}, query_string=query)
    assert client.code(answer)[0] == 416
    assert (answer.headers["Location"], answer.headers["Range"]) == (where, "0-2999")
    assert chunk(client, where, DATA[3000:], f"3000-{len(DATA) - 1}").status_code == 202
    assert finish(client, where).status_code == 201


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_chunk_at_another_place_disturbs_nobody(client: Client, store: LayerService, method: str) -> None:
    """Whoever sends to the upload is not fenced by one that is refused."""
    where = client.begin()
    upload = store.resume(NAME, where.rpartition("/")[2])
    upload.write(DATA)
    query = {"digest": digest(b"x")} if method == "PUT" else {}
    answer = client.open(where, method=method, data=b"x", headers={"Content-Range": "9-9"}, query_string=query)
    assert answer.status_code == 416
    upload.close()
    assert finish(client, where).status_code == 201


@pytest.mark.parametrize(
    ("said", "code"), [("0-99", "SIZE_INVALID"), ("0-8", "SIZE_INVALID"), ("9-0", "BLOB_UPLOAD_INVALID")]
)
def test_a_chunk_of_another_length_than_it_says_is_refused(client: Client, said: str, code: str) -> None:
    """Before any of it is taken."""
    where = client.begin()
    assert client.code(chunk(client, where, b"x" * 10, said)) == (400, code)
    assert client.get(where).headers["Range"] == "0-0"


@pytest.mark.parametrize("said", ["x", "0", "-1", "0-", "bytes", "0-1-2", "0-1/x", "٣-٤", "9" * 30 + "-" + "9" * 31])
def test_a_range_of_another_form_is_refused(client: Client, said: str) -> None:
    """It is not taken for none."""
    headers = {"Content-Range": said.encode().decode("latin-1")}
    answer = client.patch(client.begin(), data=b"xx", headers=headers)
    assert client.code(answer) == (400, "BLOB_UPLOAD_INVALID")


@pytest.mark.parametrize(("size", "kept"), [(9, "0-8"), (11, "0-0"), (2 * BLOCK, "0-0")])
def test_a_chunk_without_a_length_has_to_be_as_long_as_its_range(client: Client, size: int, kept: str) -> None:
    """What is too short or too long is refused; what was kept of it shows."""
    where = client.begin()
    answer = chunked(client, "PATCH", where, b"x" * size, headers={"Content-Range": "0-9"})
    assert client.code(answer) == (400, "SIZE_INVALID")
    assert client.get(where).headers["Range"] == kept


@pytest.mark.parametrize("wrong", ["", "sha256:abc", "sha1:" + "0" * 40, "tarsum.v1+sha256:" + "0" * 64])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_wrong_digest_is_refused_before_the_body_is_read(client: Client, wrong: str, method: str) -> None:
    """One that is missing, no digest, or of an algorithm that is not served."""
    stream = io.BytesIO(DATA)
    where = client.begin() if method == "PUT" else UPLOADS
    answer = client.stream(method, where, stream, len(DATA), query_string={"digest": wrong})
    assert client.code(answer) == (400, "DIGEST_INVALID")
    assert stream.tell() == 0


def test_a_put_without_a_digest_is_refused(client: Client) -> None:
    """The upload stays."""
    where = client.begin()
    assert client.code(client.put(where, data=DATA)) == (400, "DIGEST_INVALID")
    assert client.get(where).status_code == 204


@pytest.mark.parametrize("data", [DATA, LARGE])
def test_other_bytes_than_the_digest_says_are_refused(client: Client, data: bytes) -> None:
    """There is no blob, and the upload can be ended by the right digest."""
    where = client.begin()
    chunk(client, where, data)
    assert client.code(finish(client, where, b"other")) == (400, "DIGEST_INVALID")
    assert client.get(f"/v2/{NAME}/blobs/{digest(b'other')}").status_code == 404
    assert finish(client, where, data).status_code == 201


def test_other_bytes_in_a_put_alone_are_refused(client: Client, store: LayerService) -> None:
    """The upload stays, and nothing else does."""
    where = client.begin()
    assert client.code(finish(client, where, b"other", DATA)) == (400, "DIGEST_INVALID")
    assert finish(client, where, data=DATA).status_code == 201
    assert list(store.uploads()) == []


def test_a_cancelled_upload_is_gone(client: Client) -> None:
    """And whatever is asked of it afterwards says so."""
    where = client.begin()
    chunk(client, where, DATA)
    assert client.delete(where).status_code == 204
    for answer in (client.get(where), chunk(client, where, DATA), finish(client, where), client.delete(where)):
        assert client.code(answer) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("uuid", ["00000000-0000-0000-0000-000000000000", "x", "..", "sha256:00"])
def test_an_upload_that_never_was_is_unknown(client: Client, uuid: str) -> None:
    """Whatever its id looks like."""
    for answer in (client.get(UPLOADS + uuid), chunk(client, UPLOADS + uuid, b"x"), client.delete(UPLOADS + uuid)):
        assert client.code(answer) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("data", [DATA, b""])
def test_an_upload_that_never_was_is_ended_by_nobody(client: Client, data: bytes) -> None:
    """Though the repository has the blob: only a PUT whose answer was lost is answered alike."""
    client.push_blob(DATA)
    client.push_blob(DATA, "other")
    for where in (UPLOADS + str(uuid4()), UPLOADS + "x", client.begin("other").replace("other", NAME)):
        assert client.code(finish(client, where, data=data)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_id_is_a_uuid_and_no_two_are_the_same(client: Client) -> None:
    """Other registries and programs read it as one."""
    given = [client.begin().rpartition("/")[2] for _ in range(100)]
    assert len({UUID(each) for each in given}) == 100
    assert {UUID(each).version for each in given} == {4}


def test_an_upload_is_of_one_repository(client: Client) -> None:
    """Another does not know it."""
    assert client.get(client.begin().replace(NAME, "other")).status_code == 404


@pytest.mark.parametrize("data", [DATA, LARGE])
def test_a_put_whose_answer_was_lost_is_answered_alike(client: Client, data: bytes) -> None:
    """With its body again or without; an upload that has ended takes nothing else."""
    where = client.begin()
    for again in (data, data, b""):
        answer = finish(client, where, data, again)
        assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, digest(data))
    assert client.code(chunk(client, where, b"x")) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert client.code(finish(client, where, b"other")) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("again", [LARGE, b""])
def test_a_put_that_was_cut_off_is_ended_by_another(
    client: Client, store: LayerService, monkeypatch: pytest.MonkeyPatch, again: bytes
) -> None:
    """Also when the bytes have become a blob already, and come again."""
    where, real = client.begin(), store.driver.put

    def fail(key: str, data: bytes) -> None:
        if key.endswith("/link"):
            raise BackendUnavailableError(key, "cut off")
        real(key, data)

    monkeypatch.setattr(store.driver, "put", fail)
    assert finish(client, where, LARGE, LARGE).status_code == 503
    monkeypatch.undo()
    assert client.get(where).headers["Range"] == f"0-{len(LARGE) - 1}"
    assert client.code(chunk(client, where, b"x")) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert finish(client, where, LARGE, again).status_code == 201
    assert got(client, LARGE)
    assert list(store.uploads()) == []


class Cut:
    """A connection that ends after some bytes."""

    def __init__(self, data: bytes, *, error: bool) -> None:
        """End by an error, or as a file does."""
        self.stream = io.BytesIO(data)
        self.error = error

    def read(self, size: int) -> bytes:
        """Give what there is."""
        data = self.stream.read(size)
        if not data and self.error:
            raise ConnectionResetError
        return data


@pytest.mark.parametrize("error", [True, False])
@pytest.mark.parametrize("data", [DATA, LARGE])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_body_that_is_cut_off_is_refused_and_kept(client: Client, data: bytes, method: str, *, error: bool) -> None:
    """What came of it is where the client goes on, and the blob is right."""
    where, part = client.begin(), data[: len(data) // 2]
    query = {"digest": digest(data)} if method == "PUT" else {}
    answer = client.stream(method, where, Cut(part, error=error), len(data), query_string=query)
    assert client.code(answer) == (400, "SIZE_INVALID")
    assert client.get(where).headers["Range"] == f"0-{len(part) - 1}"
    assert chunk(client, where, data[len(part) :], f"{len(part)}-{len(data) - 1}").status_code == 202
    assert finish(client, where, data).status_code == 201
    assert got(client, data)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_body_without_a_length_that_is_cut_off_is_refused(client: Client, method: str) -> None:
    """The server says so by an error."""
    where = client.begin()
    query = {"digest": digest(DATA)} if method == "PUT" else {}
    answer = client.stream(method, where, Cut(DATA, error=True), None, query_string=query)
    assert client.code(answer) == (400, "SIZE_INVALID")
    assert client.get(where).headers["Range"] == f"0-{len(DATA) - 1}"


def test_one_post_that_is_cut_off_leaves_nothing(client: Client, store: LayerService) -> None:
    """Nobody knows of the upload."""
    query = {"digest": digest(LARGE)}
    answer = client.stream("POST", UPLOADS, Cut(LARGE[:-1], error=False), len(LARGE), query_string=query)
    assert client.code(answer) == (400, "SIZE_INVALID")
    assert [*store.driver.list(layout.uploads(NAME)), *store.layers()] == []


class Meeting:
    """A body in the middle of which something else happens."""

    def __init__(self, data: bytes, meanwhile: Callable[[], object]) -> None:
        """Have it happen before the last byte."""
        self.stream = io.BytesIO(data)
        self.meanwhile = meanwhile
        self.happened = False

    def read(self, size: int) -> bytes:
        """Give what there is."""
        data = self.stream.read(min(size, 1 << 20))
        if self.stream.tell() > 2 << 20 and not self.happened:
            self.happened = True
            self.meanwhile()
        return data


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_of_two_that_send_to_one_upload_the_earlier_is_refused(client: Client, method: str) -> None:
    """By a conflict, and no failure of the server; the later one's bytes are the upload's."""
    where, long = client.begin(), LARGE * 3
    query = {"digest": digest(long)} if method == "PUT" else {}
    stream = Meeting(long, lambda: chunk(client, where, DATA))
    answer = client.stream(method, where, stream, len(long), query_string=query)
    assert client.code(answer) == (409, "BLOB_UPLOAD_INVALID")
    assert client.get(where).headers["Range"] == f"0-{len(DATA) - 1}"
    assert finish(client, where).status_code == 201


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_an_upload_that_is_cancelled_under_way_is_unknown(client: Client, method: str) -> None:
    """Whoever sends to it learns that it is gone."""
    where, long = client.begin(), LARGE * 3
    query = {"digest": digest(long)} if method == "PUT" else {}
    stream = Meeting(long, lambda: client.delete(where))
    answer = client.stream(method, where, stream, len(long), query_string=query)
    assert client.code(answer) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_what_comes_is_made_durable_now_and_then(
    serve: Callable[[Settings], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that is killed loses no more than the last part of a request."""
    client = serve(Settings(flush_every=1 << 20))
    where, real = client.begin(), LayerUpload.flush
    flushed: list[int] = []

    def flush(upload: LayerUpload) -> None:
        flushed.append(upload.size)
        real(upload)

    monkeypatch.setattr(LayerUpload, "flush", flush)
    chunk(client, where, LARGE * 2)
    assert flushed[:2] == [1 << 20, 2 << 20]


def test_no_more_is_received_without_a_flush_than_settings_say() -> None:
    """64 MiB, unless they say otherwise."""
    assert Settings().flush_every == 64 << 20


@pytest.mark.parametrize("body", [DATA, LARGE])
def test_a_blob_that_is_too_large_is_refused(serve: Callable[[Settings], Client], body: bytes) -> None:
    """Before it is read where it says its length, else when it has become so."""
    client = serve(Settings(max_blob=len(body) - 1))
    where = client.begin()
    assert client.code(chunk(client, where, body)) == (413, "SIZE_INVALID")
    assert client.code(finish(client, where, body, body)) == (413, "SIZE_INVALID")
    assert client.code(chunked(client, "PATCH", where, body)) == (413, "SIZE_INVALID")
    assert client.code(chunked(client, "POST", UPLOADS, body, query_string={"digest": digest(body)})) == (
        413,
        "SIZE_INVALID",
    )
    assert finish(serve(Settings(max_blob=len(body))), client.begin(), body, body).status_code == 201


def test_a_blob_is_mounted(client: Client) -> None:
    """Another repository's, without a body."""
    client.push_blob(DATA, "source")
    answer = client.post(UPLOADS, query_string={"mount": digest(DATA), "from": "source"})
    assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, digest(DATA))
    assert client.get(answer.headers["Location"]).data == DATA


@pytest.mark.parametrize(
    "query",
    [
        {"mount": digest(b"none"), "from": "source"},
        {"mount": digest(DATA), "from": "nowhere"},
        {"mount": digest(DATA), "from": "NO NAME"},
        {"mount": digest(DATA), "from": "n" * 256},
        {"mount": digest(DATA)},
        {"mount": "no digest", "from": "source"},
    ],
)
def test_what_cannot_be_mounted_is_uploaded(client: Client, query: dict[str, str]) -> None:
    """It is no error; and without a source nobody learns what other repositories have."""
    client.push_blob(DATA, "source")
    answer = client.post(UPLOADS, query_string=query)
    assert answer.status_code == 202
    assert finish(client, answer.headers["Location"], data=DATA).status_code == 201


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_digest_may_be_of_either_algorithm(client: Client, algorithm: str) -> None:
    """Said beforehand or not, in one body, in chunks, or in a POST; then it is fetched by that, and by its sha256."""
    wanted = digest(DATA, algorithm)
    where = client.post(UPLOADS, query_string={"digest-algorithm": algorithm}).headers["Location"]
    assert client.put(where, query_string={"digest": wanted}, data=DATA).status_code == 201
    where = client.begin("b")
    chunk(client, where, DATA)
    assert client.put(where, query_string={"digest": wanted}).headers["Location"] == f"/v2/b/blobs/{wanted}"
    assert client.post("/v2/c/blobs/uploads/", query_string={"digest": wanted}, data=DATA).status_code == 201
    for name in (NAME, "b", "c"):
        assert client.get(f"/v2/{name}/blobs/{wanted}").data == DATA
        assert got(client, DATA, name)


def test_an_algorithm_that_is_not_served_is_refused_at_the_beginning(client: Client) -> None:
    """Before any byte is sent."""
    assert client.code(client.post(UPLOADS, query_string={"digest-algorithm": "md5"})) == (400, "DIGEST_INVALID")
