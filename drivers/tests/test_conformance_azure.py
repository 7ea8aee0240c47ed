"""The whole suite, on the Azure driver and Azurite; observed through the SDK."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from unittest.mock import patch

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties, BlobType, ContainerClient

from layerstore.keys import is_key
from layerstore_conformance.harness import Harness, How, changed
from layerstore_conformance.kit.litter import HARMLESS, TOLD, file_of
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)
from layerstore_drivers.azure.client import _Transport
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite

pytestmark = pytest.mark.xdist_group("azurite")

PREFIX = "conformance/"


class Bucket:
    """The side door, and another program: the SDK, and what the driver documents of its metadata."""

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
            key = blob.name.removeprefix(PREFIX)
            if _published(blob) is not None and is_key(key):
                yield key

    def tamper(self, key: str, how: How) -> None:
        """Change a blob. What an append blob is made of is another registry's: it is made so, and appended to."""
        blob, before = self.container.get_blob_client(PREFIX + key), self.read(key)
        if how == "make":
            blob.upload_blob(changed(b"", how) or b"", overwrite=True)  # of what a writer has not published
            return
        assert before is not None, f"there is no {key}"
        data, found = changed(before, how), blob.get_blob_properties()
        found.content_settings.content_md5 = None  # of the bytes that were there
        kept: dict[str, Any] = {"metadata": found.metadata, "content_settings": found.content_settings}
        if how == "append" and found.blob_type == BlobType.APPENDBLOB:
            blob.append_block((data or b"")[len(before) :])
            return
        if data is None or how.startswith("remake"):
            blob.delete_blob()
        if how == "remake-otherwise":
            blob.create_append_blob()
            blob.append_block(data or b"")
        elif data is not None:
            blob.upload_blob(data, overwrite=True, **({} if how == "replace" else kept))
        while not data and how == "remake" and blob.get_blob_properties().creation_time == found.creation_time:
            blob.delete_blob()  # an empty blob is known by the second in which it was made
            blob.upload_blob(b"", **kept)

    @contextmanager
    def foreign(self, prefix: str) -> Iterator[list[str]]:
        """Put blobs below a prefix that no key can name."""
        blobs = [f"{PREFIX}{prefix}/{file_of(name)}" for name in (*TOLD, *HARMLESS)]
        for blob in blobs:
            self.container.upload_blob(blob, b"of no key")
        try:
            yield [f"{prefix}/{name}" for name in TOLD]
            left = set(self.container.list_blob_names(name_starts_with=f"{PREFIX}{prefix}/"))
            assert set(blobs) <= left, f"these were taken away: {set(blobs) - left}"
        finally:
            for blob in blobs:
                with suppress(ResourceNotFoundError):
                    self.container.delete_blob(blob)


def _published(blob: BlobProperties) -> int | None:
    noted = (blob.metadata or {}).get("layerstoresize", str(blob.size))
    return None if noted == "none" else int(noted)


def cut(port: int) -> None:
    """Break every connection of this process to a port."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), closing(socket.socket(fileno=os.dup(int(name)))) as connection:
            if connection.getpeername() == ("127.0.0.1", port):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def between_requests(act: Callable[[], None]) -> Iterator[None]:
    """Do something after each answer of the server, before the driver sees it."""
    send = _Transport.send

    def sending(transport: _Transport, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        answer = send(transport, request, **kwargs)
        act()
        return answer

    with patch.object(_Transport, "send", sending):
        yield


@pytest.fixture(scope="session")
def layerstore_harness(azurite: Azurite) -> Iterator[Harness]:
    """Return a store in a container, which every scenario leaves as empty as it was."""
    container = ContainerClient(
        azurite.endpoint, "conformance", {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}
    )
    container.create_container()
    door = Bucket(container)
    yield Harness(
        # Small blocks, so that the suite's objects have several.
        azurite.url("conformance", PREFIX.rstrip("/"), block_size=str(1 << 19)),
        side_door=door,
        tamper=door.tamper,
        foreign=door.foreign,
        missing=azurite.url("missing"),
        another=azurite.url("another", create_container="true"),
        restart=azurite.restart,
        cut=lambda: cut(azurite.port),
        between_requests=between_requests,
    )
    assert [blob.name for blob in container.list_blobs()] == []
    container.close()
