"""The driver's options, beside those of the credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from layerstore.errors import DriverLoadError, InvalidURLError
from layerstore_drivers.azure.address import EMULATOR, EMULATOR_ACCOUNT
from layerstore_drivers.azure.blocks import FIRST

if TYPE_CHECKING:
    from azure.core.pipeline.transport import HttpTransport

    from layerstore.url import StoreURL

HELP = {
    "connection_string": "of the account; else AZURE_STORAGE_CONNECTION_STRING",
    "account_key": "of the account; else AZURE_STORAGE_KEY or AZURE_STORAGE_ACCOUNT_KEY",
    "sas_token": "a shared access signature; else AZURE_STORAGE_SAS_TOKEN",
    "credential": "a token credential, an object; else DefaultAzureCredential",
    "endpoint": "URL of the account's blob service, where it is not ACCOUNT.blob.core.windows.net",
    "leading_slash": "true: the names of the store's blobs begin with a slash, as some registries leave them",
    "create_container": "true: make the container when first written to, if it is missing",
    "hierarchical": "true: the account has a hierarchical namespace, so that no key can lie below another",
    "block_size": f"bytes of a block, {FIRST} unless given; large objects have larger ones",
    "checksum": "of a block on its way: crc64, md5 or none. Unless given, crc64 if azure-storage-extensions is"
    " installed; md5 otherwise, and at the emulator",
    "concurrency": "blocks of one writer under way at once, 4 unless given",
    "retries": "how often a request is repeated whose answer is lost or an error of the service, 4 unless given",
    "timeout": "seconds that the service may be silent, 60 unless given",
    "transport": "an azure.core HttpTransport, an object; for tests and proxies",
}
"""Each option, and what it is."""

BESIDE = 8 << 20
"""Bytes of memory beside a writer's blocks: a reader's, the SDK's and layerstore's own; about 5 MiB are used."""

Checksum = bool | Literal["crc64"]
"""As the SDK has it: False for none, True for MD5."""

CHECKSUMS: Final[Mapping[str, Checksum]] = {"crc64": "crc64", "md5": True, "none": False}

_YES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """The options, read."""

    leading_slash: bool
    create_container: bool
    hierarchical: bool
    block_size: int
    checksum: Checksum
    concurrency: int
    retries: int
    timeout: float
    transport: HttpTransport[Any, Any] | None

    @property
    def memory(self) -> int:
        """Bytes of memory at most (clause C6): a writer's blocks under way and the one that fills."""
        return (self.concurrency + 1) * self.block_size + BESIDE


def read(url: StoreURL, given: Mapping[str, Any]) -> Settings:
    """Read the options.

    Raises:
        InvalidURLError: a value that makes no sense.
        DriverLoadError: the option checksum asks for a package that is not installed.
    """
    return Settings(
        _flag(url, given, "leading_slash"),
        _flag(url, given, "create_container"),
        _flag(url, given, "hierarchical"),
        _number(url, given, "block_size", FIRST, 1),
        _checksum(url, given),
        _number(url, given, "concurrency", 4, 1),
        _number(url, given, "retries", 4, 0),
        _number(url, given, "timeout", 60, 1),
        given.get("transport"),
    )


def _flag(url: StoreURL, given: Mapping[str, Any], name: str) -> bool:
    value = str(given.get(name, "false")).lower()
    if value not in _YES:
        raise InvalidURLError(str(url), f"{name} is true or false")
    return _YES[value]


def _checksum(url: StoreURL, given: Mapping[str, Any]) -> Checksum:
    """Choose the cheapest checksum that the server compares.

    A CRC-64 takes less than half of an MD5's time. The service compares either (Put Block, since version 2019-02-02).
    Azurite 3.35 compares MD5 only: it refuses a request with a CRC-64 (HTTP 500, FeatureNotSupported) or, with
    ``--loose``, ignores it. Python's own library has no CRC-64, and one written in Python is slower than MD5.
    """
    chosen = str(given.get("checksum", ""))
    if chosen not in {"", *CHECKSUMS}:
        raise InvalidURLError(str(url), f"checksum is one of {', '.join(CHECKSUMS)}")
    if chosen == "crc64" and not _has_crc64():
        hint = "checksum=crc64 needs azure-storage-extensions; run: pip install 'azure-storage-blob[ext-checksums]'"
        raise DriverLoadError(url.scheme, "layerstore", hint)
    emulated = url.scheme == EMULATOR or url.host == EMULATOR_ACCOUNT
    return CHECKSUMS[chosen or ("crc64" if not emulated and _has_crc64() else "md5")]


def _has_crc64() -> bool:
    try:
        import_module("azure.storage.extensions.checksums")
    except ImportError:
        return False
    return True


def _number(url: StoreURL, given: Mapping[str, Any], name: str, default: int, least: int) -> int:
    try:
        number = int(given.get(name, default))
    except (TypeError, ValueError):
        number = least - 1
    if number < least:
        raise InvalidURLError(str(url), f"{name} is a whole number, at least {least}")
    return number
