"""Checksums of blocks on their way: a CRC-64 if the service compares one, an MD5 otherwise, or none if asked."""

import itertools
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from azure.storage.blob import ContainerClient, generate_container_sas

import layerstore
from layerstore import BackendUnavailableError, DriverLoadError, InvalidURLError
from layerstore.url import StoreURL
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite
from layerstore_drivers.azure.options import read_settings

if TYPE_CHECKING:
    from tests.azure_strict import ACCOUNT, CRC64, Asked, StrictTransport, crc64
else:
    from azure_strict import ACCOUNT, CRC64, Asked, StrictTransport, crc64

pytestmark = pytest.mark.xdist_group("azurite")

EXTENSIONS = "azure.storage.extensions"
_numbers = itertools.count()


class Watching(StrictTransport):
    """A strict transport that keeps which checksums a block was sent with."""

    def __init__(self, endpoint: str) -> None:
        """Begin with none."""
        super().__init__(endpoint)
        self.blocks: list[set[str]] = []
        self.damage: bytes = b""
        """Sent in the place of a block's first bytes."""

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        """Send a request."""
        asked = Asked(request)
        if asked.name == "Put Block":
            self.blocks.append(asked.headers.keys() & {CRC64, "content-md5"})
            if self.damage:
                request.data = self.damage + asked.body[len(self.damage) :]
        return super().send(request, **kwargs)


@pytest.fixture
def extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have azure-storage-extensions, whether it is installed or not: its one function."""
    package, checksums = ModuleType(EXTENSIONS), ModuleType(f"{EXTENSIONS}.checksums")
    cast("Any", checksums).crc64 = SimpleNamespace(compute=crc64)
    cast("Any", package).checksums = checksums
    monkeypatch.setitem(sys.modules, EXTENSIONS, package)
    monkeypatch.setitem(sys.modules, f"{EXTENSIONS}.checksums", checksums)


@pytest.fixture
def no_extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no azure-storage-extensions."""
    monkeypatch.setitem(sys.modules, f"{EXTENSIONS}.checksums", None)


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    """Return a new container."""
    with ContainerClient(azurite.endpoint, f"checksums-{next(_numbers)}", ACCOUNT) as client:
        client.create_container()
        yield client
        client.delete_container()


@pytest.fixture
def url(azurite: Azurite, container: ContainerClient) -> str:
    """Return the URL of a store with blocks of 100 bytes."""
    return azurite.url(str(container.container_name), block_size="100")


@pytest.fixture
def token(container: ContainerClient) -> str:
    """Return a signature for the container, which leaves headers unsigned."""
    until = datetime.now(UTC) + timedelta(hours=1)
    return str(
        generate_container_sas(
            "devstoreaccount1", container.container_name, EMULATOR_KEY, permission="racwdl", expiry=until
        )
    )


def chosen(url: str, **given: str) -> object:
    """Return the checksum that a store is opened with."""
    parsed = StoreURL.parse(url)
    return read_settings(parsed, {**parsed.options, **given}).checksum


def stored(url: str, transport: StrictTransport | None, **given: Any) -> None:  # noqa: ANN401  (options)
    """Store an object of four blocks, and compare it."""
    with closing(layerstore.open_driver(url, transport=transport, **given)) as driver:
        with driver.open_writer("key") as writer:
            writer.write(b"x" * 350)
        assert driver.get("key", 400) == b"x" * 350


def test_a_crc64_is_that_of_the_catalogues() -> None:
    """The transport compares with the service's CRC-64: its check value is in every catalogue as CRC-64/NVME."""
    assert crc64(b"123456789") == 0xAE8B14860A799888


@pytest.mark.usefixtures("extensions")
def test_the_service_gets_a_crc64_where_the_extension_is_installed() -> None:
    """A CRC-64 costs the least, and the service compares it; Azurite does not, and gets an MD5."""
    assert chosen("azure://acme/layers") == "crc64"
    assert chosen("azure+emulator://layers") is True
    assert chosen("azure://devstoreaccount1/layers") is True


@pytest.mark.usefixtures("no_extensions")
def test_without_the_extension_blocks_have_an_md5() -> None:
    """Nothing more than the SDK is needed to have blocks compared."""
    assert chosen("azure://acme/layers") is True


@pytest.mark.usefixtures("no_extensions")
def test_a_crc64_without_the_extension_says_what_to_install() -> None:
    """An option that cannot be followed is refused when the store is opened."""
    with pytest.raises(DriverLoadError, match=r"pip install 'azure-storage-blob\[ext-checksums\]'"):
        chosen("azure://acme/layers", checksum="crc64")


def test_a_checksum_that_there_is_not_is_refused() -> None:
    """The message names the ones that there are."""
    with pytest.raises(InvalidURLError, match="checksum is one of crc64, md5, none"):
        chosen("azure://acme/layers?checksum=sha256")


@pytest.mark.usefixtures("extensions")
@pytest.mark.parametrize(("option", "header"), [("md5", "content-md5"), ("crc64", CRC64)])
def test_every_block_has_its_checksum(azurite: Azurite, url: str, token: str, option: str, header: str) -> None:
    """The service compares each block with what was sent beside it, and with nothing else."""
    with closing(Watching(azurite.endpoint)) as transport:
        stored(url, transport, sas_token=token, checksum=option)
        assert transport.blocks == [{header}] * 4


@pytest.mark.usefixtures("extensions")
@pytest.mark.parametrize("option", ["md5", "crc64"])
def test_a_block_that_was_changed_on_its_way_is_refused(azurite: Azurite, url: str, token: str, option: str) -> None:
    """A byte that another one has taken the place of is noticed, and nothing of it is published."""
    with closing(Watching(azurite.endpoint)) as transport:
        transport.damage = b"y"
        with pytest.raises(BackendUnavailableError, match="Mismatch"):
            stored(url, transport, sas_token=token, checksum=option)


def test_blocks_have_no_checksum_if_asked(azurite: Azurite, url: str) -> None:
    """The checksum can be left out, for a trusted network or a measurement; the strict transport then refuses."""
    with closing(Watching(azurite.endpoint)) as transport:
        with pytest.raises(BackendUnavailableError, match="MissingRequiredHeader"):
            stored(url, transport, checksum="none")
        assert transport.blocks[0] == set()


@pytest.mark.usefixtures("extensions")
def test_azurite_refuses_a_crc64_by_a_message_that_says_what_to_do(url: str) -> None:
    """That is why the emulator gets an MD5; once a newer Azurite compares CRC-64, this fails."""
    with pytest.raises(BackendUnavailableError, match="use checksum=md5; FeatureNotSupported"):
        stored(url, None, checksum="crc64", retries=0)
