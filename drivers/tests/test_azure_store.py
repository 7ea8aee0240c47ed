"""The Azure driver on Azurite: what is its own, beside the contract."""

import itertools
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobBlock, ContainerClient, generate_container_sas

import layerstore
from layerstore import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    FencedError,
    InvalidPathError,
    LayerService,
    PathNotFoundError,
)
from layerstore.checked import CheckedDriver
from layerstore_drivers.azure import blobs, listing, move
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite
from layerstore_drivers.azure.found import MADE, MOVING, Found, new_mark

pytestmark = pytest.mark.xdist_group("azurite")

WRONG_KEY = "d3Jvbmcta2V5LXdyb25nLWtleQ=="
_numbers = itertools.count()


class Recorder(RequestsTransport):  # type: ignore[misc]  # the SDK imports it late, untyped
    """A transport that keeps what is asked, and changes nothing."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.asked: list[str] = []
        """Method and query of each request."""

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        """Send a request."""
        self.asked.append(f"{request.method} {request.url.partition('?')[2]}".strip())
        return super().send(request, **kwargs)

    def of(self, word: str) -> int:
        """Return how many requests had a word."""
        return sum(word in asked for asked in self.asked)


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    """Return a new container, through the SDK: the side door."""
    name = f"store-{next(_numbers)}"
    with ContainerClient(
        azurite.endpoint, name, {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}
    ) as client:
        client.create_container()
        yield client
        client.delete_container()


@pytest.fixture
def recorder() -> Recorder:
    """Return a transport that keeps what is asked."""
    return Recorder()


@pytest.fixture
def driver(azurite: Azurite, container: ContainerClient, recorder: Recorder) -> CheckedDriver:
    """Return a driver of blocks of 100 bytes, on the container."""
    return layerstore.open_driver(
        f"azure+emulator://{container.container_name}", endpoint=azurite.endpoint, block_size=100, transport=recorder
    )


def write(driver: CheckedDriver, key: str, *parts: tuple[int, bytes]) -> None:
    """Write parts at their offsets and close."""
    with driver.open_writer(key) as writer:
        for offset, data in parts:
            writer.seek(offset)
            writer.write(data)


def test_a_rewrite_of_a_large_object_stages_what_it_touches(driver: CheckedDriver, recorder: Recorder) -> None:
    """Of an object of many blocks only those are sent again that are written to."""
    write(driver, "key", (0, b"x" * 5000))
    recorder.asked.clear()
    write(driver, "key", (150, b"y"), (4950, b"z"))
    assert recorder.of("comp=block&") == 2
    assert driver.get("key", 5000) == b"x" * 150 + b"y" + b"x" * 4799 + b"z" + b"x" * 49


def test_what_was_written_and_not_flushed_can_be_written_to_again(driver: CheckedDriver) -> None:
    """Blocks that were staged and are written to again are read back, and nobody sees any of it before the flush."""
    driver.put("key", b"old")
    with driver.open_writer("key") as writer:
        writer.write(b"x" * 1000)
        writer.seek(250)
        writer.write(b"y")
        writer.seek(750)
        writer.write(b"z")
        assert driver.get("key", 5000) == b"old"
        assert driver.stat("key").size == 3
    assert driver.get("key", 5000) == b"old" + b"x" * 247 + b"y" + b"x" * 499 + b"z" + b"x" * 252


def test_what_was_kept_unseen_is_gone_with_its_writer(driver: CheckedDriver) -> None:
    """A later writer, a move and a listing know nothing of what an earlier writer had committed for itself."""
    write(driver, "key", (0, b"o" * 250))
    for key in ("key", "new"):
        writer = driver.open_writer(key)
        writer.write(b"x" * 1000)
        writer.seek(500)
        writer.write(b"y")
        writer.seek(900)
        writer.write(b"y")
        writer.discard()
    assert list(driver.list("")) == ["key"]
    assert driver.open_writer("new").size == 0
    driver.move("key", "moved")
    write(driver, "moved", (250, b"p"))
    assert driver.get("moved", 5000) == b"o" * 250 + b"p"


def test_a_foreign_blob_without_blocks_can_be_appended_to(driver: CheckedDriver, container: ContainerClient) -> None:
    """A blob that another tool has put whole is read and stored again in blocks by the first append."""
    data = bytes(range(250)) * 3
    container.upload_blob("key", data, metadata={"theirs": "kept"})
    write(driver, "key", (750, b"more"))
    assert driver.get("key", 5000) == data + b"more"


def test_a_foreign_blobs_version_is_its_etag(driver: CheckedDriver, container: ContainerClient) -> None:
    """Another tool's blob has a version too; opening a writer changes neither it nor the time, nor their metadata."""
    container.upload_blob("key", b"data", metadata={"theirs": "kept"})
    before = driver.stat("key")
    writer = driver.open_writer("key")
    assert driver.stat("key") == before
    container.upload_blob("key", b"atad", overwrite=True)
    assert driver.stat("key").version != before.version
    with pytest.raises(FencedError):
        writer.flush()


@pytest.mark.parametrize("is_ours", [False, True], ids=["another tool's", "ours"])
def test_an_empty_blob_that_is_made_anew_has_another_version(
    driver: CheckedDriver, container: ContainerClient, *, is_ours: bool
) -> None:
    """Another tool deletes an empty blob, and makes it anew in a later second with all metadata: the version is new."""
    blob = container.get_blob_client("key")
    if is_ours:
        driver.put("key", b"")
    else:
        blob.upload_blob(b"")
    before = driver.stat("key")
    driver.open_writer("key").discard()
    assert driver.stat("key") == before
    made = blob.get_blob_properties()
    while blob.get_blob_properties().creation_time == made.creation_time:
        blob.delete_blob()
        blob.upload_blob(b"", metadata=made.metadata)
    assert driver.stat("key").version != before.version


@pytest.mark.parametrize("unseen", [False, True], ids=["alone", "with bytes that are kept unseen"])
def test_a_move_of_an_empty_object_that_is_cut_off_keeps_its_version(
    driver: CheckedDriver, container: ContainerClient, monkeypatch: pytest.MonkeyPatch, *, unseen: bool
) -> None:
    """What a writer had kept unseen behind an empty object goes, when the move begins; the object stays as it was."""
    writer = driver.open_writer("key")
    writer.flush()
    if unseen:
        writer = driver.open_writer("key")
        writer.write(b"x" * 1000)
        while not container.get_blob_client("key").get_blob_properties().size:  # until a block that was sent is changed
            for offset in (500, 900):
                writer.seek(offset)
                writer.write(b"y")
    before = driver.stat("key")
    monkeypatch.setattr(blobs.Blobs, "copy", _unavailable)
    with pytest.raises(BackendUnavailableError):
        driver.move("key", "moved")
    assert driver.stat("key") == before
    assert driver.get("key", 10) == b""


def _unavailable(*_: object) -> str:
    raise BackendUnavailableError("moved", "lost")


def test_opening_a_writer_keeps_another_tools_metadata(driver: CheckedDriver, container: ContainerClient) -> None:
    """Metadata of other programs stay until the bytes change."""
    container.upload_blob("key", b"data", metadata={"theirs": "kept"})
    driver.open_writer("key").discard()
    assert container.get_blob_client("key").get_blob_properties().metadata["theirs"] == "kept"


def test_blocks_of_another_tool_are_kept(driver: CheckedDriver, container: ContainerClient, recorder: Recorder) -> None:
    """Of another tool's blocks, with ids of another length, one is stored again, whose id proves the others' (X1)."""
    blob = container.get_blob_client("key")
    blob.stage_block("0001", b"x" * 100)
    blob.stage_block("0002", b"y" * 100)
    blob.commit_block_list([BlobBlock("0001"), BlobBlock("0002")])
    write(driver, "key", (200, b"z" * 50))
    assert recorder.of("comp=block&") == 2
    assert driver.get("key", 500) == b"x" * 100 + b"y" * 100 + b"z" * 50
    assert "0002" in [each.id for each in blob.get_block_list()[0]]


def test_a_reader_goes_on_while_a_writer_is_opened(driver: CheckedDriver) -> None:
    """Opening a writer changes the blob's ETag, and no reader's version."""
    data = bytes(range(256)) * 4000
    driver.put("key", data)
    with driver.open_reader("key") as reader:
        begun = reader.read(1000)
        driver.open_writer("key").discard()
        assert begun + reader.read() == data


def test_a_long_read_is_few_requests(driver: CheckedDriver, recorder: Recorder) -> None:
    """A reader that goes on gets more at a time: 24 MiB take three GETs, after a look at Azurite."""
    driver.put("key", bytes(24 << 20))
    recorder.asked.clear()
    with driver.open_reader("key") as reader:
        while reader.readinto(bytearray(1 << 20)):
            pass
    assert recorder.asked == ["HEAD"] + ["GET"] * 3


def test_a_response_cut_short_is_resumed(
    driver: CheckedDriver, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a body ends too early, the reader asks for the rest, from the byte where it broke."""
    data = bytes(range(256)) * 800
    driver.put("key", data)
    whole = requests.packages.urllib3.HTTPResponse.stream  # type: ignore[attr-defined]  # the transport's own

    def cut(self: Any, *args: Any, **kwargs: Any) -> Iterator[bytes]:  # noqa: ANN401  (as urllib3's)
        for part in whole(self, 1000, **kwargs):
            yield part
            raise requests.packages.urllib3.exceptions.ProtocolError("cut")  # type: ignore[attr-defined]  # as above

    monkeypatch.setattr(requests.packages.urllib3.HTTPResponse, "stream", cut)  # type: ignore[attr-defined]  # as above
    with driver.open_reader("key") as reader:
        assert reader.read(10_000) == data[:10_000]
    assert recorder.of("GET") == 10


def test_a_large_object_is_copied_in_parts_or_at_once(
    driver: CheckedDriver, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond what the service copies at once, it is asked to copy parts; where it cannot, the whole all the same."""
    monkeypatch.setattr(move, "AT_ONCE", 1000)
    write(driver, "source", (0, b"x" * 2500))
    driver.move("source", "target")
    assert driver.get("target", 5000) == b"x" * 2500
    assert recorder.of("comp=block&") == 25 + 1  # Azurite answers 501 to the first part


def test_a_move_cut_off_before_the_copy_is_done_again(driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that is claimed by a move which is never heard of again is moved all the same."""
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    driver.put("source", b"data")
    _claim(driver, "source", "elsewhere", new_mark())
    driver.move("source", "target")
    assert list(driver.list("")) == ["target"]


def test_a_move_that_a_writer_comes_into_waits_for_nobody(
    driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer opened after the claim makes the move begin anew, at once: the claim that it meets is its own."""
    driver.put("source", b"data")
    came: list[Any] = []
    genuine = move.copy

    def copy(*arguments: Any) -> None:  # noqa: ANN401  (as the real one's)
        if not came:
            came.append(driver.open_writer("source"))
        genuine(*arguments)

    monkeypatch.setattr(move, "copy", copy)
    monkeypatch.setattr("layerstore_drivers.azure.move.time.sleep", lambda _: pytest.fail("waited"))
    driver.move("source", "target")
    assert driver.get("target", 10) == b"data"
    assert driver.find("source") is None


def test_a_move_cut_off_after_the_copy_is_completed(driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source of which a move has made its copy already cannot be moved once more: it goes in that one's name."""
    monkeypatch.setattr(move, "PATIENCE", 0.0)
    driver.inner._blobs.put("elsewhere", b"data", {MADE: "a-nonce"})  # type: ignore[attr-defined]  # Azure's
    driver.put("source", b"data")
    _claim(driver, "source", "elsewhere", "a-nonce")
    driver.open_writer("source").discard()
    with pytest.raises(PathNotFoundError):
        driver.move("source", "target")
    assert list(driver.list("")) == ["elsewhere"]


def _claim(driver: CheckedDriver, source: str, target: str, version: str) -> None:
    """Claim a source, as a move does that is then cut off."""
    below: blobs.Blobs = driver.inner._blobs  # type: ignore[attr-defined]  # Azure's
    found = below.find(source)
    assert isinstance(found, Found)
    below.note(source, {**found.noted(new_mark()), MOVING: f"{version} {target}"}, found.etag)


def test_a_listing_of_many_pages_leaves_out_what_is_no_object(
    driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a page, too, neither keys nor prefixes are listed where a writer was opened and nothing published."""
    monkeypatch.setattr(blobs, "PAGE", 3)
    monkeypatch.setattr(listing, "PEEK", 2)
    for key in ("a/1", "a/2", "a/3", "a-b", "c/d/1", "c/x", "e", "z"):
        driver.put(key, b"data")
    for key in ("a/0", "b", "d/1", "d/2", "d/3", "f/1/2"):
        driver.open_writer(key).discard()
    assert list(driver.list("")) == ["a-b", "a/", "c/", "e", "z"]
    assert list(driver.list("a")) == ["a/1", "a/2", "a/3"]
    assert list(driver.list("d")) == []


def test_names_that_are_no_keys_are_not_listed(driver: CheckedDriver, container: ContainerClient) -> None:
    """Hidden names and empty segments of other tools are passed over, and stay when the prefix is deleted."""
    for name in ("a/b", *(foreign := [".top", "a/.dir/c", "a/.hidden", "a//b"])):
        container.upload_blob(name, b"data")
    assert list(driver.list("")) == ["a/"]
    assert list(driver.list("a")) == ["a/b"]
    driver.delete("a")
    assert sorted(container.list_blob_names()) == foreign


def test_many_are_deleted_in_one_request(driver: CheckedDriver, recorder: Recorder) -> None:
    """A prefix of a hundred objects goes in one request, beside the listing."""
    for number in range(100):
        driver.put(f"a/{number:03}", b"data")
    recorder.asked.clear()
    driver.delete("a")
    assert recorder.of("comp=batch") == 1
    assert len(recorder.asked) == 3
    assert list(driver.list("")) == []


def test_where_no_batch_is_allowed_objects_are_deleted_one_by_one(
    driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credential that may not delete in batches deletes all the same."""
    for number in range(5):
        driver.put(f"a/{number}", b"data")

    def refuse(*_names: object, **_options: object) -> None:
        raise HttpResponseError("refused")

    monkeypatch.setattr(driver.inner._blobs.container, "delete_blobs", refuse)  # type: ignore[attr-defined]  # Azure's
    driver.delete("a")
    assert list(driver.list("")) == []


def test_a_key_too_long_for_its_prefix_is_refused(azurite: Azurite, container: ContainerClient) -> None:
    """A name has 1,024 bytes in Azure: a key that does not fit behind the URL's prefix is refused."""
    url = azurite.url(container.container_name, "a-prefix-of-thirty-bytes-and-so")
    with pytest.raises(InvalidPathError, match="1024"):
        layerstore.open_driver(url).put("/".join(["k" * 199] * 5), b"")


def test_a_container_is_made_only_if_asked(azurite: Azurite) -> None:
    """``create_container`` makes a missing one when it is first written to, and nothing else does."""
    name = f"made-{next(_numbers)}"
    with pytest.raises(BackendUnavailableError, match="ContainerNotFound"):
        layerstore.open_driver(azurite.url(name)).put("key", b"data")
    driver = layerstore.open_driver(azurite.url(name, create_container="true"))
    with pytest.raises(BackendUnavailableError, match="ContainerNotFound"):
        driver.delete("key")
    with driver.open_writer("key") as writer:
        writer.write(b"data")
    assert layerstore.open_driver(azurite.url(name)).get("key", 10) == b"data"


def _failures(url: str, **options: object) -> list[DriverError]:
    """Return what comes of every way to ask for something, as errors."""
    driver = layerstore.open_driver(url, retries=0, **options)
    ways = (
        lambda: driver.stat("key"),
        lambda: driver.open_reader("key"),
        lambda: driver.open_reader("key", 1),
        lambda: driver.open_writer("key"),
        lambda: driver.put("key", b"data"),
        lambda: list(driver.list("")),
        lambda: driver.move("key", "other"),
        lambda: driver.delete("key"),
    )
    errors = []
    for ask in ways:
        with pytest.raises(DriverError) as refusal:
            ask()
        errors.append(refusal.value)
    return errors


def test_a_wrong_key_is_a_refusal(azurite: Azurite, container: ContainerClient) -> None:
    """A wrong account key is a refusal, by every method, in one line without the key."""
    errors = _failures(azurite.url(container.container_name), account_key=WRONG_KEY)
    assert {type(error) for error in errors} == {AccessDeniedError}
    assert all(WRONG_KEY not in f"{error} {error!r}" and "\n" not in str(error) for error in errors)


def test_a_missing_container_is_no_missing_key(azurite: Azurite) -> None:
    """If the container is missing, every method says so."""
    errors = _failures(azurite.url("missing"))
    assert {type(error) for error in errors} == {BackendUnavailableError}
    assert all("ContainerNotFound" in str(error) for error in errors)


def test_no_network_is_an_unavailable_backend() -> None:
    """If nobody answers, every method says why, in one line."""
    errors = _failures("azure+emulator://layers", endpoint="http://127.0.0.1:9/devstoreaccount1")
    assert {type(error) for error in errors} == {BackendUnavailableError}
    assert all(str(error).endswith("(127.0.0.1:9: Connection refused)") for error in errors)


def _signature(container: ContainerClient, permission: str, *, hours: int) -> str:
    return generate_container_sas(
        "devstoreaccount1",
        container.container_name,
        account_key=EMULATOR_KEY,
        permission=permission,
        expiry=datetime.now(UTC) + timedelta(hours=hours),
        start=datetime.now(UTC) - timedelta(days=2),
    )


def test_an_expired_signature_is_a_refusal(azurite: Azurite, container: ContainerClient) -> None:
    """An expired signature is a refusal, and is not shown."""
    token = _signature(container, "racwdl", hours=-1)
    errors = _failures(azurite.url(container.container_name), sas_token=token)
    assert {type(error) for error in errors} == {AccessDeniedError}
    assert all("sig=" not in f"{error} {error!r}" for error in errors)


def test_a_signature_is_enough_for_everything(azurite: Azurite, container: ContainerClient) -> None:
    """With a signature for the container, all methods work; what it cannot do is sign URLs for others."""
    token = _signature(container, "racwdl", hours=1)
    driver = layerstore.open_driver(azurite.url(container.container_name), sas_token=token)
    write(driver, "a/key", (0, b"data"))
    driver.move("a/key", "a/moved")
    driver.put("a/other", b"data")
    assert driver.inner.redirect_url("a/moved") is None  # type: ignore[attr-defined]  # Azure's
    driver.delete("a")
    assert list(driver.list("")) == []


def test_a_signature_appears_in_no_log(
    azurite: Azurite, container: ContainerClient, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at its loudest, no signature and no key is written down."""
    token = _signature(container, "racwdl", hours=1)
    caplog.set_level(logging.DEBUG)
    driver = layerstore.open_driver(azurite.url(container.container_name), sas_token=token)
    driver.put("key", b"data")
    driver.move("key", "moved")
    assert "urllib3" in {record.name.partition(".")[0] for record in caplog.records}
    secret = token.rpartition("sig=")[2]
    assert secret not in caplog.text
    assert EMULATOR_KEY not in caplog.text


def test_a_key_signs_urls_that_anybody_can_read(driver: CheckedDriver) -> None:
    """``redirect_url`` leads to the bytes, for a while and without a credential; of nothing there is none."""
    driver.put("some/key", b"data")
    url = driver.inner.redirect_url("some/key")  # type: ignore[attr-defined]  # Azure's
    assert requests.get(url, timeout=10).content == b"data"
    assert requests.put(url, data=b"x", headers={"x-ms-blob-type": "BlockBlob"}, timeout=10).status_code == 403
    expired = driver.inner.redirect_url("some/key", timedelta(minutes=-5))  # type: ignore[attr-defined]  # as above
    assert requests.get(expired, timeout=10).status_code == 403
    with pytest.raises(PathNotFoundError):
        driver.inner.redirect_url("missing")  # type: ignore[attr-defined]  # as above


def test_a_layer_is_stored_and_fetched(driver: CheckedDriver) -> None:
    """The service works on Azure as on any store."""
    service = LayerService(driver)
    with service.upload("a") as upload:
        upload.write(b"x" * 1234)
        digest = upload.digest()
        upload.finish(digest).close()
    with service.fetch("a", digest) as layer:
        assert layer.read() == b"x" * 1234
