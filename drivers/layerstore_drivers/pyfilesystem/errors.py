"""PyFilesystem2's errors, as the contract's (clauses E1 to E3).

No text of an FTP server's is passed on, for it may repeat what it was sent; what is told is the kind of the error.
"""

from __future__ import annotations

import ftplib
from collections.abc import Iterator
from contextlib import contextmanager

from fs import errors

from layerstore.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    NoSpaceError,
    from_os_error,
)

_BY_KIND: dict[type[Exception], type[DriverError]] = {
    errors.InsufficientStorage: NoSpaceError,
    errors.PermissionDenied: AccessDeniedError,
    errors.ResourceReadOnly: AccessDeniedError,
}
"""What a kind of error means; that something is missing, and all else, is a backend that fails."""

_BY_CODE: dict[str, type[DriverError]] = {
    "452": NoSpaceError,
    "552": NoSpaceError,
    "530": AccessDeniedError,
    "532": AccessDeniedError,
    "550": AccessDeniedError,
    "553": AccessDeniedError,
}
"""What an FTP server's refusals mean (RFC 959, section 4.2), where PyFilesystem2 passes them on untouched."""

_IN_WORDS: dict[type[Exception], str] = {
    errors.CreateFailed: "there is no such directory",
    errors.RemoteConnectionError: "no connection to the server",
    EOFError: "the server closed the connection",
}


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Raise the contract's error for whatever a filesystem raises about ``key``.

    Raises:
        NoSpaceError, AccessDeniedError, BackendUnavailableError: as it says; never that the key is missing.
    """
    try:
        yield
    except (errors.FSError, ftplib.Error, EOFError) as error:
        told = getattr(error, "exc", None)
        if isinstance(told, OSError):
            raise from_os_error(told, key) from None
        kind = _BY_CODE.get(str(error)[:3]) if isinstance(error, ftplib.Error) else _BY_KIND.get(type(error))
        raise (kind or BackendUnavailableError)(key, _IN_WORDS.get(type(error), type(error).__name__)) from None
