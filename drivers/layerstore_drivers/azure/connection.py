"""Connection strings, and where an account's blob service is.

Azure's portal and tools write the strings; files and shells hand them on. The endpoint comes from an option, from a
connection string, from the emulator's place, or from a cloud's host name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from azure.core.utils import parse_connection_string

from layerstore.errors import InvalidURLError
from layerstore_drivers.azure.options import EMULATOR_ACCOUNT, EMULATOR_ENDPOINT, EMULATOR_KEY, Address

if TYPE_CHECKING:
    from layerstore.url import StoreURL


_SERVICES = ("blob", "queue", "table", "file", "dfs")
_NAMES = {
    *("accountname", "accountkey", "sharedaccesssignature", "defaultendpointsprotocol", "endpointsuffix"),
    *("usedevelopmentstorage", "developmentstorageproxyuri"),
    *(f"{service}{which}endpoint" for service in _SERVICES for which in ("", "secondary")),
}
"""Names that a connection string may have, in lower case."""


_HOST = re.compile(r"[A-Za-z0-9_.-]+\Z|[0-9A-Fa-f:.]+\Z")


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection string, read. Its ``repr`` shows no credential."""

    account: str
    """Empty if neither AccountName nor the endpoint names it, as with a custom domain."""
    endpoint: str
    """Of the blob service, if the string names it."""
    protocol: str
    suffix: str
    """Of the cloud's host names, if the string names it."""
    key: str = field(repr=False)
    sas_token: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a connection string.

        Raises:
            ValueError: it is none. The message holds nothing of it: any part may be the secret.
        """
        parts = _parts(text)
        endpoint, _, query = parts.get("blobendpoint", "").partition("?")
        endpoint = endpoint if "://" in endpoint or not endpoint else f"https://{endpoint}"  # as the SDK reads it
        try:
            endpoint, suffix = check_endpoint(endpoint), check_suffix(parts.get("endpointsuffix", ""))
        except ValueError as error:
            raise ValueError(f"its BlobEndpoint or EndpointSuffix {error}") from None
        found = cls(
            (parts.get("accountname") or account_of(endpoint)).lower(),
            endpoint,
            parts.get("defaultendpointsprotocol", "https").lower(),
            suffix,
            parts.get("accountkey", ""),
            parts.get("sharedaccesssignature") or query,
        )
        _check(found, parts)
        return found


def clean(text: str) -> str:
    """Take off white space, a byte order mark and quotes, as files, shells and copying leave them around a value."""
    text = text.strip().strip("\ufeff\u200b").strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if quoted else text


def check_endpoint(text: str) -> str:
    """Return an endpoint's URL without the slash at its end; an empty one as it is.

    Raises:
        ValueError: it is none, or holds more than one. The message holds nothing of it.
    """
    endpoint = clean(text).rstrip("/")
    if not endpoint:
        return ""
    try:
        url = urlsplit(endpoint)
        known = url.scheme in {"http", "https"} and _HOST.match(url.hostname or "") and url.port != 0
    except ValueError:
        raise ValueError("is not an http or https URL") from None  # the other message may quote it
    if not known:
        raise ValueError("is not an http or https URL")
    if url.query or url.fragment or url.username is not None:
        raise ValueError("has more than a host and a path: a signature belongs in sas_token, a key in account_key")
    return endpoint


def check_suffix(text: str) -> str:
    """Return the suffix of a cloud's host names, such as ``core.windows.net``.

    Raises:
        ValueError: it is none. The message holds nothing of it.
    """
    suffix = clean(text).strip(".").removeprefix("blob.")
    if suffix and not _HOST.match(suffix):
        raise ValueError("is not the end of a host name, as core.windows.net is")
    return suffix


def account_of(endpoint: str) -> str:
    """Return the account that an endpoint belongs to; empty if the URL does not name it, as with a custom domain."""
    url = urlsplit(endpoint)
    first, *others = (url.hostname or "").split(".")
    # ACCOUNT.blob.SUFFIX, ACCOUNT.ZONE.blob.SUFFIX, or HOST/ACCOUNT as the emulator has it.
    return first.removesuffix("-secondary") if "blob" in others else url.path.strip("/").partition("/")[0]


def _parts(text: str) -> dict[str, str]:
    """Split a connection string; names are in lower case."""
    one_line = ";".join(part.strip() for part in clean(text).split(";") if part.strip())
    try:
        read = parse_connection_string(one_line)
    except ValueError:
        raise ValueError("it is not of the form name=value;name=value") from None  # the other message may quote it
    parts = {clean(name): clean(value) for name, value in read.items()}
    if parts.get("usedevelopmentstorage", "").lower() != "true":
        return parts
    where = parts.get("developmentstorageproxyuri", "").rstrip("/")
    endpoint = {"blobendpoint": f"{where}:10000/{EMULATOR_ACCOUNT}"} if where else {}
    return {"accountname": EMULATOR_ACCOUNT, "accountkey": EMULATOR_KEY, **endpoint, **parts}


def _check(found: Connection, parts: dict[str, str]) -> None:
    if not (found.account or found.endpoint):
        raise ValueError("it has neither AccountName nor BlobEndpoint")
    if found.protocol not in {"http", "https"}:
        raise ValueError("its DefaultEndpointsProtocol is neither http nor https")
    if not (found.key or found.sas_token) and parts.keys() - _NAMES:
        raise ValueError("it has neither AccountKey nor SharedAccessSignature, but a name that is unknown")


SUFFIX = "AZURE_STORAGE_ENDPOINT_SUFFIX"
PUBLIC = "core.windows.net"
"""The suffix of the public cloud's host names."""


def find_endpoint(
    url: StoreURL,
    address: Address,
    given: Mapping[str, Any],
    connection: Connection | None,
    environment: Mapping[str, str],
) -> str:
    """Find out where an account is.

    Raises:
        InvalidURLError: the endpoint found is none, or an option and a connection string differ.
    """
    option = _checked(url, str(given.get("endpoint", "")))
    named = connection.endpoint if connection else ""
    if option and named and option != named and "connection_string" in given:
        raise InvalidURLError(str(url), "option endpoint and BlobEndpoint of option connection_string differ: give one")
    if option or named:
        return option or named
    if address.account == EMULATOR_ACCOUNT:
        return EMULATOR_ENDPOINT
    protocol, suffix = (connection.protocol, connection.suffix) if connection else ("https", "")
    return f"{protocol}://{address.account}.blob.{suffix or _suffix(url, environment)}"


def _suffix(url: StoreURL, environment: Mapping[str, str]) -> str:
    try:
        return check_suffix(environment.get(SUFFIX, "")) or PUBLIC
    except ValueError as error:
        raise InvalidURLError(str(url), f"variable {SUFFIX} {error}") from None


def _checked(url: StoreURL, text: str) -> str:
    try:
        return check_endpoint(text)
    except ValueError as error:
        raise InvalidURLError(str(url), f"option endpoint {error}") from None
