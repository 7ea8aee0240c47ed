"""A strict transport that behaves as an account with a hierarchical namespace does, and the driver behind it.

Folders come with the blobs below them, are listed as blobs of no bytes, and stay when they are empty. Azurite knows
none: so what the service does by itself this transport does beside the request, and it does not matter that it does not
do both in one step: a folder that is missing is what no driver can count on.
"""

from __future__ import annotations

import re
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from layerstore.hookspecs import hookimpl
from layerstore_drivers.azure.client import _Transport
from layerstore_drivers.azure.driver import AzureDriver
from layerstore_drivers.azure.errors import _let_go

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
_CHANGES = {*_WRITES, "Delete Blob"}


class HierarchicalTransport(StrictTransport):
    """Refuses what such an account refuses, and makes folders."""

    def __init__(self, endpoint: str) -> None:
        """Speak to an Azurite, and look at it beside what is asked."""
        super().__init__(endpoint)
        self._beside = _Transport(endpoint, 60)
        self._service = BlobServiceClient(endpoint, ACCOUNT, transport=self._beside)

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        """Refuse a request, or send it and make the folders above what it made."""
        asked = Asked(request)
        writes = bool(asked.blob) and asked.name in _WRITES
        missing, above = self._look_above(asked) if writes else ([], FOLDER)
        refused = Refused(409, "ResourceTypeMismatch") if above != FOLDER else self._conflict(asked)
        if refused:
            self.refused.append((str(asked), refused))
            return answer(request, *refused)
        response = super().send(request, **kwargs)
        if response.status_code < 300:
            self._make_folders(asked.container, missing)
        return response

    def close(self) -> None:
        """Close the connections, those beside too."""
        super().close()
        self._beside.close()

    def _conflict(self, asked: Asked) -> Refused | None:
        if asked.name == "Blob Batch":
            return Refused(400, "OperationNotSupportedOnDirectory") if self._has_folder(asked) else None
        if not asked.blob or asked.name not in _CHANGES or self._notes(asked.container, asked.blob) != FOLDER:
            return None
        if asked.name != "Delete Blob":
            return Refused(409, "ResourceTypeMismatch")
        if "x-ms-delete-snapshots" in asked.headers:
            return Refused(400, "OperationNotSupportedOnDirectory")
        return Refused(409, "DirectoryIsNotEmpty") if self._has_children(asked.container, asked.blob) else None

    def _look_above(self, asked: Asked) -> tuple[list[str], dict[str, str]]:
        """Return the folders that are missing, the topmost first, and the notes of what lies above them."""
        missing: list[str] = []
        for name in _above(asked.blob):
            notes = self._notes(asked.container, name)
            if notes is not None:
                return missing, notes
            missing.insert(0, name)
        return missing, FOLDER

    def _make_folders(self, container: str, names: list[str]) -> None:
        for name in names:
            try:
                self._service.get_blob_client(container, name).upload_blob(b"", metadata=FOLDER)
            except ResourceExistsError as error:
                _let_go(error)  # else it keeps what the driver's callers have open

    def _notes(self, container: str, name: str) -> dict[str, str] | None:
        try:
            return dict(self._service.get_blob_client(container, name).get_blob_properties().metadata)
        except ResourceNotFoundError as error:
            _let_go(error)
            return None

    def _has_children(self, container: str, name: str) -> bool:
        there = self._service.get_container_client(container).list_blob_names(
            name_starts_with=f"{name}/", results_per_page=1
        )
        return any(True for _ in there)

    def _has_folder(self, asked: Asked) -> bool:
        paths = re.findall(rb"DELETE /([^? ]+)", asked.body)
        names = {unquote(path.decode()).partition(f"{asked.container}/")[2] for path in paths}
        there = self._service.get_container_client(asked.container).list_blobs(commonpath(names), include=["metadata"])
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
