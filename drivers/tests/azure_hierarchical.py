"""A strict transport that behaves as an account with a hierarchical namespace does, and the driver behind it.

Folders come with the blobs below them, are listed as blobs of no bytes, and stay when they are empty. Azurite knows
none: so what the service does by itself this transport does beside the request, and it does not matter that it does not
do both in one step: a folder that is missing is what no driver can count on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, suppress
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, ContainerClient

from layerstore.hookspecs import hookimpl
from layerstore_drivers.azure.driver import AzureDriver

if TYPE_CHECKING:
    from layerstore.driver import Driver
    from layerstore.url import StoreURL
    from tests.azure_strict import ACCOUNT, Asked, Refused, StrictTransport, answer
    from tests.azure_strict_driver import install as install_module
else:
    from azure_strict import ACCOUNT, Asked, Refused, StrictTransport, answer
    from azure_strict_driver import install as install_module

SCHEME = "azure+hierarchical"
FOLDER = {"hdi_isfolder": "true"}
_WRITES = {"Put Blob", "Put Block", "Put Block List", "Copy Blob", "Put Block From URL"}


class HierarchicalTransport(StrictTransport):
    """Refuses what such an account refuses, and makes folders."""

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        """Refuse a request, or send it and make the folders above what it made."""
        asked = Asked(request)
        refused = next(self._conflicts(asked), None)
        if refused:
            self.refused.append((str(asked), refused))
            return answer(request, *refused)
        response = super().send(request, **kwargs)
        if asked.name in _WRITES and asked.blob and response.status_code < 300:
            self._make_folders(asked)
        return response

    def _conflicts(self, asked: Asked) -> Iterator[Refused]:
        if not asked.blob and asked.name != "Blob Batch":
            return
        if asked.name in _WRITES:
            if self._kind(asked.container, asked.blob) == "folder":
                yield Refused(409, "ResourceTypeMismatch")
            above = next((kind for kind in map(self._of(asked), _above(asked.blob)) if kind), "folder")
            if above != "folder":
                yield Refused(409, "ResourceTypeMismatch")
        elif asked.name == "Delete Blob" and self._kind(asked.container, asked.blob) == "folder":
            if "x-ms-delete-snapshots" in asked.headers:
                yield Refused(400, "OperationNotSupportedOnDirectory")
            elif self._has_children(asked.container, asked.blob):
                yield Refused(409, "DirectoryIsNotEmpty")
        elif asked.name == "Blob Batch" and self._has_folder(asked):
            yield Refused(400, "OperationNotSupportedOnDirectory")

    def _make_folders(self, asked: Asked) -> None:
        missing = []
        for name in _above(asked.blob):
            if self._kind(asked.container, name):
                break
            missing.append(name)
        for name in reversed(missing):
            folder = BlobClient(self.endpoint, asked.container, name, credential=ACCOUNT)
            with closing(folder), suppress(ResourceExistsError):
                folder.upload_blob(b"", metadata=FOLDER)

    def _of(self, asked: Asked) -> Any:  # noqa: ANN401  (a function of a name)
        return lambda name: self._kind(asked.container, name)

    def _kind(self, container: str, name: str) -> str:
        with closing(BlobClient(self.endpoint, container, name, credential=ACCOUNT)) as blob:
            try:
                notes = blob.get_blob_properties().metadata
            except ResourceNotFoundError:
                return ""
        return "folder" if notes == FOLDER else "blob"

    def _has_children(self, container: str, name: str) -> bool:
        with closing(ContainerClient(self.endpoint, container, ACCOUNT)) as client:
            return any(True for _ in client.list_blob_names(name_starts_with=f"{name}/", results_per_page=1))

    def _has_folder(self, asked: Asked) -> bool:
        paths = re.findall(rb"DELETE /([^? ]+)", asked.body)
        names = {unquote(path.decode()).partition(f"{asked.container}/")[2] for path in paths}
        with closing(ContainerClient(self.endpoint, asked.container, ACCOUNT)) as client:
            there = client.list_blobs(commonpath(list(names)), include=["metadata"])
            return any(blob.name in names and blob.metadata == FOLDER for blob in there)


def _above(name: str) -> list[str]:
    """Return the folders that a blob lies in, the deepest first."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


class HierarchicalDriver(AzureDriver):
    """Opened by ``azure+hierarchical://devstoreaccount1/CONTAINER[/PREFIX]?endpoint=...&hierarchical=true``."""

    @classmethod
    def open(cls, url: StoreURL, **given: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Open as the Azure driver is opened, with the transport."""
        return super().open(url, transport=HierarchicalTransport(str(given["endpoint"])), **given)

    def close(self) -> None:
        """Give the connections back too."""
        super().close()
        if self._settings.transport is not None:
            self._settings.transport.close()


@hookimpl
def layerstore_driver() -> type[Driver]:
    """Return the driver class."""
    return HierarchicalDriver


def install(where: Path) -> None:
    """Make a distribution of this module in a directory, and put it on ``sys.path``; children are handed that on."""
    install_module(where, SCHEME, __name__.rpartition(".")[2])
