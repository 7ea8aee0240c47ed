"""The Azure driver in a container in which other programs have left blobs of their own."""

import itertools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import ContainerClient

import layerstore
from layerstore import Foreign, InvalidURLError, LayerService
from layerstore.checked import CheckedDriver
from layerstore_drivers.azure import blobs, listing
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite

if TYPE_CHECKING:
    from tests.azure_faulty import FaultyTransport
else:
    from azure_faulty import FaultyTransport

pytestmark = pytest.mark.xdist_group("azurite")

_numbers = itertools.count()

FOREIGN = (
    "my repo/x",
    "a/mein lager",
    "a/größe",
    "a//b",
    "/a/b",
    "a/.hidden",
    "a/b/with a slash at the end/",
    "a/" + "s" * 256,
    "a/b/" + "/".join("s" * 201),
    "a/" + "/".join(["s" * 200] * 5),
)
"""Names that no key may have: for their characters, their segments, their length."""


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    """Return a new container, through the SDK: the side door."""
    name = f"foreign-{next(_numbers)}"
    credential = {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}
    with ContainerClient(azurite.endpoint, name, credential) as client:
        client.create_container()
        yield client
        client.delete_container()


@pytest.fixture
def transport(azurite: Azurite) -> FaultyTransport:
    """Return a transport that keeps the requests."""
    return FaultyTransport(azurite.endpoint)


@pytest.fixture
def driver(azurite: Azurite, container: ContainerClient, transport: FaultyTransport) -> CheckedDriver:
    """Return a driver on the container."""
    return layerstore.open_driver(azurite.url(container.container_name), transport=transport)


def scanned(driver: CheckedDriver, prefix: str = "") -> tuple[list[str], list[str]]:
    """Return the keys and prefixes of a scan, and the names of the foreign things."""
    found = list(driver.scan(prefix))
    foreign = [child.name for child in found if isinstance(child, Foreign)]
    return [child for child in found if isinstance(child, str)], foreign


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("page", [5000, 1])
def test_a_name_that_is_no_key_is_scanned_and_not_listed(
    driver: CheckedDriver, container: ContainerClient, monkeypatch: pytest.MonkeyPatch, name: str, page: int
) -> None:
    """A walk by scan meets a foreign name once, for whatever reason it is no key; a listing passes over it."""
    monkeypatch.setattr(blobs, "PAGE", page)
    container.upload_blob(name, b"data")
    for key in ("a/b/key", "b"):
        driver.put(key, b"data")
    met, todo = [], [""]
    while todo:
        keys, foreign = scanned(driver, todo.pop())
        met += foreign
        todo += [key[:-1] for key in keys if key.endswith("/")]
    assert len(met) == 1
    assert name.startswith(met[0])
    assert list(driver.list("")) == ["a/", "b"]


def test_a_folder_of_foreign_names_alone_is_foreign(driver: CheckedDriver, container: ContainerClient) -> None:
    """A folder whose name is a key, but in which nothing is, is no prefix; the message shows one of the names."""
    container.upload_blob("a/my file", b"data")
    container.upload_blob("b/my file", b"data")
    driver.put("b/key", b"data")
    (foreign, prefix) = driver.scan("")
    assert foreign == Foreign("a/", "no object, and the blob 'a/my file', whose name is no key")
    assert prefix == "b/"
    assert list(driver.list("")) == ["b/"]


@pytest.mark.parametrize("page", [5000, 2])
def test_what_the_driver_and_folders_need_is_not_foreign(
    driver: CheckedDriver, container: ContainerClient, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """A key that a writer has reserved, a folder's marker and a desktop's file are neither listed nor foreign."""
    monkeypatch.setattr(blobs, "PAGE", page)
    driver.open_writer("reserved").discard()
    container.upload_blob("folder", b"", metadata={"hdi_isfolder": "true"})
    container.upload_blob("marked/", b"")
    container.upload_blob("desktop/.DS_Store", b"data")
    container.upload_blob("nas/@eaDir/my file", b"data")
    driver.put("key", b"data")
    assert scanned(driver) == (["key"], [])


def test_a_page_of_foreign_names_costs_no_request_for_each(
    driver: CheckedDriver, container: ContainerClient, monkeypatch: pytest.MonkeyPatch, transport: FaultyTransport
) -> None:
    """However many foreign names there are, they cost the pages they are on."""
    monkeypatch.setattr(blobs, "PAGE", 10)
    for number in range(20):
        container.upload_blob(f"my repo {number}/x", b"data")
        container.upload_blob(f"my file {number}", b"data")
    driver.put("key", b"data")
    del transport.asked[:]
    assert len(scanned(driver)[1]) == 40
    assert len(transport.asked) == 2  # a page of all, and one of the children


def test_a_large_folder_of_foreign_names_is_read_by_the_page(
    driver: CheckedDriver, container: ContainerClient, monkeypatch: pytest.MonkeyPatch, transport: FaultyTransport
) -> None:
    """Whether a folder holds an object is found out in few requests, and an object behind many foreign names too."""
    for number in range(8):
        container.upload_blob(f"a/{number} foreign", b"data")
    driver.put("a/key", b"data")
    monkeypatch.setattr(blobs, "PAGE", 3)
    monkeypatch.setattr(listing, "PEEK", 2)
    del transport.asked[:]
    assert scanned(driver) == (["a/"], [])
    assert len(transport.asked) <= 1 + 1 + 1 + 3


def test_deleting_a_prefix_leaves_what_is_foreign(driver: CheckedDriver, container: ContainerClient) -> None:
    """Objects, reserved keys and folder markers go; foreign blobs stay (clause D5)."""
    for name in FOREIGN:
        container.upload_blob(name, b"data")
    container.upload_blob("a/b/marked/", b"")
    for key in ("a/b/key", "a/key"):
        driver.put(key, b"data")
    driver.open_writer("a/reserved").discard()
    driver.delete("a")
    assert sorted(container.list_blob_names()) == sorted(FOREIGN)


def test_foreign_names_below_the_repositories_hide_no_layer(driver: CheckedDriver, container: ContainerClient) -> None:
    """The layers of a store are listed whatever else lies below its repositories."""
    service = LayerService(driver)
    with service.upload("demo") as upload:
        upload.write(b"a layer")
        upload.finish(upload.digest()).close()
    for name in ("my repo/_layers/x", "demo/.hidden", "demo//x", "größe"):
        container.upload_blob(f"docker/registry/v2/repositories/{name}", b"data")
    assert len(list(service.layers())) == 1


@pytest.mark.parametrize("prefix", ["", "some/dir"])
def test_a_store_whose_names_begin_with_a_slash_is_opened_by_an_option(
    azurite: Azurite, container: ContainerClient, prefix: str
) -> None:
    """With ``leading_slash=true`` a registry's blobs below ``/docker`` are a store as any other is."""
    url = azurite.url(container.container_name, prefix, leading_slash="true")
    service = LayerService(layerstore.open_driver(url))
    with service.upload("demo") as upload:
        upload.write(b"a layer")
        digest = upload.digest()
        upload.finish(digest).close()
    with LayerService(layerstore.open_driver(url)).fetch("demo", digest) as layer:
        assert layer.read() == b"a layer"
    root = f"/{prefix}/docker/" if prefix else "/docker/"
    names = list(container.list_blob_names())
    assert names
    assert {name[: len(root)] for name in names} == {root}


@pytest.mark.parametrize("slash", ["true", "false"])
def test_a_store_that_looks_empty_for_a_slash_says_so_once(
    azurite: Azurite, container: ContainerClient, caplog: pytest.LogCaptureFixture, slash: str
) -> None:
    """If the blobs' names differ by a leading slash, a warning names the option, and only once."""
    other = "false" if slash == "true" else "true"
    layerstore.open_driver(azurite.url(container.container_name, leading_slash=slash)).put("docker/key", b"data")
    driver = layerstore.open_driver(azurite.url(container.container_name, leading_slash=other))
    with caplog.at_level(logging.WARNING, "layerstore_drivers.azure"):
        assert list(driver.list("docker")) == []
        assert list(driver.list("docker")) == []
    assert [record.getMessage().count("leading_slash") for record in caplog.records] == [1]


def test_an_empty_store_is_empty_without_a_word(driver: CheckedDriver, caplog: pytest.LogCaptureFixture) -> None:
    """A container with no blob at all gives no hint."""
    assert list(driver.list("")) == []
    assert caplog.records == []


def test_a_leading_slash_is_yes_or_no() -> None:
    """Another value of the option is refused."""
    with pytest.raises(InvalidURLError, match="leading_slash"):
        layerstore.open_driver("azure+emulator://layers", leading_slash="/")
