"""Translate PyFilesystem2's errors into the contract's (clauses E1 to E3).

No text of an FTP server is passed on, because it may repeat a password. The message has only the kind of the error.
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
"""The contract's error for each kind. Every other one, even a missing file, is an unavailable backend."""

_BY_CODE: dict[str, type[DriverError]] = {
    "452": NoSpaceError,
    "552": NoSpaceError,
    "530": AccessDeniedError,
    "532": AccessDeniedError,
    "550": AccessDeniedError,
    "553": AccessDeniedError,
}
"""The meaning of an FTP server's refusals (RFC 959, section 4.2), if PyFilesystem2 passes them on unchanged."""

_IN_WORDS: dict[type[Exception], str] = {
    errors.CreateFailed: "there is no such directory",
    errors.RemoteConnectionError: "no connection to the server",
    EOFError: "the server closed the connection",
}


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Raise the contract's error for any error of a filesystem about ``key``.

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
