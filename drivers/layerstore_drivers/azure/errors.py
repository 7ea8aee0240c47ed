"""The SDK's errors, as the contract's (clauses E1 to E3).

No text of the SDK's is passed on, nor its error as a cause: a URL with a signature in its query, or the string that a
signature was made of, may be in it. The detail says what is wrong and what to do, then the service's error code, the
status and the request's id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

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
from layerstore_drivers.azure.hints import hint, of_identity
from layerstore_drivers.azure.network import reason

_BY_CODE: dict[str, type[DriverError]] = {
    "BlobNotFound": PathNotFoundError,
    "BlobAlreadyExists": FencedError,
    "ConditionNotMet": FencedError,
    "TargetConditionNotMet": FencedError,
    "SourceConditionNotMet": FencedError,
    "InvalidBlockList": FencedError,  # another commit dropped the blocks; the caller looks whether that is so
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
"""What the service's error codes mean; a missing container or account, and all else, is an unavailable backend."""

_BY_STATUS: dict[int, type[DriverError]] = {
    412: FencedError,
    416: InvalidOffsetError,
    501: UnsupportedOperationError,
    507: NoSpaceError,
}

_REFUSED = {401, 403}
"""Statuses that are a refusal, whatever the code: also of the source of a copy."""


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Raise the contract's error for whatever the SDK raises about ``key``.

    Raises:
        FencedError: a condition of the request does not hold, or the blob is there that was not to be.
        PathNotFoundError: there is no such blob.
        AccessDeniedError: no permission, or no credential.
        BackendUnavailableError: no container, no account, no connection, or whatever else is wrong.
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

    The SDK holds some in variables of those very frames: what a caller has in its own, an open writer say, would be
    kept until the next collection.
    """
    while error is not None:
        error.__traceback__ = None
        inner = getattr(error, "inner_exception", None)
        if isinstance(inner, BaseException):
            inner.__traceback__ = None
        error = error.__cause__ or error.__context__


def status_of(error: HttpResponseError) -> int:
    """Return the HTTP status; 0 where the response did not come to that."""
    return int(error.status_code or 0)


def code_of(error: HttpResponseError) -> str:
    """Return the service's error code; empty where it gave none, as proxies do."""
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
    """Tell whether it was no service of storage that refused, but the one that gives tokens."""
    return isinstance(error, ClientAuthenticationError) and not _header(error, "x-ms-version") and not code_of(error)
