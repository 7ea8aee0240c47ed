"""The strict transport refuses what Azure refuses, and the driver never asks for it."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobClient, ContainerClient

import layerstore
from layerstore import InvalidPathError, LayerService, NoSpaceError
from layerstore.checked import CheckedDriver
from layerstore_drivers.azure import blocks
from layerstore_drivers.azure import writer as writers
from layerstore_drivers.azure.emulator import Azurite

if TYPE_CHECKING:
    from tests.azure_strict import ACCOUNT, Limits, StrictTransport
else:
    from azure_strict import ACCOUNT, Limits, StrictTransport

pytestmark = pytest.mark.xdist_group("azurite")

_numbers = itertools.count()
LIMITS = Limits(committed=20, uncommitted=30, copied_at_once=5000, batch=256)


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    """Return a new container, through the strict transport with lowered limits."""
    transport = StrictTransport(azurite.endpoint, LIMITS)
    name = f"strict-{os.getpid()}-{next(_numbers)}"
    with ContainerClient(azurite.endpoint, name, ACCOUNT, transport=transport, retry_total=0) as client:
        client.create_container()
        yield client
        client.delete_container()
    transport.close()


@pytest.fixture
def transport(azurite: Azurite) -> Iterator[StrictTransport]:
    """Return a transport for the driver."""
    made = StrictTransport(azurite.endpoint, LIMITS)
    yield made
    made.close()


@pytest.fixture
def driver(azurite: Azurite, container: ContainerClient, transport: StrictTransport) -> Iterator[CheckedDriver]:
    """Return a driver of blocks of 100 bytes, on the container."""
    url = f"azure+emulator://{container.container_name}"
    opened = layerstore.open_driver(url, endpoint=azurite.endpoint, block_size=100, transport=transport)
    with closing(opened):
        yield opened


def stage(blob: BlobClient, name: str, data: bytes = b"x") -> None:
    """Stage a block, with its MD5."""
    blob.stage_block(name, data, len(data), validate_content=True)


def _operations(container: ContainerClient) -> Any:  # noqa: ANN401  (untyped, in the SDK)
    return container.get_blob_client("blob")._client.blob


def refused(error: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str]:
    """Return the status and the code of what was refused."""
    headers = getattr(error.value.response, "headers", {})
    return error.value.status_code, str(headers.get("x-ms-error-code"))


def test_block_ids_of_two_lengths_are_refused(container: ContainerClient) -> None:
    """All ids of one blob have one length, those that are committed too, which Azurite lets pass."""
    blob = container.get_blob_client("blob")
    stage(blob, "four")
    blob.commit_block_list([BlobBlock("four")])
    with pytest.raises(HttpResponseError) as error:
        stage(blob, "fives")
    assert refused(error) == (400, "InvalidBlobOrBlock")


def test_an_empty_block_is_refused(container: ContainerClient) -> None:
    """A block has at least a byte."""
    with pytest.raises(HttpResponseError) as error:
        stage(container.get_blob_client("blob"), "four", b"")
    assert refused(error) == (400, "InvalidHeaderValue")


def test_more_blocks_than_a_blob_may_have_are_refused(container: ContainerClient) -> None:
    """A list of blocks has a length; so has what is staged and not committed."""
    blob = container.get_blob_client("blob")
    stage(blob, "00")
    with pytest.raises(HttpResponseError) as error:
        blob.commit_block_list([BlobBlock("00")] * 21)
    assert refused(error) == (400, "BlockListTooLong")
    for number in range(1, 30):
        stage(blob, f"{number:02d}")
    with pytest.raises(HttpResponseError) as error:
        stage(blob, "30")
    assert refused(error) == (409, "BlockCountExceedsLimit")


def test_a_blob_of_another_type_is_not_replaced(container: ContainerClient) -> None:
    """Neither by a body, nor by a block, nor by a list, nor by a copy."""
    blob = container.get_blob_client("blob")
    blob.create_append_blob()
    container.upload_blob("source", b"x", validate_content=True)
    attempts: list[Callable[[], object]] = [
        lambda: blob.upload_blob(b"x", overwrite=True, validate_content=True),
        lambda: stage(blob, "four"),
        lambda: blob.commit_block_list([]),
        lambda: blob.start_copy_from_url(container.get_blob_client("source").url),
    ]
    container.set_container_access_policy({}, "blob")
    for attempt in attempts:
        with pytest.raises(HttpResponseError) as error:
            attempt()
        assert refused(error) == (409, "InvalidBlobType")


def test_a_range_that_begins_at_the_end_is_refused(container: ContainerClient) -> None:
    """There is no byte at the offset that is the size."""
    container.upload_blob("blob", b"1234", validate_content=True)
    with pytest.raises(HttpResponseError) as error:
        _operations(container).download(range="bytes=4-7")
    assert refused(error) == (416, "InvalidRange")


@pytest.mark.parametrize("name", ["x" * 1025, "/".join("x" * 255), "a\\b"], ids=["long", "deep", "backslash"])
def test_names_that_no_blob_can_have_are_refused(container: ContainerClient, name: str) -> None:
    """A name has at most 1,024 characters and 254 segments, and no backslash."""
    with pytest.raises(HttpResponseError) as error:
        container.upload_blob(name, b"x", validate_content=True)
    assert refused(error) == (400, "InvalidResourceName")


def test_a_body_without_a_checksum_is_refused(container: ContainerClient) -> None:
    """A request without a checksum is refused, so that no caller forgets it."""
    with pytest.raises(HttpResponseError) as error:
        container.upload_blob("blob", b"x")
    assert refused(error) == (400, "MissingRequiredHeader")


def test_a_wrong_checksum_is_refused(container: ContainerClient) -> None:
    """The service compares."""
    with pytest.raises(HttpResponseError) as error:
        container.get_blob_client("blob").stage_block(
            "four", b"x", 1, headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
        )
    assert refused(error) == (400, "Md5Mismatch")


def test_a_list_that_mixes_states_is_refused(container: ContainerClient, transport: StrictTransport) -> None:
    """The SDK sends the blocks of one state together, and loses their order."""
    from azure.core.pipeline.transport import HttpRequest

    body = b"<BlockList><Latest>AAAA</Latest><Committed>AAAA</Committed></BlockList>"
    url = f"{container.url}/blob?comp=blocklist"
    answer = transport.send(HttpRequest("PUT", url, headers={"Content-Length": str(len(body))}, data=body))
    assert answer.headers["x-ms-error-code"] == "InvalidBlockList"


def test_metadata_beyond_8_kib_are_refused(container: ContainerClient) -> None:
    """All names and values together."""
    with pytest.raises(HttpResponseError) as error:
        container.upload_blob("blob", b"x", validate_content=True, metadata={"name": "x" * 8192})
    assert refused(error) == (400, "MetadataTooLarge")


def test_a_copy_at_once_of_a_large_blob_is_refused(container: ContainerClient) -> None:
    """Copy Blob From URL takes 256 MiB; here less."""
    container.set_container_access_policy({}, "blob")
    container.upload_blob("source", bytes(5001), validate_content=True)
    with pytest.raises(HttpResponseError) as error:
        container.get_blob_client("target").start_copy_from_url(
            container.get_blob_client("source").url, requires_sync=True
        )
    assert refused(error) == (409, "CannotVerifyCopySource")


def test_the_drivers_life_passes_through(driver: CheckedDriver, transport: StrictTransport) -> None:
    """The service accepts all requests of an upload, a rewrite, a copy, a listing and a delete."""
    with driver.open_writer("a/key") as writer:
        for _ in range(15):
            writer.write(b"x" * 100)
            writer.flush()
        writer.seek(250)
        writer.write(b"y")
    driver.put("a/empty", b"")
    assert driver.get("a/empty", 1) == b""
    driver.move("a/key", "b/key")
    with driver.open_reader("b/key", 1500) as reader:
        assert reader.read() == b""
    assert list(driver.list("")) == ["a/", "b/"]
    driver.delete("a")
    driver.delete("b")
    assert [refused for _, refused in transport.refused if refused.code != "InvalidRange"] == []


def test_a_layers_life_passes_through(driver: CheckedDriver, transport: StrictTransport) -> None:
    """A layer is uploaded, resumed, finished and fetched."""
    service = LayerService(driver, verify="reread")
    upload = service.upload("repository")
    upload.write(b"x" * 333)
    upload.close()
    upload = service.resume("repository", upload.uuid)
    upload.write(b"y" * 333)
    layer = upload.finish(upload.digest())
    assert layer.read() == b"x" * 333 + b"y" * 333
    layer.close()
    assert [refused for _, refused in transport.refused if refused.code != "InvalidRange"] == []


def test_many_short_appends_stay_below_the_limit(driver: CheckedDriver) -> None:
    """A hundred flushes of a few bytes do not make a hundred blocks."""
    for number in range(100):
        with driver.open_writer("key") as writer:
            writer.write(b"%08d" % number)
    assert driver.get("key", 800) == b"".join(b"%08d" % number for number in range(100))


def test_more_blocks_than_the_service_takes_is_no_space(
    driver: CheckedDriver, transport: StrictTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver counts before it asks; where it does not know the limit, its refusal means the same."""
    for limit in (20, blocks.MAX_BLOCKS):
        monkeypatch.setattr(writers, "MAX_BLOCKS", limit)
        writer = driver.open_writer(f"key{limit}")
        writer.write(b"x" * 2100)
        with pytest.raises(NoSpaceError):
            writer.flush()
        writer.discard()
    assert [refused.code for _, refused in transport.refused] == ["BlockListTooLong"]


def test_a_key_of_too_many_segments_is_no_key(driver: CheckedDriver, transport: StrictTransport) -> None:
    """Azure takes 254 segments; the driver says so, and asks for nothing."""
    with pytest.raises(InvalidPathError):
        driver.put("/".join("x" * 255), b"x")
    assert transport.refused == []
