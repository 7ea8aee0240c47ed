"""Connection strings, as Azure's portal and tools write them, and as files and shells hand them on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from azure.core.utils import parse_connection_string

from layerstore_drivers.azure.address import EMULATOR_ACCOUNT, EMULATOR_KEY

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
    """Empty where neither AccountName nor the endpoint's form tells it, as with a custom domain."""
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
    """Return the account whose endpoint this is; empty where its form does not tell, as with a custom domain."""
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
