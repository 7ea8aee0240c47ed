"""The URL and the options: which account, container and prefix, and how they are used.

azure://ACCOUNT/CONTAINER[/PREFIX]
azure+emulator://CONTAINER[/PREFIX]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from layerstore.errors import DriverLoadError, InvalidPathError, InvalidURLError
from layerstore.keys import check_prefix
from layerstore_drivers.azure.blocks import FIRST, count_of

if TYPE_CHECKING:
    from azure.core.pipeline.transport import HttpTransport

    from layerstore.url import StoreURL


EMULATOR = "azure+emulator"
"""The short scheme for the emulator's account."""

EMULATOR_ACCOUNT = "devstoreaccount1"
EMULATOR_ENDPOINT = f"http://127.0.0.1:10000/{EMULATOR_ACCOUNT}"

EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""No secret: every emulator's, in Microsoft's documentation."""

ROOT = "$root"
"""The container whose blobs have no slash in their names (Microsoft's documentation)."""

SYSTEM = (ROOT, "$web", "$logs", "$blobchangefeed")
"""The containers whose names begin with a dollar."""


@dataclass(frozen=True, slots=True)
class Address:
    """A container in an account, and a prefix in it."""

    account: str
    container: str
    prefix: str
    """Empty, or with a slash at its end."""

    @classmethod
    def of(cls, url: StoreURL, *, leading_slash: bool = False) -> Self:
        """Read a URL; with ``leading_slash``, every blob's name begins with a slash.

        Raises:
            InvalidURLError: no account, no container, or names that neither may have.
        """
        path = url.path.strip("/")
        if url.scheme == EMULATOR:
            account, container, prefix = EMULATOR_ACCOUNT, url.host or "", path
        else:
            account, (container, _, prefix) = url.host or "", path.partition("/")
        if wrong := _wrong_account(account) or _wrong_container(container):
            raise InvalidURLError(str(url), wrong)
        _check(prefix, url)
        return cls(account, container, f"{'/' if leading_slash else ''}{prefix}{'/' if prefix else ''}")


def _wrong_account(name: str) -> str:
    """Return why no account has this name; empty if one may."""
    if not name:
        return "no account: azure://ACCOUNT/CONTAINER[/PREFIX]"
    if "." in name or ":" in name:
        return f"account name {name!r} is a host: give the name alone, and a host of its own as the option endpoint"
    return _wrong(f"account name {name!r}", name, 24, "a-z and 0-9", r"[^a-z0-9]")


def _wrong_container(name: str) -> str:
    """Return why no container has this name; empty if one may."""
    if not name:
        return "no container: azure://ACCOUNT/CONTAINER[/PREFIX]; a shell needs single quotes around $web"
    if name in SYSTEM:
        return ""
    shown = f"container name {name!r}"
    if name.startswith("$"):
        return f"{shown} is none of {', '.join(SYSTEM)}, which alone begin with $"
    if wrong := _wrong(shown, name, 63, "a-z, 0-9 and -", r"[^a-z0-9-]"):
        return wrong
    if "--" in name:
        return f"{shown} has two hyphens in a row"
    return f"{shown} begins or ends with a hyphen" if name.strip("-") != name else ""


def _wrong(shown: str, name: str, most: int, allowed: str, others: str) -> str:
    if not 3 <= len(name) <= most:
        return f"{shown} is too {'short' if len(name) < 3 else 'long'}: 3 to {most} characters"
    other = re.search(others, name)
    return f"{shown} has the character {other[0]!r}: {allowed} are allowed" if other else ""


def _check(prefix: str, url: StoreURL) -> None:
    try:
        check_prefix(prefix)
    except InvalidPathError as error:
        raise InvalidURLError(str(url), f"the prefix is no key: {error.detail}") from error


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
"""Each option and its help text."""

BESIDE = 8 << 20
"""Bytes of memory beside a writer's blocks: a reader's, the SDK's and layerstore's own; about 5 MiB are used."""

RECORD = 1200
"""Bytes of memory for each block of an object whose writer is opened: the SDK's answer that names it, and our notes."""

LARGEST = 64 << 30
"""Bytes of the largest object for which the bound of memory holds (clause C6)."""

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
        """Bytes of memory at most (clause C6): a writer's blocks under way and the one that fills, or a list of all.

        Three blocks at least: a written one that is changed, what it was, and the one that fills.
        """
        buffers = max(self.concurrency + 1, 3) * self.block_size
        return max(buffers, RECORD * count_of(LARGEST, self.block_size)) + BESIDE


def read_settings(url: StoreURL, given: Mapping[str, Any]) -> Settings:
    """Read the options.

    Raises:
        InvalidURLError: an invalid value.
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
