"""Translate the SDK's errors into the contract's (clauses E1 to E3), and say what to do.

No text of the SDK's is passed on, nor its error as a cause: it may contain a URL with a signature, or the string that a
signature was made of. The detail explains the problem and the remedy, then gives the service's error code, the status
and the request's id. Of a shared access signature (SAS) it shows only the times and the rights; of a request that got
no answer, only the host.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import requests
import urllib3
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from layerstore.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    FencedError,
    InvalidOffsetError,
    InvalidPathError,
    NoSpaceError,
    PathNotFoundError,
    UnsupportedOperationError,
)

_BY_CODE: dict[str, type[DriverError]] = {
    "BlobNotFound": PathNotFoundError,
    "BlobAlreadyExists": FencedError,
    "ConditionNotMet": FencedError,
    "TargetConditionNotMet": FencedError,
    "SourceConditionNotMet": FencedError,
    "InvalidBlockList": FencedError,  # another commit dropped the blocks; the caller checks that
    "BlobImmutableDueToPolicy": AccessDeniedError,
    "BlobArchived": AccessDeniedError,
    "AccountIsDisabled": AccessDeniedError,
    "PublicAccessNotPermitted": AccessDeniedError,
    "LeaseIdMissing": AccessDeniedError,  # another program holds a lease
    "BlockCountExceedsLimit": NoSpaceError,
    "BlockListTooLong": NoSpaceError,
    "RequestBodyTooLarge": NoSpaceError,
    "InvalidBlobType": UnsupportedOperationError,  # an append or page blob of another program's
    # with a hierarchical namespace: a folder lies there, or a blob in the place of a folder above
    "OperationNotSupportedOnDirectory": UnsupportedOperationError,
    "ResourceTypeMismatch": UnsupportedOperationError,
    "PathConflict": UnsupportedOperationError,
    "DirectoryIsNotEmpty": UnsupportedOperationError,
    "InvalidResourceName": InvalidPathError,
}
"""The contract's error for each code. Every other one, such as of a missing container, is an unavailable backend."""

_BY_STATUS: dict[int, type[DriverError]] = {
    412: FencedError,
    416: InvalidOffsetError,
    501: UnsupportedOperationError,
    507: NoSpaceError,
}

_REFUSED = {401, 403}
"""Statuses that are a refusal with any code, also of the source of a copy."""


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Raise the contract's error for any error that the SDK raises about ``key``.

    Raises:
        FencedError: a condition of the request does not hold, or the blob is there that was not to be.
        PathNotFoundError: there is no such blob.
        AccessDeniedError: no permission, or no credential.
        BackendUnavailableError: no container, no account, no connection, or any other problem.
    """
    try:
        yield
    except HttpResponseError as error:
        _let_go(error)
        raise _from_response(error, key) from None
    except AzureError as error:
        _let_go(error)
        raise BackendUnavailableError(key, reason(error)) from None


def _let_go(error: BaseException | None) -> None:
    """Cut the SDK's errors off from the frames they went through.

    The SDK keeps some errors in variables of those frames. They would keep a caller's objects, such as an open writer,
    until the next garbage collection.
    """
    while error is not None:
        error.__traceback__ = None
        inner = getattr(error, "inner_exception", None)
        if isinstance(inner, BaseException):
            inner.__traceback__ = None
        error = error.__cause__ or error.__context__


def status_of(error: HttpResponseError) -> int:
    """Return the HTTP status; 0 if there was no complete response."""
    return int(error.status_code or 0)


def code_of(error: HttpResponseError) -> str:
    """Return the service's error code; empty if there is none, as in the answer of a proxy."""
    return _header(error, "x-ms-error-code")


def _from_response(error: HttpResponseError, key: str) -> DriverError:
    status, code = status_of(error), code_of(error)
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or BackendUnavailableError
    if status in _REFUSED or isinstance(error, ClientAuthenticationError):
        kind = AccessDeniedError
    if kind is PathNotFoundError:
        return kind(key)
    return kind(key, _detail(error, status, code))


def _header(error: HttpResponseError, name: str) -> str:
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    return headers.get(name) or ""


def _detail(error: HttpResponseError, status: int, code: str) -> str:
    if not status:
        return of_identity(error) if isinstance(error, ClientAuthenticationError) else reason(error)
    answer = " ".join(filter(None, (code, f"HTTP {status}")))
    request = _header(error, "x-ms-request-id")
    answer = f"{answer}, request {request}" if request else answer
    meaning = of_identity(error) if _is_of_identity(error) else hint(error, status, code)
    return f"{meaning}; {answer}" if meaning else answer


def _is_of_identity(error: HttpResponseError) -> bool:
    """Return whether the service that issues tokens refused, and not the storage service."""
    return isinstance(error, ClientAuthenticationError) and not _header(error, "x-ms-version") and not code_of(error)


RIGHTS = "racwdl"
"""Of a shared access signature: to read, add, create, write, delete and list."""

SKEW = timedelta(minutes=15)
"""How far a clock may be off (Microsoft's documentation)."""

BUSY = "the service is busy or throttles the account: write less at once, or raise the option retries"

_HINTS: dict[str, str] = {
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

_HINTS_BY_STATUS = {
    407: "the proxy wants a name and a password: HTTPS_PROXY or HTTP_PROXY takes them",
    429: BUSY,
    503: BUSY,
    507: "the account is full: free space, or have its limit raised",
}

_ENTRA = re.compile(r"AADSTS\d+")


def hint(error: HttpResponseError, status: int, code: str) -> str:
    """Return the meaning of an answer; empty if its code is clear enough."""
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    if status in {401, 403} and (found := _of_signature(error, code) or _of_clock(headers)):
        return found
    if known := _HINTS.get(code) or _HINTS_BY_STATUS.get(status, ""):
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
    """Explain the problem with the shared access signature that was sent, if there was one."""
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


E = TypeVar("E", bound=BaseException)

DEEP = 8
"""Layers of an HTTP client, at most."""

_REFUSED_BY_PROXY = re.compile(r"Tunnel connection failed: (\d{3})")


def reason(error: BaseException) -> str:
    """Explain why a request got no answer, and what to do if that is known."""
    links = list(_chain(error))
    host = _host(links)
    tellers = (_proxy, _lookup, _tls, _time, _number)
    found = next(filter(None, (tell(links, host) for tell in tellers)), "")
    return found or f"no answer from {host} ({type(error).__name__})"


def is_lookup(error: BaseException) -> bool:
    """Return whether a host name was not found."""
    return _first(error, socket.gaierror) is not None


def is_hopeless(error: BaseException) -> bool:
    """Return whether another attempt must fail too: a certificate is not trusted, or a URL is malformed."""
    kinds = (ssl.SSLCertVerificationError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
    return any(_first(error, kind) is not None for kind in kinds)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    for _ in range(DEEP):
        if error is None:
            return
        yield error
        inner = [getattr(error, each, None) for each in ("inner_exception", "reason", "__cause__", "__context__")]
        error = next((each for each in (*inner, *error.args) if isinstance(each, BaseException)), None)


def _first(error: BaseException, kind: type[E]) -> E | None:
    return _among(list(_chain(error)), kind)


def _among(links: Sequence[BaseException], kind: type[E]) -> E | None:
    return next((each for each in links if isinstance(each, kind)), None)


def _host(links: Sequence[BaseException]) -> str:
    """Return the host of a request, and its port if it is not the usual one."""
    failed = _among(links, requests.RequestException)
    url = urlsplit(str(getattr(getattr(failed, "request", None), "url", "")))
    if not url.hostname:
        return "the service"
    return f"{url.hostname}:{url.port}" if url.port else url.hostname


def _proxy(links: Sequence[BaseException], host: str) -> str:
    variables = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
    if _among(links, requests.exceptions.InvalidSchema):
        return f"a proxy of this kind ({variables}) takes another package: pip install 'requests[socks]'"
    if _among(links, requests.exceptions.InvalidURL):
        return f"the proxy's URL ({variables}) is malformed"
    if not _among(links, urllib3.exceptions.ProxyError):
        return ""
    cause = links[-1]
    refused = _REFUSED_BY_PROXY.search(str(cause))
    why = f"HTTP {refused[1]}" if refused else _tls(links, "the proxy") or _number(links, "") or "no answer"
    made = getattr(_among(links, urllib3.exceptions.NewConnectionError), "conn", None)
    proxy = f" {made.host}:{made.port}" if made else ""
    if is_lookup(cause):
        why = "its name does not resolve"
    return f"the proxy{proxy} ({variables}) does not lead to {host}: {why}; NO_PROXY names hosts that need none"


def _lookup(links: Sequence[BaseException], host: str) -> str:
    failed = _among(links, socket.gaierror)
    if failed is None:
        return ""
    advice = "check the account's name, the endpoint, and this machine's network"
    return f"the host name {host} does not resolve ({failed.strerror}): {advice}"


def _tls(links: Sequence[BaseException], host: str) -> str:
    failed = _among(links, ssl.SSLError)
    if failed is None:
        return ""
    if isinstance(failed, ssl.SSLCertVerificationError):
        advice = "REQUESTS_CA_BUNDLE names a file of other authorities"
        return f"the TLS certificate of {host} is not trusted: {failed.verify_message}; {advice}"
    why = (failed.reason or "no reason given").replace("_", " ").lower()
    return f"no TLS with {host}: {why}; check the endpoint, and whether it is http or https"


def _time(links: Sequence[BaseException], host: str) -> str:
    if _among(links, requests.exceptions.ConnectTimeout):
        return f"no connection to {host} in time: check the endpoint and the network, or raise the option timeout"
    if _among(links, requests.exceptions.ReadTimeout):
        return f"no answer from {host} in time: the option timeout says how many seconds it may be silent"
    return ""


def _number(links: Sequence[BaseException], host: str) -> str:
    numbers = (each.errno for each in links if isinstance(each, OSError))
    number = next((each for each in numbers if each in errno.errorcode), None)
    if number is None:
        return ""
    return f"{host}: {os.strerror(number)}" if host else os.strerror(number)
