"""The whole suite, on the Azure driver and Azurite; observed through the SDK."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties, ContainerClient

from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite

pytestmark = pytest.mark.xdist_group("azurite")

PREFIX = "conformance/"


class Bucket:
    """The side door: the SDK, and what the driver documents of its metadata."""

    def __init__(self, container: ContainerClient) -> None:
        """Look into a container."""
        self.container = container

    def read(self, key: str) -> bytes | None:
        """Return the bytes of a blob that are published."""
        blob = self.container.get_blob_client(PREFIX + key)
        with suppress(ResourceNotFoundError):
            size = _published(blob.get_blob_properties())
            return None if size is None else blob.download_blob().readall()[:size]
        return None

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the name of every blob of which something is published."""
        below = f"{PREFIX}{prefix}/" if prefix else PREFIX
        for blob in self.container.list_blobs(below, include=["metadata"]):
            if _published(blob) is not None:
                yield blob.name.removeprefix(PREFIX)


def _published(blob: BlobProperties) -> int | None:
    noted = (blob.metadata or {}).get("layerstoresize", str(blob.size))
    return None if noted == "none" else int(noted)


def cut(port: int) -> None:
    """Break every connection of this process to a port."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), closing(socket.socket(fileno=os.dup(int(name)))) as connection:
            if connection.getpeername() == ("127.0.0.1", port):
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def layerstore_harness(azurite: Azurite) -> Iterator[Harness]:
    """Return a store in a container, which every scenario leaves as empty as it was."""
    container = ContainerClient(
        azurite.endpoint, "conformance", {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}
    )
    container.create_container()
    yield Harness(
        # Small blocks, so that the suite's objects have several.
        azurite.url("conformance", PREFIX.rstrip("/"), block_size=str(1 << 19)),
        side_door=Bucket(container),
        missing=azurite.url("missing"),
        restart=azurite.restart,
        cut=lambda: cut(azurite.port),
    )
    assert [blob.name for blob in container.list_blobs()] == []
    container.close()
