"""The refusal of a request: a status, and a body in the specification's form.

If storage fails, the client learns what went wrong, and no keys.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final, Literal

from werkzeug.wrappers import Response

from layerstore import (
    AccessDeniedError,
    BackendUnavailableError,
    FencedError,
    InvalidDigestError,
    InvalidNameError,
    InvalidPathError,
    InvalidUploadIDError,
    LayerInvalidDigestError,
    LayerInvalidSizeError,
    LayerStoreError,
    NoSpaceError,
    OffsetMismatchError,
    UnknownLayerError,
    UnknownUploadError,
    UnsupportedOperationError,
)

Code = Literal[
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DENIED",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "TOOMANYREQUESTS",
    "UNAUTHORIZED",
    "UNSUPPORTED",
]
"""All codes in the specification ("Error Codes")."""


class Refusal(Exception):  # noqa: N818  (an answer, and no fault of the program)
    """A request is not done, and why."""

    def __init__(
        self, status: HTTPStatus, code: Code | None, message: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, code, message, headers or {})
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def response(self) -> Response:
        """Return the answer. A refusal without a code is about the server, and has another body."""
        error = {"code": self.code or "UNKNOWN", "message": self.message}
        body = json.dumps({"errors": [error]}) + "\n"
        return Response(body, self.status, self.headers, content_type="application/json")


def bad_request(code: Code, message: str) -> Refusal:
    """Refuse a request that would fail again if it were repeated."""
    return Refusal(HTTPStatus.BAD_REQUEST, code, message)


def not_found(code: Code, message: str) -> Refusal:
    """Refuse a request for something that is not there."""
    return Refusal(HTTPStatus.NOT_FOUND, code, message)


def not_allowed(message: str, *allowed: str) -> Refusal:
    """Refuse a method."""
    headers = {"Allow": ", ".join(allowed)}
    return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", message, headers=headers)


_TOLD: Final[tuple[tuple[type[LayerStoreError], HTTPStatus, Code], ...]] = (
    (InvalidNameError, HTTPStatus.BAD_REQUEST, "NAME_INVALID"),
    (InvalidDigestError, HTTPStatus.BAD_REQUEST, "DIGEST_INVALID"),
    (LayerInvalidDigestError, HTTPStatus.BAD_REQUEST, "DIGEST_INVALID"),
    (LayerInvalidSizeError, HTTPStatus.BAD_REQUEST, "SIZE_INVALID"),
    (UnknownLayerError, HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN"),
    (UnknownUploadError, HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
    (InvalidUploadIDError, HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
    (OffsetMismatchError, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
)
"""Errors whose message the client gets: each is about the request."""

_KEPT: Final[tuple[tuple[type[LayerStoreError], HTTPStatus, Code | None, str], ...]] = (
    (FencedError, HTTPStatus.CONFLICT, "BLOB_UPLOAD_INVALID", "another request has gone on with this upload"),
    (InvalidPathError, HTTPStatus.BAD_REQUEST, "NAME_INVALID", "the store takes no such name"),
    (UnsupportedOperationError, HTTPStatus.BAD_REQUEST, "UNSUPPORTED", "the store cannot do this"),
    (NoSpaceError, HTTPStatus.INSUFFICIENT_STORAGE, None, "the store is full"),
    (AccessDeniedError, HTTPStatus.INTERNAL_SERVER_ERROR, None, "the store refuses the registry"),
    (BackendUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE, None, "the store cannot be reached"),
)
"""Errors of storage: their message names keys, and is only for the log."""


def refusal_of(error: LayerStoreError) -> Refusal:
    """Return the refusal for an error."""
    for kind, status, code in _TOLD:
        if isinstance(error, kind):
            return Refusal(status, code, str(error))
    for other, status, maybe, message in _KEPT:
        if isinstance(error, other):
            return Refusal(status, maybe, message)
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, None, "the store failed")
