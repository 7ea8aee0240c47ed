"""Other programs change blobs behind the driver: no version outlives the bytes (clauses X1, X2, S2, M4)."""

import hashlib
import itertools
import random
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob import ContainerClient
from azure.storage.blob._generated.models import BlockLookupList

import layerstore
from layerstore import FencedError, LayerService, LayerStoreError, UnknownLayerError, UnsupportedOperationError
from layerstore.checked import CheckedDriver
from layerstore.layout import UploadKeys
from layerstore.uploads.spool import Verify
from layerstore_drivers.azure.emulator import Azurite

if TYPE_CHECKING:
    from tests.azure_foreign import ACCOUNT, HOWS, Meddler, commit, put
else:
    from azure_foreign import ACCOUNT, HOWS, Meddler, commit, put

pytestmark = pytest.mark.xdist_group("azurite")

_numbers = itertools.count()
DATA, OTHER = random.Random(1).randbytes(500), random.Random(2).randbytes(500)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
UUID = "5c01b2a4-9d43-4d0c-8b26-3ad1b8b3c1d7"
KEYS = UploadKeys("demo", UUID)

How = Callable[[ContainerClient, str, bytes], None]
each_way = pytest.mark.parametrize("how", HOWS, ids=lambda how: how.__name__)


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    """Return a new container, through the SDK, as another program has it."""
    with ContainerClient(azurite.endpoint, f"foreign-{next(_numbers)}", ACCOUNT) as client:
        client.create_container(public_access="blob")
        yield client
        client.delete_container()


@pytest.fixture
def meddler(azurite: Azurite) -> Iterator[Meddler]:
    """Return a transport that lets another program act in between."""
    made = Meddler(azurite)
    yield made
    made.close()


@pytest.fixture
def driver(azurite: Azurite, container: ContainerClient, meddler: Meddler) -> CheckedDriver:
    """Return a driver of blocks of 200 bytes, on the container."""
    url = f"azure+emulator://{container.container_name}"
    return layerstore.open_driver(url, endpoint=azurite.endpoint, block_size=200, transport=meddler)


def begun(driver: CheckedDriver) -> str:
    """Begin an upload of DATA, whose hash state is saved, and return its id."""
    with LayerService(driver).upload("demo") as upload:
        upload.write(DATA[:300])
        upload.flush()
        upload.write(DATA[300:])
    return upload.uuid


def begin_elsewhere(container: ContainerClient) -> None:
    """Begin an upload as the reference registry does: its data is an append blob."""
    container.upload_blob(KEYS.started_at, b"2026-01-01T00:00:00Z")
    blob = container.get_blob_client(KEYS.data)
    blob.create_append_blob()
    blob.append_block(DATA)


def finished_well(driver: CheckedDriver, finish: Callable[[], object]) -> bool:
    """Finish; tell whether it returned, and see then, and in any case, that the digest has no other bytes."""
    done = False
    with suppress(LayerStoreError):
        finish()
        done = True
    try:
        with LayerService(driver).fetch("demo", DIGEST) as layer:
            assert layer.read() == DATA
    except UnknownLayerError:
        assert not done
    return done


@pytest.mark.parametrize("verify", ["resume", "reread"])
def test_no_append_at_any_moment_of_a_finish_comes_under_the_digest(
    driver: CheckedDriver, container: ContainerClient, meddler: Meddler, verify: Verify
) -> None:
    """An upload that another registry's client still appends to is not finished with bytes that were not hashed."""
    outcomes = []
    for before in itertools.count():
        driver.delete("docker")
        begin_elsewhere(container)
        upload = LayerService(driver, verify=verify).resume("demo", UUID)
        blob = container.get_blob_client(KEYS.data)
        meddler.arm(before, lambda blob=blob: _late(blob))  # type: ignore[misc]  # the blob of this round
        outcomes.append(finished_well(driver, lambda upload=upload: upload.finish(DIGEST)))  # type: ignore[misc]
        with suppress(FencedError):
            upload.close()
        if not meddler.has_acted:
            break
    assert len(outcomes) > 8
    assert outcomes[-1]
    assert not outcomes[0]


def _late(blob: Any) -> None:  # noqa: ANN401  (the SDK's)
    """Append, where the blob is still there."""
    if blob.exists():
        blob.append_block(b"late" * 5)


def test_an_append_before_a_resume_is_counted_in(driver: CheckedDriver, container: ContainerClient) -> None:
    """Bytes that were appended between two resumes are neither lost nor taken for hashed."""
    begin_elsewhere(container)
    LayerService(driver).resume("demo", UUID).close()
    container.get_blob_client(KEYS.data).append_block(b"more")
    upload = LayerService(driver).resume("demo", UUID)
    assert upload.size == 504
    assert not finished_well(driver, lambda: upload.finish(DIGEST))
    upload.finish(f"sha256:{hashlib.sha256(DATA + b'more').hexdigest()}")


@each_way
def test_bytes_replaced_before_a_resume_are_hashed_anew(
    driver: CheckedDriver, container: ContainerClient, how: How
) -> None:
    """The saved hash state is that of a version, and another program's bytes have another version."""
    uuid = begun(driver)
    how(container, UploadKeys("demo", uuid).data, OTHER)
    upload = LayerService(driver).resume("demo", uuid)
    assert not finished_well(driver, lambda: upload.finish(DIGEST))
    upload = LayerService(driver).resume("demo", uuid)
    assert upload.finish(f"sha256:{hashlib.sha256(OTHER).hexdigest()}").read() == OTHER


@pytest.mark.parametrize("how", [put, commit], ids=lambda how: how.__name__)
def test_bytes_replaced_at_any_moment_of_a_resume_and_finish_are_noticed(
    driver: CheckedDriver, container: ContainerClient, meddler: Meddler, how: How
) -> None:
    """Before, while and after the upload is opened, and up to the move: the digest has its own bytes, or none."""
    outcomes = []
    for before in itertools.count():
        driver.delete("docker")
        uuid = begun(driver)
        name = UploadKeys("demo", uuid).data
        meddler.arm(before, lambda name=name: _replace(container, name, how))  # type: ignore[misc]  # of this round
        outcomes.append(finished_well(driver, lambda uuid=uuid: _resume_and_finish(driver, uuid)))  # type: ignore[misc]
        if not meddler.has_acted:
            break
    assert outcomes[-1]
    assert not outcomes[0]


def _replace(container: ContainerClient, name: str, how: How) -> None:
    if container.get_blob_client(name).exists():
        how(container, name, OTHER)


def _resume_and_finish(driver: CheckedDriver, uuid: str) -> None:
    with LayerService(driver).resume("demo", uuid) as upload:
        upload.finish(DIGEST)


def _put_object(driver: CheckedDriver, _: ContainerClient) -> None:
    driver.put("key", DATA)


def _written(driver: CheckedDriver, _: ContainerClient) -> None:
    with driver.open_writer("key") as writer:
        writer.write(DATA)


def _of_others(_: CheckedDriver, container: ContainerClient) -> None:
    container.upload_blob("key", DATA, metadata={"theirs": "kept"})


def _of_others_in_blocks(driver: CheckedDriver, container: ContainerClient) -> None:
    _of_others(driver, container)
    commit(container, "key", DATA)


def _of_others_in_bytes(_: CheckedDriver, container: ContainerClient) -> None:
    """In blocks whose ids are no text, as the SDKs for Go and Java make them."""
    name = b64encode(b"\xff\xfe\x00\x01").decode()
    api: Any = container.get_blob_client("key")._client.block_blob  # the SDK's own encodes text
    api.stage_block(name, len(DATA), DATA)
    api.commit_block_list(BlockLookupList(latest=[name]))


ORIGINS = (_put_object, _written, _of_others, _of_others_in_blocks, _of_others_in_bytes)


@each_way
@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: origin.__name__)
def test_a_version_that_an_opening_has_kept_ends_with_the_bytes(
    driver: CheckedDriver, container: ContainerClient, origin: Callable[..., None], how: How
) -> None:
    """Opening keeps the version; a change behind it does not, and fences the writer and a move (X1, X2)."""
    origin(driver, container)
    before = driver.stat("key")
    writer = driver.open_writer("key")
    assert driver.stat("key") == before
    assert writer.version == before.version
    how(container, "key", OTHER)
    assert driver.stat("key").version != before.version
    with pytest.raises(FencedError):
        writer.flush()
    with pytest.raises(FencedError):
        driver.move("key", "moved", version=before.version)
    assert driver.open_writer("key").version == driver.stat("key").version


def test_a_move_that_was_cut_off_keeps_no_version_for_other_bytes(
    driver: CheckedDriver, container: ContainerClient, meddler: Meddler
) -> None:
    """The claim of a move keeps the version of what it was about to copy, and of nothing else."""
    _written(driver, container)
    before = driver.stat("key").version

    def fail() -> None:
        raise KeyboardInterrupt

    meddler.arm(2, fail)
    with pytest.raises(KeyboardInterrupt):
        driver.move("key", "moved", version=before)
    assert driver.stat("key").version == before
    put(container, "key", OTHER)
    assert driver.stat("key").version != before


def test_an_append_blob_is_finished_but_not_gone_on_with(driver: CheckedDriver, container: ContainerClient) -> None:
    """An upload that another registry began can be finished; a write is refused before a byte is stored."""
    begin_elsewhere(container)
    upload = LayerService(driver).resume("demo", UUID)
    upload.write(b"x")
    with pytest.raises(UnsupportedOperationError, match="another registry's unfinished upload"):
        upload.flush()
    assert container.get_blob_client(KEYS.data).get_blob_properties().size == len(DATA)
    upload = LayerService(driver).resume("demo", UUID)
    assert finished_well(driver, lambda: upload.finish(DIGEST))


def test_a_page_blob_is_not_written_to(driver: CheckedDriver, container: ContainerClient) -> None:
    """A page blob is refused by name when a writer is opened."""
    container.get_blob_client("key").create_page_blob(512)
    with pytest.raises(UnsupportedOperationError, match="a page blob"):
        driver.open_writer("key")
    assert driver.stat("key").size == 512
