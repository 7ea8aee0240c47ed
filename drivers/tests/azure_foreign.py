"""Another program at a container: what it does to a blob, and a transport that has it do so in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from azure.storage.blob import BlobBlock, BlobProperties, ContainerClient, ContentSettings

from layerstore_drivers.azure.client import _Transport
from layerstore_drivers.azure.credentials import EMULATOR_KEY

if TYPE_CHECKING:
    from layerstore_drivers.azure.emulator import Azurite

ACCOUNT = {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}


class Meddler(_Transport):
    """The driver's own transport; before one request of those to come, another program acts."""

    def __init__(self, azurite: Azurite) -> None:
        """Speak to an Azurite, and leave it in peace."""
        super().__init__(azurite.endpoint, 60)
        self.asked: list[str] = []
        self._left = -1
        self._act: Callable[[], object] = list

    def arm(self, before: int, act: Callable[[], object]) -> None:
        """Have ``act`` called before the request of this number, counted from now and from 0."""
        self.asked.clear()
        self._left, self._act = before, act

    @property
    def has_acted(self) -> bool:
        """Tell whether there was such a request."""
        return self._left < 0

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        """Act, if it is time, and send a request."""
        self.asked.append(f"{request.method} {request.url.partition('?')[2]}".strip())
        self._left -= 1
        if self._left == -1:
            self._act()
        return super().send(request, **kwargs)


def _settings(old: BlobProperties) -> ContentSettings:
    """Return what a program can set; the service compares an MD5 that comes with a body."""
    old.content_settings.content_md5 = None
    return old.content_settings


def put(container: ContainerClient, name: str, data: bytes) -> None:
    """Replace a blob by a Put Blob, and keep all that a program can set: metadata, type and so on."""
    blob = container.get_blob_client(name)
    old = blob.get_blob_properties()
    blob.upload_blob(data, overwrite=True, metadata=old.metadata, content_settings=_settings(old))


def commit(container: ContainerClient, name: str, data: bytes) -> None:
    """Replace a blob by blocks of the same number and sizes, with ids of one's own, and keep the rest."""
    blob = container.get_blob_client(name)
    old = blob.get_blob_properties()
    blocks = blob.get_block_list()[0]
    sizes = [each.size for each in blocks] or [len(data)]
    width = len(str(blocks[0].id)) if blocks else 4
    names, at = [], 0
    for number, size in enumerate(sizes):
        names.append(f"{number:0{width}d}")
        blob.stage_block(names[-1], data[at : at + size])
        at += size
    blob.commit_block_list([BlobBlock(each) for each in names], old.content_settings, old.metadata)


def copy(container: ContainerClient, name: str, data: bytes) -> None:
    """Replace a blob by a copy of another one, and keep the metadata."""
    blob, aside = container.get_blob_client(name), container.get_blob_client("aside")
    old = blob.get_blob_properties()
    aside.upload_blob(data, overwrite=True, content_settings=_settings(old))
    blob.start_copy_from_url(aside.url, metadata=old.metadata or None)
    aside.delete_blob()


def anew(container: ContainerClient, name: str, data: bytes) -> None:
    """Delete a blob and make it anew with the same metadata."""
    blob = container.get_blob_client(name)
    old = blob.get_blob_properties()
    blob.delete_blob()
    blob.upload_blob(data, metadata=old.metadata, content_settings=_settings(old))


def append_blob(container: ContainerClient, name: str, data: bytes) -> None:
    """Put an append blob in the place of a blob, and keep the metadata."""
    blob = container.get_blob_client(name)
    old = blob.get_blob_properties()
    blob.delete_blob()
    blob.create_append_blob(metadata=old.metadata, content_settings=old.content_settings)
    blob.append_block(data)


HOWS = (put, commit, copy, anew, append_blob)
"""Every way to other bytes of the same size with the metadata kept."""
