"""Which endpoint to speak to, and as whom: by option, or else by the variables that Azure's own tools read.

The first that is there counts, options before the environment:

    1. ``connection_string``   AZURE_STORAGE_CONNECTION_STRING
    2. ``account_key``         AZURE_STORAGE_KEY, AZURE_STORAGE_ACCOUNT_KEY
    3. ``sas_token``           AZURE_STORAGE_SAS_TOKEN
    4. ``credential``, any token credential of azure-identity; without one, DefaultAzureCredential

Variables that are another account's (AZURE_STORAGE_ACCOUNT, or the connection string, says so) are left alone: its key
is sent nowhere else. The environment is read when a driver is opened.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

from layerstore.errors import InvalidURLError
from layerstore_drivers.azure.address import EMULATOR, EMULATOR_ACCOUNT, EMULATOR_ENDPOINT, Address

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from layerstore.url import StoreURL

EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""No secret: every emulator's, in Microsoft's documentation."""

_SIGNATURE = re.compile(r"(?i)([?&]sig=)[^&\s\"']+")


@dataclass(frozen=True, slots=True)
class Access:
    """An endpoint and a credential. Neither ``repr`` nor ``str`` shows the latter."""

    endpoint: str
    credential: AzureNamedKeyCredential | AzureSasCredential | TokenCredential = field(repr=False)
    account_key: str = field(default="", repr=False)
    """The key, where there is one: it signs URLs."""
    sas_token: str = field(default="", repr=False)
    """The shared access signature, where that is the credential."""

    @classmethod
    def by_key(cls, endpoint: str, account: str, key: str) -> Self:
        """Sign with an account's key."""
        return cls(endpoint, AzureNamedKeyCredential(account, key), account_key=key)

    @classmethod
    def by_sas(cls, endpoint: str, token: str) -> Self:
        """Send a shared access signature."""
        token = token.lstrip("?")
        _keep_out_of_logs()
        return cls(endpoint, AzureSasCredential(token), sas_token=token)


def find_access(url: StoreURL, address: Address, options: Mapping[str, Any], environment: Mapping[str, str]) -> Access:
    """Find out how to speak to an account.

    Raises:
        InvalidURLError: the connection string makes no sense, or is another account's.
    """
    endpoint = str(options.get("endpoint") or "").rstrip("/")
    given = options.get("connection_string") or environment.get("AZURE_STORAGE_CONNECTION_STRING", "")
    parts = _parts(url, str(given))
    if options.get("connection_string") and _account(parts) != address.account:
        raise InvalidURLError(str(url), f"the connection string is of another account, not {address.account!r}")
    mine = parts if _account(parts) == address.account else {}
    endpoint = endpoint or mine.get("BlobEndpoint", "").rstrip("/") or _endpoint(url, address, mine)
    if urlsplit(endpoint).scheme not in {"http", "https"} or not urlsplit(endpoint).hostname:
        raise InvalidURLError(str(url), "the endpoint is no http or https URL")
    if options.get("connection_string") or not (options.keys() & {"account_key", "sas_token", "credential"}):
        if key := mine.get("AccountKey"):
            return Access.by_key(endpoint, address.account, key)
        if token := mine.get("SharedAccessSignature"):
            return Access.by_sas(endpoint, token)
    return _without_connection_string(address, endpoint, options, environment)


def _without_connection_string(
    address: Address, endpoint: str, options: Mapping[str, Any], environment: Mapping[str, str]
) -> Access:
    variables = (
        dict(environment) if environment.get("AZURE_STORAGE_ACCOUNT", address.account) == address.account else {}
    )
    by_option = options.keys() & {"account_key", "sas_token", "credential"}
    key = variables.get("AZURE_STORAGE_KEY") or variables.get("AZURE_STORAGE_ACCOUNT_KEY", "")
    token = variables.get("AZURE_STORAGE_SAS_TOKEN", "")
    if key := str(options.get("account_key") or ("" if by_option else key)):
        return Access.by_key(endpoint, address.account, key)
    if token := str(options.get("sas_token") or ("" if by_option else token)):
        return Access.by_sas(endpoint, token)
    if not by_option and address.account == EMULATOR_ACCOUNT:
        return Access.by_key(endpoint, EMULATOR_ACCOUNT, EMULATOR_KEY)
    return Access(endpoint, options.get("credential") or _default())


def _endpoint(url: StoreURL, address: Address, parts: Mapping[str, str]) -> str:
    if url.scheme == EMULATOR or address.account == EMULATOR_ACCOUNT:
        return EMULATOR_ENDPOINT
    protocol = parts.get("DefaultEndpointsProtocol", "https")
    return f"{protocol}://{address.account}.blob.{parts.get('EndpointSuffix', 'core.windows.net')}"


def _default() -> TokenCredential:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def _parts(url: StoreURL, text: str) -> dict[str, str]:
    """Split a connection string; the message of what is none holds nothing of it."""
    parts: dict[str, str] = {}
    for part in text.strip().strip(";").split(";") if text.strip() else ():
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise InvalidURLError(str(url), "the connection string is not of the form name=value;name=value")
        parts[name.strip()] = value
    if parts.get("UseDevelopmentStorage", "").lower() == "true":
        emulator = {"AccountName": EMULATOR_ACCOUNT, "AccountKey": EMULATOR_KEY, "BlobEndpoint": EMULATOR_ENDPOINT}
        return {**emulator, **parts}
    return parts


def _account(parts: Mapping[str, str]) -> str:
    """Return the account that a connection string is of; with a signature it may be told by the endpoint only."""
    if name := parts.get("AccountName"):
        return name
    endpoint = urlsplit(parts.get("BlobEndpoint", ""))
    host = endpoint.hostname or ""
    in_path = not re.match(r"[a-z]", host) or host == "localhost"
    return endpoint.path.strip("/").partition("/")[0] if in_path else host.partition(".")[0]


class _Redacted(logging.Filter):
    """Takes signatures out of a log: the HTTP client's tells every URL at level DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_SIGNATURE.sub(r"\1***", a) if isinstance(a, str) else a for a in record.args)
        record.msg = _SIGNATURE.sub(r"\1***", record.msg) if isinstance(record.msg, str) else record.msg
        return True


_REDACTED = _Redacted()


def _keep_out_of_logs() -> None:
    logging.getLogger("urllib3.connectionpool").addFilter(_REDACTED)  # which adds it once
