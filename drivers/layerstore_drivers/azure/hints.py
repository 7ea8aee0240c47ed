"""The meaning of the service's answers: what is wrong, and what to do.

No secret of a request is shown. Of a shared access signature (SAS) only its times and its rights are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, urlsplit

from azure.core.exceptions import HttpResponseError

RIGHTS = "racwdl"
"""Of a shared access signature: to read, add, create, write, delete and list."""

SKEW = timedelta(minutes=15)
"""How far a clock may be off (Microsoft's documentation)."""

BUSY = "the service is busy or throttles the account: write less at once, or raise the option retries"

_BY_CODE: dict[str, str] = {
    "AccountBeingCreated": "the account is still being created: wait a minute",
    "AccountIsDisabled": "the account is disabled: its owner can enable it",
    "AuthenticationFailed": "the account key or SAS token is wrong or was revoked, or this machine's clock is off",
    "AuthorizationFailure": "the credential is not the account's, or the account's firewall keeps this machine out",
    "AuthorizationPermissionMismatch": "the credential lacks a right: give it the role Storage Blob Data Contributor,"
    f" or make a SAS token that allows {RIGHTS!r}",
    "AuthorizationProtocolMismatch": "the SAS token allows https only: use an https endpoint",
    "AuthorizationResourceTypeMismatch": "the SAS token is not for containers and objects: make one with srt=co",
    "AuthorizationServiceMismatch": "the SAS token is not for blobs: make one with ss=b",
    "AuthorizationSourceIPMismatch": "the SAS token is for other addresses than this machine's: make one without sip=",
    "BlobArchived": "the blob is in the archive tier: rehydrate it",
    "BlobImmutableDueToPolicy": "an immutability policy or legal hold keeps the blob as it is",
    "ContainerBeingDeleted": "the container is being deleted: wait a minute before it is made again",
    "ContainerDisabled": "an administrator has disabled the container",
    "ContainerNotFound": "there is no such container: create it, restore it if it was deleted,"
    " or open the store with create_container=true",
    "FeatureNotSupported": "the emulator cannot do that: Azurite compares no CRC-64, so use checksum=md5",
    "InsufficientAccountPermissions": "the account does not allow this now: look at its state and its failover",
    "InternalError": "the service failed: try again",
    "InvalidAuthenticationInfo": "the token or the key is malformed, expired, or of another tenant",
    "InvalidHeaderValue": "a header is not accepted: an Azurite older than the SDK needs --skipApiVersionCheck",
    "InvalidUri": "the service takes no such name: in the container $root none has a slash, so use another",
    "KeyBasedAuthenticationNotPermitted": "the account takes no keys: use a credential of azure-identity",
    "LeaseIdMissing": "another program holds a lease on the blob or container: have it released",
    "NoAuthenticationInformation": "the request had no credential: give one",
    "OperationTimedOut": BUSY,
    "PublicAccessNotPermitted": "the account takes no requests without a credential: give one",
    "ServerBusy": BUSY,
    "TooManyRequests": BUSY,
}

_BY_STATUS = {
    407: "the proxy wants a name and a password: HTTPS_PROXY or HTTP_PROXY takes them",
    429: BUSY,
    503: BUSY,
    507: "the account is full: free space, or have its limit raised",
}

_ENTRA = re.compile(r"AADSTS\d+")


def hint(error: HttpResponseError, status: int, code: str) -> str:
    """Return the meaning of an answer; empty where its code says it all."""
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    if status in {401, 403} and (found := _of_signature(error, code) or _of_clock(headers)):
        return found
    if known := _BY_CODE.get(code) or _BY_STATUS.get(status, ""):
        return known
    foreign = not code and not any(name.lower().startswith("x-ms-") for name in headers)
    return "not an answer of Blob Storage: check the endpoint, and any proxy on the way" if foreign else ""


def of_identity(error: BaseException) -> str:
    """Say why there is no token."""
    refused = _ENTRA.search(str(error))
    if refused:
        return f"Microsoft Entra refuses to give a token ({refused[0]}): check the identity and its secret"
    ways = "log in with az login, give this machine an identity, or use account_key or sas_token"
    return f"no token: {ways}; the log of azure.identity says what was tried"


def _of_signature(error: HttpResponseError, code: str) -> str:
    """Say what is wrong with the shared access signature that was sent, if one was."""
    asked = getattr(getattr(error.response, "request", None), "url", "")
    sent = {name: values[0] for name, values in parse_qs(urlsplit(asked).query).items()}
    if "sig" not in sent:
        return ""
    now, begins, ends = datetime.now(UTC), _moment(sent.get("st", "")), _moment(sent.get("se", ""))
    if ends and ends < now:
        return f"the SAS token expired on {ends:%Y-%m-%d %H:%M} UTC: make another"
    if begins and begins > now:
        return f"the SAS token is not valid before {begins:%Y-%m-%d %H:%M} UTC"
    rights = sent.get("sp", "")
    if code in {"AuthorizationPermissionMismatch", ""} and re.fullmatch("[a-z]+", rights) and set(RIGHTS) - set(rights):
        return f"the SAS token allows {rights!r}, and a store needs {RIGHTS!r}: make another"
    return ""


def _of_clock(headers: Mapping[str, str]) -> str:
    """Compare this machine's clock with the service's."""
    try:
        off = abs(datetime.now(UTC) - parsedate_to_datetime(headers.get("Date", "")))
    except (TypeError, ValueError):  # no date, or one without a zone
        return ""
    return f"this machine's clock is off by {off // timedelta(minutes=1)} minutes: set it" if off > SKEW else ""


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
