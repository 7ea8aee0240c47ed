"""An account with a hierarchical namespace: folders are no objects, and go after what is in them."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient

import layerstore
from layerstore import FencedError, LayerService, PathNotFoundError, UnsupportedOperationError
from layerstore.checked import CheckedDriver
from layerstore_drivers.azure.emulator import Azurite

if TYPE_CHECKING:
    from tests.azure_hierarchical import HierarchicalTransport
    from tests.azure_strict import ACCOUNT
else:
    from azure_hierarchical import HierarchicalTransport
    from azure_strict import ACCOUNT

pytestmark = pytest.mark.xdist_group("azurite")

_numbers = itertools.count()


@pytest.fixture
def transport(azurite: Azurite) -> Iterator[HierarchicalTransport]:
    """Return a transport that makes folders."""
    made = HierarchicalTransport(azurite.endpoint)
    yield made
    made.close()


@pytest.fixture
def container(azurite: Azurite, transport: HierarchicalTransport) -> Iterator[ContainerClient]:
    """Return a new container of the account, as another program has it."""
    name = f"hierarchical-{next(_numbers)}"
    with ContainerClient(azurite.endpoint, name, ACCOUNT, transport=transport, retry_total=0) as client:
        client.create_container()
        yield client
        client.delete_container()


@pytest.fixture
def driver(azurite: Azurite, container: ContainerClient, transport: HierarchicalTransport) -> Iterator[CheckedDriver]:
    """Return a driver that does not know the kind of the account."""
    url = f"azure+emulator://{container.container_name}"
    with closing(layerstore.open_driver(url, endpoint=azurite.endpoint, transport=transport)) as opened:
        yield opened


@pytest.fixture
def told(azurite: Azurite, container: ContainerClient, transport: HierarchicalTransport) -> Iterator[CheckedDriver]:
    """Return a driver that is told the kind of the account."""
    url = f"azure+emulator://{container.container_name}?hierarchical=true"
    with closing(layerstore.open_driver(url, endpoint=azurite.endpoint, transport=transport)) as opened:
        yield opened


def names(container: ContainerClient) -> list[str]:
    """Return the names of all blobs and folders."""
    return list(container.list_blob_names())


def code_of(error: pytest.ExceptionInfo[HttpResponseError]) -> str:
    """Return the service's error code."""
    return str(getattr(error.value.response, "headers", {}).get("x-ms-error-code"))


def test_folders_come_with_blobs_and_stay(container: ContainerClient) -> None:
    """So Microsoft's documentation has it: a folder is made with the first blob in it, and deleted by name only."""
    container.upload_blob("a/b/c", b"data", validate_content=True)
    assert names(container) == ["a", "a/b", "a/b/c"]
    for name, code in (("a", "DirectoryIsNotEmpty"), ("a/b", "DirectoryIsNotEmpty")):
        with pytest.raises(HttpResponseError) as refused:
            container.delete_blob(name)
        assert code_of(refused) == code
    container.delete_blob("a/b/c")
    with pytest.raises(HttpResponseError) as refused:
        container.delete_blob("a/b", delete_snapshots="include")
    assert code_of(refused) == "OperationNotSupportedOnDirectory"
    container.delete_blob("a/b")
    assert names(container) == ["a"]


def test_no_blob_is_where_a_folder_is(container: ContainerClient) -> None:
    """A blob and a folder cannot share a name, whichever came first."""
    container.upload_blob("a/b", b"data", validate_content=True)
    for name in ("a", "a/b/c"):
        with pytest.raises(HttpResponseError) as refused:
            container.upload_blob(name, b"data", overwrite=True, validate_content=True)
        assert code_of(refused) == "ResourceTypeMismatch"


def test_a_folder_is_no_object(driver: CheckedDriver) -> None:
    """It is neither found nor read nor listed nor moved."""
    driver.put("a/b/c", b"data")
    for key in ("a", "a/b"):
        assert driver.find(key) is None
        with pytest.raises(PathNotFoundError):
            driver.open_reader(key)
        with pytest.raises(PathNotFoundError):
            driver.move(key, "elsewhere")
    assert list(driver.list("")) == ["a/"]
    assert list(driver.list("a")) == ["a/b/"]
    driver.delete("a/b/c")
    assert list(driver.list("")) == []


def test_a_delete_takes_the_folders_after_what_is_in_them(driver: CheckedDriver, container: ContainerClient) -> None:
    """Everything below a key goes, its folders included, and nothing else."""
    for key in ("a/b/c/1", "a/b/c/2", "a/b/d/e/1", "a/b2/1"):
        driver.put(key, b"data")
    driver.delete("a/b")
    assert names(container) == ["a", "a/b2", "a/b2/1"]
    driver.delete("a/b")
    driver.delete("a")
    assert names(container) == []


def test_a_folder_that_is_written_to_meanwhile_stays(
    driver: CheckedDriver, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the blobs' deletion and the folders' something is stored there: it stays, and its folder."""
    driver.put("a/b/1", b"data")
    below = driver.inner._blobs  # type: ignore[attr-defined]  # Azure's
    delete_folder = below.delete_folder

    def late(key: str) -> None:
        container.upload_blob("a/b/2", b"late", overwrite=True, validate_content=True)
        delete_folder(key)

    monkeypatch.setattr(below, "delete_folder", late)
    driver.delete("a")
    assert names(container) == ["a", "a/b", "a/b/2"]


def test_no_key_lies_below_another(driver: CheckedDriver) -> None:
    """The attempt is refused, by name, and changes nothing (C2)."""
    driver.put("a/b", b"data")
    driver.put("key", b"data")
    for key in ("a", "a/b/c"):
        with pytest.raises(UnsupportedOperationError):
            driver.put(key, b"other")
        with pytest.raises(UnsupportedOperationError):
            driver.open_writer(key)
        with pytest.raises(UnsupportedOperationError):
            driver.move("key", key)
    assert [driver.get(key, 9) for key in ("a/b", "key")] == [b"data"] * 2


def test_a_refused_move_has_fenced_nobody(told: CheckedDriver) -> None:
    """A move to where a folder or a blob is in the way leaves all as it was, the writer of its source too (C2, E4)."""
    for key in ("a/b", "key"):
        told.put(key, b"data")
    writer = told.open_writer("key")
    writer.write(b" and more")
    for target in ("a", "a/b/c", "a/b/c/d/e"):
        with pytest.raises(UnsupportedOperationError):
            told.move("key", target)
    writer.close()
    assert [told.get(key, 99) for key in ("a/b", "key")] == [b"data", b"data and more"]


def test_an_existing_object_that_gave_way_is_fenced(driver: CheckedDriver) -> None:
    """A writer of an object that was deleted is fenced, also where another key lies below it now (D4)."""
    driver.put("a", b"data")
    writer = driver.open_writer("a")
    writer.write(b" and more")
    driver.delete("a")
    driver.put("a/b", b"other")
    with pytest.raises(FencedError):
        writer.flush()
    writer.discard()
    assert list(driver.list("")) == ["a/"]


@pytest.mark.parametrize(("late", "early"), [("a", "a/b"), ("a/b/c", "a")])
def test_what_is_no_object_is_in_nobodys_way(driver: CheckedDriver, late: str, early: str) -> None:
    """A key that was only reserved, and folders with nothing in them, give way; the writer's flush is refused then."""
    driver.put("a/b/d", b"data")
    driver.delete("a/b/d")
    writer = driver.open_writer(late)
    writer.write(b"late")
    driver.put(early, b"data")
    with pytest.raises(UnsupportedOperationError):
        writer.flush()
    writer.discard()
    assert driver.get(early, 9) == b"data"
    assert driver.find(late) is None


def test_nesting_is_declared_by_an_option(azurite: Azurite) -> None:
    """``hierarchical=true`` says that no key can lie below another; it takes no request to know."""
    for told, nested in (("true", False), ("false", True)):
        url = f"azure+emulator://container?hierarchical={told}"
        with closing(layerstore.open_driver(url, endpoint=azurite.endpoint)) as opened:
            assert opened.capabilities.nested_keys is nested


def test_a_layers_life_leaves_no_upload_behind(driver: CheckedDriver, container: ContainerClient) -> None:
    """Uploads are finished, cancelled and purged, and nothing is left of them, not even a folder."""
    service = LayerService(driver)
    uploads = [service.upload("demo/app") for _ in range(3)]
    for upload in uploads:
        upload.write(b"x" * (2 << 20))
        upload.flush()
    layer = uploads[0].finish(uploads[0].digest())
    assert layer.read() == b"x" * (2 << 20)
    uploads[1].cancel()
    uploads[2].close()
    assert [entry.uuid for entry in service.purge(timedelta(0)).removed] == [uploads[2].uuid]
    assert [name for name in names(container) if "_uploads/" in name] == []
